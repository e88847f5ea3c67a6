"""A fact measured again: what its query gives now, and why that is not what it gave then."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, Final, NamedTuple

import duckdb
import polars as pl

from pipelines.briefs.fact import Fact, Value
from pipelines.briefs.keep import WRITER
from pipelines.briefs.measure import SETTING, digest, measured
from pipelines.briefs.reading import Reader, moment, text
from pipelines.history.stored_files import is_sealed, writer_of
from pipelines.store.lake import tables_in

if TYPE_CHECKING:
    from pipelines.store.lake import Lake

_DATES: Final = re.compile(r"date BETWEEN DATE '([0-9-]{10})' AND DATE '([0-9-]{10})'")
READING: Final = dt.timedelta(minutes=2)
"""A brief is kept at most so long after its rows were read: what was committed meanwhile is newer than what it read."""
NAMED: Final = 5
"""Dates or writers that are named one by one; of more it says how many there are."""


class Again(NamedTuple):
    """What a fact is now.

    Attributes
    ----------
    value : float, int, str, datetime or None
    n : int
        Rows.
    rows_digest : str
    same : bool
        The rows are the same, bit for bit.
    reasons : list of str
        What happened to the rows since; empty where they are the same.
    """

    value: Value
    n: int
    rows_digest: str
    same: bool
    reasons: list[str]


def again(lake: Lake, fact: Fact, brief: str, now: dt.datetime) -> Again:
    """Run the query of a fact of a brief again, and look for what changed its rows."""
    if fact.measure == SETTING:
        return Again(fact.value, 0, "", same=True, reasons=[])
    reader = Reader(lake, now)
    try:
        rows = reader.rows(fact.query)
        value = measured(rows, fact.measure)
    except (duckdb.Error, KeyError) as error:
        return Again(None, 0, "", same=False, reasons=[f"the query cannot be run: {str(error).splitlines()[0]}"])
    found = digest(rows)
    if found == fact.rows_digest:
        return Again(value, rows.height, found, same=True, reasons=[])
    return Again(value, rows.height, found, same=False, reasons=_reasons(reader, lake, fact, rows, _written(lake, brief, fact)))


def _reasons(reader: Reader, lake: Lake, fact: Fact, rows: pl.DataFrame, written: dt.datetime) -> list[str]:
    more = rows.height - fact.n
    counted = (
        f"{abs(more):,} {'more' if more > 0 else 'fewer'} row{'s' if abs(more) != 1 else ''}"
        if more
        else "as many rows, of other values"
    )
    why = [*_sealed(reader, fact, written), *_files(lake, fact, written)]
    return [f"{counted} than the {fact.n:,} then" if more else counted, *(why or ["nothing in the lake tells why"])]


def _span(fact: Fact) -> tuple[str, str]:
    """Return the first and last date that a query reads."""
    found = _DATES.findall(fact.query)
    day = f"{fact.as_of.astimezone(dt.UTC):%Y-%m-%d}"
    return min((first for first, _ in found), default=day), max((last for _, last in found), default=day)


def _written(lake: Lake, brief: str, fact: Fact) -> dt.datetime:
    """Return from when on rows are newer than the brief: by the name of its file, else the time it speaks of."""
    day = f"{fact.as_of.astimezone(dt.UTC):%Y-%m-%d}"
    reader = Reader(lake, fact.as_of)
    known = reader.rows(f"SELECT 1 FROM facts WHERE brief = {text(brief)} AND date = DATE '{day}' LIMIT 1").height
    times = [
        int(f.path.removesuffix(".parquet").rpartition("-")[2])
        for f in lake.live("facts").values()
        if known and f.date == day and f.venue == fact.venue and writer_of(f.path) == WRITER
    ]
    later = [t for t in times if t // 1000 >= int(fact.as_of.timestamp() * 1_000_000)]
    return max(fact.as_of, dt.datetime.fromtimestamp(min(later) / 1e9, dt.UTC) - READING) if later else fact.as_of


def _sealed(reader: Reader, fact: Fact, written: dt.datetime) -> list[str]:
    """Say which dates were sealed since, and by what settings."""
    first, last = _span(fact)
    query = (
        f"SELECT date, as_of, engine, settings_hash FROM seals WHERE venue = {text(fact.venue)} AND symbol = {text(fact.symbol)}"
        f" AND date BETWEEN DATE '{first}' AND DATE '{last}' AND as_of > {moment(written)} ORDER BY date"
    )
    found = reader.rows(query).rows()
    told = [
        f"{date} was sealed since, {as_of:%Y-%m-%d %H:%M} UTC" + (f", engine {engine}, settings {settings}" if settings else "")
        for date, as_of, engine, settings in found[:NAMED]
    ]
    return [*told, f"and {len(found) - NAMED} dates more"] if len(found) > NAMED else told


def _files(lake: Lake, fact: Fact, written: dt.datetime) -> list[str]:
    """Say who has written rows of these dates since, and of which dates nothing is left."""
    first, last = _span(fact)
    told = []
    for table in tables_in(fact.query):
        actions = pl.DataFrame(lake.latest(table.name).get_add_actions(flatten=True))
        mine = actions.filter(
            pl.col("partition.venue") == fact.venue,
            pl.col("partition.date").cast(pl.String).is_between(pl.lit(first), pl.lit(last)),
        )
        if mine.is_empty():
            told.append(f"{table.name}: no file of {first} to {last} is left: retained no longer, or taken out")
            continue
        new = mine.filter(pl.col("modification_time") > int(written.timestamp() * 1000))
        told += [f"{table.name}: {line}" for line in _by_writer(new["path"].to_list())]
    return told


def _by_writer(paths: list[str]) -> list[str]:
    kinds: dict[str, int] = {}
    for path in paths:
        writer = writer_of(path)
        kind = "a seal" if is_sealed(path) else f"job {writer[4:]}" if writer.startswith("job.") else f"{writer or 'a writer'}"
        kinds[kind] = kinds.get(kind, 0) + 1
    told = [f"{count:,} files written since by {kind}" for kind, count in sorted(kinds.items())]
    return [*told[:NAMED], f"and by {len(told) - NAMED} more"] if len(told) > NAMED else told
