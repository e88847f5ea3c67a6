"""Binance's archives (data.binance.vision): aggTrades and trades, with and without a header.

Spot's times are microseconds from 2025 on and milliseconds before; futures' are milliseconds throughout. Spot has one
more column at the end (`is_best_match`). COIN-M's sizes count contracts. No column names the symbol: the file's name
does.

A file holds a UTC day, or a month; beside it lies its SHA-256. The files of months have been published with two ranges of
ids interleaved, and with a trade of the month before; all are issued anew without a word.
"""

from __future__ import annotations

import datetime as dt
from typing import Final, Literal

from pipelines.venues.columns import Tape
from pipelines.venues.csv_trades import Layout
from pipelines.venues.venue import ArchiveFile

BASE: Final = "https://data.binance.vision"
_SECTIONS: Final = {"spot": "spot", "usdm": "futures/um", "coinm": "futures/cm"}
_KINDS: Final[dict[Tape, str]] = {"agg": "aggTrades", "fill": "trades"}

_AGG: Final = ("id", "price", "size", "first", "last", "time", "seller")
_FILL: Final = ("id", "price", "size", "", "time", "seller")
_AGG_HEADER: Final = b"agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker"
_FILL_HEADER: Final = b"id,price,qty,quote_qty,time,is_buyer_maker"
_INVERSE_FILL_HEADER: Final = b"id,price,qty,base_qty,time,is_buyer_maker"
_BEST: Final = b",is_best_match"

LAYOUTS: Final = (
    Layout("agg", (*_AGG, "best"), _AGG_HEADER + _BEST),
    Layout("agg", _AGG, _AGG_HEADER),
    Layout("fill", (*_FILL, "best"), _FILL_HEADER + _BEST),
    Layout("fill", _FILL, _FILL_HEADER),
    Layout("fill", _FILL, _INVERSE_FILL_HEADER),
)


def layout_of(first_line: bytes) -> Layout | None:
    """Return how an archive is laid out by its first line, None if it is none of Binance's trades."""
    line = first_line.rstrip(b"\r\n")
    return next((layout for layout in LAYOUTS if layout.fits(line)), None)


def files(market: Literal["spot", "usdm", "coinm"], native: str, date: dt.date, tape: Tape) -> list[ArchiveFile]:
    """Return the file of a UTC date and that of its month."""
    return _files(market, f"{_KINDS[tape]}/{native}/{native}-{_KINDS[tape]}", date)


def kline_files(market: Literal["spot", "usdm", "coinm"], native: str, date: dt.date) -> list[ArchiveFile]:
    """Return the file of 1-minute candles of a UTC date and that of its month; where they disagree, the day's is right."""
    return _files(market, f"klines/{native}/1m/{native}-1m", date)


def _files(market: Literal["spot", "usdm", "coinm"], stem: str, date: dt.date) -> list[ArchiveFile]:
    found: list[ArchiveFile] = []
    for part, folder, told in (("day", "daily", f"{date}"), ("month", "monthly", f"{date:%Y-%m}")):
        path = f"/data/{_SECTIONS[market]}/{folder}/{stem}-{told}.zip"
        found.append(ArchiveFile(path, f"{path}.CHECKSUM", "day" if part == "day" else "month"))
    return found
