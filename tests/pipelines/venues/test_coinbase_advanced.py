"""Coinbase Advanced Trade: what is asked of it, and what its messages become."""

from __future__ import annotations

import gzip
import json
from typing import Any

import numpy as np
import pytest

from pipelines.book import Book
from pipelines.market import Flag, Instrument
from pipelines.tape import TRADE, VOID
from pipelines.venues import venue
from pipelines.venues.coinbase_advanced import CoinbaseAdvanced
from pipelines.venues.venue import GARBLED, Answer, Failure, Sight, Stream, Venue
from tests.conftest import SHARED
from tests.pipelines.venues.mutations import endure
from tests.pipelines.venues.test_coinbase import assert_a_glance_agrees, documented

ADVANCED: Venue = CoinbaseAdvanced()
BTC = Instrument("coinbase-advanced", "BTC-USD", "BTC-USD", "BTC", "USD")

TRADE_OF: dict[str, Any] = json.loads(
    """{"trade_id":"998200402","product_id":"BTC-USD","price":"91260.01","size":"0.2","side":"BUY",
        "time":"2026-11-20T20:00:00.044002Z"}"""
)
TICKER: dict[str, Any] = json.loads(
    """{"type":"ticker","product_id":"BTC-USD","price":"68900.50","best_bid":"68900.00","best_bid_quantity":"1.5",
        "best_ask":"68901.00","best_ask_quantity":"0.5"}"""
)
LEVELS: list[dict[str, Any]] = json.loads(
    """[{"side":"bid","event_time":"2026-11-20T20:00:00.000000Z","price_level":"91260.01","new_quantity":"0.7"},
        {"side":"offer","event_time":"2026-11-20T20:00:00.000001Z","price_level":"91260.02","new_quantity":"0.11"}]"""
)


def frame(channel: str, *events: object) -> bytes:
    envelope = {"channel": channel, "client_id": "", "timestamp": "2026-11-20T20:00:00.26Z", "sequence_num": 2}
    return json.dumps(envelope | {"events": events}).encode()


def trades(*changes: dict[str, object], form: str = "update") -> bytes:
    return frame("market_trades", {"type": form, "trades": [TRADE_OF | change for change in changes]})


def book(*levels: dict[str, Any], form: str = "update", product: str = "BTC-USD") -> bytes:
    return frame("l2_data", {"type": form, "product_id": product, "updates": levels})


def fixtures() -> dict[str, bytes]:
    """Recorded frames and answers, by file name."""
    with gzip.open(SHARED / "fixtures" / "coinbase.jsonl.gz", "rt") as lines:
        found = [json.loads(line) for line in lines]
    return {f["path"].rsplit("/", 1)[1]: json.dumps(f["data"]).encode() for f in found}


# --- what is asked


def test_it_is_registered() -> None:
    assert venue("coinbase-advanced").name == "coinbase-advanced"


def test_heartbeats_are_always_subscribed_and_a_message_names_one_channel() -> None:
    market, own = ADVANCED.routes([BTC], ["trades", "quotes", "book"])
    assert market.url == "wss://advanced-trade-ws.coinbase.com"
    assert [json.loads(m) for m in market.subscribe] == [
        {"type": "subscribe", "channel": "heartbeats"},
        {"type": "subscribe", "channel": "market_trades", "product_ids": ["BTC-USD"]},
        {"type": "subscribe", "channel": "ticker", "product_ids": ["BTC-USD"]},
    ]
    assert [json.loads(m)["channel"] for m in own.subscribe] == ["heartbeats", "level2"]
    assert (own.name, own.streams) == ("book", [Stream("book", "BTC-USD")])
    assert ADVANCED.routes([BTC], ["trades"], "http://127.0.0.1:9")[0].url == "ws://127.0.0.1:9"
    sent = [json.loads(m) for m in ADVANCED.resubscribe(Stream("book", "BTC-USD"))]
    assert [(m["type"], m["channel"]) for m in sent] == [("unsubscribe", "level2"), ("subscribe", "level2")]


def test_many_products_are_split_into_messages_and_connections() -> None:
    many = [Instrument("coinbase-advanced", f"C{k}-USD", f"C{k}-USD", f"C{k}", "USD") for k in range(120)]
    first, second = ADVANCED.routes(many, ["trades"])
    assert [len(json.loads(m).get("product_ids", [])) for m in first.subscribe] == [0, 50, 50]
    assert (second.name, len(second.streams)) == ("market-2", 20)


def test_candles_are_asked_for_by_time() -> None:
    for interval, width in (("1m", 60), ("1d", 86_400)):
        request = ADVANCED.klines_request("BTC-USD", "1d" if interval == "1d" else "1m")
        assert request is not None
        assert int(request.params["end"]) - int(request.params["start"]) == 349 * width


def test_only_the_newest_trades_can_be_asked_for() -> None:
    request = ADVANCED.repair_request("BTC-USD", 5, 9)
    assert request == ("/api/v3/brokerage/market/products/BTC-USD/ticker", {"limit": "1000"}, 1)
    assert ADVANCED.book_request("BTC-USD") is None
    assert ADVANCED.funding_request("BTC-USD") is None


# --- what a glance tells


def test_a_glance_tells_what_each_frame_bears() -> None:
    seen = ADVANCED.look(
        [
            trades({"trade_id": "9"}, {"trade_id": "8"}, form="snapshot"),
            trades({"trade_id": "11"}, {"trade_id": "10", "product_id": "ETH-USD"}),
            trades({"trade_id": "13"}, {"trade_id": None}),
            frame("ticker", {"type": "update", "tickers": [TICKER]}),
            book(*LEVELS),
            frame("subscriptions", {"subscriptions": {"level2": ["BTC-USD"]}}),
            frame("heartbeats", {"current_time": "2026-11-20 20:00:01 +0000 UTC m=+1", "heartbeat_counter": 3}),
            b'{"type":"error","message":"channel is not supported"}',
            b"garbage",
        ]
    )
    assert seen.sights == [
        Sight("trades", "BTC-USD", 8, 8, "fill", history=True),
        Sight("trades", "BTC-USD", 9, 9, "fill", history=True),
        Sight("trades", "ETH-USD", 10, 10, "fill"),
        Sight("trades", "BTC-USD", 11, 11, "fill"),
        Sight("trades", "BTC-USD", 13, 13, "fill"),
        Sight("quotes", "BTC-USD"),
        Sight("book", "BTC-USD"),
    ]
    assert seen.answers == [Answer("ack"), Answer("error", "channel is not supported")]


# --- what messages become


def test_trades_come_in_the_order_of_their_ids_with_the_takers_side() -> None:
    decoded = ADVANCED.decode([trades({}, {"trade_id": "998200401", "side": "SELL", "price": "91260.02"})], "fill")
    assert decoded.rows["trade_id"].tolist() == [998200401, 998200402]
    assert decoded.rows["side"].tolist() == [1, -1]
    assert decoded.rows["frame"].tolist() == [0, 0]
    assert decoded.rows["ts"].tolist() == [1795204800044002] * 2
    assert decoded.rows["flags"].tolist() == [0, 0]


def test_the_snapshot_is_history() -> None:
    decoded = ADVANCED.decode([trades({}, form="snapshot"), trades({"trade_id": "998200403"})], "fill")
    assert decoded.rows["flags"].tolist() == [int(Flag.HISTORY), 0]


@pytest.mark.parametrize(
    ("change", "reason", "known"),
    [
        ({"price": "0"}, "price was not above zero: '0'", True),
        ({"size": None}, "trade was malformed", True),
        ({"side": "buy"}, "trade was malformed", True),
        ({"time": "x"}, "time was not between 2010 and 2100", True),
        ({"trade_id": 5}, "trade was malformed", False),
        ({"trade_id": "x"}, "trade id was no number: 'x'", False),
        ({"trade_id": "\u0665"}, "trade id was no number", False),
        ({"trade_id": "9" * 19}, "trade id was no number", False),
        ({"product_id": ""}, "trade was malformed", False),
    ],
)
def test_a_bad_trade_leaves_the_others_of_its_frame(change: dict[str, object], reason: str, known: bool) -> None:
    decoded = ADVANCED.decode([trades({"trade_id": "5"}, {"trade_id": "4"} | change, {"trade_id": "3"})], "fill")
    rows = dict(zip(decoded.rows["trade_id"].tolist(), decoded.rows["kind"].tolist(), strict=True))
    assert rows == {5: TRADE, 3: TRADE} | ({4: VOID} if known else {})
    (fault,) = decoded.faults
    assert (fault.frame, fault.part) == (0, 1)
    assert fault.reason.startswith(reason)


@pytest.mark.parametrize(
    ("odd", "known"),
    [("0", [0]), ("007", [7]), ("9" * 18, [10**18 - 1]), ("0" * 19, [0])]
    + [(odd, []) for odd in ("", "-5", " 5", "5 6", "5.0", "1e3", "\u0665", "x", "9" * 19, "0" * 20)],
)
def test_an_odd_id_is_read_as_alone_when_others_stand_beside_it(odd: str, known: list[int]) -> None:
    usual = int(TRADE_OF["trade_id"])
    for others in (0, 1):
        decoded = ADVANCED.decode([*[trades({})] * others, trades({"trade_id": odd}), *[trades({})] * others], "fill")
        assert decoded.rows["trade_id"].tolist() == [usual] * others + known + [usual] * others
        assert len(decoded.faults) == 1 - len(known)


def test_tickers_are_quotes() -> None:
    decoded = ADVANCED.decode(
        [frame("ticker", {"type": "update", "tickers": [TICKER, TICKER | {"product_id": "ETH-USD", "best_ask": ""}]})], "fill"
    )
    assert [decoded.symbols[k] for k in decoded.quotes["instrument"]] == ["BTC-USD", "ETH-USD"]
    assert decoded.quotes["bid"].tolist() == [68900.0, 68900.0]
    assert decoded.quotes["ask"].tolist() == [68901.0, 0.0]
    assert decoded.quotes["ts"].tolist() == [1795204800260000] * 2
    assert decoded.quotes["update_id"].tolist() == [-1, -1]
    bare = {k: v for k, v in TICKER.items() if not k.startswith("best")}
    assert ADVANCED.decode([frame("ticker", {"type": "update", "tickers": [bare]})], "fill").ignored == 1
    assert (
        ADVANCED.decode([frame("ticker", {"tickers": [TICKER | {"best_bid": "x"}]})], "fill").faults[0].reason.startswith("bid")
    )


def test_levels_make_a_book_and_an_offer_is_an_ask() -> None:
    gone = LEVELS[1] | {"new_quantity": "0"}
    better = LEVELS[1] | {"price_level": "91260.5", "new_quantity": "2", "event_time": "2026-11-20T20:00:00.3Z"}
    decoded = ADVANCED.decode([book(*LEVELS, form="snapshot"), book(gone, better)], "fill")
    assert [depth.ts for depth in decoded.depths] == [1795204800000001, 1795204800300000]
    whole = Book(ADVANCED.checksum)
    assert [whole.apply(depth) for depth in decoded.depths] == [None, None]
    assert whole.top(2) == ([("91260.01", "0.7")], [("91260.5", "2")])


def test_a_snapshot_whose_levels_have_no_time_has_that_of_its_envelope() -> None:
    (depth,) = ADVANCED.decode([book(LEVELS[0] | {"event_time": "1970-01-01T00:00:00Z"}, form="snapshot")], "fill").depths
    assert depth.ts == 1795204800260000


def test_a_refused_update_breaks_its_own_book_alone() -> None:
    event = {"type": "update", "updates": LEVELS}
    bad = [LEVELS[0] | {"new_quantity": "-1"}]
    frames = [
        frame("l2_data", event | {"type": "snapshot", "product_id": "BTC-USD"}),
        frame("l2_data", event | {"product_id": "ETH-USD", "updates": bad}, event | {"product_id": "BTC-USD", "updates": [1]}),
    ]
    decoded = ADVANCED.decode(frames, "fill")
    assert sorted((f.frame, f.part, f.symbol) for f in decoded.faults) == [(1, 0, "ETH-USD"), (1, 1, "BTC-USD")]
    whole = Book(ADVANCED.checksum)
    assert [whole.apply(d) for d in decoded.depths if d.symbol == "BTC-USD"] == [None, "checksum"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "frame was malformed"),
        (b"[" * 100_000, "frame was malformed"),
        (b"[]", "frame named no channel"),
        (b'{"channel":5}', "frame named no channel"),
        (b'{"channel":"gift","events":[]}', "unknown channel: 'gift'"),
        (b'{"channel":"market_trades"}', "market_trades was malformed"),
        (b'{"channel":"market_trades","events":[{"type":"gift","trades":[]}]}', "market_trades was malformed"),
        (b'{"channel":"l2_data","events":5}', "l2_data was malformed"),
        (b'{"channel":"ticker","events":[5]}', "ticker was malformed"),
    ],
)
def test_anything_else_is_a_fault(text: bytes, reason: str) -> None:
    decoded = ADVANCED.decode([text, trades({})], "fill")
    assert [f.frame for f in decoded.faults] == [0]
    assert decoded.faults[0].reason.startswith(reason)
    assert decoded.rows["frame"].tolist() == [1]


# --- REST


def test_products_are_left_out_that_trade_under_another_name_or_in_contracts() -> None:
    product = {"product_id": "BTC-USD", "base_currency_id": "BTC", "quote_currency_id": "USD", "product_type": "SPOT"}
    product |= {"price_increment": "0.01", "base_increment": "0.00000001", "status": "online", "alias": ""}
    alias = product | {"product_id": "BTC-USDC", "alias": "BTC-USD"}
    future = product | {"product_id": "BIP-20DEC30-CDE", "product_type": "FUTURE"}
    body = json.dumps({"products": [product, alias, future]}).encode()
    assert ADVANCED.parse_instruments(body) == [
        Instrument("coinbase-advanced", "BTC-USD", "BTC-USD", "BTC", "USD", "0.01", "0.00000001", "online")
    ]
    with pytest.raises(ValueError, match="products were malformed"):
        ADVANCED.parse_instruments(b"[]")


def test_pages_are_followed_until_the_last() -> None:
    (request,) = ADVANCED.instruments_requests()
    following = ADVANCED.next_page(request, b'{"pagination":{"next_cursor":"abc","has_next":true}}')
    assert following is not None
    assert following.params == {"product_type": "SPOT", "cursor": "abc"}
    last: tuple[bytes, ...] = (b'{"pagination":null}', b'{"pagination":{"next_cursor":"","has_next":false}}', b"x")
    assert [ADVANCED.next_page(following, body) for body in (*last, b'{"pagination":{"next_cursor":"abc","has_next":true}}')] == [
        None
    ] * 4


def test_time_and_errors_are_read() -> None:
    assert ADVANCED.parse_time(b'{"iso":"x","epochSeconds":"1795204800","epochMillis":"1795204800123"}') == 1795204800123
    for body in (b"{}", b'{"epochMillis":"x"}'):
        with pytest.raises(ValueError, match="malformed"):
            ADVANCED.parse_time(body)
    assert ADVANCED.parse_error(b'{"error":"NOT_FOUND","error_details":"","message":"no product"}') == Failure(
        "error", "NOT_FOUND: no product"
    )
    assert ADVANCED.parse_error(b'{"products":[]}') is None
    assert ADVANCED.parse_error(b"<html>") == GARBLED
    for body in (b"[]", b'{"candles":[{"start":"x"}]}'):
        with pytest.raises(ValueError, match="klines were malformed"):
            ADVANCED.parse_klines(body)


def test_names_are_told_by_their_dash() -> None:
    assert ADVANCED.guess("btc-usd") == BTC
    with pytest.raises(ValueError, match="write it like BTC-USD"):
        ADVANCED.guess("BTCUSD")


# --- whole recordings


@pytest.mark.real
def test_the_recorded_frames() -> None:
    frames = {name: body for name, body in fixtures().items() if name.startswith("ws_")}
    counts = {}
    for name, body in frames.items():
        decoded = ADVANCED.decode([body], "fill")
        assert decoded.faults == []
        counts[name] = (decoded.rows.size, decoded.quotes.size, len(decoded.depths), decoded.ignored)
    assert counts == {
        "ws_candles.json": (0, 0, 0, 1),
        "ws_heartbeats.json": (0, 0, 0, 1),
        "ws_l2_data_snapshot.json": (0, 0, 1, 0),
        "ws_l2_data_update.json": (0, 0, 1, 0),
        "ws_market_trades.json": (2, 0, 0, 0),
        "ws_subscriptions.json": (0, 0, 0, 1),
        "ws_ticker.json": (0, 1, 0, 0),
        "ws_user.json": (0, 0, 0, 1),
    }
    seen = ADVANCED.look(list(frames.values()))
    assert {sight.feed for sight in seen.sights} == ADVANCED.rules.verified
    assert seen.answers == [Answer("ack")]
    whole = Book(ADVANCED.checksum)
    for name in ("ws_l2_data_snapshot.json", "ws_l2_data_update.json"):
        assert whole.apply(ADVANCED.decode([frames[name]], "fill").depths[0]) is None
    assert whole.best() == (("68900.00", "2.00000000"), ("68901.50", "1.20000000"))


@pytest.mark.real
def test_the_recorded_answers() -> None:
    answers = fixtures()
    assert [i.symbol for i in ADVANCED.parse_instruments(answers["http_products.json"])] == ["BTC-USD"]
    assert ADVANCED.parse_instruments(answers["http_products_future.json"]) == []
    candles = ADVANCED.parse_klines(answers["http_candles.json"])
    assert candles["open"].to_pylist() == [65984.18, 66312.4]
    decoded = ADVANCED.decode_rest(answers["http_ticker.json"], "BTC-USD")
    assert decoded.faults == []
    assert decoded.rows["trade_id"].tolist() == [995098661, 995098662, 995098663]


@pytest.mark.real
def test_a_recorded_trade_at_the_ask_is_a_buy() -> None:
    answer = fixtures()["http_ticker.json"]
    last = ADVANCED.decode_rest(answer, "BTC-USD").rows[-1]
    assert str(last["price"]) == json.loads(answer)["best_ask"]
    assert last["side"] == 1


@pytest.mark.real
def test_the_documented_frames() -> None:
    by_channel = documented("coinbase_advanced")
    frames = [f for channel, some in by_channel.items() for f in some if not channel.startswith(("rest.", "subscribe.request"))]
    decoded = ADVANCED.decode(frames, "fill")
    assert decoded.faults == []
    assert len(frames) == 8
    assert (decoded.rows.size, decoded.quotes.size, len(decoded.depths), decoded.ignored) == (4, 0, 2, 4)
    assert decoded.rows["trade_id"].tolist() == [998200399, 998200400, 998200401, 998200402]
    assert decoded.rows["side"].tolist() == [-1, 1, 1, -1]
    repaired = ADVANCED.decode_rest(by_channel["rest.market_products_ticker"][0], "BTC-USD")
    assert repaired.rows["trade_id"].tolist() == [998200405]
    assert np.isin(repaired.rows["side"], -1).all()


FORMS = [
    trades({}, {"trade_id": "998200401"}),
    trades({}, form="snapshot"),
    frame("ticker", {"type": "update", "tickers": [TICKER]}),
    book(*LEVELS, form="snapshot"),
    book(*LEVELS),
    frame("heartbeats", {"current_time": "x", "heartbeat_counter": 3}),
    frame("subscriptions", {"subscriptions": {"level2": ["BTC-USD"]}}),
    b'{"type":"error","message":"channel is not supported"}',
]


def test_mutated_frames_are_all_accounted_for() -> None:
    outcome = endure(ADVANCED, FORMS, 20_000)
    assert_a_glance_agrees(ADVANCED, FORMS)
    assert min(outcome["rows"], outcome["depths"], outcome["quotes"], outcome["faults"]) > 500


def test_messages_of_a_connection_are_counted_over_all_channels() -> None:
    frames = [
        b'{"channel":"market_trades","sequence_num":0,"events":[]}',
        b'{"channel":"subscriptions","sequence_num":1,"events":[]}',
        b'{"channel":"heartbeats","sequence_num":2,"events":[{"current_time":"?","heartbeat_counter":3}]}',
        b'{"channel":"candles","sequence_num":3,"events":[]}',
        b'{"channel":"l2_data","sequence_num":4,"events":[{"type":"update"}]}',
        b'{"channel":"ticker","sequence_num":"5","events":[]}',
        b'{"channel":"ticker","sequence_num":true,"events":[]}',
        b'{"channel":"ticker","events":[]}',
        b'{"type":"error","message":"no"}',
        b"torn",
        b'{"channel":"ticker","sequence_num":9,"events":[]}',
    ]
    assert list(ADVANCED.look(frames).numbers) == [0, 1, 2, 3, 4, 9]
