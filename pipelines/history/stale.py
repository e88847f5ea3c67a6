"""Which days are finished, which are not sealed yet, and which seals no longer hold."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence

import polars as pl

from pipelines.history import earlier
from pipelines.history.day import Day
from pipelines.history.stored_files import is_sealed, symbols_in
from pipelines.store.lake import Lake
from pipelines.store.parquet import Staged

FINISHED = dt.timedelta(hours=24, minutes=15)
"""After the start of a date: rows of it are in the lake by then."""
UNFINISHED = "unfinished"
"""In `seals.details`: how many rows of each table were left to the flow, of a day that was sealed before its end."""


def is_finished(lake: Lake, day: Day) -> bool:
    """Whether every flow that recorded the venue on the date says that its time is past 00:15 of the next."""
    return bool(finished(lake, [day]))


def finished(lake: Lake, days: Sequence[Day]) -> set[Day]:
    """Return those of some days that are finished, as `is_finished` says of one."""
    if not days:
        return set()
    begin = dt.datetime.combine(min(days).date, dt.time(), dt.UTC)
    coverage = lake.table("coverage", start=begin).group_by("venue", "shard", date=pl.col("ts").dt.date())
    reached = coverage.agg(pl.col("end").max()).with_columns(pl.col("end").max().over("venue", "shard"))
    slowest = reached.group_by("date", "venue").agg(pl.col("end").min()).collect()
    behind = {Day(date, venue): end for date, venue, end in slowest.iter_rows()}
    return {day for day in days if day in behind and behind[day] > dt.datetime.combine(day.date, dt.time(), dt.UTC) + FINISHED}


def unsealed(lake: Lake, venues: Collection[str] | None = None) -> list[Day]:
    """Return the days of which the lake holds trades of a symbol without a seal, in order; finished or not."""
    found = []
    for venue, dates in _files(lake, "trades", venues).items():
        seals = earlier.newest_seals(lake, venue)
        for date, files in dates.items():
            if any(symbols_in(lake, "trades", f) - seals.get(date, {}).keys() for f in files):
                found.append(Day(date, venue))
    return sorted(found)


def stale(lake: Lake, venues: Collection[str] | None = None) -> list[tuple[Day, str]]:
    """Return the sealed days that are to be sealed again, in order, each with the reason in words.

    Dates that a bounded tape holds whole, and no seal has touched, are not among them.
    """
    found: dict[Day, str] = {}
    early = []
    trades, bars = (_files(lake, table, venues) for table in ("trades", "bars"))
    for venue, dates in trades.items():
        seals = earlier.newest_seals(lake, venue)
        unsealed_dates = earlier.writers_of(file for files in bars[venue].values() for file in files)
        for date, files in dates.items():
            sealed = {s: row for s, row in seals.get(date, {}).items() if row["rows_digest"]}
            if not sealed:
                continue
            day = Day(date, venue)
            late = _came_later(lake, [*files, *bars[venue][date]], sealed.keys())
            read_of = earlier.read_by(day, sealed, seals, unsealed_dates)
            moved = sorted(s for s, row in sealed.items() if row["earlier_digest"] != read_of[s])
            if late:
                found[day] = f"rows of {', '.join(late)} came after it was sealed"
            elif moved:
                found[day] = f"earlier dates of {', '.join(moved)} have changed since it was sealed"
            elif any(f'"{UNFINISHED}":' in (row["details"] or "") for row in sealed.values()):
                early.append(day)
    found |= dict.fromkeys(finished(lake, early), "it was sealed before its end")
    return sorted(found.items())


def _files(lake: Lake, table: str, venues: Collection[str] | None) -> dict[str, dict[dt.date, list[Staged]]]:
    """Return the files of a table, by venue and date, in one listing: asking for each day takes 20 ms a day."""
    found: dict[str, dict[dt.date, list[Staged]]] = defaultdict(lambda: defaultdict(list))
    for file in lake.live(table).values():
        if venues is None or file.venue in venues:
            found[file.venue][dt.date.fromisoformat(file.date)].append(file)
    return found


def _came_later(lake: Lake, files: Iterable[Staged], sealed: Collection[str]) -> list[str]:
    """Return the sealed symbols of which files hold rows that no seal wrote."""
    later: set[str] = set()
    for file in files:
        if not is_sealed(file.path):
            later |= symbols_in(lake, file.table, file) & set(sealed)
    return sorted(later)
