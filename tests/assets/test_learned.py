"""Training of the learned detector in Dagster."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets.learned import LearnedConfig, learned_asset
from pipelines.learned_model import built_in, read
from pipelines.market import TABLES
from pipelines.settings import load
from pipelines.store.lake import Lake
from tests.pipelines.learned_samples import market
from tests.tapeflow.test_learn import stored

pytestmark = pytest.mark.usefixtures("place")

NOW = dt.datetime(2023, 11, 27, 4, 30, tzinfo=dt.UTC)
"""The rows are of 2023-11-15 to 26."""


@pytest.fixture
def filled(place: Path) -> None:
    lake = Lake(load().lake_root)
    lake.create()
    features, bars = market(1, 12, venue="okx")
    stored(TABLES["features"], features, lake)
    stored(TABLES["bars"], bars, lake)


def materialize(**asked: Any) -> dg.ExecuteInProcessResult:
    config = dg.RunConfig(ops={"learned_model": LearnedConfig(**asked)})
    with dg.DagsterInstance.ephemeral() as instance:
        return dg.materialize([learned_asset(load(), lambda: NOW)], run_config=config, instance=instance, raise_on_error=False)


@pytest.mark.usefixtures("filled")
def test_a_model_and_its_card_are_written_and_the_shipped_one_stays() -> None:
    result = materialize(days=12, judge=9)
    assert result.success
    (event,) = result.asset_materializations_for_node("learned_model")
    told = {name: value.value for name, value in event.metadata.items()}
    path = Path(str(told["file"]))
    model = read(path)
    assert (model.first, model.last) == (dt.date(2023, 11, 15), dt.date(2023, 11, 17))
    assert path == load().data / "models" / f"learned-{model.version}.json"
    assert sorted(path.parent.iterdir()) == [path, path.with_suffix(".md")]
    assert path.with_suffix(".md").read_text() == told["card"]
    assert (told["better_than_random"], told["days"], told["instruments"]) == (1, 3, 1)
    assert "better than random alerts" in str(told["card"])
    assert f"model: {path}" in str(told["card"])
    assert load().kernels.detectors.learned.model == built_in()
    Path("tapeflow.yaml").write_text(f"kernels: {{detectors: {{learned: {{model: {path}}}}}}}\n")
    assert load().kernels.detectors.learned.model == model


@pytest.mark.usefixtures("filled")
def test_few_days_to_judge_on_are_no_verdict() -> None:
    result = materialize(days=12, judge=2)
    (event,) = result.asset_materializations_for_node("learned_model")
    assert event.metadata["better_than_random"].value == 0
    assert "not measured (alerts on" in str(event.metadata["card"].value)


@pytest.mark.parametrize("reason", ["no lake yet", "no recorded minute"])
def test_a_young_lake_is_no_failure(reason: str) -> None:
    if reason != "no lake yet":
        Lake(load().lake_root).create()
    result = materialize()
    assert result.success
    assert not result.asset_materializations_for_node("learned_model")
    (event,) = result.asset_observations_for_node("learned_model")
    assert reason in str(event.description)
    assert not Path("data/models").exists()


@pytest.mark.parametrize(
    ("asked", "reason"),
    [({"event": "crash"}, "is no event rule"), ({"days": 5, "judge": 5}, "some are left to learn from")],
)
def test_what_cannot_be_asked_fails_with_the_reason(asked: dict[str, Any], reason: str) -> None:
    (failed,) = [event for event in materialize(**asked).all_events if event.is_step_failure]
    assert reason in str(failed.step_failure_data)
