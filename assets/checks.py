"""The checks of the live tables: new rows are sound, every feed flows, no gap stays open."""

import datetime as dt
import time
from collections.abc import Iterator

import dagster as dg
import polars as pl
from deltalake import DeltaTable

from assets import deltalog, soundness
from assets.resources import LiveLake
from pipelines.market import TABLES
from pipelines.store.lake import Lake

SILENT_S = 180
"""A venue without a commit to `trades` for this long is silent; a feed that trades commits every minute."""

GAP_S = 600
"""A gap may stay open this long."""

OVER = f"over {GAP_S // 60} minutes"


MADE = ("pairs", "scores", "backtests", "briefs", "facts", "falsifiers")
"""Tables that commands and runs write."""
STREAMED = {name: table for name, table in TABLES.items() if name not in MADE}
"""Tables that the flow writes."""


def key(table: str) -> dg.AssetKey:
    """Return the key of a live table's asset."""
    return dg.AssetKey(["live", table])


SPECS = [
    *(
        dg.AssetCheckSpec(
            "sound", asset=key(name), description="New rows have the schema, a full and unique key, and keep the table's rules."
        )
        for name in STREAMED
    ),
    dg.AssetCheckSpec("flowing", asset=key("trades"), description=f"Every venue committed trades in the last {SILENT_S} s."),
    dg.AssetCheckSpec("closed", asset=key("gaps"), description=f"No gap has been open for {OVER}."),
]


@dg.multi_asset_check(name="live_checks", specs=SPECS, can_subset=True)
def live_checks(context: dg.AssetCheckExecutionContext, lake: LiveLake) -> Iterator[dg.AssetCheckResult]:
    """Run by hand on the newest files what the sensor runs on the new ones."""
    for found in (*state(lake, time.time()), *_newest_files(lake)):
        if found.asset_check_key in context.selected_asset_check_keys:
            yield result(found)


def result(found: dg.AssetCheckEvaluation) -> dg.AssetCheckResult:
    """Return what a sensor reports as what a run yields."""
    return dg.AssetCheckResult(
        passed=found.passed,
        asset_key=found.asset_key,
        check_name=found.check_name,
        description=found.description,
        metadata=found.metadata,
        severity=found.severity,
    )


def _newest_files(lake: LiveLake) -> Iterator[dg.AssetCheckEvaluation]:
    for name in STREAMED:
        if table := deltalog.open_table(lake.root, name):
            yield sound(name, table, deltalog.added(table, None))


def sound(name: str, table: DeltaTable, news: list[deltalog.Added]) -> dg.AssetCheckEvaluation:
    """Examine the files `news` of a table."""
    verdict = soundness.examine(table, name, [file.path for file in news])
    told = "; ".join(f"{fault}: {n:,}" for fault, n in verdict.faults.items())
    return dg.AssetCheckEvaluation(
        asset_key=key(name),
        check_name="sound",
        passed=not verdict.faults,
        description=told or f"{verdict.rows:,} rows in {verdict.files} files",
        metadata={"rows": verdict.rows, "files": verdict.files, "faulty_rows": sum(verdict.faults.values())},
    )


def state(lake: LiveLake, now: float) -> Iterator[dg.AssetCheckEvaluation]:
    """Check the state of things at `now` (s since 1970), whether or not anything is new."""
    if trades := deltalog.open_table(lake.root, "trades"):
        names = silent(lake, trades, now)
        yield dg.AssetCheckEvaluation(
            asset_key=key("trades"),
            check_name="flowing",
            passed=not names,
            description=f"no trades for {SILENT_S} s or more: {', '.join(names)}" if names else "every venue sends trades",
            metadata={"silent_venues": len(names)},
        )
        stale = _open_gaps(lake, now)
        yield dg.AssetCheckEvaluation(
            asset_key=key("gaps"),
            check_name="closed",
            passed=not stale,
            description=f"open for {OVER}: {'; '.join(stale)}" if stale else f"no gap has been open for {OVER}",
            metadata={"open_gaps": len(stale)},
        )


def silent(lake: LiveLake, trades: DeltaTable, now: float) -> list[str]:
    """Name the venues whose last commit to `trades` is older than SILENT_S at `now` (s since 1970)."""
    last = deltalog.last_commit(trades)
    return sorted(venue for venue in lake.venues if last.get(venue, 0) < (now - SILENT_S) * 1000)


def _open_gaps(lake: LiveLake, now: float) -> list[str]:
    limit = dt.datetime.fromtimestamp(now - GAP_S, dt.UTC)
    stale = Lake(lake.root).table("gaps").filter(pl.col("status") == "open", pl.col("ts") < limit).sort("ts").collect()
    return [f"{gap['venue']} {gap['symbol']} {gap['feed']} since {gap['ts']:%Y-%m-%d %H:%M:%S}" for gap in stale.to_dicts()]
