"""The backtest in Dagster."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets.backtests import BacktestConfig, backtest_asset
from pipelines.settings import load
from pipelines.store.lake import Lake

ASKED: dict[str, Any] = {
    "symbols": ["BTC-USDT"],
    "first": "2024-03-01",
    "last": "2024-03-03",
    "control_first": "2024-02-10",
    "control_last": "2024-02-29",
    "grid": "50/25/1",
    "generated": True,
    "scale": 0.002,
}


@pytest.fixture
def materialize(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TAPEFLOW_CONFIG", raising=False)

    def run(**changed: Any) -> dg.ExecuteInProcessResult:
        config = dg.RunConfig(ops={"backtests": BacktestConfig(**{**ASKED, **changed})})
        with dg.DagsterInstance.ephemeral() as instance:
            return dg.materialize([backtest_asset(load())], run_config=config, instance=instance, raise_on_error=False)

    return run


def test_report_plots_and_headline_numbers_stand_on_the_asset(materialize: Any, tmp_path: Path) -> None:
    result = materialize()
    assert result.success
    (event,) = result.asset_materializations_for_node("backtests")
    told = event.metadata
    assert told["events"].value == 0 or told["events"].value == 1
    assert str(told["days"].value).startswith("GENERATED, no market's")
    assert str(told["report"].value).startswith("# Backtest on generated days")
    assert "![" not in str(told["report"].value)
    assert "data:image/svg+xml;base64," in str(told["BTC-USDT-slopes"].value)
    assert len(json.dumps([str(value.value) for value in told.values()])) < 60_000
    assert Path(str(told["file"].value)).exists()
    kept = Lake(tmp_path / "data" / "lake").table("backtests").collect()
    assert kept.height == told["figures"].value
    assert kept["run"].unique().to_list() == [told["run"].value]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"generated": False}, "tapeflow backfill --venue binance-spot --symbols BTC-USDT"),
        ({"grid": "50"}, "is no grid"),
        ({"control_last": "2024-03-01"}, "must be in this order"),
    ],
)
def test_what_cannot_be_made_fails_with_the_reason(materialize: Any, changed: dict[str, Any], said: str) -> None:
    result = materialize(**changed)
    assert not result.success
    (failed,) = [event for event in result.all_events if event.is_step_failure]
    assert said in str(failed.step_failure_data)
