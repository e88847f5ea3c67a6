"""Begin again from the journal: live rows from a date on are taken out, and made anew under a new writer."""

from __future__ import annotations

import shutil
from datetime import date, timedelta
from pathlib import Path

import msgspec
import polars as pl
import structlog

from dataflows.live import RebuildMark, RecoveryError, generation, only_one, run, writer
from pipelines.history.day import Day
from pipelines.history.stale import finished
from pipelines.market import DAY_US, TABLES
from pipelines.settings import Settings
from pipelines.store.journal import segments
from pipelines.store.lake import Lake

log = structlog.get_logger()


def rebuild(settings: Settings, start: str) -> int:
    """Make the live rows of `start` (ISO date) and later again, and go on to the end of the journal.

    Raises
    ------
    RecoveryError
        If the date is none, or sealed from it on; if the flow is running, or the journal does not reach back that far.
    """
    try:
        first = (date.fromisoformat(start) - date(1970, 1, 1)).days * DAY_US
    except ValueError:
        raise RecoveryError(f"--from {start}: not a date; write it like 2026-11-20") from None
    folder = settings.recovery_dir
    folder.mkdir(parents=True, exist_ok=True)
    if not segments(settings.journal_dir):
        raise RecoveryError(f"the journal at {settings.journal_dir} is empty: there is nothing to rebuild from")
    lake = Lake(settings.lake_root)
    lake.create()
    if final := _final(lake, settings.shard, start):
        behind = max(final).date + timedelta(1)
        raise RecoveryError(
            f"--from {start}: {', '.join(map(str, final))} {'is' if len(final) == 1 else 'are'} sealed, and a rebuild would "
            f"store rows a second time; begin with --from {behind}"
        )
    with only_one(folder):
        mark = _forget(settings, folder, lake, first)
        _take_out(lake, settings.shard, start)
        _leave(folder, msgspec.structs.replace(mark, ready=True))
    return run(settings, until_end=True)


def _final(lake: Lake, shard: str, start: str) -> list[Day]:
    """Return the dates from one on that a shard has recorded, that are over, and that are sealed."""
    sealed = {Day(date.fromisoformat(file.date), file.venue) for file in lake.live("seals").values() if file.date >= start}
    files = (file for file in lake.live("coverage").values() if _is_live(file.path, shard))
    ours = {Day(date.fromisoformat(file.date), file.venue) for file in files}
    return sorted(finished(lake, sorted(sealed & ours)))


def _forget(settings: Settings, folder: Path, lake: Lake, first: int) -> RebuildMark:
    """Put the recovery store aside and begin the next generation of the writer, before any row is taken out."""
    last = generation(folder)
    while any(lake.version(t, f"{settings.shard}.{last}/{t}") is not None for t in TABLES):
        last += 1
    known = lake.table("alerts").filter(pl.col("origin") == "live").select("alert_id").collect()["alert_id"].to_list()
    mark = RebuildMark(first, frozenset(known), ready=False)
    _leave(folder, mark)
    (folder / "generation").write_text(str(last))
    for name in ("store", "staged"):
        shutil.rmtree(folder / name, ignore_errors=True)
    (settings.journal_dir / "consumed.json").unlink(missing_ok=True)
    log.info("rebuild", writer=writer(settings), from_day=first, alerts_kept=len(known))
    return mark


def _leave(folder: Path, mark: RebuildMark) -> None:
    fresh = folder / "rebuild.tmp"
    fresh.write_bytes(msgspec.json.encode(mark))
    fresh.replace(folder / "rebuild.json")


def _take_out(lake: Lake, shard: str, start: str) -> None:
    """Remove this shard's live files of the dates that are made again."""
    for table in TABLES:
        if table == "alerts":  # live alerts are never removed; those made again are told by their ids
            continue
        stale = [f.path for f in lake.live(table).values() if f.date >= start and _is_live(f.path, shard)]
        if stale:
            lake.replace(table, stale, [])
            log.info("rebuild: taken out", table=table, files=len(stale))


def _is_live(path: str, shard: str) -> bool:
    stem, _, number = path.rpartition("/")[2].partition(".")
    return stem == shard and number.partition("-")[0].isdigit()
