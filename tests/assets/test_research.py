"""Pairs and scores in Dagster."""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pytest

from assets import research
from assets.research import DAILY, HOURLY, SCORES, ScoresConfig, key, research_assets
from pipelines.market import ALERTS, BARS
from pipelines.settings import load
from pipelines.store.lake import Lake
from tests.pipelines.research.legs import walks
from tests.pipelines.store.samples import DAY, moment, put, rows

pytestmark = pytest.mark.usefixtures("place")

NOON = moment(12.5 * 3600)


@pytest.fixture
def lake(place: Path) -> Lake:
    made = Lake(load().lake_root)
    made.create()
    return made


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def materialize(instance: dg.DagsterInstance, asset: dg.AssetKey, now: dt.datetime, **asked: Any) -> dg.ExecuteInProcessResult:
    given = dg.RunConfig(ops={asset.to_python_identifier(): ScoresConfig(**asked)}) if asked else None
    return dg.materialize(
        research_assets(load(), lambda: now), selection=[asset], run_config=given, instance=instance, raise_on_error=False
    )


def told(result: dg.ExecuteInProcessResult, asset: dg.AssetKey) -> dict[str, Any]:
    assert result.success
    (event,) = result.asset_materializations_for_node(asset.to_python_identifier())
    return {name: value.value for name, value in event.metadata.items()}


def svg(figures: dict[str, Any]) -> str:
    return base64.b64decode(figures["plot"].partition("base64,")[2].rstrip(")")).decode()


def fill(lake: Lake, symbol: str, closes: list[float], trades: int, venue: str = "demo", bar: str = "1m") -> None:
    n, width = len(closes), {"1m": 60, "15m": 900}[bar]
    starts = [moment(k * width) for k in range(n)]
    ends = [moment((k + 1) * width) for k in range(n)]
    about: dict[str, Any] = {"date": [ts.date() for ts in starts], "trades": trades, "venue": venue, "symbol": symbol, "bar": bar}
    put(lake, BARS, rows(BARS, n, every=width, end=ends, close=closes, **about))


def test_pairs_of_the_last_whole_hours_are_kept_once(lake: Lake, instance: dg.DagsterInstance) -> None:
    y, x = walks(1, 745)
    fill(lake, "ETH-USDT", np.exp(x).tolist(), 10)
    fill(lake, "BTC-USDT", np.exp(y).tolist(), 20)
    fill(lake, "ETH-USD", np.exp(x).tolist(), 20, venue="okx")
    figures = told(materialize(instance, key(HOURLY), NOON), key(HOURLY))
    assert figures["pairs"] == 1
    assert "tested" not in figures
    assert figures["end"] == moment(12 * 3600).timestamp()
    assert "data:image/svg+xml;base64," in figures["plot"]
    assert [(row.data["y"], row.data["x"]) for row in figures["shown"].records] == [("BTC-USDT", "ETH-USDT")]
    assert len(json.dumps(str(figures))) < 20_000
    told(materialize(instance, key(HOURLY), NOON), key(HOURLY))
    kept = lake.table("pairs").collect()
    assert kept.height == 1
    assert kept["end"].to_list() == [moment(12 * 3600)]


def test_daily_pairs_are_of_quarters_of_an_hour(lake: Lake, instance: dg.DagsterInstance) -> None:
    y, x = walks(1, 200)
    for bar in ("1m", "15m"):
        fill(lake, "BTC-USDT", np.exp(y).tolist(), 20, bar=bar)
        fill(lake, "ETH-USDT", np.exp(x).tolist(), 10, bar=bar)
    figures = told(materialize(instance, key(DAILY), NOON + dt.timedelta(days=2)), key(DAILY))
    assert (figures["pairs"], figures["tested"], figures["fdr_below_5_percent"]) == (1, 1, 1)
    kept = lake.table("pairs").collect()
    assert kept["interval"].to_list() == ["15m"]
    assert kept["end"][0] <= moment(2 * 86_400)


def test_alerts_are_scored_over_whole_dates(lake: Lake, instance: dg.DagsterInstance) -> None:
    """8 days whose price is 102 from 12:00 to 13:00, else 100; alerts at 11:59, followed by a move, and at 18:00."""
    days = 8
    minutes = days * 1440
    closes = [102.0 if 720 <= k % 1440 < 780 else 100.0 for k in range(minutes)]
    dates = [DAY + dt.timedelta(days=k // 1440) for k in range(minutes)]
    put(lake, BARS, rows(BARS, minutes, date=dates, close=closes, end=[moment(60 * (k + 1)) for k in range(minutes)]))
    times = [moment(86_400 * k + 60 * at) for k in range(days) for at in (719, 1080)]
    about: dict[str, Any] = {"detector": "big_trade", "version": 1, "origin": "live"}
    put(lake, ALERTS, rows(ALERTS, len(times), ts=times, end=times, date=[t.date() for t in times], **about))
    figures = told(materialize(instance, SCORES, moment(86_400 * days + 5)), SCORES)
    assert (figures["scores"], figures["hits"], figures["alerts"], figures["better_than_random"]) == (1, 8, 16, 1)
    assert "50.0%: 8 of 16; random ones" in svg(figures)
    assert lake.table("scores").collect().select("hits", "alerts").rows() == [(8, 16)]
    assert told(materialize(instance, SCORES, moment(86_400 * days + 5), days=2), SCORES)["alerts"] == 4


@pytest.mark.parametrize("asset", [key(HOURLY), key(DAILY), SCORES])
@pytest.mark.parametrize("reason", ["no lake yet", "before 2024-07-19"])
def test_a_young_lake_is_no_failure_and_nothing_made_is_said(
    instance: dg.DagsterInstance, asset: dg.AssetKey, reason: str
) -> None:
    if reason != "no lake yet":
        Lake(load().lake_root).create()
    result = materialize(instance, asset, NOON)
    assert result.success
    assert not result.asset_materializations_for_node(asset.to_python_identifier())
    (event,) = result.asset_observations_for_node(asset.to_python_identifier())
    assert reason in str(event.description)
    assert Path(load().lake_root).exists() == (reason != "no lake yet")


def test_a_rule_that_is_none_fails_with_the_reason(instance: dg.DagsterInstance) -> None:
    result = materialize(instance, SCORES, NOON, event="crash")
    (failed,) = [event for event in result.all_events if event.is_step_failure]
    assert "is no event rule" in str(failed.step_failure_data)


def test_they_run_by_themselves() -> None:
    assert {one.default_status for one in research.schedules} == {dg.DefaultScheduleStatus.RUNNING}
