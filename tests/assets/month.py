"""Writes into a Dagster home what a month of tapeflow does: one of a kind by Dagster itself, the others as its copies."""

from __future__ import annotations

import datetime as dt
import sqlite3
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import dagster as dg
from dagster._core.scheduler.instigation import TickData, TickStatus

Row = dict[str, Any]
RUNLESS = ""
BOTH = ("index", RUNLESS)
"""Databases that hold events of no run."""


class Run(NamedTuple):
    """A run as it lies in the databases.

    Attributes
    ----------
    row : dict
        Of table `runs`.
    tags, events, checks : list of dict
        Rows of `run_tags`, and of `event_logs` and `asset_check_executions` that the index keeps of it.
    database : bytes
        Its own.
    """

    row: Row
    tags: list[Row]
    events: list[Row]
    checks: list[Row]
    database: bytes


class Reports(NamedTuple):
    """What a sensor reports at once: rows of `event_logs` by database, and of `asset_check_executions`."""

    events: dict[str, list[Row]]
    checks: list[Row]


class Home:
    """The SQLite databases below a Dagster home."""

    def __init__(self, instance: dg.DagsterInstance, root: Path) -> None:
        self.instance, self.root = instance, root

    def events(self, run: str) -> Path:
        """Return the database of a run's events, or `index`."""
        return self.root / "history" / "runs" / f"{run}.db"

    def run(self, run: str) -> Run:
        """Return a run that was executed, for copies."""
        with _opened(self.root / "history" / "runs.db") as runs, _opened(self.events("index")) as index:
            (row,) = _rows(runs, "runs", "run_id = ?", run)
            tags = _rows(runs, "run_tags", "run_id = ?", run)
            events, checks = (_rows(index, table, "run_id = ?", run) for table in ("event_logs", "asset_check_executions"))
            return Run(row, tags, events, checks, self.events(run).read_bytes())

    def reports(self, events: Sequence[dg.AssetMaterialization | dg.AssetCheckEvaluation]) -> Reports:
        """Report events as the daemon does for a sensor; return their rows, for copies."""
        last = {name: self._last(name, "event_logs") for name in BOTH}
        checks = self._last("index", "asset_check_executions")
        for event in events:
            self.instance.report_runless_asset_event(event)
        found = {}
        for name, behind in last.items():
            with _opened(self.events(name)) as database:
                found[name] = _rows(database, "event_logs", "id > ?", behind)
        with _opened(self.events("index")) as index:
            return Reports(found, _rows(index, "asset_check_executions", "id > ?", checks))

    def _last(self, name: str, table: str) -> int:
        if not self.events(name).exists():
            return 0
        with _opened(self.events(name)) as database:
            last: int = database.execute(f"select coalesce(max(id), 0) from {table}").fetchone()[0]
            return last

    def report(self, reports: Reports, times: Sequence[dt.datetime]) -> None:
        """Write the same reports at these times."""
        for name, rows in reports.events.items():
            with _opened(self.events(name)) as database:
                _copy(database, "event_logs", rows, [{"timestamp": _sql(at)} for at in times])
        with _opened(self.events("index")) as index:
            _copy(index, "asset_check_executions", reports.checks, [{"create_timestamp": _sql(at)} for at in times])

    def launch(self, run: Run, job: str, times: Sequence[dt.datetime]) -> None:
        """Write copies of a run, launched at these times."""
        old, names = run.row["run_id"], [str(uuid.uuid4()) for _ in times]
        for name in names:
            self.events(name).write_bytes(run.database)
        changes = [
            {
                "run_id": name,
                "pipeline_name": job,
                "run_body": run.row["run_body"].replace(old, name).replace(f'"{run.row["pipeline_name"]}"', f'"{job}"'),
                "create_timestamp": _sql(at),
                "update_timestamp": _sql(at),
                "start_time": at.timestamp() + 5,
                "end_time": at.timestamp() + 15,
            }
            for name, at in zip(names, times, strict=True)
        ]
        with _opened(self.root / "history" / "runs.db") as runs:
            _copy(runs, "runs", [run.row], changes)
            _copy(runs, "run_tags", run.tags, [{"run_id": name} for name in names])
        with _opened(self.events("index")) as index:
            told = [{"run_id": name, "timestamp": _sql(at)} for name, at in zip(names, times, strict=True)]
            _copy(index, "event_logs", run.events, told)
            made = [{"run_id": name, "create_timestamp": _sql(at)} for name, at in zip(names, times, strict=True)]
            _copy(index, "asset_check_executions", run.checks, made)

    def tick(self, data: TickData, times: Sequence[dt.datetime]) -> None:
        """Write ticks like one."""
        tick = self.instance.create_tick(data)
        with _opened(self.root / "schedules" / "schedules.db") as schedules:
            rows = _rows(schedules, "job_ticks", "id = ?", tick.tick_id)
            _copy(schedules, "job_ticks", rows, [{"timestamp": _sql(at)} for at in times])

    def purge(self, data: TickData, now: dt.datetime) -> None:
        """Forget old ticks, as the daemon does by the settings of the instance."""
        keep = self.instance.get_tick_retention_settings(data.instigator_type)
        for status, days in keep.items():
            if days > 0:
                before = (now - dt.timedelta(days=days)).timestamp()
                self.instance.purge_ticks(data.instigator_origin_id, data.selector_id or "", before, [TickStatus(status)])

    def bytes(self) -> int:
        """Return the size of all databases."""
        return sum(path.stat().st_size for path in self.root.rglob("*.db*"))


def _opened(path: Path) -> closing[sqlite3.Connection]:
    connection = sqlite3.connect(path, timeout=60, isolation_level=None)
    connection.row_factory = sqlite3.Row
    return closing(connection)


def _rows(database: sqlite3.Connection, table: str, where: str, value: object) -> list[Row]:
    found = database.execute(f"select * from {table} where {where} order by id", (value,))
    return [{name: row[name] for name in row.keys() if name != "id"} for row in found]  # noqa: SIM118 - a row is no dict


def _copy(database: sqlite3.Connection, table: str, rows: list[Row], changes: list[Row]) -> None:
    """Insert rows once for each set of changed values."""
    if not rows:
        return
    names = list(rows[0])
    columns = ", ".join(f'"{name}"' for name in names)
    into = f"insert into {table} ({columns}) values ({', '.join('?' * len(names))})"
    database.execute("begin")
    database.executemany(into, _changed(rows, changes, names))
    database.execute("commit")


def _changed(rows: list[Row], changes: list[Row], names: list[str]) -> Iterator[list[Any]]:
    for change in changes:
        for row in rows:
            yield [change.get(name, row[name]) for name in names]


def _sql(at: dt.datetime) -> str:
    """Return a time as SQLAlchemy writes it for SQLite."""
    return at.strftime("%Y-%m-%d %H:%M:%S.%f")
