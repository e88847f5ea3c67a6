"""Agents on a lake: each on its own, findings stored once, and how it went."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from pipelines.alerts import VERSIONS
from pipelines.briefs.agents import running
from pipelines.briefs.agents.finding import Finding
from pipelines.briefs.agents.reading import Frames, midnight
from pipelines.briefs.agents.registry import AGENTS, Agent
from pipelines.briefs.agents.running import Round, Standing, due, keep, note, standing
from pipelines.settings import Settings
from pipelines.store.lake import Lake
from tests.pipelines.briefs.agents.frames import MINUTE, NOON, busy, minute, settings


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return busy(tmp_path / "lake")


def run(lake: Lake, data: Path, at: dt.datetime, name: str = "rvol", before: Standing | None = None) -> Standing:
    agent = AGENTS[name]
    return running.run(agent, Round(lake, settings(), at), before or Standing(name=name), store=lake, data=data)


def test_what_is_found_is_stored_once(lake: Lake, tmp_path: Path) -> None:
    first = run(lake, tmp_path, minute(610))
    assert (first.found, first.found_at, first.error) == (1, minute(610).timestamp(), "")
    again = run(lake, tmp_path, minute(615), before=first)
    assert (again.found, again.found_at, again.labels) == (0, minute(610).timestamp(), first.labels)
    assert first.labels == ("BTC-USDT: volume 6.0x its usual in 5 minutes, 6.0x in 15",)
    (row,) = lake.table("alerts").collect().to_dicts()
    wanted = {"source": "agent", "detector": "rvol", "version": 1, "origin": "live", "symbol": "BTC-USDT", "severity": 3}
    assert row.items() >= wanted.items()
    assert row["end"] == minute(604)


def test_rows_that_were_not_complete_by_then_are_not_looked_at(lake: Lake, tmp_path: Path) -> None:
    assert run(lake, tmp_path, minute(603)).found == 0
    assert run(lake, tmp_path, minute(604)).found == 1


def test_what_is_older_than_an_hour_is_left(lake: Lake, tmp_path: Path) -> None:
    assert run(lake, tmp_path, minute(664)).found == 0
    assert run(lake, tmp_path, minute(663)).found == 1


@pytest.mark.parametrize(("k", "first"), [(0, -1440), (0.1, 0), (1440, 0)])
def test_midnight_ends_a_date(k: float, first: int) -> None:
    assert midnight(minute(k)) == minute(first)


def test_after_midnight_the_hour_before_is_looked_at_too(tmp_path: Path) -> None:
    def found(_: Frames, __: Settings, at: dt.datetime) -> list[Finding]:
        return [a_finding(midnight(at) + k * 30 * MINUTE) for k in range(1, 49) if midnight(at) + k * 30 * MINUTE <= at]

    its_round = Round(Lake(tmp_path), settings(), minute(35))
    ends = [one.end for one in its_round.findings(Agent("x", 60, (), found), minute(-25))]
    assert ends == [minute(0), minute(30)]


def a_finding(end: dt.datetime) -> Finding:
    return Finding(
        agent="x",
        version=1,
        venue="demo",
        symbol="BTC-USDT",
        ts=end,
        end=end,
        about=end.isoformat(),
        severity=1,
        score=1.0,
        threshold=1.0,
        label="x",
        figures={},
    )


def test_an_agent_that_fails_says_why_and_stops_nobody(lake: Lake, tmp_path: Path) -> None:
    def broken(_: Frames, __: Settings, ___: dt.datetime) -> list[Finding]:
        raise ZeroDivisionError("by hand\nand more")

    its_round = Round(lake, settings(), NOON)
    bad = Agent("bad", 60, (), broken)
    first = running.run(bad, its_round, Standing(name="bad", found_at=5.0), data=tmp_path)
    assert (first.error, first.failed, first.found_at) == ("ZeroDivisionError: by hand", 1, 5.0)
    assert running.run(bad, its_round, first, data=tmp_path).failed == 2
    assert running.run(AGENTS["rvol"], its_round, Standing(name="rvol"), data=tmp_path).error == ""


def test_what_is_due_comes_in_order_of_waiting(tmp_path: Path) -> None:
    now = NOON.timestamp()
    for name in AGENTS:
        note(tmp_path, Standing(name=name, at=now))
    assert due(tmp_path, settings(), NOON + dt.timedelta(seconds=59)) == []
    later = NOON + dt.timedelta(seconds=130)
    assert {agent.name for agent, _ in due(tmp_path, settings(), later)} == {
        name for name, agent in AGENTS.items() if agent.every_s <= 120
    }
    note(tmp_path, Standing(name="trend", at=now - 60))
    assert due(tmp_path, settings(), later)[0][0].name == "trend"


def test_how_it_went_is_kept_and_a_file_that_is_none_is_no_trouble(tmp_path: Path) -> None:
    assert standing(tmp_path, "rvol") == Standing(name="rvol")
    note(tmp_path, Standing(name="rvol", at=3.0, found=2))
    assert standing(tmp_path, "rvol") == Standing(name="rvol", at=3.0, found=2)
    (tmp_path / "status" / "agents" / "rvol.json").write_text("{")
    assert standing(tmp_path, "rvol") == Standing(name="rvol")


@pytest.mark.parametrize(
    ("last", "status"),
    [
        (Standing(name="x"), "waiting"),
        (Standing(name="x", at=900.0), "ok"),
        (Standing(name="x", at=819.0), "late"),
        (Standing(name="x", at=900.0, error="E"), "failing"),
    ],
)
def test_status(last: Standing, status: str) -> None:
    assert last.status(60, 1000.0) == status


def test_findings_named_twice_are_stored_once(lake: Lake, tmp_path: Path) -> None:
    noon, other = a_finding(NOON), a_finding(minute(1))
    assert keep(lake, [noon, noon], tmp_path) == [noon]
    assert keep(lake, [noon, other], tmp_path) == [other]
    assert keep(lake, [], tmp_path) == []


def test_every_agent_has_a_definition_in_words() -> None:
    assert all(len(agent.about) > 60 for agent in AGENTS.values())


def test_no_agent_has_the_name_of_a_detector() -> None:
    assert not AGENTS.keys() & VERSIONS.keys()
