"""FTX: only files of its trades are read, and nothing else is answered but politely."""

from __future__ import annotations

import datetime as dt
from contextlib import suppress

import pytest

from pipelines import settings
from pipelines.venues import csv_trades, venue
from pipelines.venues.ftx import ClosedError, Ftx, layout_of
from tests.pipelines.venues.test_every_venue import GARBAGE

FTX = Ftx()


@pytest.mark.parametrize(
    ("text", "symbol", "native"),
    [
        ("BTC-PERP", "BTC-USD-PERP", "BTC-PERP"),
        ("btc-usd-perp", "BTC-USD-PERP", "BTC-PERP"),
        ("FTT/USD", "FTT-USD", "FTT/USD"),
        ("FTT-USD", "FTT-USD", "FTT/USD"),
        ("BTC/USDT", "BTC-USDT", "BTC/USDT"),
        ("BTC-USDT", "BTC-USDT", "BTC/USDT"),
        ("BTC-1230", "BTC-USD-1230", "BTC-1230"),
        ("BTC-USD-1230", "BTC-USD-1230", "BTC-1230"),
        ("1INCH/USD", "1INCH-USD", "1INCH/USD"),
    ],
)
def test_names(text: str, symbol: str, native: str) -> None:
    found = FTX.guess(text)
    assert (found.symbol, found.native, found.venue) == (symbol, native, "ftx")
    assert FTX.guess(found.symbol) == FTX.guess(found.native) == found


def test_an_unknown_name() -> None:
    with pytest.raises(ValueError, match="ftx had no '\\?'"):
        FTX.guess("?")


def test_a_line_of_rest_as_csv() -> None:
    layout = layout_of(b"id,price,size,side,liquidation,time\r\n")
    assert layout is not None
    line = b"4900000001,16890.0,0.0123,sell,True,2022-11-09T10:00:00.123456+00:00\n"
    decoded = csv_trades.decode(layout.header + b"\n" + line, layout, "BTC-PERP")
    (row,) = decoded.rows
    assert (row["trade_id"], row["price"], row["size"], row["side"]) == (4900000001, 16890.0, 0.0123, -1)
    assert row["ts"] == 1667988000123456
    assert decoded.faults == []


def test_columns_may_stand_in_any_order() -> None:
    layout = layout_of(b"time,market,side,size,price,id")
    assert layout is not None
    (row,) = csv_trades.decode(b"2022-11-09T10:00:00+00:00,x,buy,1e-05,2,7\n", layout, "BTC-PERP").rows
    assert (row["trade_id"], row["price"], row["size"], row["side"]) == (7, 2.0, 1e-05, 1)
    assert layout_of(b"id,price,size,side") is None
    assert layout_of(b"id,id,price,size,side,time") is None


def test_a_time_that_is_none_leaves_a_void() -> None:
    layout = layout_of(b"id,price,size,side,time")
    assert layout is not None
    decoded = csv_trades.decode(b"7,2,1,buy,2022-02-30T10:00:00Z\n", layout, "BTC-PERP")
    assert [fault.reason for fault in decoded.faults] == ["time was not between 2010 and 2100: -1"]
    assert decoded.rows["kind"].tolist() == [2]


def test_it_cannot_be_recorded() -> None:
    assert venue("ftx").rules.feeds == frozenset()
    with pytest.raises(ValueError, match=r"has closed and cannot be recorded; its files go into a folder: archives\.ftx"):
        settings.Settings(venues={"ftx": settings.Venue(symbols=("BTC-PERP",))})
    assert settings.Settings(archives={"ftx": "somewhere"}).archives == {"ftx": "somewhere"}


@pytest.mark.parametrize("body", GARBAGE, ids=range(len(GARBAGE)))
def test_nothing_is_answered(body: bytes) -> None:
    assert len(FTX.decode([body, body], "fill").faults) == 2
    assert FTX.decode([body], "fill").rows.size == 0
    assert FTX.decode_rest(body, "BTC-PERP").rows.size == FTX.decode_book(body, "x").rows.size == 0
    assert FTX.decode_funding(body, "x").faults
    for parse in (FTX.parse_time, FTX.parse_instruments, FTX.parse_klines):
        with suppress(ClosedError):
            parse(body)
    for ask in (FTX.time_request, lambda: FTX.repair_request("x", 1, 2)):
        with pytest.raises(ClosedError):
            ask()
    asked = (FTX.klines_request("x", "1d"), FTX.book_request("x"), FTX.funding_request("x"), FTX.parse_error(body))
    assert asked == (None, None, None, None)
    assert not FTX.archive_files("x", dt.date(2022, 11, 9), "fill")
    assert not FTX.instruments_requests()
    assert not FTX.routes([], [])
