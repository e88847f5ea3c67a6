"""Repair: what the archive has of a recorded day and the lake lacks is added, and the ledger says what became of its holes."""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from pipelines import ledger, rows
from pipelines.history import archive_notes
from pipelines.history.day import Day, DayTape
from pipelines.market import DAY_US, Flag, Instrument
from pipelines.store.lake import Lake, Staged
from pipelines.tape import TRADE, Rows
from pipelines.tape_order import GapRow

MISSING = ("open", "unfillable", "shed")
"""`gaps.status` of what is missing."""
Ids = npt.NDArray[np.int64]


class Repaired(NamedTuple):
    """What a repair did.

    Attributes
    ----------
    added : int
        Trades.
    closed : int
        Holes that are repaired now.
    left : int
        Holes that remain.
    """

    added: int
    closed: int
    left: int


def repair(lake: Lake, archive: DayTape, *, now_us: int) -> Repaired:
    """Add the trades that the lake lacks, by id; where ids are contiguous and the archive's are those of the stream.

    Killed anywhere and run again it ends in the same lake. The day is to be sealed afterwards.
    """
    app = f"repair.{archive.digest[:16]}"
    before = lake.version("trades", app)
    version = 0 if before is None else before + 1
    day = archive.day
    known = [stored_ids(lake, day.venue, it.symbol, day.us, day.us + DAY_US) for it in archive.instruments]
    staged: list[Staged] = []
    for number, piece in enumerate(archive.pieces()):
        lacking = piece[_is_lacking(piece, known)]
        if lacking.size:
            staged += _stage(lake, archive, lacking, f"{app}.{version}-{number:010}")
    if staged:
        lake.commit("trades", app, version, staged)
    return Repaired(sum(file.rows for file in staged), *settle(lake, day, archive.instruments, now_us=now_us))


def settle(lake: Lake, day: Day, instruments: tuple[Instrument, ...], *, now_us: int, whole: bool = False) -> tuple[int, int]:
    """Write into the ledger which holes of a day are closed by now; return how many are, and how many remain.

    With `whole`, all are that were noted before `now_us`: the day was taken from the archive as it is.
    """
    left, lines = 0, []
    for place, it in enumerate(instruments):
        for hole in holes(lake, day, it.symbol):
            if hole.as_of_ns >= now_us * 1000:
                left += 1
            elif whole or _is_filled(lake, day.venue, it.symbol, hole):
                lines.append(hole._replace(instrument=place, status="repaired", as_of_ns=now_us * 1000))
            else:
                left += 1
    if lines:
        name = f"repair.{day.venue}.{day.date}.{now_us}"
        lake.commit("gaps", name, 0, lake.stage("gaps", ledger.gaps(lines, instruments), name, {"source": "repair"}))
    return len(lines), left


def holes(lake: Lake, day: Day, symbol: str | None = None) -> list[GapRow]:
    """Return the holes in the trades of a day that may still be repaired, by time; `instrument` is not set."""
    here = lake.table("gaps").filter(
        pl.col("venue") == day.venue,
        pl.col("feed") == "trades",
        pl.col("status").is_in(MISSING),
        pl.col("reason") != archive_notes.REASON,
        pl.col("ts").dt.epoch("us") < day.us + DAY_US,
        pl.col("end").dt.epoch("us") >= day.us,
    )
    found = (here if symbol is None else here.filter(pl.col("symbol") == symbol)).select(
        pl.col("ts", "end").dt.epoch("us"), "from_id", "to_id", "reason", "status", as_of=pl.col("as_of").dt.epoch("us") * 1000
    )
    return [GapRow(0, *row) for row in found.sort("ts").collect().iter_rows()]


def stored_ids(lake: Lake, venue: str, symbol: str, start: int, end: int) -> Ids:
    """Return the ids of all trades of an instrument on the dates from `start` to before `end` (us), rising."""
    dates = pl.col("date").is_between(pl.lit(_date(start)), pl.lit(_date(end - 1)))
    here = lake.table("trades").filter(dates, pl.col("venue") == venue, pl.col("symbol") == symbol)
    ids: Ids = np.unique(here.select("trade_id").collect()["trade_id"].to_numpy())
    return ids


def _date(us: int) -> dt.date:
    return dt.date(1970, 1, 1) + dt.timedelta(days=us // DAY_US)


def _is_lacking(piece: Rows, known: list[Ids]) -> npt.NDArray[np.bool_]:
    lacking: npt.NDArray[np.bool_] = piece["kind"] == TRADE
    for place, ids in enumerate(known):
        mine = piece["instrument"] == place
        if ids.size and mine.any():
            wanted = piece["trade_id"][mine]
            at = np.minimum(np.searchsorted(ids, wanted), ids.size - 1)
            lacking[mine] &= ids[at] != wanted
    return lacking


def _stage(lake: Lake, archive: DayTape, lacking: Rows, name: str) -> list[Staged]:
    lacking = lacking.copy()
    lacking["flags"] |= Flag.REPAIRED
    symbols = [it.symbol for it in archive.instruments]
    count = len(symbols)
    table = rows.trades(lacking, [archive.day.venue] * count, symbols, [archive.tape] * count)
    return lake.stage("trades", table, name, {"source": archive.source})


def _is_filled(lake: Lake, venue: str, symbol: str, hole: GapRow) -> bool:
    if hole.first is None or hole.last is None:
        return False
    ids = stored_ids(lake, venue, symbol, hole.ts, hole.end + 1)
    inside = np.searchsorted(ids, hole.last, "right") - np.searchsorted(ids, hole.first, "left")
    return bool(inside == hole.last - hole.first + 1)
