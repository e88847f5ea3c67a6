"""Which days are finished, which are not sealed yet, and which seals no longer hold."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection

import polars as pl

from pipelines.history import earlier
from pipelines.history.day import Day
from pipelines.history.stored_files import SEAL, files_of, symbols_in, writer_of
from pipelines.store.lake import Lake

FINISHED = dt.timedelta(hours=24, minutes=15)
"""After the start of a date: rows of it are in the lake by then."""


def is_finished(lake: Lake, day: Day) -> bool:
    """Whether every flow that recorded the venue on the date says that its time is past 00:15 of the next."""
    begin = dt.datetime.combine(day.date, dt.time(), dt.UTC)
    rows = lake.table("coverage", start=begin).filter(pl.col("venue") == day.venue).select("shard", "ts", "end").collect()
    on_date = rows.filter(pl.col("ts") < begin + dt.timedelta(days=1))["shard"].unique().to_list()
    reached = dict(rows.group_by("shard").agg(pl.col("end").max()).iter_rows())
    return bool(on_date) and all(reached[shard] > begin + FINISHED for shard in on_date)


def unsealed(lake: Lake, venues: Collection[str] | None = None) -> list[Day]:
    """Return the days of which the lake holds trades of a symbol without a seal, in order; finished or not."""
    found = []
    for venue, dates in _dates(lake, venues).items():
        seals = earlier.newest_seals(lake, venue)
        for date in dates:
            files = files_of(lake, "trades", Day(date, venue))
            if any(symbols_in(lake, "trades", f) - seals.get(date, {}).keys() for f in files):
                found.append(Day(date, venue))
    return sorted(found)


def stale(lake: Lake, venues: Collection[str] | None = None) -> list[tuple[Day, str]]:
    """Return the sealed days that are to be sealed again, in order, each with the reason in words.

    Dates that a bounded tape holds whole, and no seal has touched, are not among them.
    """
    found = {}
    for venue, dates in _dates(lake, venues).items():
        seals, unsealed_dates = earlier.newest_seals(lake, venue), earlier.writers(lake, venue)
        for date in dates:
            sealed = {s: row for s, row in seals.get(date, {}).items() if row["rows_digest"]}
            if not sealed:
                continue
            day = Day(date, venue)
            late = _came_later(lake, day, sealed.keys())
            read_of = earlier.read_by(day, sealed, seals, unsealed_dates)
            moved = sorted(s for s, row in sealed.items() if row["earlier_digest"] != read_of[s])
            if late:
                found[day] = f"rows of {', '.join(late)} came after it was sealed"
            elif moved:
                found[day] = f"earlier dates of {', '.join(moved)} have changed since it was sealed"
    return sorted(found.items())


def _dates(lake: Lake, venues: Collection[str] | None) -> dict[str, list[dt.date]]:
    """Return the dates with trades, by venue."""
    found: dict[str, set[dt.date]] = defaultdict(set)
    for file in lake.live("trades").values():
        if venues is None or file.venue in venues:
            found[file.venue].add(dt.date.fromisoformat(file.date))
    return {venue: sorted(dates) for venue, dates in sorted(found.items())}


def _came_later(lake: Lake, day: Day, sealed: Collection[str]) -> list[str]:
    """Return the sealed symbols of which tables hold rows that their seals did not write."""
    later: set[str] = set()
    for table in ("trades", "bars"):
        for file in files_of(lake, table, day):
            if not writer_of(file.path).startswith(SEAL):
                later |= symbols_in(lake, table, file) & set(sealed)
    return sorted(later)
