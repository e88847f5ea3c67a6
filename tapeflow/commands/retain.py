"""The command `retain`: what is past its limit and needed by nobody is removed."""

from __future__ import annotations

import datetime as dt
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tapeflow import show
from tapeflow.commands import DemoOption, JsonOption, app, open_lake, settings

if TYPE_CHECKING:
    from pathlib import Path

    from pipelines.history.expiry import Run
    from pipelines.history.retention import Kept, Plan
    from pipelines.retention_settings import Retention

COLUMNS = ["table", "first", "last", "files", "rows", "bytes"]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would go; nothing is written.")]


@app.command()
def retain(dry_run: DryRun = False, demo: DemoOption = False, json: JsonOption = False) -> None:
    """Remove what is past its limit (setting `retention`, and `journal.keep_days`) and needed by nobody any more.

    What is not sealed yet, to be sealed again, has an open gap or is read by a later date stays, and is told with the
    reason. Files leave their table at once and the volume an hour later, at the next `retain` or by Dagster. Exit
    status 1 where a table was rewritten by others meanwhile; run it again.

    Example: tapeflow retain --dry-run
    """
    from rich.console import Console

    from pipelines.history import expiry
    from pipelines.store import retention as journal

    chosen = settings(demo=demo)
    lake = open_lake(None, demo=demo)
    now = dt.datetime.now(dt.UTC)
    with Console(stderr=True).status("looking for what may go"):
        plan, needed = expiry.planned(lake, chosen, now.date())
        segments = expiry.old_segments(chosen, needed)
        size = journal.size(segments)
    done = None
    if not dry_run:
        with Console(stderr=True).status("removing"):
            done = expiry.retain(lake, chosen, needed, now)
    if json:
        show.as_object(_report(plan, segments, size, done))
    else:
        _show(plan, segments, size, done, chosen.retention)
    raise typer.Exit(1 if done and done.busy else 0)


def _report(plan: Plan, segments: list[Path], size: int, done: Run | None) -> dict[str, Any]:
    """Return what is printed as JSON: the plan by table, date and venue, and what was done about it."""
    import msgspec

    goes = [{"table": s.table, **s.day._asdict(), "files": len(s.files), "rows": s.rows, "bytes": s.bytes} for s in plan.goes]
    stays = [
        {"table": s.table, **s.day._asdict(), "files": len(s.files), "rows": s.rows, "bytes": s.bytes, "reason": reason}
        for s, reason in plan.stays
    ]
    journal = {"segments": [path.name for path in segments], "bytes": size}
    told = msgspec.structs.asdict(done) | {"removed": [msgspec.structs.asdict(r) for r in done.removed]} if done else {}
    return {"dry_run": done is None, "goes": goes, "stays": stays, "journal": journal} | ({"done": told} if done else {})


def _show(plan: Plan, segments: list[Path], size: int, done: Run | None, limits: Retention) -> None:
    from pipelines.history.expiry import total
    from pipelines.market import TABLES

    going = done.removed if done else [total(list(of)) for _, of in groupby(plan.goes, key=lambda s: s.table)]
    print("removed:" if done else "would go:") if going else print("nothing is past its limit and free to go")
    if going:
        show.as_table(COLUMNS, [[r.table, r.first, r.last, r.files, r.rows, r.bytes] for r in going])
    if plan.stays:
        print("stays, though past its limit:")
        show.as_table([*COLUMNS[:1], "venue", *COLUMNS[1:], "because"], _stays(plan.stays))
    gone = done.segments if done else segments
    if gone:
        print(f"journal: {len(gone):,} segments, {done.journal_bytes if done else size:,} bytes")
    if done and done.deleted_files:
        print(f"deleted from the volume, removed earlier: {done.deleted_files:,} files, {done.deleted_bytes:,} bytes")
    for table in done.busy if done else ():
        print(f"{table}: rewritten by others meanwhile; run it again")
    print(f"kept for ever: {', '.join(name for name in TABLES if name not in limits.limits())}")


def _stays(stays: list[Kept]) -> list[list[Any]]:
    """Return a row for each reason of a table and venue."""
    from pipelines.history.expiry import total

    def what(kept: Kept) -> tuple[str, str, str]:
        return kept.share.table, kept.share.day.venue, kept.reason

    rows: list[list[Any]] = []
    for (table, venue, reason), of in groupby(sorted(stays, key=lambda kept: (what(kept), kept.share.day)), key=what):
        sums = total([kept.share for kept in of])
        rows.append([table, venue, sums.first, sums.last, sums.files, sums.rows, sums.bytes, reason])
    return rows
