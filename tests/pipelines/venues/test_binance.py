"""What to send Binance, and what it says about the connection."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest

from pipelines import settings
from pipelines.venues import VENUES, venue
from tests.conftest import SHARED

SPOT, USDM, DEMO = venue("binance-spot"), venue("binance-usdm"), venue("demo")
STAND_IN = "http://127.0.0.1:8765"


def test_every_venue_of_the_settings_is_known() -> None:
    assert tuple(VENUES) == settings.VENUES
    with pytest.raises(ValueError, match="unknown venue 'bin'; use binance-spot, binance-usdm, demo"):
        venue("bin")


def test_spot_carries_trades_and_quotes_on_one_socket() -> None:
    (route,) = SPOT.routes(["BTCUSDT", "ETHUSDT"], quotes=True)
    assert route.url == "wss://stream.binance.com:9443/stream"
    assert route.streams == ["btcusdt@aggTrade", "ethusdt@aggTrade", "btcusdt@bookTicker", "ethusdt@bookTicker"]
    assert route.feeds == ["trades", "quotes"]
    assert [json.loads(s) for s in route.subscribe] == [{"method": "SUBSCRIBE", "params": route.streams, "id": 1}]


def test_usdm_never_mixes_its_routes() -> None:
    market, public = USDM.routes(["BTCUSDT"], quotes=True)
    assert (market.name, market.url, market.streams, market.feeds) == (
        *("market", "wss://fstream.binance.com/market/stream"),
        *(["btcusdt@aggTrade"], ["trades"]),
    )
    assert (public.name, public.url, public.streams, public.feeds) == (
        *("public", "wss://fstream.binance.com/public/stream"),
        *(["btcusdt@bookTicker"], ["quotes"]),
    )
    assert [r.name for r in USDM.routes(["BTCUSDT"], quotes=False)] == ["market"]


def test_a_stand_in_serves_the_same_paths() -> None:
    assert USDM.routes(["BTCUSDT"], quotes=False, base=STAND_IN + "/")[0].url == "ws://127.0.0.1:8765/market/stream"
    assert SPOT.routes(["BTCUSDT"], quotes=False, base="https://x.test")[0].url == "wss://x.test/stream"
    assert DEMO.routes(["BTCUSDT"], quotes=False)[0].url == "ws://127.0.0.1:8765/market/stream"
    with pytest.raises(ValueError, match="endpoint was 'localhost'"):
        USDM.routes(["BTCUSDT"], quotes=False, base="localhost")


def test_many_symbols_are_spread_over_requests_and_connections() -> None:
    routes = SPOT.routes([f"S{k}USDT" for k in range(1100)], quotes=False)
    assert [r.name for r in routes] == ["spot", "spot-2"]
    assert [len(r.streams) for r in routes] == [1024, 76]
    requests = [json.loads(s) for s in routes[0].subscribe]
    assert [len(r["params"]) for r in requests] == [200] * 5 + [24]
    assert [r["id"] for r in requests] == [1, 2, 3, 4, 5, 6]
    assert [s for r in requests for s in r["params"]] == routes[0].streams


@pytest.mark.parametrize(
    ("message", "answer"),
    [
        ({"result": None, "id": 1}, ("ack", 1, "")),
        ({"result": ["btcusdt@aggTrade"], "id": "a"}, ("ack", "a", "")),
        ({"code": 2, "msg": "Invalid request", "id": 2}, ("error", 2, "Invalid request (code 2)")),
        ({"error": {"code": 2, "msg": "no"}, "id": 3}, ("error", 3, "no (code 2)")),
        ({"error": {"code": 2, "msg": "no"}}, ("error", None, "no (code 2)")),
        (
            {"stream": "!serverShutdown", "data": {"e": "serverShutdown", "E": 1}},
            ("shutdown", None, "the server is about to close"),
        ),
        ({"e": "serverShutdown", "E": 1}, ("shutdown", None, "the server is about to close")),
        ({"stream": "btcusdt@aggTrade", "data": {"e": "aggTrade", "result": 1}}, None),
        ({"e": "aggTrade", "s": "BTCUSDT"}, None),
        ([1], None),
    ],
)
def test_answers_are_told_from_data(message: object, answer: tuple[Any, ...] | None) -> None:
    assert SPOT.answer(json.dumps(message, separators=(",", ":")).encode()) == answer


def test_hostile_bytes_are_no_answer() -> None:
    for frame in (b"", b"\xff", b"[" * 100_000, b'{"stream":'):
        assert SPOT.answer(frame) is None
        assert SPOT.ids(frame) is None
        assert SPOT.stream_of(frame) is None


def test_ids_and_stream_of_a_frame() -> None:
    frame = b'{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","s":"BTCUSDT","a":7,"p":"0"}}'
    assert USDM.ids(frame) == ("BTCUSDT", 7, 7)
    assert USDM.stream_of(frame) == "btcusdt@aggTrade"
    assert USDM.stream_of(b'{"result":null,"id":1}') is None


def test_requests_name_path_query_and_weight() -> None:
    assert SPOT.rest_base == "https://api.binance.com"
    assert DEMO.rest_base == STAND_IN
    assert (SPOT.weight_per_minute, USDM.weight_per_minute) == (6000, 2400)
    assert USDM.time_request() == ("/fapi/v1/time", {}, 1)
    assert SPOT.instruments_request() == ("/api/v3/exchangeInfo", {"showPermissionSets": "false"}, 20)
    assert USDM.instruments_request() == ("/fapi/v1/exchangeInfo", {}, 1)
    assert USDM.agg_trades_request("BTCUSDT", 5) == (
        "/fapi/v1/aggTrades",
        {"symbol": "BTCUSDT", "fromId": "5", "limit": "1000"},
        20,
    )
    assert SPOT.agg_trades_request("BTCUSDT", 5, 10).weight == 4
    assert USDM.daily_klines_request("BTCUSDT") == ("/fapi/v1/klines", {"symbol": "BTCUSDT", "interval": "1d", "limit": "31"}, 1)
    assert USDM.minute_klines_request("BTCUSDT") == (
        "/fapi/v1/klines",
        {"symbol": "BTCUSDT", "interval": "1m", "limit": "1000"},
        5,
    )
    assert SPOT.minute_klines_request("BTCUSDT").weight == 2


def test_each_venue_names_its_perpetuals() -> None:
    assert USDM.guess("BTCUSDT").symbol == "BTC-USDT-PERP"
    assert SPOT.guess("BTCUSDT").symbol == "BTC-USDT"
    assert DEMO.guess("BTCUSDT") == ("demo", "BTC-USDT", "BTCUSDT", "BTC", "USDT", "", "", "")
    assert USDM.normalise("btcusdt", [USDM.guess("BTC-USDT-PERP")]).venue == "binance-usdm"


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "place", "total", "some"),
    [("BINANCE", SPOT, 1695, {"BTC-USDT", "NKN-USDT"}), ("BINANCE_FUTURES", USDM, 121, {"BTC-USDT-PERP", "BTC-USDT-210924"})],
)
def test_real_instruments(name: str, place: Any, total: int, some: set[str]) -> None:
    with pa.input_stream(str(SHARED / "captures" / f"{name}.jsonl.zst"), compression="zstd") as stream:
        answer = next(d for d in map(json.loads, stream.read().splitlines()) if "/exchangeInfo" in d.get("url", ""))
    found = place.parse_instruments(answer["data"].encode())
    assert len(found) == total
    assert some <= {i.symbol for i in found}
    assert len({i.symbol for i in found}) == total
    assert all(i.tick and i.lot for i in found)
