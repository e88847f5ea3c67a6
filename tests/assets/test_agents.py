"""Agents in Dagster."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets import agents
from assets.agents import agent_assets, agent_checks, agents_sensor, key
from pipelines.briefs.agents import running
from pipelines.briefs.agents.finding import Finding
from pipelines.briefs.agents.reading import Frames
from pipelines.briefs.agents.registry import AGENTS
from pipelines.settings import Settings, load
from pipelines.store.lake import Lake
from tests.pipelines.briefs.agents.frames import busy, minute

pytestmark = pytest.mark.usefixtures("place")


@pytest.fixture(autouse=True)
def time_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a tick run all that is due, however slow the machine is."""
    monkeypatch.setattr(agents, "ENOUGH_S", 1e9)


@pytest.fixture
def lake(place: Path) -> Lake:
    return busy(load().lake_root)


class Sensor:
    """The sensor, with its cursor, at times of our own."""

    def __init__(self) -> None:
        self.cursor: str | None = None
        self.now = minute(610)

    def tick(self, minutes: float = 0) -> dict[str, list[Any]]:
        """Return by asset and kind what it reports so many minutes later."""
        self.now += dt.timedelta(minutes=minutes)
        context = dg.build_sensor_context(cursor=self.cursor)
        found = agents_sensor(load(), lambda: self.now)(context)
        self.cursor = context.cursor
        events = found.asset_events if isinstance(found, dg.SensorResult) else []
        out: dict[str, list[Any]] = {}
        for event in events:
            out.setdefault(event.asset_key.path[1], []).append(event)
        return out


def materialized(events: list[Any]) -> list[str]:
    return [str(event.description) for event in events if isinstance(event, dg.AssetMaterialization)]


def passed(events: list[Any]) -> list[bool]:
    return [event.passed for event in events if isinstance(event, dg.AssetCheckEvaluation)]


@pytest.mark.usefixtures("lake")
def test_each_is_reported_at_first_and_then_when_it_finds_something_or_after_an_hour() -> None:
    sensor = Sensor()
    first = sensor.tick()
    assert first.keys() == AGENTS.keys()
    assert materialized(first["rvol"]) == ["1 found: BTC-USDT: volume 6.0x its usual in 5 minutes, 6.0x in 15"]
    assert materialized(first["trend"]) == ["nothing found; it runs"]
    assert sensor.tick(1) == {}
    assert sensor.tick(29) == {}
    assert sensor.tick(31).keys() == AGENTS.keys()


def test_what_is_found_is_stored(lake: Lake) -> None:
    sensor = Sensor()
    for _ in range(3):
        sensor.tick(1)
    assert lake.table("alerts").select("source", "detector").collect().rows() == [("agent", "rvol")]


@pytest.mark.usefixtures("lake")
def test_one_that_fails_is_a_failed_check_and_stops_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Frames, __: Settings, ___: dt.datetime) -> list[Finding]:
        raise ZeroDivisionError("by hand")

    whole = AGENTS["liquidity"]
    monkeypatch.setitem(AGENTS, "liquidity", whole._replace(find=broken))
    sensor = Sensor()
    first = sensor.tick()
    assert (passed(first["liquidity"]), materialized(first["liquidity"])) == ([False], [])
    assert "ZeroDivisionError: by hand" in first["liquidity"][0].description
    assert all(passed(events) == [True] for name, events in first.items() if name != "liquidity")
    assert sensor.tick(2) == {}
    monkeypatch.setitem(AGENTS, "liquidity", whole)
    again = sensor.tick(2)
    assert passed(again["liquidity"]) == [True]


@pytest.mark.usefixtures("lake")
def test_a_tick_that_takes_too_long_leaves_the_rest_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agents, "ENOUGH_S", -1.0)
    assert Sensor().tick() == {}
    monkeypatch.setattr(agents, "ENOUGH_S", 1e9)
    assert Sensor().tick().keys() == AGENTS.keys()


def test_without_a_lake_nothing_is_run() -> None:
    assert Sensor().tick() == {}
    assert not Path("data").exists()


def test_every_agent_is_an_asset_with_its_definition_and_the_tables_it_reads() -> None:
    specs = {spec.key: spec for spec in agent_assets()}
    assert specs.keys() == {key(name) for name in AGENTS}
    for name, agent in AGENTS.items():
        spec = specs[key(name)]
        assert agent.about in str(spec.description)
        assert {dep.asset_key.path[1] for dep in spec.deps} == {reads.table for reads in agent.reads}
        assert (spec.group_name, list(spec.owners)) == ("agents", ["team:tapeflow"])


def test_the_checks_by_hand_say_how_the_last_run_went() -> None:
    running.note(load().data, running.Standing(name="rvol", at=1.0, error="E"))
    with dg.DagsterInstance.ephemeral() as instance:
        definitions = dg.Definitions(assets=agent_assets(), asset_checks=[agent_checks(load())])
        job = definitions.resolve_implicit_global_asset_job_def()
        result = job.execute_in_process(instance=instance)
    found = {one.asset_key.path[1]: (one.passed, one.description) for one in result.get_asset_check_evaluations()}
    assert found["rvol"] == (False, "failing: E")
    assert found["trend"] == (True, "waiting")
