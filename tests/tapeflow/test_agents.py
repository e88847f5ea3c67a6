"""`tapeflow agents`."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from pipelines.briefs.agents.registry import AGENTS
from pipelines.briefs.agents.running import Standing, note
from pipelines.settings import load
from pipelines.store.lake import Lake
from tapeflow.cli import main
from tests.pipelines.briefs.agents.frames import busy

pytestmark = pytest.mark.usefixtures("place")

AT = "2024-07-19T10:10Z"


@pytest.fixture
def lake(place: Path) -> Lake:
    return busy(load().lake_root)


def listed(capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, dict[str, Any]]]:
    status = main(["agents", "--json"])
    return status, {row["name"]: row for row in json.loads(capsys.readouterr().out)}


def test_each_is_listed_and_waits_for_its_first_run(capsys: pytest.CaptureFixture[str]) -> None:
    status, found = listed(capsys)
    assert status == 0
    assert list(found) == [*AGENTS, "analyst"]
    assert {row["status"] for row in found.values()} == {"waiting"}
    assert main(["agents"]) == 0
    assert "vpin_regime" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "last", "status"),
    [("rvol", {"error": "E", "failed": 2}, "failing"), ("rvol", {"at": 1.0}, "late"), ("analyst", {"error": "E"}, "failing")],
)
def test_one_that_fails_or_is_late_is_told_by_the_exit_status(
    capsys: pytest.CaptureFixture[str], name: str, last: dict[str, Any], status: str
) -> None:
    note(load().data, Standing(**{"name": name, "at": time.time(), **last}))
    code, found = listed(capsys)
    assert (code, found[name]["status"], found[name]["error"]) == (1, status, last.get("error", ""))


def test_one_that_runs_is_well(capsys: pytest.CaptureFixture[str]) -> None:
    note(load().data, Standing(name="rvol", at=time.time(), found=1, found_at=time.time()))
    status, found = listed(capsys)
    assert (status, found["rvol"]["status"], found["rvol"]["found"]) == (0, "ok", 1)
    assert found["rvol"]["next_run"] > found["rvol"]["last_run"]


def test_one_run_now_says_what_it_found_and_writes_nothing(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["agents", "run", "rvol", "--at", AT]) == 0
    said = capsys.readouterr().out
    assert "BTC-USDT: volume 6.0x its usual in 5 minutes, 6.0x in 15" in said
    assert "rvol: 1 found on 2024-07-19 up to 10:10:00 UTC" in said
    assert lake.table("alerts").collect().is_empty()
    assert main(["agents", "run", "rvol", "--at", "2024-07-19T10:03Z", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_what_is_found_is_stored_where_that_is_asked_for(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    for new in (1, 0):
        assert main(["agents", "run", "rvol", "--at", AT, "--store"]) == 0
        assert f"{new} new ones stored" in capsys.readouterr().out
    assert lake.table("alerts").collect().height == 1


@pytest.mark.usefixtures("lake")
@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["rvl"], 2, "no agent 'rvl'; did you mean rvol?"),
        (["zzz"], 2, "there are rvol, trend"),
        (["rvol", "--at", "soon"], 2, "--at soon: no time; use 2026-11-20T12:00Z"),
        (["rvol", "--at", "0001-01-01"], 2, "--at 0001-01-01: no rows are that old"),
        (["analyst", "--store"], 2, "kept by a run of Dagster"),
    ],
)
def test_what_cannot_be_done_is_said(capsys: pytest.CaptureFixture[str], words: list[str], status: int, said: str) -> None:
    assert main(["agents", "run", *words]) == status
    assert said in capsys.readouterr().err


@pytest.mark.usefixtures("_logging")
def test_the_analyst_run_now_prints_a_brief(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["agents", "run", "analyst", "--at", AT]) == 0
    assert "Hourly brief, 2024-07-19 10:10 UTC" in capsys.readouterr().out
    assert lake.table("briefs").collect().is_empty()
