"""What of the lake may go, and why the rest stays. A plan is made and can be shown; nothing is removed here."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator, Mapping
from itertools import groupby
from typing import NamedTuple

import polars as pl

from pipelines.history.day import Day
from pipelines.history.stale import is_finished, stale, unsealed
from pipelines.history.stored_files import is_sealed
from pipelines.seed import REACH
from pipelines.store import LakeError
from pipelines.store.lake import Lake

READ_LATER = frozenset({"trades", "bars", "vpin", "features", "news", "coverage"})
"""Tables of which a date, or its seal, reads rows of up to `REACH` earlier dates; and `seals`, which are kept for ever."""

DATE = dt.timedelta(1)


class Share(NamedTuple):
    """What a table holds of a day; `files` by path relative to the table."""

    table: str
    day: Day
    files: tuple[str, ...]
    rows: int
    bytes: int


class Kept(NamedTuple):
    """What is past its limit and stays, and why."""

    share: Share
    reason: str


class Plan(NamedTuple):
    """What goes, and what stays though it is past its limit; each by table, date and venue."""

    goes: list[Share]
    stays: list[Kept]


class Needs(NamedTuple):
    """Why rows may still be needed.

    Attributes
    ----------
    open : dict of Day to str
        Days whose rows may be read or made again, and why.
    reading : dict of date to str
        Dates that are being made, at any venue, and by whom; they may read what earlier dates hold.
    compared : collection of (table, Day)
        What a seal of a later date is held against to see whether it still holds (`history.earlier`).
    """

    open: Mapping[Day, str]
    reading: Mapping[dt.date, str]
    compared: Collection[tuple[str, Day]] = ()


def plan(shares: Collection[Share], needs: Needs, limits: Mapping[str, int], today: dt.date) -> Plan:
    """Decide what goes.

    Parameters
    ----------
    shares
        What the lake holds.
    needs
    limits
        UTC dates that a table is kept; tables that are not named are kept for ever.
    today
        A table with limit n keeps today and the n dates before.
    """
    made = Plan([], [])
    for share in sorted(shares):
        if not _is_old(share, limits, today):
            continue
        if reason := _reason(share, needs):
            made.stays.append(Kept(share, reason))
        else:
            made.goes.append(share)
    return made


def _is_old(share: Share, limits: Mapping[str, int], today: dt.date) -> bool:
    return share.table in limits and share.day.date < today - dt.timedelta(limits[share.table])


def _reason(share: Share, needs: Needs) -> str:
    """Return why a share must stay, empty if it need not."""
    day = share.day
    if day in needs.open:
        return needs.open[day]
    if (share.table, day) in needs.compared:
        return "a seal of a later date depends on its files"
    if share.table not in READ_LATER:
        return ""
    for days in range(1, REACH + 1):
        later = day._replace(date=day.date + days * DATE)
        why = needs.open.get(later) or needs.reading.get(later.date)
        if why:
            return f"read by {later.date}: {why}"
    return ""


def shares(lake: Lake, table: str) -> list[Share]:
    """Return what a table holds, by day; nothing where there is no such table yet."""
    try:
        files = sorted(lake.live(table).values(), key=lambda f: (f.date, f.venue, f.path))
    except LakeError:
        return []
    return [
        Share(table, Day(dt.date.fromisoformat(date), venue), *_sizes([(f.path, f.rows, f.size) for f in of]))
        for (date, venue), of in groupby(files, key=lambda f: (f.date, f.venue))
    ]


def _sizes(files: list[tuple[str, int, int]]) -> tuple[tuple[str, ...], int, int]:
    paths, rows, sizes = zip(*files, strict=True)
    return paths, sum(rows), sum(sizes)


def needs(lake: Lake, today: dt.date, journal_from: dt.date | None = None) -> Needs:
    """Return what is needed of the lake, by what the flow, the seals and the gap ledger say.

    `journal_from` is the first date that the journal holds: `tapeflow rebuild` may begin there, or at any date behind it.
    """
    lacking = unsealed(lake)
    found = dict.fromkeys(lacking, "not sealed yet")
    found |= {day: f"to be sealed again: {why}" for day, why in stale(lake)}
    found |= dict.fromkeys(_open_gaps(lake), "an open gap")
    held = (today - journal_from).days if journal_from else 0
    reading = {today - n * DATE: "the journal may be read again from there" for n in range(held, 0, -1)} | {today: "today"}
    sealed = {share.day for share in shares(lake, "trades")}.difference(lacking)
    covered = {share.day for share in shares(lake, "coverage")}.difference(sealed)
    for last, shard in _reached(lake):
        for day in (last._replace(date=last.date - DATE), last):  # late rows of the date before come for some minutes
            if day in covered and not is_finished(lake, day):
                found[day] = "the flow has not passed it"
                reading[day.date] = f"shard {shard} stands there"
    return Needs(found, reading, _compared(lake))


def _compared(lake: Lake) -> set[tuple[str, Day]]:
    """Return the bars that no seal wrote, within reach of a date that has trades and may be sealed."""
    trading = {share.day for share in shares(lake, "trades")}
    unsealed_bars = [s.day for s in shares(lake, "bars") if not all(map(is_sealed, s.files))]
    return {
        ("bars", day)
        for day in unsealed_bars
        if any(day._replace(date=day.date + n * DATE) in trading for n in range(1, REACH + 1))
    }


def sealed_through(needs: Needs, venues: Collection[str], first: dt.date) -> dt.date | None:
    """Return the date up to which all is sealed that a journal may hold.

    Parameters
    ----------
    needs
    venues
        Those that are recorded.
    first
        The first date that the journal holds.
    """
    open_dates = [day.date for day in needs.open if day.venue in venues and day.date >= first]
    return min(open_dates) - DATE if open_dates else None


def _open_gaps(lake: Lake) -> Iterator[Day]:
    rows = lake.table("gaps").filter(pl.col("status") == "open").select("venue", "ts", "end").collect()
    for venue, first, last in rows.iter_rows():
        end = max(first, last or first).date()
        for shift in range((end - first.date()).days + 1):
            yield Day(first.date() + shift * DATE, venue)


def _reached(lake: Lake) -> Iterator[tuple[Day, str]]:
    """Yield the last date that each flow has told of, by venue."""
    last = lake.table("coverage").group_by("venue", "shard").agg(pl.col("date").max()).collect()
    for venue, shard, date in last.sort("venue", "shard").iter_rows():
        yield Day(date, venue), shard
