"""What Bybit is sent and asked, and what its REST answers say; all recorded frames of it decode."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from pipelines.feeds import FEEDS, Feed
from pipelines.market import Instrument
from pipelines.tape import TRADE, Decoded
from pipelines.venues import venue
from pipelines.venues.bybit import MAX_ARGS, Bybit
from pipelines.venues.bybit_rest import Market
from pipelines.venues.venue import GARBLED, Failure, Stream, Venue
from tests.conftest import SHARED
from tests.pipelines.venues.mutations import endure

SPOT, LINEAR, INVERSE = (Bybit(f"bybit-{market}", market) for market in ("spot", "linear", "inverse"))
BTC, ETH = (Instrument("bybit-linear", f"{base}-USDT-PERP", f"{base}USDT", base, "USDT") for base in ("BTC", "ETH"))


def answer(result: object, **more: object) -> bytes:
    return json.dumps({"retCode": 0, "retMsg": "OK", "result": result, "time": 1795204800900, **more}).encode()


def test_the_three_markets_are_known() -> None:
    assert [venue(f"bybit-{market}") for market in ("spot", "linear", "inverse")] == [SPOT, LINEAR, INVERSE]


# Sockets


def test_each_instrument_is_subscribed_by_a_message_of_its_own() -> None:
    (route,) = LINEAR.routes([BTC, ETH], FEEDS)
    assert route.name == "linear"
    assert route.url == "wss://stream.bybit.com/v5/public/linear"
    topics = ["publicTrade", "orderbook.1", "orderbook.200", "allLiquidation", "tickers"]
    assert [json.loads(message) for message in route.subscribe] == [
        {"req_id": native, "op": "subscribe", "args": [f"{topic}.{native}" for topic in topics]}
        for native in ("BTCUSDT", "ETHUSDT")
    ]
    assert route.streams == [Stream(feed, native) for native in ("BTCUSDT", "ETHUSDT") for feed in FEEDS]


def test_spot_has_neither_liquidations_nor_funding() -> None:
    (route,) = SPOT.routes([BTC], FEEDS)
    assert route.feeds == ["trades", "quotes", "book"]
    assert SPOT.routes([BTC], ["funding"]) == []
    assert SPOT.routes([], FEEDS) == []


@pytest.mark.parametrize("market", ["spot", "linear", "inverse"])
def test_a_stand_in_serves_the_same_path(market: Market) -> None:
    (route,) = venue(f"bybit-{market}").routes([BTC], ["trades"], "http://127.0.0.1:8765/")
    assert route.url == f"ws://127.0.0.1:8765/v5/public/{market}"
    with pytest.raises(ValueError, match="use a URL like"):
        venue(f"bybit-{market}").routes([], [], "127.0.0.1")


def test_the_topics_of_a_connection_are_at_most_21000_characters() -> None:
    many = [BTC._replace(native=f"COIN{k:04}USDT") for k in range(1000)]
    routes = LINEAR.routes(many, FEEDS)
    assert [route.name for route in routes][:3] == ["linear", "linear-2", "linear-3"]
    for route in routes:
        args = [topic for message in route.subscribe for topic in json.loads(message)["args"]]
        assert len(json.dumps(args, separators=(",", ":"))) <= MAX_ARGS + 1
        assert len(args) == len(route.streams)
    assert [s for route in routes for s in route.symbols] == [i.native for i in many]


@pytest.mark.parametrize(
    ("feed", "topic"), [("book", "orderbook.200.BTCUSDT"), ("quotes", "orderbook.1.BTCUSDT"), ("trades", "publicTrade.BTCUSDT")]
)
def test_a_topic_is_given_up_and_taken_again(feed: Feed, topic: str) -> None:
    sent = [json.loads(message) for message in LINEAR.resubscribe(Stream(feed, "BTCUSDT"))]
    assert [(m["op"], m["args"]) for m in sent] == [("unsubscribe", [topic]), ("subscribe", [topic])]


def test_rules() -> None:
    rules = LINEAR.rules
    assert (rules.tape, rules.contiguous, rules.page) == ("fill", False, 1000)
    assert SPOT.rules.page == 60
    assert json.loads(rules.ping) == {"op": "ping"}
    assert 403 in rules.too_many
    assert all(it.rules.verified <= it.rules.feeds for it in (SPOT, LINEAR, INVERSE))
    assert rules.weight_window == (200, 5.0)  # of 600 that three markets share


# REST


def test_requests() -> None:
    assert LINEAR.time_request() == ("/v5/market/time", {}, 1)
    assert LINEAR.instruments_requests() == [("/v5/market/instruments-info", {"category": "linear", "limit": "1000"}, 1)]
    assert SPOT.instruments_requests() == [("/v5/market/instruments-info", {"category": "spot"}, 1)]
    params = {"category": "inverse", "symbol": "BTCUSD", "interval": "D", "limit": "31"}
    assert INVERSE.klines_request("BTCUSD", "1d") == ("/v5/market/kline", params, 1)
    assert LINEAR.klines_request("BTCUSDT", "1m").params["interval"] == "1"
    newest = {"category": "spot", "symbol": "BTCUSDT", "limit": "60"}
    assert SPOT.repair_request("BTCUSDT", 5, None) == ("/v5/market/recent-trade", newest, 1)
    place: Venue = LINEAR
    assert place.book_request("BTCUSDT") is None
    assert place.funding_request("BTCUSDT") is None


def test_the_next_page_begins_at_the_cursor() -> None:
    (first,) = LINEAR.instruments_requests()
    follows = LINEAR.next_page(first, answer({"list": [], "nextPageCursor": "first%3DA%26last%3DB"}))
    assert follows is not None
    assert follows.params == {"category": "linear", "limit": "1000", "cursor": "first=A&last=B"}
    for last in (answer({"list": [], "nextPageCursor": ""}), answer({"list": [], "nextPageCursor": None}), b"x"):
        assert LINEAR.next_page(follows, last) is None
    assert SPOT.next_page(first, answer({"list": [], "nextPageCursor": "x"})) is None


def listed(symbol: str, base: str, quote: str, kind: str = "", delivery: str = "0", **more: object) -> dict[str, object]:
    row = {"symbol": symbol, "baseCoin": base, "quoteCoin": quote, "status": "Trading", "deliveryTime": delivery}
    steps = {"priceFilter": {"tickSize": "0.50"}, "lotSizeFilter": {"qtyStep": "0.001"}}
    return row | steps | ({"contractType": kind} if kind else {}) | more


JUNE = "1782460800000"
"""2026-06-26 08:00."""


@pytest.mark.parametrize(
    ("market", "row", "symbol"),
    [
        ("spot", listed("BTCUSDT", "BTC", "USDT"), "BTC-USDT"),
        ("linear", listed("BTCUSDT", "BTC", "USDT", "LinearPerpetual", "1702592000000"), "BTC-USDT-PERP"),
        ("linear", listed("BTCPERP", "BTC", "USDC", "LinearPerpetual"), "BTC-USDC-PERP"),
        ("linear", listed("1000PEPEUSDT", "1000PEPE", "USDT", "LinearPerpetual"), "1000PEPE-USDT-PERP"),
        ("linear", listed("BTCUSDT-26JUN26", "BTC", "USDT", "LinearFutures", JUNE), "BTC-USDT-260626"),
        ("linear", listed("BTC-26JUN26", "BTC", "USDC", "LinearFutures", JUNE), "BTC-USDC-260626"),
        ("inverse", listed("BTCUSD", "BTC", "USD", "InversePerpetual"), "BTC-USD-PERP"),
        ("inverse", listed("BTCUSDM26", "BTC", "USD", "InverseFutures", JUNE), "BTC-USD-260626"),
    ],
)
def test_instruments_and_names_told_without_them_agree(market: Market, row: dict[str, object], symbol: str) -> None:
    place = venue(f"bybit-{market}")
    (found,) = place.parse_instruments(answer({"list": [row]}))
    inverse = market == "inverse"
    base, quote = str(row["baseCoin"]), str(row["quoteCoin"])
    contract = "1" if inverse else ""
    assert found == Instrument(place.name, symbol, str(row["symbol"]), base, quote, "0.5", "0.001", "Trading", contract, inverse)
    for text in (str(row["symbol"]), symbol, symbol.lower()):
        assert place.guess(text) == found._replace(tick="", lot="", status="")


@pytest.mark.parametrize(
    ("market", "text"),
    [
        ("spot", "BTC-USDT-PERP"),
        ("spot", "BTC"),
        ("linear", "BTC-USDT"),
        ("linear", "BTC-USD-PERP"),
        ("linear", "BTCUSDT-31FEB26"),
        ("linear", ""),
        ("inverse", "BTC-USDT-PERP"),
        ("inverse", "BTC-USD"),
        ("inverse", "BTC-USD-261399"),
    ],
)
def test_a_name_of_another_market_is_refused(market: Market, text: str) -> None:
    with pytest.raises(ValueError, match="write it like"):
        venue(f"bybit-{market}").guess(text)


def test_steps_that_cannot_be_read_are_unknown() -> None:
    row = listed("AUSDT", "A", "USDT", priceFilter={"tickSize": "x"}, lotSizeFilter={"basePrecision": "0.00010"})
    (found,) = SPOT.parse_instruments(answer({"list": [row]}))
    assert (found.tick, found.lot) == ("", "0.0001")


@pytest.mark.parametrize(
    "body",
    [b"x", b"[]", answer({}), answer({"list": [{}]}), b'{"retCode":10006,"retMsg":"Too many visits!","result":{}}']
    + [answer({"list": [listed("A", "A", "B", "LinearFutures", delivery)]}) for delivery in ("soon", "9" * 30)],
)
def test_a_malformed_answer_about_instruments_is_told(body: bytes) -> None:
    with pytest.raises(ValueError, match="the answer about instruments was"):
        LINEAR.parse_instruments(body)


DAY = 1795132800000
"""2026-11-20 00:00."""


def test_candles_stand_newest_first_and_count_base() -> None:
    rows = [[str(DAY), "10", "12", "9", "11", "4", "42"], [str(DAY - 86_400_000), "1", "2", "1", "2", "3", "5"]]
    for place, volume, notional in ((LINEAR, [3.0, 4.0], [5.0, 42.0]), (INVERSE, [5.0, 42.0], [3.0, 4.0])):
        table = place.parse_klines(answer({"list": rows})).to_pydict()
        assert table["volume"] == volume
        assert table["notional"] == notional
        assert table["close"] == [2.0, 11.0]
        assert [f"{t:%d %H:%M}" for t in table["ts"]] == ["19 00:00", "20 00:00"]
        assert [f"{t:%d %H:%M}" for t in table["end"]] == ["20 00:00", "21 00:00"]
        assert table["fills"] == table["taker_buy_volume"] == [None, None]


def test_candles_of_a_minute() -> None:
    rows = [[str(DAY + k * 60_000), "10", "12", "9", "11", "4", "42"] for k in (1, 0)]
    table = LINEAR.parse_klines(answer({"list": rows})).to_pydict()
    assert [f"{t:%H:%M}" for t in table["end"]] == ["00:01", "00:02"]
    assert LINEAR.parse_klines(answer({"list": []})).num_rows == 0


@pytest.mark.parametrize("row", [["1"], ["x"] * 7, [str(DAY), *["nan"] * 6], ["-5", *["1"] * 6], [1, *["1"] * 6]])
def test_malformed_candles_are_told(row: object) -> None:
    with pytest.raises(ValueError, match="the answer about candles was malformed"):
        LINEAR.parse_klines(answer({"list": [row]}))


def test_time_and_errors() -> None:
    assert LINEAR.parse_time(answer({"timeSecond": "1795204800", "timeNano": "1795204800900123456"})) == 1795204800900
    error = b'{"retCode":10006,"retMsg":"Too many visits!","result":{},"retExtInfo":{},"time":1795204800000}'
    assert LINEAR.parse_error(error) == Failure("busy", "Too many visits! (code 10006)")
    assert LINEAR.parse_error(answer({})) is None
    assert LINEAR.parse_error(b"<html>") == GARBLED
    with pytest.raises(ValueError, match="Too many visits"):
        LINEAR.parse_time(error)


def test_what_is_not_asked_for_is_a_fault() -> None:
    assert len(LINEAR.decode_book(b"", "BTCUSDT").faults) == len(LINEAR.decode_funding(b"", "BTCUSDT").faults) == 1


# What was recorded


def told(decoded: Decoded) -> Counter[str]:
    return Counter(
        trades=int((decoded.rows["kind"] == TRADE).sum()),
        quotes=decoded.quotes.size,
        depths=len(decoded.depths),
        liquidations=len(decoded.liquidations),
        fundings=len(decoded.fundings),
        faults=len(decoded.faults),
        ignored=decoded.ignored,
    )


def fixtures(prefix: str) -> dict[str, bytes]:
    """Public messages that were recorded, by the name of their file; those of accounts are left out."""
    with gzip.open(SHARED / "fixtures" / "bybit.jsonl.gz") as file:
        lines = [msgspec.json.decode(line) for line in file]
    found = {line["path"].rpartition("/")[2].removesuffix(".json"): line["data"] for line in lines}
    return {name: msgspec.json.encode(data) for name, data in found.items() if name.startswith(prefix) and "account" not in name}


def documented() -> list[tuple[str, Any]]:
    lines = [json.loads(line) for line in (SHARED / "frames" / "bybit.jsonl").read_text().splitlines()]
    return [(line["channel"], line["frame"]) for line in lines]


RECORDED = {
    "ws_public_trade": {"trades": 1},
    "ws_orderbook_snapshot": {"quotes": 1},
    "ws_orderbook_delta": {"ignored": 1},  # level 1, and no ask stands in it
    "ws_ticker_linear": {"fundings": 1},
    "ws_ticker_option": {"fundings": 1},
    "ws_kline": {"ignored": 1},
    "ws_subscription_ack": {"ignored": 1},
    "ws_subscription_failure": {"ignored": 1},
    "ws_auth_success": {"ignored": 1},
    "ws_auth_failure": {"ignored": 1},
    "ws_order_response": {"ignored": 1},
}


@pytest.mark.real
def test_every_recorded_frame_is_read() -> None:
    frames = fixtures("ws_")
    assert {name: dict(+told(LINEAR.decode([frame], "fill"))) for name, frame in frames.items()} == RECORDED
    assert +told(LINEAR.decode(list(frames.values()), "fill")) == Counter(trades=1, quotes=1, fundings=2, ignored=7)
    (trade,) = LINEAR.decode([frames["ws_public_trade"]], "fill").rows
    assert trade[["ts", "price", "size", "side"]].tolist() == (1709891679000000, 27451.0, 0.01, 1)
    kinds = {name: [a.kind for a in LINEAR.look([frame]).answers] for name, frame in frames.items()}
    assert {name for name, kind in kinds.items() if kind == ["error"]} == {"ws_subscription_failure", "ws_auth_failure"}


@pytest.mark.real
def test_a_feed_is_verified_where_a_recorded_frame_of_it_is_read() -> None:
    seen = LINEAR.look([frame for name, frame in fixtures("ws_").items() if "option" not in name])
    assert {sight.feed for sight in seen.sights} == LINEAR.rules.verified


@pytest.mark.real
def test_every_recorded_answer_is_read() -> None:
    bodies = fixtures("http_get_")
    for kind, place in (("spot", SPOT), ("spot_xstocks", SPOT), ("linear", LINEAR), ("linear_symbol_type", LINEAR)):
        assert all(not i.contract for i in place.parse_instruments(bodies[f"http_get_instruments_{kind}"]))
    symbols = {
        kind: [i.symbol for i in LINEAR.parse_instruments(bodies[f"http_get_instruments_{kind}"])] for kind in ("linear", "spot")
    }
    assert symbols == {"linear": ["BTC-USDT-PERP", "ETH-USDT-PERP"], "spot": ["BTC-USDT", "ETH-USDT"]}
    for kind, symbol in (("inverse", "BTC-USD-PERP"), ("inverse_symbol_type", "BRENT-USD-PERP")):
        (found,) = INVERSE.parse_instruments(bodies[f"http_get_instruments_{kind}"])
        assert (found.symbol, found.contract, found.inverse) == (symbol, "1", True)
    assert LINEAR.parse_klines(bodies["http_get_klines_linear"]).column("volume").to_pylist() == [123.45]
    decoded = LINEAR.decode_rest(bodies["http_get_trades_recent"], "BTCUSDT")
    assert decoded.faults == []
    assert decoded.rows[["ts", "price", "size", "side"]].tolist() == [(1709891679000000, 27450.5, 0.005, 1)]
    assert all(LINEAR.parse_error(body) is None for body in bodies.values())


@pytest.mark.real
def test_every_documented_frame_is_read() -> None:
    frames = [(channel, msgspec.json.encode(frame)) for channel, frame in documented() if isinstance(frame, dict)]
    frames = [(channel, frame) for channel, frame in frames if not channel.startswith("rest.")]
    by_channel: dict[str, Counter[str]] = {}
    for channel, frame in frames:
        by_channel[channel.partition(".")[0]] = by_channel.get(channel.partition(".")[0], Counter()) + told(
            LINEAR.decode([frame], "fill")
        )
    assert by_channel == {
        "publicTrade": Counter(trades=3),
        "orderbook": Counter(quotes=1, depths=3),
        "allLiquidation": Counter(liquidations=1),
        "tickers": Counter(fundings=2),
        **{name: Counter(ignored=n) for name, n in (("subscribe", 3), ("error", 1), ("ping", 1), ("pong", 2), ("kline", 1))},
    }
    assert sum(by_channel.values(), Counter()) == +told(LINEAR.decode([frame for _, frame in frames], "fill"))
    bodies = {channel: msgspec.json.encode(frame) for channel, frame in documented() if channel.startswith("rest.")}
    assert told(LINEAR.decode_rest(bodies["rest.recent-trade"], "BTCUSDT"))["trades"] == 1
    assert LINEAR.parse_klines(bodies["rest.kline"]).num_rows == 2
    assert LINEAR.parse_error(bodies["rest.error"]) == Failure("busy", "Too many visits! (code 10006)")


@pytest.mark.real
@pytest.mark.parametrize("place", [SPOT, LINEAR, INVERSE], ids=lambda place: place.name)
def test_damaged_recorded_frames_raise_nothing_and_none_is_lost(place: Bybit) -> None:
    frames: Sequence[bytes] = [
        *fixtures("ws_").values(),
        *(msgspec.json.encode(f) for _, f in documented() if isinstance(f, dict)),
    ]
    endure(place, frames, 20_000)
