"""The job that keeps Dagster's own databases small."""

from __future__ import annotations

import datetime as dt
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
import pytest

from assets import upkeep

if TYPE_CHECKING:
    from collections.abc import Iterator

ASSET = dg.AssetKey(["live", "trades"])
FUTURE = dt.datetime.now(dt.UTC) + dt.timedelta(days=365)
PAST = dt.datetime.now(dt.UTC) - dt.timedelta(days=365)


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as made:
        yield made


def reports(instance: dg.DagsterInstance) -> list[int]:
    return [r.asset_materialization.metadata["n"].value for r in instance.fetch_materializations(ASSET, limit=100).records]  # type: ignore[union-attr,misc]


def report(instance: dg.DagsterInstance, times: int) -> None:
    for n in range(times):
        instance.report_runless_asset_event(dg.AssetMaterialization(ASSET, metadata={"n": n}))
        instance.report_runless_asset_event(dg.AssetCheckEvaluation(ASSET, "sound", passed=bool(n % 2)))


def rows(database: Path, table: str) -> int:
    with sqlite3.connect(database) as connection:
        count: int = connection.execute(f"select count(*) from {table}").fetchone()[0]
    connection.close()
    return count


def test_old_reports_go_but_the_newest_of_each_stays(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    report(instance, 5)
    assert upkeep.delete_reports(instance, PAST) == 0
    assert reports(instance) == [4, 3, 2, 1, 0]
    assert upkeep.delete_reports(instance, FUTURE) == 8
    assert reports(instance) == [4]
    (index,) = tmp_path.rglob("index.db")
    assert rows(index, "asset_check_executions") == 1
    assert rows(index, "event_logs") == rows(index.with_name(".db"), "event_logs") == 2
    (check,) = instance.event_log_storage.get_asset_check_execution_history(dg.AssetCheckKey(ASSET, "sound"), limit=9)
    assert check.status.value == "FAILED"


def test_the_newest_of_each_partition_stays(instance: dg.DagsterInstance) -> None:
    """Days that were finished by the command line are known to Dagster by reports alone."""
    for partition in ("a", "b", "a"):
        instance.report_runless_asset_event(dg.AssetMaterialization(ASSET, partition=partition))
    upkeep.delete_reports(instance, FUTURE)
    assert instance.get_materialized_partitions(ASSET) == {"a", "b"}
    assert len(instance.fetch_materializations(ASSET, limit=9).records) == 2


def test_events_of_runs_are_left_to_their_runs(instance: dg.DagsterInstance) -> None:
    @dg.asset(key=ASSET)
    def trades() -> dg.MaterializeResult[None]:
        return dg.MaterializeResult(metadata={"n": 7})

    dg.materialize([trades], instance=instance)
    report(instance, 2)
    upkeep.delete_reports(instance, FUTURE)
    assert reports(instance) == [1, 7]


def test_results_of_checks_do_not_outlive_their_runs_for_ever(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    @dg.asset(key=ASSET, check_specs=[dg.AssetCheckSpec("sound", asset=ASSET)])
    def trades() -> dg.MaterializeResult:  # type: ignore[type-arg]  # Dagster understands none beside checks
        return dg.MaterializeResult(check_results=[dg.AssetCheckResult(passed=True)])

    for _ in range(3):
        dg.materialize([trades], instance=instance)
    upkeep.delete_runs(instance, FUTURE)
    (index,) = tmp_path.rglob("index.db")
    assert rows(index, "asset_check_executions") == 3
    upkeep.delete_checks(instance, PAST)
    assert rows(index, "asset_check_executions") == 3
    upkeep.delete_checks(instance, FUTURE)
    assert rows(index, "asset_check_executions") == 1


def test_old_runs_go_with_their_logs(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    @dg.job
    def nothing() -> None:
        pass

    run = nothing.execute_in_process(instance=instance).run_id
    logs = Path(instance.storage_directory()) / run
    logs.mkdir(parents=True, exist_ok=True)
    assert upkeep.delete_runs(instance, PAST) == 0
    assert [*tmp_path.rglob(f"{run}.db")]
    assert upkeep.delete_runs(instance, FUTURE) == 1
    assert instance.get_run_by_id(run) is None
    assert not logs.exists()
    assert not [*tmp_path.rglob(f"{run}.db*")]


def test_of_many_runs_alike_the_newest_stay(instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "KEEP_ALIKE", 2)
    ended = [dg.DagsterRunStatus.SUCCESS] * 4 + [dg.DagsterRunStatus.FAILURE]
    runs = [dg.DagsterRun("hourly", status=status) for status in ended] + [dg.DagsterRun("daily", status=ended[0])]
    for run in runs:
        instance.add_run(run)
    assert upkeep.delete_runs(instance, PAST) == 2
    assert [instance.has_run(run.run_id) for run in runs] == [False, False, True, True, True, True]


def test_space_is_given_back(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    big = {"text": "x" * 20_000}
    for n in range(40):
        instance.report_runless_asset_event(dg.AssetMaterialization(ASSET, metadata={"n": n, **big}))
    upkeep.delete_reports(instance, FUTURE)
    freed, busy = upkeep.vacuum(tmp_path)
    assert freed > 40 * 20_000
    assert busy == []
    assert reports(instance) == [39]


def test_a_database_in_use_is_left_for_tomorrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "BUSY_S", 0.05)
    with sqlite3.connect(tmp_path / "index.db", isolation_level=None) as writer:
        writer.execute("create table t (x)")
        writer.execute("begin immediate")
        assert upkeep.vacuum(tmp_path) == (0, ["index.db"])
    writer.close()


def test_the_job_runs(instance: dg.DagsterInstance) -> None:
    report(instance, 2)
    assert upkeep.upkeep.execute_in_process(instance=instance).success
    assert len(reports(instance)) == 2
