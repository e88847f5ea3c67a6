"""OKX's archives of trades: single matches with a header, whose columns have changed names, order and language.

A file's day begins at 16:00 UTC, midnight in Hong Kong. Sizes of swaps and futures are contracts. Old files have no
column for the instrument, and names in two languages (`size/...`) in an encoding that is not UTF-8: what stands before
the stroke is read.
"""

from __future__ import annotations

import datetime as dt
from typing import Final

from pipelines.venues.csv_trades import Layout
from pipelines.venues.venue import ArchiveFile

BASE: Final = "https://static.okx.com"

_COLUMNS: Final = {
    b"instrument_name": "symbol",
    b"trade_id": "id",
    b"side": "side",
    b"price": "price",
    b"size": "size",
    b"created_time": "time",
}
_TODAY: Final = Layout("fill", tuple(_COLUMNS.values()), scientific=True)
_NEEDED: Final = {"id", "side", "price", "size", "time"}


def layout_of(first_line: bytes) -> Layout | None:
    """Return how an archive is laid out by its first line, None if it is none of OKX's trades."""
    line = first_line.rstrip(b"\r\n")
    if _TODAY.fault(line) is None:
        return _TODAY
    names = [cell.partition(b"/")[0].strip() for cell in line.removeprefix(b"\xef\xbb\xbf").split(b",")]
    columns = tuple(_COLUMNS.get(name, "") for name in names)
    known = [name for name in columns if name]
    if len(set(known)) < len(known) or not _NEEDED.issubset(known):
        return None
    return Layout("fill", columns, line, scientific=True)


def files(native: str, date: dt.date) -> list[ArchiveFile]:
    """Return the files of the two days of Hong Kong that a UTC date is in."""
    days = (date, date + dt.timedelta(1))
    return [ArchiveFile(f"/cdn/okex/traderecords/trades/daily/{day:%Y%m%d}/{native}-trades-{day}.zip") for day in days]
