"""Finished days through Dagster: small made-up days in the place of an archive."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from assets import day_checks, finishing, partitions, sealing
from assets.archives import MissingError
from assets.failures import failed_checks
from assets.finishing import Ask, finish_all, retry
from assets.history import ARCHIVES, SEALED, history_assets
from assets.partitions import day_of, key_of
from assets.reporting import finished_elsewhere
from pipelines.history.day import Day
from pipelines.market import TABLES, Instrument
from pipelines.settings import Kernels, Settings, Venue, load
from pipelines.store.lake import Lake
from pipelines.tape import Rows
from pipelines.venues.columns import Tape
from tests import tapes

VENUE = "binance-usdm"
FIRST = dt.date(2026, 11, 1)
DAYS = [Day(FIRST + dt.timedelta(days=n), VENUE) for n in range(10)]
TRADES = 400
KERNELS = Kernels(bars=("1m", "5m"), vpin=("v2.5x5",), percentile_window=20, percentile_min=5)
"""Few, for speed."""
SPAN_US = 3 * 3600 * 1_000_000


@dataclass
class MadeUp:
    """A day's tape: the same day is always the same."""

    day: Day
    instruments: tuple[Instrument, ...]
    tape: Tape = "agg"
    source: str = "made-up.zip"
    holes: tuple[()] = ()
    refused: tuple[()] = ()
    ended: Callable[[], None] = lambda: None

    @property
    def digest(self) -> str:
        return hashlib.sha256(f"{self.day} {self.instruments}".encode()).hexdigest()

    def pieces(self) -> Iterator[Rows]:
        made = tapes.rows(
            self.day.date.toordinal(), TRADES, span_us=SPAN_US, begin=self.day.us, instruments=len(self.instruments)
        )
        made["trade_id"] += self.day.date.toordinal() * 10_000
        for begin in range(0, made.size, 150):
            yield made[begin : begin + 150]
        self.ended()


class Archive:
    """Stands for the venue's archive: gives any day but those that are broken, and counts what is asked."""

    def __init__(self) -> None:
        self.broken: set[Day] = set()
        self.asked: list[Day] = []

    def fetch(self, settings: Settings, day: Day, symbols: Sequence[str], watch: Callable[[str], None]) -> MadeUp:
        self.asked.append(day)
        if day in self.broken:
            raise MissingError(f"no file of {day}")
        return MadeUp(day, tuple(i for i in tapes.INSTRUMENTS if i.symbol in symbols))


@pytest.fixture
def archive(monkeypatch: pytest.MonkeyPatch) -> Archive:
    made = Archive()
    monkeypatch.setattr(finishing, "fetch_day", made.fetch)
    monkeypatch.setattr(finishing, "fetch_klines", lambda *_: ())
    return made


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.chdir(tmp_path)
    return load(data=tmp_path / "data", kernels=KERNELS, venues={VENUE: Venue(symbols=("AAA-USDT-PERP",))})


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def launch(settings: Settings, instance: dg.DagsterInstance, first: Day, last: Day, **config: Any) -> dg.ExecuteInProcessResult:
    """Run the days from `first` to `last` in one run, as a backfill does."""
    defs = dg.Definitions(assets=[history_assets(settings)], jobs=[sealing.finish_days], executor=dg.in_process_executor)
    tags = {"dagster/asset_partition_range_start": key_of(first), "dagster/asset_partition_range_end": key_of(last)}
    run_config = {"ops": {"history": {"config": config}}}
    return defs.resolve_job_def("finish_days").execute_in_process(
        instance=instance, tags=tags, run_config=run_config, raise_on_error=False
    )


def rows(root: str | Path, days: Sequence[Day] = DAYS) -> dict[str, list[tuple[Any, ...]]]:
    lake = Lake(root)
    dates = [day.date for day in days]
    return {name: lake.table(name).filter(pl.col("date").is_in(dates)).sort(TABLES[name].key).collect().rows() for name in SEALED}


def test_a_partition_is_a_day() -> None:
    assert [day_of(key_of(day)) for day in DAYS] == DAYS
    assert partitions.DAYS.has_partition_key("2017-08-17|okx")
    today = dt.datetime.now(dt.UTC).date()
    is_over = partitions.DAYS.has_partition_key(str(key_of(Day(today, VENUE))))
    assert not is_over or dt.datetime.now(dt.UTC).date() > today  # midnight has just passed


def test_of_ten_days_with_the_sixth_broken_nine_are_green(
    archive: Archive, settings: Settings, instance: dg.DagsterInstance
) -> None:
    archive.broken = {DAYS[5]}
    result = launch(settings, instance, DAYS[0], DAYS[9])
    assert not result.success
    assert archive.asked == DAYS
    good = {str(key_of(day)) for day in DAYS if day != DAYS[5]}
    for name in SEALED:
        assert instance.get_materialized_partitions(dg.AssetKey(name)) == good
    error = result.failure_data_for_node("history")
    assert error
    assert error.error
    told = error.error.message
    assert f"1 of 10 days failed: {DAYS[5]}: no file of {DAYS[5]}" in told
    assert f"tapeflow backfill --venue {VENUE} --dates 2026-11-06" in told
    archive.broken, archive.asked = set(), []
    assert launch(settings, instance, DAYS[4], DAYS[6]).success
    assert archive.asked == DAYS[5:7]  # the seventh had read what was missing then
    assert instance.get_materialized_partitions(dg.AssetKey("bars")) == good | {str(key_of(DAYS[5]))}
    archive.asked = []
    assert launch(settings, instance, DAYS[4], DAYS[6]).success
    assert archive.asked == []


def test_the_checks_of_a_day_that_failed_say_why(archive: Archive, settings: Settings, instance: dg.DagsterInstance) -> None:
    """And are not told to Slack beside the run that failed."""
    archive.broken = {DAYS[0]}
    defs = dg.Definitions(assets=[history_assets(settings)], jobs=[sealing.finish_days], executor=dg.in_process_executor)
    job = defs.resolve_job_def("finish_days")
    assert not job.execute_in_process(instance=instance, partition_key=key_of(DAYS[0]), raise_on_error=False).success
    keys = [spec.key for spec in day_checks.specs(SEALED)]
    for key in keys:
        (check,) = instance.event_log_storage.get_asset_check_execution_history(key, limit=9)
        assert (check.status.value, check.partition) == ("FAILED", key_of(DAYS[0])), key
        assert check.evaluation
        assert f"no file of {DAYS[0]}" in (check.evaluation.description or "")
    assert list(failed_checks(instance, keys, 0.0, "")) == []
    archive.broken = set()
    assert job.execute_in_process(instance=instance, partition_key=key_of(DAYS[0])).success
    for key in keys:
        newest, _ = instance.event_log_storage.get_asset_check_execution_history(key, limit=9)
        assert newest.status.value == "SUCCEEDED", key


def test_what_dagster_is_told_of_a_day(archive: Archive, settings: Settings, instance: dg.DagsterInstance) -> None:
    assert launch(settings, instance, DAYS[0], DAYS[0]).success
    size = 0
    for name in SEALED:
        event = instance.get_latest_materialization_event(dg.AssetKey(name))
        assert event
        assert event.asset_materialization
        told = event.asset_materialization.metadata
        assert event.asset_materialization.partition == key_of(DAYS[0])
        rows_of = told["dagster/partition_row_count"].value
        assert isinstance(rows_of, int)
        if rows_of:
            plot = told["plot"].value
            assert isinstance(plot, str)
            assert re.match(r"!\[plot\]\(data:image/svg\+xml;base64,", plot)
            size = max(size, len(plot))
            assert sum(isinstance(value, dg.IntMetadataValue | dg.FloatMetadataValue) for value in told.values()) >= 3
        key = dg.AssetCheckKey(dg.AssetKey(name), "sound")
        (check,) = instance.event_log_storage.get_asset_check_execution_history(key, limit=9)
        assert (check.status.value, check.partition) == ("SUCCEEDED", key_of(DAYS[0]))
    assert 0 < size < 20_000


def test_days_that_the_command_line_finished_are_shown(
    archive: Archive, settings: Settings, instance: dg.DagsterInstance
) -> None:
    sensor = finished_elsewhere(settings)

    def tick(cursor: str | None) -> dg.SensorExecutionData:
        defs = dg.Definitions(assets=[ARCHIVES, history_assets(settings)], jobs=[sealing.finish_days], sensors=[sensor])
        return sensor.evaluate_tick(dg.build_sensor_context(instance=instance, cursor=cursor, definitions=defs))

    assert "no lake" in str(tick(None).skip_message)
    assert launch(settings, instance, DAYS[0], DAYS[0]).success
    assert {o.status for o in finish_all(finishing.house(settings), DAYS[1:3], Ask())} == {"sealed"}
    told = tick(None)
    shown = [(e.asset_key.path[-1], e.partition) for e in told.asset_events if isinstance(e, dg.AssetMaterialization)]
    assert [key for name, key in shown if name == "vpin"] == [key_of(day) for day in DAYS[1:3]]
    assert len([e for e in told.asset_events if isinstance(e, dg.AssetCheckEvaluation)]) == 2 * (2 * len(SEALED) + 1)
    assert tick(told.cursor).skip_message == "no day has been sealed since"


def test_two_ranges_in_reverse_then_the_stale_days_give_the_same_rows(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, instance: dg.DagsterInstance
) -> None:
    made = {}
    for name, ranges in (("straight", [DAYS[:3]]), ("reverse", [DAYS[2:3], DAYS[:2]])):
        monkeypatch.chdir(tmp_path)
        chosen = load(data=tmp_path / name, kernels=KERNELS, venues={VENUE: Venue(symbols=("AAA-USDT-PERP",))})
        at = finishing.house(chosen)
        for days in ranges:
            assert {o.status for o in finish_all(at, days, Ask())} == {"sealed"}
        for _ in range(len(DAYS)):
            due = [day for day, _ in finishing.due(at.lake, None)]
            if not due:
                break
            assert {o.status for o in finish_all(at, due, Ask())} == {"sealed"}
        assert finishing.due(at.lake, None) == []
        made[name] = rows(chosen.lake_root)
    assert made["straight"] == made["reverse"]
    assert made["straight"]["vpin"]


def test_the_command_that_tries_again_names_just_what_failed() -> None:
    failed = [finishing.Outcome(day, "failed", error="no") for day in (DAYS[5], DAYS[7])]
    done = [finishing.Outcome(DAYS[6], "complete"), finishing.Outcome(Day(FIRST, "okx"), "failed", error="no")]
    assert retry([*failed, *done], Ask(("BTCUSDT",), archive=True)) == [
        "tapeflow backfill --venue binance-usdm --symbols BTCUSDT --dates 2026-11-06,2026-11-08 --archive",
        "tapeflow backfill --venue okx --symbols BTCUSDT --dates 2026-11-01 --archive",
    ]


def test_a_day_that_was_killed_before_its_seal_is_no_recorded_one(
    archive: Archive, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("pipelines.history.seal._Sealing._seal", killed)
        with pytest.raises(KeyboardInterrupt):
            list(finish_all(finishing.house(settings), DAYS[:1], Ask()))
    at = finishing.house(settings)
    assert at.lake.table("trades").collect().height
    (outcome,) = finish_all(at, DAYS[:1], Ask())
    assert (outcome.status, outcome.error) == ("sealed", "")
    assert archive.asked == DAYS[:1] * 2


def test_nobody_guesses_symbols(archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    at = finishing.house(load(data=tmp_path))
    (outcome,) = finish_all(at, [Day(FIRST, "okx")], Ask())
    assert (outcome.status, archive.asked) == ("failed", [])
    assert "say which (`symbols`)" in outcome.error
