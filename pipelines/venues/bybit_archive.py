"""Bybit's archives (public.bybit.com): `trading` (linear and inverse) and `spot`.

In `trading` a trade bears the id of the live tape, a UUID, and its symbol; times are seconds with a fraction. Older files
have the newest trade first, and no column `RPI`. In `spot` no id is shared with the live tape: lines are numbered from 1
each day, so that a date is taken whole from one source.

A file is named by a day, of old files of `spot` by a month. Where its days begin is not documented: the files of the days
beside are read, too.
"""

from __future__ import annotations

import datetime as dt
from typing import Final, Literal

from pipelines.venues.bybit_rest import Market
from pipelines.venues.csv_trades import Layout
from pipelines.venues.venue import ArchiveFile

BASE: Final = "https://public.bybit.com"

_TRADING: Final = ("seconds", "symbol", "side", "size", "price", "", "uuid", "", "", "")
_TRADING_HEADER: Final = b"timestamp,symbol,side,size,price,tickDirection,trdMatchID,grossValue,homeNotional,foreignNotional"
_SPOT: Final = ("number", "time", "price", "size", "side")
_SPOT_HEADER: Final = b"id,timestamp,price,volume,side"

TRADING: Final = (Layout("fill", (*_TRADING, ""), _TRADING_HEADER + b",RPI"), Layout("fill", _TRADING, _TRADING_HEADER))
SPOT: Final = (Layout("fill", (*_SPOT, ""), _SPOT_HEADER + b",rpi"), Layout("fill", _SPOT, _SPOT_HEADER))


def layout_of(first_line: bytes, market: Market) -> Layout | None:
    """Return how an archive is laid out by its first line, None if it holds none of this market's trades."""
    line = first_line.rstrip(b"\r\n")
    return next((layout for layout in (SPOT if market == "spot" else TRADING) if layout.fits(line)), None)


def files(market: Market, native: str, date: dt.date) -> list[ArchiveFile]:
    """Return the files of a date, of the days beside it, and where there are such, of its month."""
    folder, mark = (f"/spot/{native}/{native}", "_") if market == "spot" else (f"/trading/{native}/{native}", "")

    def of_day(days: int, part: Literal["day", "edge"]) -> ArchiveFile:
        return ArchiveFile(f"{folder}{mark}{date + dt.timedelta(days)}.csv.gz", part=part)

    month = [ArchiveFile(f"{folder}-{date:%Y-%m}.csv.gz", part="month")] if market == "spot" else []
    return [of_day(0, "day"), *month, of_day(-1, "edge"), of_day(1, "edge")]
