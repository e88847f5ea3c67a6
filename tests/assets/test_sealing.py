"""The sensors that ask for days to be sealed or repaired."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import TYPE_CHECKING, Any

import dagster as dg
import pytest

from assets import sealing
from assets.history import history_assets
from assets.partitions import key_of
from assets.sealing import AT_ONCE, repairable
from pipelines.history.day import Day
from pipelines.settings import Settings, load
from tests.assets.conftest import NOW, Stream, gap, trade

if TYPE_CHECKING:
    from pathlib import Path

TODAY = NOW.date()
SPOT = "binance-spot"
YESTERDAY = Day(TODAY - dt.timedelta(days=1), "demo")


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.chdir(tmp_path)
    return load(data=tmp_path)


@pytest.fixture
def due(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Day, str]]:
    found: list[tuple[Day, str]] = []
    monkeypatch.setattr(sealing, "due", lambda lake, venues: list(found))
    return found


def ask(settings: Settings, name: str, instance: dg.DagsterInstance) -> list[dg.RunRequest] | str:
    sensors = sealing.sensors(settings)
    defs = dg.Definitions(assets=[history_assets(settings)], jobs=[sealing.finish_days], sensors=sensors)
    sensor = next(s for s in sensors if s.name == name)
    tick = sensor.evaluate_tick(dg.build_sensor_context(instance=instance, definitions=defs))
    return list(tick.run_requests or []) or tick.skip_message or ""


def unfinished(instance: dg.DagsterInstance, day: Day) -> None:
    instance.add_run(
        dg.DagsterRun(
            job_name="finish_days",
            run_id=str(uuid.uuid4()),
            status=dg.DagsterRunStatus.STARTED,
            tags={"dagster/partition": str(key_of(day))},
        )
    )


def test_without_a_lake_nothing_is_asked(settings: Settings) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        assert "no lake" in str(ask(settings, "seal_finished", instance))
        assert "no lake" in str(ask(settings, "repair_gaps", instance))


def test_a_run_per_day_that_is_due(settings: Settings, stream: Stream, due: list[tuple[Day, str]]) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        assert ask(settings, "seal_finished", instance) == "nothing is due"
        due += [(YESTERDAY, "not sealed yet"), (YESTERDAY._replace(venue="okx"), "late trades")]
        first = ask(settings, "seal_finished", instance)
        assert isinstance(first, list)
        assert [r.partition_key for r in first] == [key_of(day) for day, _ in due]
        again = ask(settings, "seal_finished", instance)
        assert isinstance(again, list)
        assert [r.run_key for r in again] == [r.run_key for r in first]
        stream.commit("trades", trade(1, ts=NOW - dt.timedelta(days=1)))
        changed = ask(settings, "seal_finished", instance)
        assert isinstance(changed, list)
        assert [a.run_key == b.run_key for a, b in zip(first, changed, strict=True)] == [False, True]


def test_a_venue_with_runs_under_way_waits(settings: Settings, stream: Stream, due: list[tuple[Day, str]]) -> None:
    due += [(YESTERDAY, "not sealed yet")]
    with dg.DagsterInstance.ephemeral() as instance:
        unfinished(instance, YESTERDAY._replace(venue="okx"))
        assert isinstance(ask(settings, "seal_finished", instance), list)
        unfinished(instance, YESTERDAY)
        assert ask(settings, "seal_finished", instance) == "under way: demo"


def test_a_tick_asks_for_no_more_than_a_month(settings: Settings, stream: Stream, due: list[tuple[Day, str]]) -> None:
    due += [(Day(TODAY - dt.timedelta(days=n), "demo"), "stale") for n in range(100, 1, -1)]
    due += [(Day(dt.date(2999, 1, 1), "demo"), "a clock that runs ahead")]
    with dg.DagsterInstance.ephemeral() as instance:
        asked = ask(settings, "seal_finished", instance)
    assert isinstance(asked, list)
    assert [r.partition_key for r in asked] == [key_of(day) for day, _ in due[:AT_ONCE]]


def at(days: float, **change: Any) -> dict[str, Any]:
    return {**gap("unfillable", days * 1440, 1), **change}


def passed(stream: Stream, *venues: str) -> None:
    """Let a flow have recorded venues for ten days, until now."""
    for venue in venues:
        for days in range(10):
            ts = NOW - dt.timedelta(days=days, minutes=1)
            stream.commit("coverage", {"shard": "main", "ts": ts, "end": ts + dt.timedelta(minutes=1)}, venue=venue)


def test_holes_are_repairable_once_the_archive_is_out_and_not_for_ever(settings: Settings, stream: Stream) -> None:
    passed(stream, "binance-spot", "okx")
    stream.commit(
        "gaps", at(0.1), at(1), at(2, status="repaired"), at(3, status="open"), at(4, feed="quotes"), at(60), venue=SPOT
    )
    stream.commit("gaps", at(3.01, status="shed"), at(5, reason="not_in_archive"), venue="okx")
    found = repairable(stream.lake, settings, NOW)
    assert found == [
        (Day(TODAY - dt.timedelta(days=3), SPOT), "1 holes in its trades"),
        (Day((NOW - dt.timedelta(days=3.01)).date(), "okx"), "1 holes in its trades"),
        (Day(TODAY - dt.timedelta(days=1), SPOT), "1 holes in its trades"),
    ]
    assert [day for day, _ in repairable(stream.lake, settings, NOW.replace(hour=9))][-1].venue == "okx"


def test_where_no_archive_will_come_rest_is_asked_at_once(settings: Settings, stream: Stream) -> None:
    """But not before the flow has passed the day, for until then it is not sealed."""
    stream.commit("gaps", at(1), venue="coinbase")
    early = NOW.replace(hour=0, minute=20)
    assert repairable(stream.lake, settings, early) == []
    passed(stream, "coinbase")
    assert [day.venue for day, _ in repairable(stream.lake, settings, early)] == ["coinbase"]
    folder = settings.model_copy(update={"archives": {"coinbase": "/files"}})
    assert repairable(stream.lake, folder, early) == []


def test_a_repair_is_run_config(settings: Settings, stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "repairable", lambda *_: [(YESTERDAY, "1 holes in its trades")])
    with dg.DagsterInstance.ephemeral() as instance:
        asked = ask(settings, "repair_gaps", instance)
    assert isinstance(asked, list)
    (request,) = asked
    assert request.run_config == {"ops": {"history": {"config": {"repair": True}}}}
    assert (request.run_key or "").startswith(f"repair {YESTERDAY.date}|demo ")
