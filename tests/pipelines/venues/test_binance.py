"""What to send Binance, and what it says about the connection."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from pipelines import settings
from pipelines.feeds import FEEDS
from pipelines.market import Instrument
from pipelines.venues import VENUES, venue
from pipelines.venues.binance import Binance
from pipelines.venues.names import normalise
from pipelines.venues.venue import Route
from tests.conftest import SHARED

SPOT, USDM, DEMO = Binance("binance-spot", "spot"), Binance("binance-usdm", "usdm"), Binance("demo", "usdm")
COINM = Binance("binance-coinm", "coinm")
BTC = [Instrument("binance-usdm", "BTC-USDT-PERP", "BTCUSDT", "BTC", "USDT")]
STAND_IN = "http://127.0.0.1:8765"


def named(*natives: str) -> list[Instrument]:
    return [Instrument("v", name, name, name, "USDT") for name in natives]


def params(route: Route) -> list[str]:
    return [stream for frame in route.subscribe for stream in json.loads(frame)["params"]]


def test_every_venue_known_is_one_of_the_settings() -> None:
    assert set(VENUES) <= set(settings.VENUES)
    assert {"binance-spot", "binance-usdm", "demo"} <= set(VENUES)
    with pytest.raises(ValueError, match="unknown venue 'bin'; use binance-spot, binance-usdm"):
        venue("bin")


def test_spot_carries_trades_and_quotes_on_one_socket() -> None:
    (route,) = SPOT.routes(named("BTCUSDT", "ETHUSDT"), ["trades", "quotes"])
    assert route.url == "wss://stream.binance.com:9443/stream"
    assert params(route) == ["btcusdt@aggTrade", "ethusdt@aggTrade", "btcusdt@bookTicker", "ethusdt@bookTicker"]
    assert route.streams == [(feed, name) for feed in ("trades", "quotes") for name in ("BTCUSDT", "ETHUSDT")]
    assert (route.feeds, route.symbols) == (["trades", "quotes"], ["BTCUSDT", "ETHUSDT"])
    assert [json.loads(s) for s in route.subscribe] == [{"method": "SUBSCRIBE", "params": params(route), "id": 1}]


def test_usdm_never_mixes_its_routes() -> None:
    market, public = USDM.routes(BTC, ["trades", "quotes"])
    assert (market.name, market.url, params(market), market.feeds) == (
        *("market", "wss://fstream.binance.com/market/stream"),
        *(["btcusdt@aggTrade"], ["trades"]),
    )
    assert (public.name, public.url, params(public), public.feeds) == (
        *("public", "wss://fstream.binance.com/public/stream"),
        *(["btcusdt@bookTicker"], ["quotes"]),
    )
    assert [r.name for r in USDM.routes(BTC, ["trades"])] == ["market"]
    assert [params(r) for r in USDM.routes(BTC, FEEDS)] == [
        ["btcusdt@aggTrade", "btcusdt@forceOrder", "btcusdt@markPrice"],
        ["btcusdt@bookTicker", "btcusdt@depth@100ms"],
    ]


def test_coinm_is_asked_on_both_routes_and_on_the_root_since_the_sources_do_not_agree() -> None:
    routes = COINM.routes([COINM.guess("BTC-USD-PERP")], ["trades", "book"])
    assert [(r.name, r.url, params(r)) for r in routes] == [
        ("market", "wss://dstream.binance.com/market/stream", ["btcusd_perp@aggTrade"]),
        ("public", "wss://dstream.binance.com/public/stream", ["btcusd_perp@depth@100ms"]),
        ("root", "wss://dstream.binance.com/stream", ["btcusd_perp@aggTrade", "btcusd_perp@depth@100ms"]),
    ]


def test_spot_has_neither_liquidations_nor_funding() -> None:
    assert SPOT.rules.feeds == {"trades", "quotes", "book"}
    assert SPOT.routes(BTC, ["liquidations", "funding"]) == []
    assert SPOT.funding_request("BTCUSDT") is None
    assert USDM.rules.feeds == COINM.rules.feeds == set(FEEDS)


def test_a_channel_is_verified_only_where_one_of_its_frames_was_recorded() -> None:
    assert SPOT.rules.verified == {"trades", "quotes", "book"}
    assert USDM.rules.verified == set(FEEDS)
    assert COINM.rules.verified == {"quotes", "book"}


def test_a_stand_in_serves_the_same_paths() -> None:
    assert USDM.routes(BTC, ["trades"], STAND_IN + "/")[0].url == "ws://127.0.0.1:8765/market/stream"
    assert SPOT.routes(BTC, ["trades"], "https://x.test")[0].url == "wss://x.test/stream"
    assert DEMO.routes(BTC, ["trades"])[0].url == "ws://127.0.0.1:8765/market/stream"
    with pytest.raises(ValueError, match="endpoint was 'localhost'"):
        USDM.routes(BTC, ["trades"], "localhost")


def test_many_symbols_are_spread_over_requests_and_connections() -> None:
    routes = SPOT.routes(named(*(f"S{k}USDT" for k in range(1100))), ["trades"])
    assert [r.name for r in routes] == ["spot", "spot-2"]
    assert [len(r.streams) for r in routes] == [1024, 76]
    requests = [json.loads(s) for s in routes[0].subscribe]
    assert [len(r["params"]) for r in requests] == [200] * 5 + [24]
    assert [r["id"] for r in requests] == [1, 2, 3, 4, 5, 6]
    assert params(routes[0]) == [f"{stream.symbol.lower()}@aggTrade" for stream in routes[0].streams]


@pytest.mark.parametrize(
    ("message", "answer"),
    [
        ({"result": None, "id": 1}, ("ack", "")),
        ({"result": ["btcusdt@aggTrade"], "id": "a"}, ("ack", "")),
        ({"code": 2, "msg": "Invalid request", "id": 2}, ("error", "Invalid request (code 2)")),
        ({"error": {"code": 2, "msg": "no"}, "id": 3}, ("error", "no (code 2)")),
        ({"error": {"code": 2, "msg": "no"}}, ("error", "no (code 2)")),
        ({"stream": "!serverShutdown", "data": {"e": "serverShutdown", "E": 1}}, ("shutdown", "the server is about to close")),
        ({"e": "serverShutdown", "E": 1}, ("shutdown", "the server is about to close")),
        ({"stream": "btcusdt@aggTrade", "data": {"e": "aggTrade", "result": 1}}, None),
        ({"e": "aggTrade", "s": "BTCUSDT"}, None),
        ([1], None),
    ],
)
def test_answers_are_told_from_data(message: object, answer: tuple[str, str] | None) -> None:
    frame = json.dumps(message, separators=(",", ":")).encode()
    assert SPOT.look([frame])[:2] == ([], [answer] if answer else [])


def test_hostile_bytes_are_neither_data_nor_answer() -> None:
    frames = [b"", b"\xff", b"[" * 100_000, b'{"stream":']
    assert SPOT.look(frames)[:2] == ([], [])
    seen = USDM.look([*frames, b'{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","s":"BTCUSDT","a":7,"p":"0"}}'])
    assert seen[:2] == ([("trades", "BTCUSDT", 7, 7, "agg", False)], [])


@pytest.mark.parametrize(
    ("stream", "feed"),
    [
        ("btcusdt@bookTicker", "quotes"),
        ("btcusdt@depth@100ms", "book"),
        ("btcusdt@depth", "book"),
        ("btcusdt@forceOrder", "liquidations"),
        ("btcusdt@markPrice", "funding"),
        ("btcusdt@markPrice@1s", "funding"),
        ("btcusdt@depth5@100ms", None),
        ("btcusdt@kline_1m", None),
        ("@bookTicker", None),
        ("!bookTicker", None),
    ],
)
def test_the_name_of_a_stream_tells_the_feed(stream: str, feed: str | None) -> None:
    frame = json.dumps({"stream": stream, "data": {"u": 1}}, separators=(",", ":")).encode()
    assert USDM.look([frame])[:2] == ([(feed, "BTCUSDT", -1, -1, "agg", False)] if feed else [], [])


def test_sights_and_answers_come_in_order_of_receipt() -> None:
    trade = b'{"stream":"btcusdt@trade","data":{"e":"trade","s":"BTCUSDT","t":8}}'
    quote = b'{"stream":"ethusdt@bookTicker","data":{}}'
    seen = USDM.look([b'{"result":null,"id":1}', quote, trade, b'{"code":2,"msg":"no","id":3}', quote])
    assert [(sight.feed, sight.symbol, sight.last, sight.tape) for sight in seen.sights] == [
        *[("quotes", "ETHUSDT", -1, "agg"), ("trades", "BTCUSDT", 8, "fill"), ("quotes", "ETHUSDT", -1, "agg")],
    ]
    assert seen.answers == [("ack", ""), ("error", "no (code 2)")]


def test_requests_name_path_query_and_weight() -> None:
    assert SPOT.rules.rest == "https://api.binance.com"
    assert DEMO.rules.rest == STAND_IN
    assert (SPOT.rules.weight_window, USDM.rules.weight_window) == ((6000, 60.0), (2400, 60.0))
    assert USDM.time_request() == ("/fapi/v1/time", {}, 1)
    assert SPOT.instruments_requests() == [("/api/v3/exchangeInfo", {"showPermissionSets": "false"}, 20)]
    assert USDM.instruments_requests() == [("/fapi/v1/exchangeInfo", {}, 1)]
    assert USDM.repair_request("BTCUSDT", 5, None) == (
        "/fapi/v1/aggTrades",
        {"symbol": "BTCUSDT", "fromId": "5", "limit": "1000"},
        20,
    )
    assert SPOT.repair_request("BTCUSDT", 5, 10) == ("/api/v3/aggTrades", {"symbol": "BTCUSDT", "fromId": "5", "limit": "6"}, 4)
    assert USDM.klines_request("BTCUSDT", "1d") == ("/fapi/v1/klines", {"symbol": "BTCUSDT", "interval": "1d", "limit": "31"}, 1)
    assert USDM.klines_request("BTCUSDT", "1m") == (
        "/fapi/v1/klines",
        {"symbol": "BTCUSDT", "interval": "1m", "limit": "1000"},
        5,
    )
    assert SPOT.klines_request("BTCUSDT", "1m").weight == 2
    assert SPOT.book_request("BTCUSDT") == ("/api/v3/depth", {"symbol": "BTCUSDT", "limit": "1000"}, 50)
    assert USDM.book_request("BTCUSDT").weight == 20
    assert USDM.funding_request("BTCUSDT") == ("/fapi/v1/openInterest", {"symbol": "BTCUSDT"}, 1)
    assert COINM.repair_request("BTCUSD_PERP", 5, 7) == (
        "/dapi/v1/aggTrades",
        {"symbol": "BTCUSD_PERP", "fromId": "5", "limit": "3"},
        20,
    )
    assert [r.path for r in COINM.instruments_requests()] == ["/dapi/v1/exchangeInfo"]
    assert (SPOT.rules.messages_per_second, USDM.rules.messages_per_second) == (4.0, 8.0)


def test_each_venue_names_its_perpetuals() -> None:
    assert USDM.guess("BTCUSDT").symbol == "BTC-USDT-PERP"
    assert SPOT.guess("BTCUSDT").symbol == "BTC-USDT"
    assert DEMO.guess("BTCUSDT") == Instrument("demo", "BTC-USDT", "BTCUSDT", "BTC", "USDT")
    assert COINM.guess("btcusd_perp").symbol == "BTC-USD-PERP"
    assert normalise("btcusdt", [USDM.guess("BTC-USDT-PERP")]).venue == "binance-usdm"


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "place", "total", "some"),
    [("BINANCE", SPOT, 1695, {"BTC-USDT", "NKN-USDT"}), ("BINANCE_FUTURES", USDM, 121, {"BTC-USDT-PERP", "BTC-USDT-210924"})],
)
def test_real_instruments(name: str, place: Binance, total: int, some: set[str]) -> None:
    with pa.input_stream(str(SHARED / "captures" / f"{name}.jsonl.zst"), compression="zstd") as stream:
        answer = next(d for d in map(json.loads, stream.read().splitlines()) if "/exchangeInfo" in d.get("url", ""))
    found = place.parse_instruments(answer["data"].encode())
    assert len(found) == total
    assert some <= {i.symbol for i in found}
    assert len({i.symbol for i in found}) == total
    assert all(i.tick and i.lot for i in found)
