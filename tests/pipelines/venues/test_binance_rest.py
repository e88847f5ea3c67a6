"""REST answers: instruments, candles, errors."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest

from pipelines.market import KLINES as KLINES_TABLE
from pipelines.venues.binance_archive import kline_files
from pipelines.venues.binance_rest import parse_error, parse_instruments, parse_klines, parse_klines_file
from pipelines.venues.columns import KLINES
from pipelines.venues.venue import GARBLED, Failure

FILTERS = [
    {"filterType": "LOT_SIZE", "stepSize": "0.00100000"},
    {"filterType": "PRICE_FILTER", "tickSize": "10.00000000"},
    {"filterType": "MARKET_LOT_SIZE", "stepSize": "5"},
]


def contract(native: str, kind: str, **more: Any) -> dict[str, Any]:
    base = {"symbol": native, "status": "TRADING", "baseAsset": "BTC", "quoteAsset": "USDT", "marginAsset": "USDT"}
    return base | {"contractType": kind, "deliveryDate": 4133404800000, "filters": FILTERS} | more


def exchange_info(*symbols: dict[str, Any]) -> bytes:
    return json.dumps({"timezone": "UTC", "symbols": symbols}).encode()


def test_contracts_are_named_by_their_assets_and_type() -> None:
    body = exchange_info(
        contract("BTCUSDT", "PERPETUAL"),
        contract("TSLAUSDT", "TRADIFI_PERPETUAL", baseAsset="TSLA"),
        contract("BTCUSDT_260626", "CURRENT_QUARTER", deliveryDate=1782460800000),
        contract("BTCSTUSDT", ""),
        contract("BTCUSD_PERP", "PERPETUAL", quoteAsset="USD", marginAsset="BTC"),
    )
    found = parse_instruments(body, "binance-usdm", "-PERP")
    assert [(i.symbol, i.native) for i in found] == [
        ("BTC-USDT-PERP", "BTCUSDT"),
        ("TSLA-USDT-PERP", "TSLAUSDT"),
        ("BTC-USDT-260626", "BTCUSDT_260626"),
    ]
    assert (found[0].venue, found[0].tick, found[0].lot, found[0].status) == ("binance-usdm", "10", "0.001", "TRADING")
    assert parse_instruments(body, "demo", "")[0].symbol == "BTC-USDT"


def test_inverse_contracts_say_what_one_is_worth() -> None:
    perpetual = {"quoteAsset": "USD", "marginAsset": "BTC", "contractSize": 100, "contractStatus": "TRADING"}
    del (listed := contract("BTCUSD_PERP", "PERPETUAL", **perpetual))["status"]
    body = exchange_info(
        listed,
        contract("ETHUSD_251226", "CURRENT_QUARTER", baseAsset="ETH", quoteAsset="USD", marginAsset="ETH")
        | {"contractSize": "10.0", "deliveryDate": 1766736000000},
        contract("XRPUSD_PERP", "PERPETUAL", **perpetual) | {"baseAsset": "XRP", "marginAsset": "XRP", "contractSize": 0},
        contract("BTCUSDT", "PERPETUAL"),
    )
    found = parse_instruments(body, "binance-coinm", "-PERP", inverse=True)
    assert [(i.symbol, i.native, i.contract, i.inverse, i.status) for i in found] == [
        ("BTC-USD-PERP", "BTCUSD_PERP", "100", True, "TRADING"),
        ("ETH-USD-251226", "ETHUSD_251226", "10", True, "TRADING"),
    ]
    assert [i.symbol for i in parse_instruments(body, "binance-usdm", "-PERP")] == ["BTC-USDT-PERP"]


def test_spot_pairs_have_no_ending_and_unknown_steps_are_empty() -> None:
    spot = {
        "symbol": "1000CATUSDT",
        "baseAsset": "1000CAT",
        "quoteAsset": "USDT",
        "filters": [{"filterType": "PRICE_FILTER", "tickSize": "x"}],
    }
    (found,) = parse_instruments(exchange_info(spot), "binance-spot", "")
    assert (found.symbol, found.tick, found.lot) == ("1000CAT-USDT", "", "")


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"symbols":[{"symbol":"A"}]}', b'{"code":-1,"msg":"no"}'])
def test_no_list_of_instruments_raises(body: bytes) -> None:
    with pytest.raises(ValueError, match="exchangeInfo was malformed"):
        parse_instruments(body, "binance-spot", "")


def kline(**changes: Any) -> list[Any]:
    names = ("start", "o", "h", "l", "c", "v", "last", "n", "k", "tv", "tn", "x")
    row = json.loads(
        """[1795204800000,"91250.1","91262.0","91240.0","91255.0","12.5012",1795204859999,"1140721.12",2213,"6.1001",
            "556650.0","0"]"""
    )
    return list((dict(zip(names, row, strict=True)) | changes).values())


def test_candles_fill_the_columns_of_the_table() -> None:
    table = parse_klines(json.dumps([kline(), kline(start=1795204860000000, last=1795204919999999)]).encode())
    own = {c.name: c.type for c in KLINES_TABLE.columns if c.name not in ("venue", "symbol", "interval")}
    assert dict(zip(KLINES.names, KLINES.types, strict=True)) == own
    assert table.schema == KLINES
    first, second = table.to_pylist()
    assert (first["end"] - first["ts"]).total_seconds() == 60
    assert (second["ts"], (second["end"] - second["ts"]).total_seconds()) == (first["end"], 60)
    assert (first["open"], first["fills"], first["taker_buy_notional"]) == (91250.1, 2213, 556650.0)


def test_candles_of_inverse_contracts_have_their_volume_in_base_and_no_notional() -> None:
    row = kline(v="5000", n="5.48", tv="3000", tn="3.29")
    (candle,) = parse_klines(json.dumps([row]).encode(), inverse=True).to_pylist()
    assert (candle["volume"], candle["taker_buy_volume"]) == (5.48, 3.29)
    assert (candle["notional"], candle["taker_buy_notional"], candle["fills"]) == (None, None, 2213)


def test_no_candles_are_an_empty_table() -> None:
    assert parse_klines(b"[]").schema == KLINES


@pytest.mark.parametrize("changes", [{"o": "NaN"}, {"v": "x"}, {"k": "2213"}, {"start": None}, {"h": "1e999"}])
def test_malformed_candles_raise(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="klines were malformed"):
        parse_klines(json.dumps([kline(), kline(**changes)]).encode())


def test_errors_are_told_from_answers() -> None:
    assert parse_error(b'{"code":-1121,"msg":"Invalid symbol."}') == Failure("error", "Invalid symbol. (code -1121)")
    assert parse_error(b"<html>") == GARBLED
    assert parse_error(b"[]") is None
    assert parse_error(b'{"serverTime":1}') is None


ARCHIVED = "1795204800000000,91250.1,91262.0,91240.0,91255.0,12.5012,1795204859999999,1140721.12,2213,6.1001,556650.0,0\n"
ARCHIVE_HEADER = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore\n"
)


@pytest.mark.parametrize("head", ["", ARCHIVE_HEADER])
@pytest.mark.parametrize("inverse", [False, True])
def test_candles_of_the_archive_are_those_of_rest(head: str, inverse: bool) -> None:
    row = kline(start=1795204800000000, last=1795204859999999)
    wanted = parse_klines(json.dumps([row]).encode(), inverse=inverse)
    assert parse_klines_file((head + ARCHIVED).encode(), inverse=inverse) == wanted
    assert parse_klines_file((head + ARCHIVED.replace("\n", "\r\n")).encode(), inverse=inverse) == wanted


def test_an_archive_without_candles_is_an_empty_table() -> None:
    assert parse_klines_file(b"").schema == parse_klines_file(ARCHIVE_HEADER.encode()).schema == KLINES


@pytest.mark.parametrize("line", [b"1,2\n", b"\xff", ARCHIVED.encode().replace(b"2213", b"-1"), ARCHIVED.encode() * 2 + b"nan"])
def test_malformed_candles_of_an_archive_raise(line: bytes) -> None:
    with pytest.raises(ValueError, match="klines were malformed"):
        parse_klines_file(line)


def test_the_archive_has_candles_by_day_and_by_month() -> None:
    day, month = kline_files("coinm", "BTCUSD_PERP", dt.date(2026, 11, 20))
    assert day.path == "/data/futures/cm/daily/klines/BTCUSD_PERP/1m/BTCUSD_PERP-1m-2026-11-20.zip"
    assert (day.checksum, day.part) == (f"{day.path}.CHECKSUM", "day")
    assert month.path == "/data/futures/cm/monthly/klines/BTCUSD_PERP/1m/BTCUSD_PERP-1m-2026-11.zip"
