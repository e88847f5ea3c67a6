"""What an agent is given: rows that were complete by the time it looks at, of the UTC date and a reach before it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

if TYPE_CHECKING:
    from pipelines.store.lake import Lake

Frames = Mapping[str, pl.DataFrame]
"""Rows by table, sorted by venue, symbol and time."""
DAY = dt.timedelta(days=1)


class Reads(NamedTuple):
    """A table that an agent reads: these columns beside the key's, from `reach` before the UTC date on."""

    table: str
    columns: tuple[str, ...]
    reach: dt.timedelta = DAY
    equal: tuple[tuple[str, str], ...] = ()


def midnight(at: dt.datetime) -> dt.datetime:
    """Return when the UTC date began that ends at or after `at`: at midnight, that of the date just over."""
    last = at - dt.timedelta(microseconds=1)
    return last.replace(hour=0, minute=0, second=0, microsecond=0)


def read(lake: Lake, reads: Reads, at: dt.datetime) -> pl.DataFrame:
    """Return rows with `end` <= `at`."""
    frame = lake.table(reads.table, start=midnight(at) - reads.reach, **dict(reads.equal)).filter(pl.col("end") <= at)
    names = list(dict.fromkeys(("venue", *reads.columns, "ts", "end")))
    found = frame.select(names).collect()
    return found.sort([name for name in ("venue", "symbol", "ts", "end") if name in names])


def instruments(frame: pl.DataFrame) -> Iterator[tuple[str, str, pl.DataFrame]]:
    """Yield the rows of each instrument in order of name: venue, symbol, rows by time."""
    for (venue, symbol), mine in sorted(frame.partition_by("venue", "symbol", as_dict=True).items()):
        yield str(venue), str(symbol), mine
