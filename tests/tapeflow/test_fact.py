"""`tapeflow fact`: then, now, and why they differ."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipelines.briefs import collect, render
from pipelines.briefs.keep import keep
from pipelines.briefs.sheet import Brief
from pipelines.market import BARS, TABLES
from pipelines.store.lake import Lake
from tapeflow.cli import main
from tests.pipelines.briefs.lakes import AT, SETTINGS, copy, known
from tests.pipelines.store.samples import put, rows


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lake, Brief]:
    lake = known(tmp_path_factory.mktemp("known"))
    at = AT - dt.timedelta(minutes=30)
    brief = render.render("hourly", collect.collect(lake, collect.watched(lake, SETTINGS, at), at, SETTINGS, "hourly"), at=at)
    assert keep(lake, brief)
    return lake, brief


@pytest.fixture
def lake(made: tuple[Lake, Brief], tmp_path: Path) -> Lake:
    return copy(made[0], tmp_path)


def fact(name: str, brief: Brief) -> str:
    return next(one.id for one in brief.facts if one.name == name)


def run(capsys: pytest.CaptureFixture[str], lake: Lake, *argv: str) -> tuple[int, str, str]:
    capsys.readouterr()
    status = main(["fact", *argv, "--lake", str(lake.root)])
    return status, *capsys.readouterr()


def asked(capsys: pytest.CaptureFixture[str], lake: Lake, *argv: str) -> dict[str, Any]:
    status, out, _ = run(capsys, lake, *argv, "--json")
    assert status == 0
    found: dict[str, Any] = json.loads(out)
    return found


def test_the_same_rows_give_the_same_value(lake: Lake, made: tuple[Lake, Brief], capsys: pytest.CaptureFixture[str]) -> None:
    name = fact("traded", made[1])
    status, out, _ = run(capsys, lake, name.lower())
    lines = out.splitlines()
    assert status == 0
    assert lines[0].startswith(
        f"{name} trading of the last hour, BTC-USDT on demo; hourly brief {made[1].id} of 2024-07-20T05:30:00Z"
    )
    assert lines[1].startswith("then   61.71k USDT (61710.0)  60 rows, digest ")
    assert lines[2].replace("now ", "then") == lines[1]
    assert lines[3] == "the same rows, bit for bit"
    assert lines[5].startswith('SELECT date, "end", notional AS value FROM bars WHERE')
    assert asked(capsys, lake, name, "--brief", made[1].id[:6])["same"] is True


def test_facts_of_every_table_are_found_again(made: tuple[Lake, Brief], capsys: pytest.CaptureFixture[str]) -> None:
    for one in made[1].facts[::8]:
        found = asked(capsys, made[0], one.id[1:])
        assert (found["same"], found["reasons"], found["now"]["value"]) == (True, [], found["then"]["value"]), one.name


def test_late_rows_are_named_with_their_writer(lake: Lake, made: tuple[Lake, Brief], capsys: pytest.CaptureFixture[str]) -> None:
    begin = AT - dt.timedelta(minutes=45)
    put(lake, BARS, rows(BARS, 1, date=AT.date(), ts=begin, end=begin, first_id=-1, notional=1.5))
    found = asked(capsys, lake, fact("traded", made[1]))
    assert (found["then"]["value"], found["now"]["value"], found["now"]["rows"]) == (61710.0, 61711.5, 61)
    assert found["same"] is False
    assert found["reasons"][0] == "1 more row than the 60 then"
    assert any(reason.startswith("bars: ") and reason.endswith("written since by test") for reason in found["reasons"])


def test_a_date_that_was_sealed_since_is_named(lake: Lake, made: tuple[Lake, Brief], capsys: pytest.CaptureFixture[str]) -> None:
    _replace(lake, pl.col("notional") + 1)
    seals = TABLES["seals"]
    day = AT.replace(hour=0)
    about: dict[str, Any] = {"engine": 9, "settings_hash": "abc", "kind": "sealed", "date": day.date()}
    sealed = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    put(lake, seals, rows(seals, 1, ts=day, end=day + dt.timedelta(days=1), as_of=sealed, **about))
    found = asked(capsys, lake, fact("traded", made[1]))
    assert found["reasons"][0] == "as many rows, of other values"
    assert any(
        reason.startswith("2024-07-20 was sealed since") and "engine 9, settings abc" in reason for reason in found["reasons"]
    )


def test_rows_that_were_taken_away_are_told(lake: Lake, made: tuple[Lake, Brief], capsys: pytest.CaptureFixture[str]) -> None:
    lake.replace("bars", list(lake.live("bars")), [])
    found = asked(capsys, lake, fact("traded", made[1]))
    assert (found["now"]["value"], found["now"]["rows"]) == (None, 0)
    assert found["reasons"][0] == "60 fewer rows than the 60 then"
    assert found["reasons"][1].startswith("bars: no file of 2024-07-19 to 2024-07-20 is left")
    assert "now    not available  0 rows" in run(capsys, lake, fact("traded", made[1]))[1]


def test_an_agreed_value_has_no_rows(lake: Lake, made: tuple[Lake, Brief], capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, lake, fact("due", made[1]))
    assert (status, out.splitlines()[1:]) == (
        0,
        ["value  2024-07-20 06:30 UTC (2024-07-20T06:30:00Z)", "an agreed value: no rows stand behind it"],
    )


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["G12"], "did you mean F12"),
        (["traded"], "did you mean F"),
        (["nonsense"], "it has F1 to F"),
        (["F1", "--brief", "zzz"], "no brief 'zzz'; the newest are"),
    ],
)
def test_what_is_not_there_is_refused_with_a_hint(
    lake: Lake, argv: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = run(capsys, lake, *argv)
    assert (status, out) == (1, "")
    assert said in err


def _replace(lake: Lake, notional: pl.Expr) -> None:
    """Write all bars again with other notionals."""
    changed = lake.table("bars").with_columns(notional=notional).collect()
    there = list(lake.live("bars"))
    rewritten = changed.select(BARS.lake_schema.names).to_arrow().cast(BARS.lake_schema)
    lake.replace("bars", there, lake.stage("bars", rewritten, "again-1", {}))
