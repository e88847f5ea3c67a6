"""Dagster's home."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING

import dagster as dg
import pytest
import yaml

from assets import agents, backtests, day_checks, history, home, reissues
from assets.finishing import Ask, Outcome
from pipelines.backtests import BacktestError
from pipelines.history.day import Day
from pipelines.settings import load
from pipelines.store.lake import Lake

if TYPE_CHECKING:
    from pathlib import Path

DAY = Day(dt.date(2026, 11, 20), "demo")


def test_it_is_made_once_and_stays(tmp_path: Path) -> None:
    folder = home.prepare(load(data=tmp_path))
    config = folder / "dagster.yaml"
    assert folder == tmp_path / "dagster"
    assert yaml.safe_load(config.read_text())["telemetry"] == {"enabled": False}
    before = config.stat().st_mtime_ns
    home.prepare(load(data=tmp_path))
    assert config.stat().st_mtime_ns == before


def test_what_is_outdated_is_written_anew(tmp_path: Path) -> None:
    config = home.prepare(load(data=tmp_path)) / "dagster.yaml"
    config.write_text(home.TEMPLATE.read_text().splitlines()[0] + "\nnux: {enabled: true}\n")
    home.prepare(load(data=tmp_path))
    assert config.read_text() == home.TEMPLATE.read_text()


def test_a_version_of_ones_own_is_kept(tmp_path: Path) -> None:
    config = home.prepare(load(data=tmp_path)) / "dagster.yaml"
    config.write_text("telemetry: {enabled: false}\n")
    home.prepare(load(data=tmp_path))
    assert config.read_text() == "telemetry: {enabled: false}\n"


def test_dagster_accepts_the_template(tmp_path: Path) -> None:
    import dagster as dg

    folder = home.prepare(load(data=tmp_path))
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        assert not instance.telemetry_enabled
        assert instance.root_directory == str(folder)


@pytest.mark.parametrize(("demo", "option"), [("", ""), ("yes", " --demo")])
def test_commands_that_dagster_tells_of_go_to_the_lake_it_works_on(
    demo: str, option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAPEFLOW_USE_DEMO", demo)
    failed = history._failure([Outcome(DAY, "failed", error="no")], 2, Ask())
    command = f"tapeflow backfill --venue demo --dates 2026-11-20{option}"
    assert str(failed.description).endswith(f"Just these again: {command}")
    assert failed.metadata["to_try_again"].value == f"```\n{command}\n```"
    renewed = reissues.result(reissues.Found(1, {DAY: ["trades.zip"]}, {}))
    assert str(renewed.description).endswith(f"tapeflow backfill --venue demo --dates 2026-11-20 --force{option}")
    details = {"checks": {"matches_venue": {"not_compared": "to fetch them: tapeflow backfill --venue demo --repair"}}}
    check = day_checks._matches_venue(DAY, "bars", {"BTC-USDT": {"details": json.dumps(details)}})
    assert str(check.description).endswith(f" --repair{option}")
    described = agents.agent_assets()[0].description or ""
    assert f"{option}` runs it now" in described
    assert ("--demo" in described) == bool(demo)
    with pytest.raises(BacktestError, match=f"--to 2022-11-12{option}` fetches them"):
        backtests._make(Lake(tmp_path), backtests.BacktestConfig(symbols=["BTC-USDT"], scale=1.0), dg.build_asset_context())
