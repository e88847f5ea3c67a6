"""Coinbase Exchange: what is asked of it, and what its messages become."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from pipelines.book import Book
from pipelines.market import Flag, Instrument
from pipelines.tape import TRADE, VOID
from pipelines.venues import venue
from pipelines.venues.coinbase import Coinbase
from pipelines.venues.venue import GARBLED, Answer, Failure, Sight, Stream, Venue
from tests.conftest import SHARED
from tests.pipelines.venues.mutations import endure, mutated

COINBASE: Venue = Coinbase()
BTC = Instrument("coinbase", "BTC-USD", "BTC-USD", "BTC", "USD")

MATCH: dict[str, Any] = json.loads(
    """{"type":"match","trade_id":998200401,"maker_order_id":"a","taker_order_id":"b","side":"sell","size":"0.00500000",
        "price":"91260.02","product_id":"BTC-USD","sequence":118822003391,"time":"2026-11-20T20:00:00.010123Z"}"""
)
TICKER: dict[str, Any] = json.loads(
    """{"type":"ticker","sequence":118822003391,"product_id":"BTC-USD","price":"91260.02","best_bid":"91260.01",
        "best_bid_size":"0.7","best_ask":"91260.02","best_ask_size":"0.11","side":"buy","trade_id":998200401,
        "time":"2026-11-20T20:00:00.010123Z","last_size":"0.005"}"""
)
SNAPSHOT: dict[str, Any] = json.loads(
    """{"type":"snapshot","product_id":"BTC-USD","asks":[["91260.02","0.11"],["91260.50","1.00"]],
        "bids":[["91260.01","0.70"],["91259.90","0.20"]],"time":"2026-11-20T20:00:00.000000Z"}"""
)
UPDATE: dict[str, Any] = json.loads(
    """{"type":"l2update","product_id":"BTC-USD","changes":[["buy","91260.01","0.50"],["sell","91260.50","0.00"]],
        "time":"2026-11-20T20:00:00.044002Z"}"""
)
HEARTBEAT = {"type": "heartbeat", "last_trade_id": 998200402, "product_id": "BTC-USD", "sequence": 1, "time": "x"}


def frame(event: dict[str, Any], **changes: object) -> bytes:
    return json.dumps(event | changes).encode()


def documented(venue_file: str) -> dict[str, list[bytes]]:
    """Frames of the documentation by channel, in their order."""
    found: dict[str, list[bytes]] = {}
    for line in (SHARED / "frames" / f"{venue_file}.jsonl").read_text().splitlines():
        event = json.loads(line)
        found.setdefault(event["channel"], []).append(json.dumps(event["frame"]).encode())
    return found


def assert_a_glance_agrees(of: Venue, frames: Sequence[bytes]) -> None:
    """A glance at a damaged frame tells the very ids that decoding finds, be it as trades or as voids."""
    for damaged in mutated(frames, 3_000, seed=11):
        if damaged.decode("utf-8", "replace").encode() != damaged:
            continue  # no socket hands on text that is no UTF-8
        decoded = of.decode([damaged], "fill")
        found = {(decoded.symbols[row["instrument"]], int(row["trade_id"])) for row in decoded.rows}
        seen = {(s.symbol, s.first) for s in of.look([damaged]).sights if s.feed == "trades" and s.first == s.last}
        assert seen == found, damaged[:500]


# --- what is asked


def test_it_is_registered() -> None:
    assert venue("coinbase").name == "coinbase"


def test_trades_bring_heartbeats_and_books_have_a_connection_of_their_own() -> None:
    market, book = COINBASE.routes([BTC], ["trades", "quotes", "book"])
    assert (market.name, market.url) == ("market", "wss://ws-feed.exchange.coinbase.com")
    assert [json.loads(m) for m in market.subscribe] == [
        {"type": "subscribe", "product_ids": ["BTC-USD"], "channels": ["matches", "heartbeat", "ticker"]}
    ]
    assert market.streams == [Stream("trades", "BTC-USD"), Stream("quotes", "BTC-USD")]
    assert json.loads(book.subscribe[0])["channels"] == ["level2_batch"]
    assert COINBASE.routes([BTC], ["funding"]) == []


def test_many_products_are_asked_for_in_batches_and_on_several_connections() -> None:
    many = [Instrument("coinbase", f"C{k}-USD", f"C{k}-USD", f"C{k}", "USD") for k in range(120)]
    first, second = COINBASE.routes(many, ["trades"], "http://127.0.0.1:9/")
    assert (first.name, second.name, first.url) == ("market", "market-2", "ws://127.0.0.1:9")
    assert [len(json.loads(m)["product_ids"]) for m in first.subscribe] == [50, 50]
    assert [len(json.loads(m)["product_ids"]) for m in second.subscribe] == [20]
    with pytest.raises(ValueError, match="use a URL like"):
        COINBASE.routes(many, ["trades"], "localhost")


def test_a_book_is_asked_for_anew_by_subscribing_again() -> None:
    sent = [json.loads(m) for m in COINBASE.resubscribe(Stream("book", "BTC-USD"))]
    assert [(m["type"], m["channels"], m["product_ids"]) for m in sent] == [
        ("unsubscribe", ["level2_batch"], ["BTC-USD"]),
        ("subscribe", ["level2_batch"], ["BTC-USD"]),
    ]


def test_repair_walks_down_from_the_last_missing_id() -> None:
    assert COINBASE.repair_request("BTC-USD", 5, 9) == ("/products/BTC-USD/trades", {"limit": "1000", "after": "10"}, 1)
    assert COINBASE.repair_request("BTC-USD", 5, None).params == {"limit": "1000"}
    klines = COINBASE.klines_request("BTC-USD", "1d")
    assert klines is not None
    assert klines.params == {"granularity": "86400"}
    assert COINBASE.book_request("BTC-USD") is None
    assert COINBASE.funding_request("BTC-USD") is None


# --- what a glance tells


def test_a_glance_tells_what_each_frame_bears() -> None:
    frames = [
        frame(MATCH, type="last_match", trade_id=998200400),
        frame(MATCH),
        frame(TICKER),
        frame(HEARTBEAT),
        frame(SNAPSHOT),
        frame(UPDATE),
        b'{"type":"subscriptions","channels":[]}',
        b'{"type":"error","message":"Failed to subscribe","reason":"BTC-USDX is not a valid product"}',
        b'{"type":"status"}',
        b"garbage",
    ]
    seen = COINBASE.look(frames)
    assert seen.sights == [
        Sight("trades", "BTC-USD", 998200400, 998200400, "fill", history=True),
        Sight("trades", "BTC-USD", 998200401, 998200401, "fill"),
        Sight("quotes", "BTC-USD"),
        Sight("trades", "BTC-USD", 998200403, 998200402, "fill"),
        Sight("book", "BTC-USD"),
        Sight("book", "BTC-USD"),
    ]
    assert seen.answers == [Answer("ack"), Answer("error", "Failed to subscribe: BTC-USDX is not a valid product")]


# --- what messages become


def test_the_side_of_a_match_is_the_makers() -> None:
    sold, bought = COINBASE.decode([frame(MATCH), frame(MATCH, side="buy", trade_id=998200402)], "fill").rows
    assert (sold["side"], bought["side"]) == (1, -1)
    assert (sold["trade_id"], sold["ts"], sold["price"], sold["size"]) == (998200401, 1795204800010123, 91260.02, 0.005)
    assert (sold["kind"], sold["flags"], sold["fills"], sold["span"]) == (TRADE, 0, 1, 1)


def test_the_ticker_tells_the_takers_side_and_so_agrees_with_the_flipped_match() -> None:
    decoded = COINBASE.decode([frame(TICKER), frame(MATCH)], "fill")
    (row,), (quote,) = decoded.rows, decoded.quotes
    assert TICKER["side"] == "buy"
    assert TICKER["trade_id"] == row["trade_id"]
    assert row["side"] == 1
    assert row["price"] == quote["ask"]


def test_the_last_match_is_history() -> None:
    decoded = COINBASE.decode([frame(MATCH, type="last_match"), frame(MATCH, trade_id=998200402)], "fill")
    assert decoded.rows["flags"].tolist() == [int(Flag.HISTORY), 0]


def test_a_ticker_is_a_quote_and_no_trade() -> None:
    decoded = COINBASE.decode([frame(TICKER), frame(TICKER, best_bid="", best_bid_size="")], "fill")
    assert decoded.rows.size == 0
    assert decoded.symbols == ["BTC-USD"]
    first, second = decoded.quotes
    assert (first["bid"], first["bid_size"], first["ask"], first["ask_size"]) == (91260.01, 0.7, 91260.02, 0.11)
    assert (first["ts"], first["update_id"], first["frame"]) == (1795204800010123, 118822003391, 0)
    assert (second["bid"], second["bid_size"], second["frame"]) == (0, 0, 1)


def test_snapshots_and_updates_make_a_book() -> None:
    decoded = COINBASE.decode([frame(SNAPSHOT), frame(UPDATE)], "fill")
    snapshot, update = decoded.depths
    assert (snapshot.snapshot, snapshot.ts) == (True, 1795204800000000)
    assert (snapshot.first, snapshot.last, snapshot.previous) == (-1, -1, -1)
    assert (update.snapshot, update.bids, update.asks) == (False, [("91260.01", "0.50")], [("91260.50", "0.00")])
    book = Book(COINBASE.checksum)
    assert [book.apply(depth) for depth in decoded.depths] == [None, None]
    assert book.top(3) == ([("91260.01", "0.50"), ("91259.90", "0.20")], [("91260.02", "0.11")])


def test_a_time_of_the_year_1_is_none() -> None:
    (depth,) = COINBASE.decode([frame(UPDATE, time="0001-01-01T00:00:00.000000Z")], "fill").depths
    assert depth.ts == 0
    assert len(depth.bids) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"changes": [["buy", "91260.01", "-1"]]},
        {"changes": [["buy", "0", "1"]]},
        {"changes": [["bid", "91260.01", "1"]]},
        {"changes": None},
        {"time": "yesterday"},
    ],
)
def test_a_refused_update_breaks_the_book_as_nothing_else_would_tell(changes: dict[str, object]) -> None:
    decoded = COINBASE.decode([frame(SNAPSHOT), frame(UPDATE, **changes), frame(UPDATE)], "fill")
    (fault,) = decoded.faults
    assert (fault.frame, fault.symbol) == (1, "BTC-USD")
    book = Book(COINBASE.checksum)
    assert [book.apply(depth) for depth in decoded.depths] == [None, "checksum", None]
    assert not book.synced


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"price": "0"}, "price was not above zero: '0'"),
        ({"price": "1e308"}, "price was not plain decimal text: '1e308'"),
        ({"size": "-1"}, "size was not above zero: '-1'"),
        ({"price": 91260.02}, "match was malformed"),
        ({"side": "both"}, "match was malformed"),
        ({"side": "x" * 5000}, "match was malformed"),
        ({"time": "0001-01-01T00:00:00Z"}, "time was not between 2010 and 2100: 0"),
        ({"time": "soon"}, "time was not between 2010 and 2100: -1"),
        ({"time": None}, "match was malformed"),
    ],
)
def test_a_bad_match_is_a_fault_and_its_id_a_void(changes: dict[str, object], reason: str) -> None:
    decoded = COINBASE.decode([frame(MATCH), frame(MATCH, trade_id=998200402, **changes)], "fill")
    assert decoded.rows["trade_id"].tolist() == [998200401, 998200402]
    assert decoded.rows["kind"].tolist() == [TRADE, VOID]
    (fault,) = decoded.faults
    assert (fault.frame, fault.symbol) == (1, "BTC-USD")
    assert fault.reason.startswith(reason)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "frame was malformed"),
        (b"[" * 100_000, "frame was malformed"),
        (b"[]", "frame named no type"),
        (b'{"type":[]}', "frame named no type"),
        (b'{"type":"gift"}', "unknown type: 'gift'"),
        (b'{"type":"match"}', "match was malformed"),
        (b'{"type":"ticker","product_id":"BTC-USD"}', "ticker was malformed"),
    ],
)
def test_anything_else_is_a_fault(text: bytes, reason: str) -> None:
    decoded = COINBASE.decode([text, frame(MATCH)], "fill")
    assert [f.frame for f in decoded.faults] == [0]
    assert decoded.faults[0].reason.startswith(reason)
    assert decoded.rows["frame"].tolist() == [1]


def test_what_bears_none_of_our_feeds_is_ignored() -> None:
    others = [b'{"type":"status"}', frame(HEARTBEAT), b'{"type":"received"}', b'{"type":"subscriptions"}', b'{"type":"error"}']
    decoded = COINBASE.decode(others, "fill")
    assert (decoded.rows.size, decoded.faults, decoded.ignored) == (0, [], 5)


# --- REST


def test_a_rest_answer_is_turned_into_ascending_ids() -> None:
    rows = [{**{k: MATCH[k] for k in ("side", "size", "price", "time")}, "trade_id": number} for number in (7, 6, 5)]
    rows[1]["price"] = "x"
    rows[2]["size"] = None
    decoded = COINBASE.decode_rest(json.dumps(rows).encode(), "BTC-USD")
    assert sorted(zip(decoded.rows["trade_id"].tolist(), decoded.rows["kind"].tolist(), strict=True)) == [
        (5, VOID),
        (6, VOID),
        (7, TRADE),
    ]
    assert sorted((f.frame, f.part, f.symbol) for f in decoded.faults) == [(0, 1, "BTC-USD"), (0, 2, "BTC-USD")]
    assert decoded.rows["flags"].tolist() == [0, 0, 0]
    for body in (b"", b"{}", b"[1,", b'{"message":"NotFound"}'):
        refused = COINBASE.decode_rest(body, "BTC-USD")
        assert (refused.rows.size, len(refused.faults)) == (0, 1)


def test_products_become_instruments() -> None:
    body = json.dumps(
        [
            {"id": "BTC-USD", "base_currency": "BTC", "quote_currency": "USD", "quote_increment": "0.01"}
            | {"base_increment": "0.00000001", "status": "online", "trading_disabled": False}
        ]
    ).encode()
    assert COINBASE.parse_instruments(body) == [
        Instrument("coinbase", "BTC-USD", "BTC-USD", "BTC", "USD", "0.01", "0.00000001", "online")
    ]
    with pytest.raises(ValueError, match="products were malformed"):
        COINBASE.parse_instruments(b'{"message":"x"}')


def test_candles_are_put_into_order_and_their_columns_told_apart() -> None:
    table = COINBASE.parse_klines(b"[[1795204800,91259.5,91262,91260.01,91261.1,3.2],[1795204740,91240,91261,91241.2,91260,5.8]]")
    assert table["open"].to_pylist() == [91241.2, 91260.01]
    assert table["low"].to_pylist() == [91240, 91259.5]
    assert table["close"].to_pylist() == [91260, 91261.1]
    assert table["notional"].to_pylist() == [None, None]
    assert [(e - t).total_seconds() for t, e in zip(table["ts"].to_pylist(), table["end"].to_pylist(), strict=True)] == [60, 60]
    day = COINBASE.parse_klines(b"[[1795132800,1,2,1,2,3]]")
    assert (day["end"][0].as_py() - day["ts"][0].as_py()).days == 1
    assert COINBASE.parse_klines(b"[]").num_rows == 0
    for body in (b"{}", b"[[1,2]]", b"[[1,1,1,1,1,1]]", b"[[1795132800,1,1,1,1,1e999]]"):
        with pytest.raises(ValueError, match="klines were malformed"):
            COINBASE.parse_klines(body)


def test_time_and_errors_are_read() -> None:
    assert COINBASE.parse_time(b'{"iso":"2026-11-20T20:00:00.123Z","epoch":1795204800.123}') == 1795204800123
    for body in (b"{}", b"x", b'{"epoch":1e999}'):
        with pytest.raises(ValueError, match="malformed"):
            COINBASE.parse_time(body)
    assert COINBASE.parse_error(b'{"message":"NotFound"}') == Failure("error", "NotFound")
    assert COINBASE.parse_error(b"[]") is None
    assert COINBASE.parse_error(b"<html>") == GARBLED


def test_names_are_told_by_their_dash() -> None:
    assert COINBASE.guess(" btc-usd ") == BTC
    for text in ("BTCUSD", "BTC-USD-PERP", "-USD", "BTC-"):
        with pytest.raises(ValueError, match="write it like BTC-USD"):
            COINBASE.guess(text)


# --- whole recordings


@pytest.mark.real
def test_the_documented_frames() -> None:
    by_channel = documented("coinbase_exchange")
    frames = [f for channel, some in by_channel.items() for f in some if not channel.startswith(("rest.", "subscribe.request"))]
    decoded = COINBASE.decode(frames, "fill")
    assert decoded.faults == []
    assert len(frames) == 10
    assert (decoded.rows.size, decoded.quotes.size, len(decoded.depths), decoded.ignored) == (4, 1, 2, 3)
    assert decoded.rows["trade_id"].tolist() == [998200400, 998200401, 998200402, 998200405]
    assert decoded.rows["side"].tolist() == [1, 1, -1, -1]
    (answer,) = by_channel["rest.trades"]
    repaired = COINBASE.decode_rest(answer, "BTC-USD")
    assert repaired.faults == []
    assert repaired.rows["trade_id"].tolist() == [998200403, 998200404]
    assert np.isfinite(COINBASE.parse_klines(by_channel["rest.candles"][0])["volume"].to_numpy()).all()


def test_nothing_is_known_to_be_recorded_so_nothing_is_verified() -> None:
    assert COINBASE.rules.verified == frozenset()


FORMS = [
    *(frame(MATCH), frame(MATCH, type="last_match"), frame(TICKER), frame(SNAPSHOT), frame(UPDATE), frame(HEARTBEAT)),
    b'{"type":"error","message":"x","reason":"y"}',
]


def test_mutated_frames_are_all_accounted_for() -> None:
    outcome = endure(COINBASE, FORMS, 20_000)
    assert_a_glance_agrees(COINBASE, FORMS)
    assert outcome["rows"] > 1000
    assert outcome["depths"] > 1000
    assert outcome["faults"] > 1000
