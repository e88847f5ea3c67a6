"""What the lake holds, what may go, and the job that removes it."""

import datetime as dt
from collections import Counter
from collections.abc import Iterator
from typing import Any

import dagster as dg

from assets import pictures
from assets.compaction import FILES, POOL, table
from assets.research import NO_LAKE, nothing
from pipelines.history import expiry
from pipelines.history.retention import Kept, Plan
from pipelines.settings import Settings
from pipelines.store import upkeep
from pipelines.store.lake import Lake, Summary
from pipelines.store.retention import size
from pipelines.store.segment import segments

REPORT, RETENTION = dg.AssetKey(["lake", "report"]), dg.AssetKey(["lake", "retention"])
Shown = dict[str, Any]

hourly = dg.define_asset_job(
    "lake_files", dg.AssetSelection.assets(FILES, REPORT), description="Merge the lake's small files, and report what it holds."
)
removal = dg.define_asset_job(
    "retention",
    dg.AssetSelection.assets(RETENTION),
    description="Remove what is past its limit (setting `retention`) and needed by nobody; `lake/report` shows what that is.",
)
schedules = [
    dg.ScheduleDefinition(
        name="hourly_lake_files", job=hourly, cron_schedule="25 * * * *", default_status=dg.DefaultScheduleStatus.RUNNING
    ),
    dg.ScheduleDefinition(
        name="daily_retention", job=removal, cron_schedule="10 2 * * *", default_status=dg.DefaultScheduleStatus.STOPPED
    ),
]


def retention_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """Return the report, and what removes."""

    @dg.asset(
        key=REPORT,
        group_name="lake",
        kinds={"deltalake"},
        owners=["team:tapeflow"],
        deps=[FILES],
        check_specs=[
            dg.AssetCheckSpec("free_to_go", asset=REPORT, description="Nothing is past its limit for want of a seal or a repair.")
        ],
    )
    def report() -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster understands none beside checks
        """What the lake and the journal hold, by table; what `lake/retention` would remove, and what it removed last."""
        return _report(settings, dt.datetime.now(dt.UTC).date())

    @dg.asset(
        key=RETENTION,
        group_name="lake",
        kinds={"deltalake"},
        owners=["team:tapeflow"],
        deps=[FILES],
        pool=POOL,
        output_required=False,
    )
    def retention(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
        """Rows past their limit (setting `retention`) that nobody needs, removed: from the tables at once, from the volume later.

        The schedule is off until wanted; `lake/report` shows what would go.
        """
        now = dt.datetime.now(dt.UTC)
        lake = Lake(settings.lake_root)
        if not upkeep.tables(lake):
            return nothing(context, RETENTION, NO_LAKE)
        _, needed = expiry.planned(lake, settings, now.date())
        done = expiry.retain(lake, settings, needed, now)
        for name in done.busy:
            context.log.warning("%s: rewritten by others meanwhile, left for the next run", name)
        yield dg.MaterializeResult(metadata=_removed(done))

    return [report, retention]


def _report(settings: Settings, today: dt.date) -> dg.MaterializeResult[None]:
    lake = Lake(settings.lake_root)
    if not upkeep.tables(lake):
        return dg.MaterializeResult(metadata={"bytes": 0}, check_results=[_check([])])
    plan, needed = expiry.planned(lake, settings, today)
    expiry.tell_recorder(settings, needed)
    last = expiry.last_run(settings)
    return dg.MaterializeResult(
        metadata={
            **_held(lake.summary()),
            "journal_bytes": size(segments(settings.journal_dir)),
            **_planned(plan),
            **({"removed_last": dg.MetadataValue.timestamp(last.at), **_removed(last)} if last else {}),
        },
        check_results=[_check(plan.stays)],
    )


def _held(totals: list[Summary]) -> Shown:
    held = sorted((t for t in totals if t.rows), key=lambda t: -t.bytes)
    rows = [
        {"table": t.table, "bytes": t.bytes, "files": t.files, "rows": t.rows, "oldest": _day(t.min_ts), "newest": _day(t.max_ts)}
        for t in held
    ]
    return {
        "bytes": sum(t.bytes for t in held),
        "files": sum(t.files for t in held),
        "rows": sum(t.rows for t in held),
        **table("by_table", rows),
        "plot": pictures.markdown(
            pictures.bars("bytes by table", [t.bytes for t in held], [t.table for t in held], [_size(t.bytes) for t in held])
        ),
        **{f"bytes_{t.table}": t.bytes for t in sorted(held)},
    }


def _planned(plan: Plan) -> Shown:
    goes = [{"table": s.table, "day": str(s.day), "files": len(s.files), "bytes": s.bytes} for s in plan.goes]
    stays = [{"table": s.table, "day": str(s.day), "bytes": s.bytes, "because": why} for s, why in plan.stays]
    return {
        "would_go_bytes": sum(share.bytes for share in plan.goes),
        **table("would_go", goes),
        "stays_bytes": sum(kept.share.bytes for kept in plan.stays),
        **table("stays", stays),
    }


def _removed(run: expiry.Run) -> Shown:
    rows = [
        {"table": r.table, "first": str(r.first), "last": str(r.last), "files": r.files, "bytes": r.bytes} for r in run.removed
    ]
    return {
        "removed_files": sum(r.files for r in run.removed),
        "removed_rows": sum(r.rows for r in run.removed),
        "removed_bytes": sum(r.bytes for r in run.removed),
        **table("removed", rows),
        "deleted_files": run.deleted_files,
        "deleted_bytes": run.deleted_bytes,
        "deleted_journal_segments": len(run.segments),
        "deleted_journal_bytes": run.journal_bytes,
    }


def _check(stays: list[Kept]) -> dg.AssetCheckResult:
    stuck = Counter(reason for _, reason in stays if not reason.startswith("read by"))
    told = "; ".join(f"{reason}: {n}" for reason, n in stuck.most_common(5))
    return dg.AssetCheckResult(
        passed=not stuck,
        check_name="free_to_go",
        severity=dg.AssetCheckSeverity.WARN,
        description=told or "nothing stays for want of a seal or a repair",
        metadata={"days": stuck.total()},
    )


def _day(ts: dt.datetime | None) -> str:
    return f"{ts:%Y-%m-%d}" if ts else ""


def _size(many: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if many < 1000:
            return f"{many:.3g} {unit}"
        many /= 1000
    return f"{many:.3g} TB"
