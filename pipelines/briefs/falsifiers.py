"""Claims held against what came: each is judged once its time has come, and the record of all is kept."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from pipelines.briefs.fact import Unit
from pipelines.briefs.measure import measured
from pipelines.briefs.notes import Notes, said
from pipelines.briefs.queries import MONTH, day
from pipelines.briefs.reading import Reader, moment, text
from pipelines.briefs.sheet import Sentence
from pipelines.market import TABLES

if TYPE_CHECKING:
    from pipelines.store.lake import Lake

GRACE = dt.timedelta(minutes=10)
"""How long the lake may take to reach the time of a claim; then the claim is judged by what is there."""


class Record(NamedTuple):
    """How claims of a kind came out at an instrument."""

    venue: str
    symbol: str
    claim: str
    held: int
    refuted: int
    unknown: int


def as_of(at: dt.datetime) -> str:
    """Return the SQL of the claims of the last three months as they stood at a time."""
    return (
        f"SELECT * FROM falsifiers_history WHERE date >= {day(at - 3 * MONTH)} AND as_of <= {moment(at)} AND ts <= {moment(at)}"
        " QUALIFY row_number() OVER (PARTITION BY brief, falsifier ORDER BY as_of DESC, outcome) = 1"
    )


def due(lake: Lake, at: dt.datetime) -> list[dict[str, Any]]:
    """Return the rows of claims that are open and whose time had come at `at`, oldest first."""
    return _due(Reader(lake, at))


def score(lake: Lake, at: dt.datetime) -> int:
    """Judge the claims whose time had come by the rows up to then, and write how they came out; return how many.

    One whose instrument has no minute of that time yet waits for `GRACE`.
    """
    reader = Reader(lake, at)
    judged = [_judged(reader, row) for row in _due(reader) if _is_reached(reader, row)]
    if judged:
        rows = pa.Table.from_pylist(judged, TABLES["falsifiers"].lake_schema)
        lake.replace("falsifiers", [], lake.stage("falsifiers", rows, f"judged-{time.time_ns()}", {"source": "briefs"}))
    return len(judged)


def record(lake: Lake, at: dt.datetime) -> list[Record]:
    """Return how claims came out, as known at `at`, by instrument and kind of claim."""
    query = (
        "SELECT venue, symbol, claim, count(*) FILTER (outcome = 'held') AS held, count(*) FILTER (outcome = 'refuted')"
        f" AS refuted, count(*) FILTER (outcome = 'unknown') AS unknown FROM ({as_of(at)}) GROUP BY ALL ORDER BY ALL"
    )
    return [Record(*row) for row in Reader(lake, at).rows(query).iter_rows()]


def told(notes: Notes, made: Iterable[str]) -> list[Sentence]:
    """Say how earlier claims about an instrument came out, kind by kind, as known at the time of the brief.

    Of kinds that are claimed now (`made`) and were never judged it says so.
    """
    mine = f"venue = {text(notes.about.venue)} AND symbol = {text(notes.about.symbol)} AND outcome <> 'open'"
    base = f"FROM ({as_of(notes.reader.at)}) WHERE {mine}"
    kinds = notes.reader.rows(f"SELECT DISTINCT claim {base} ORDER BY claim")["claim"].to_list()
    new = [Sentence(f"{kind}: never judged yet") for kind in made if kind not in kinds]
    return [*(_told(notes, kind, f"{base} AND claim = {text(kind)}") for kind in kinds), *new]


def _told(notes: Notes, kind: str, base: str) -> Sentence:
    query = f"SELECT date, brief, falsifier, outcome = '{{}}' AS value {base} ORDER BY ts, brief, falsifier"
    held, refuted, unknown = (
        notes.fact(f"{outcome} {kind}", f"claims that were {outcome}: {kind}", Unit.COUNT, query.format(outcome), "true")
        for outcome in ("held", "refuted", "unknown")
    )
    return Sentence(f"{kind}: {said(held)} held, {said(refuted)} refuted, {said(unknown)} unknown")


def _due(reader: Reader) -> list[dict[str, Any]]:
    query = (
        f"""SELECT * FROM ({as_of(reader.at)}) WHERE outcome = 'open' AND "end" <= {moment(reader.at)}"""
        " ORDER BY ts, brief, falsifier"
    )
    return reader.rows(query).rows(named=True)


def _is_reached(reader: Reader, row: dict[str, Any]) -> bool:
    if reader.at >= row["end"] + GRACE:
        return True
    date = f"DATE '{(row['end'] - dt.timedelta(minutes=1)).astimezone(dt.UTC):%Y-%m-%d}'"
    query = (
        f"SELECT 1 FROM bars WHERE venue = {text(row['venue'])} AND symbol = {text(row['symbol'])} AND bar = '1m'"
        f""" AND date >= {date} AND "end" >= {moment(row["end"])} AND "end" <= {moment(reader.at)} LIMIT 1"""
    )
    return not reader.rows(query).is_empty()


def _judged(reader: Reader, row: dict[str, Any]) -> dict[str, Any]:
    value = measured(reader.rows(row["query"]), row["measure"])
    found = float(value) if isinstance(value, int | float) else None
    outcome = "unknown"
    if found is not None:
        refuted = found < row["level"] if row["op"] == "<" else found > row["level"]
        outcome = "refuted" if refuted else "held"
    return row | {"value": found, "outcome": outcome, "as_of": reader.at}
