"""Retention carried out: what the plan lets go leaves the tables' logs at once, and the volume an hour later."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path

import msgspec

from pipelines.history.retention import Needs, Plan, Share, needs, plan, sealed_through, shares
from pipelines.settings import Settings
from pipelines.store import LakeError, upkeep
from pipelines.store.lake import Lake
from pipelines.store.retention import begun, consumed, expired, kept_from, publish_sealed, sealed, size
from pipelines.store.segment import segments

TRIES = 5


class Removed(msgspec.Struct, frozen=True):
    """What a run removed from a table."""

    table: str
    first: dt.date
    last: dt.date
    files: int
    rows: int
    bytes: int


class Run(msgspec.Struct, frozen=True):
    """What a run of retention did.

    Attributes
    ----------
    at : datetime
    removed : list of Removed
        Files that no reader sees any more; they leave the volume at a later vacuum.
    busy : list of str
        Tables that others rewrote meanwhile, again and again; they are left for the next run.
    deleted_files, deleted_bytes : int
        What left the volume, removed or replaced over an hour before.
    segments : list of str
        Journal segments deleted.
    journal_bytes : int
        Their size.
    """

    at: dt.datetime
    removed: list[Removed]
    busy: list[str]
    deleted_files: int
    deleted_bytes: int
    segments: list[str]
    journal_bytes: int


def planned(lake: Lake, settings: Settings, today: dt.date) -> tuple[Plan, Needs]:
    """Return what would go, and what it is that is needed. Nothing is written."""
    limits, span = settings.retention.limits(), _span(settings.journal_dir)
    needed = needs(lake, today, span[0] if span else None)
    held = [share for table in limits for share in shares(lake, table)]
    return plan(held, needed, limits, today), needed


def remove(lake: Lake, needed: Needs, limits: Mapping[str, int], today: dt.date) -> tuple[list[Removed], list[str]]:
    """Remove what may go, one commit a table that names the files; return what went, and the tables that were busy."""
    gone, busy = [], []
    for table in limits:
        for _ in range(TRIES):
            going = plan(shares(lake, table), needed, limits, today).goes
            try:
                if going:
                    lake.replace(table, [path for share in going for path in share.files], [])
            except LakeError:  # compacted or sealed meanwhile
                continue
            gone += [total(going)] if going else []
            break
        else:
            busy.append(table)
    return gone, busy


def total(goes: list[Share]) -> Removed:
    """Sum up what goes of one table."""
    dates = [share.day.date for share in goes]
    files, rows, of = (sum(n) for n in zip(*((len(s.files), s.rows, s.bytes) for s in goes), strict=True))
    return Removed(goes[0].table, min(dates), max(dates), files, rows, of)


def retain(lake: Lake, settings: Settings, needed: Needs, now: dt.datetime) -> Run:
    """Remove what may go from the lake and the journal, and keep a note of it for the report."""
    limits, today = settings.retention.limits(), now.date()
    removed, busy = remove(lake, needed, limits, today)
    freed = [upkeep.vacuum(lake, table) for table in upkeep.tables(lake) if table in limits]
    tell_recorder(settings, needed)
    old = old_segments(settings, needed)
    journal_bytes = size(old)
    for path in old:
        path.unlink(missing_ok=True)
    done = Run(
        at=now,
        removed=removed,
        busy=busy,
        deleted_files=sum(f.files for f in freed),
        deleted_bytes=sum(f.bytes for f in freed),
        segments=[path.name for path in old],
        journal_bytes=journal_bytes,
    )
    _note(settings).parent.mkdir(parents=True, exist_ok=True)
    fresh = _note(settings).with_suffix(".tmp")
    fresh.write_bytes(msgspec.json.encode(done))
    fresh.replace(_note(settings))
    return done


def last_run(settings: Settings) -> Run | None:
    """Return what the last run did; None before the first."""
    try:
        return msgspec.json.decode(_note(settings).read_bytes(), type=Run)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def _note(settings: Settings) -> Path:
    return settings.data / "status" / "retention.json"


def tell_recorder(settings: Settings, needed: Needs) -> None:
    """Let the recorder know up to which date all is sealed: it deletes segments every hour."""
    if through := _sealed(settings, needed):
        publish_sealed(settings.journal_dir, through)


def old_segments(settings: Settings, needed: Needs) -> list[Path]:
    """Return the journal's segments that may go; its own clock counts."""
    folder = settings.journal_dir
    span, read = _span(folder), consumed(folder)
    if span is None:
        return []
    first = kept_from(settings.journal, span[1], _sealed(settings, needed))
    return expired(folder, first, read.segment if read else None)


def _sealed(settings: Settings, needed: Needs) -> dt.date | None:
    span = _span(settings.journal_dir)
    return (sealed_through(needed, settings.venues, span[0]) if span else None) or sealed(settings.journal_dir)


def _span(journal: Path) -> tuple[dt.date, dt.date] | None:
    """Return the dates on which the first and the last segment that was written to begin."""
    paths = segments(journal)
    ends = [next((date for path in order if (date := begun(path))), None) for order in (paths, reversed(paths))]
    return (ends[0], ends[1]) if ends[0] and ends[1] else None
