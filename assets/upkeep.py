"""A daily job that keeps Dagster's own databases small."""

import datetime as dt
import re
import shutil
import sqlite3
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import dagster as dg
import sqlalchemy as sa
from dagster._core.storage.event_log.schema import (
    AssetCheckExecutionsTable,
    SqlEventLogStorageTable,
)
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

BUSY_S = 20.0
_RUN = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
KEEP_RUNS_DAYS = 30
KEEP_ALIKE = 200
"""Runs of one job with one outcome; each has a database of its own, of 0.2 MB, and what runs by the hour makes 24 a day."""
KEEP_REPORTS_DAYS = 1
"""Tables of the stream are reported a dozen times an hour, up to 55 MB a day; the newest of each asset and partition stays."""


class Tidied(NamedTuple):
    """How many runs and reports were deleted, the bytes that this gave back, and which databases were in use."""

    runs: int
    reports: int
    freed: int
    busy: list[str]


@dg.op
def prune(context: dg.OpExecutionContext) -> None:
    """Delete old runs with their logs, and old reports that belong to no run; then give the space back."""
    done = tidy(context.instance, dt.datetime.now(dt.UTC))
    context.log.info("deleted %d runs and %d reports; freed %d bytes", done.runs, done.reports, done.freed)
    if done.busy:
        context.log.warning("in use, left for tomorrow: %s", ", ".join(done.busy))


@dg.job
def upkeep() -> None:
    """Keep Dagster's own databases small."""
    prune()


daily_upkeep = dg.ScheduleDefinition(
    name="daily_upkeep", job=upkeep, cron_schedule="40 0 * * *", default_status=dg.DefaultScheduleStatus.RUNNING
)


def tidy(instance: dg.DagsterInstance, now: dt.datetime) -> Tidied:
    """Delete what is too old at `now`."""
    runs = delete_runs(instance, now - dt.timedelta(days=KEEP_RUNS_DAYS))
    reports = delete_reports(instance, now - dt.timedelta(days=KEEP_REPORTS_DAYS))
    delete_checks(instance, now - dt.timedelta(days=KEEP_RUNS_DAYS))
    return Tidied(runs, reports, *vacuum(Path(instance.root_directory)))


def delete_runs(instance: dg.DagsterInstance, before: dt.datetime) -> int:
    """Delete runs that ended and were created before `before`, or have many younger ones of their kind; return how many."""
    done = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
    alike: Counter[tuple[str, str]] = Counter()
    deleted = 0
    for record in instance.get_run_records(dg.RunsFilter(statuses=done)):  # the newest first
        run = record.dagster_run
        alike[run.job_name, run.status.value] += 1
        if record.create_timestamp < before or alike[run.job_name, run.status.value] > KEEP_ALIKE:
            _delete_run(instance, run.run_id)
            deleted += 1
    return deleted


def _delete_run(instance: dg.DagsterInstance, run: str) -> None:
    """Delete a run with its logs; Dagster empties its database and leaves the file."""
    instance.delete_run(run)
    shutil.rmtree(Path(instance.storage_directory()) / run, ignore_errors=True)
    if isinstance(instance.event_log_storage, SqliteEventLogStorage):
        database = Path(instance.event_log_storage.path_for_shard(run))
        for path in database.parent.glob(f"{database.name}*"):
            path.unlink(missing_ok=True)


def delete_reports(instance: dg.DagsterInstance, before: dt.datetime) -> int:
    """Delete events older than `before` that belong to no run, but for the newest of each asset, partition, type and check.

    The instance offers no call for it (`wipe_assets` forgets the asset whole), so this is plain SQL on its tables.
    """
    storage, cutoff = instance.event_log_storage, before.replace(tzinfo=None)
    if not isinstance(storage, SqlEventLogStorage):
        return 0
    events = SqlEventLogStorageTable.c
    newest = sa.select(sa.func.max(events.id)).group_by(events.asset_key, events.partition, events.dagster_event_type)
    old = sa.delete(SqlEventLogStorageTable).where(events.run_id == "", events.timestamp < cutoff, events.id.not_in(newest))
    with storage.run_connection("") as connection:
        deleted: int = connection.execute(old).rowcount
    with storage.index_connection() as connection:  # the same events once more in SQLite, the same database in Postgres
        deleted = max(deleted, connection.execute(old).rowcount)
        connection.execute(_old_checks(cutoff).where(AssetCheckExecutionsTable.c.run_id == ""))
    return deleted


def delete_checks(instance: dg.DagsterInstance, before: dt.datetime) -> None:
    """Delete results of checks older than `before`, but for the newest of each; Dagster keeps them when it deletes their runs."""
    if isinstance(instance.event_log_storage, SqlEventLogStorage):
        with instance.event_log_storage.index_connection() as connection:
            connection.execute(_old_checks(before.replace(tzinfo=None)))


def _old_checks(cutoff: dt.datetime) -> sa.Delete:
    checks = AssetCheckExecutionsTable.c
    newest = sa.select(sa.func.max(checks.id)).group_by(checks.asset_key, checks.partition, checks.check_name)
    return sa.delete(AssetCheckExecutionsTable).where(checks.create_timestamp < cutoff, checks.id.not_in(newest))


def vacuum(home: Path) -> tuple[int, list[str]]:
    """Give the free pages of the SQLite databases below `home` back, runs' apart; return the bytes and what was in use."""
    freed, busy = 0, []
    for path in sorted(path for path in home.rglob("*.db") if not _RUN.fullmatch(path.stem)):
        before = path.stat().st_size
        try:
            with sqlite3.connect(path, timeout=BUSY_S) as connection:
                connection.execute("VACUUM")
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            connection.close()
        except sqlite3.OperationalError:
            busy.append(path.name)
        else:
            freed += before - path.stat().st_size
    return freed, busy
