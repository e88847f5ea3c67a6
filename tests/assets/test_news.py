"""The digest of headlines in Dagster."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from assets.news import news_asset
from pipelines.market import TABLES
from pipelines.settings import load
from pipelines.store.lake import Lake
from tests.pipelines.store.samples import moment, put, rows

pytestmark = pytest.mark.usefixtures("place")

NOW = moment(8 * 3600)


def materialize() -> dg.ExecuteInProcessResult:
    with dg.DagsterInstance.ephemeral() as instance:
        return dg.materialize([news_asset(load(), lambda: NOW)], instance=instance)


def test_the_headlines_of_a_day_are_digested() -> None:
    lake = Lake(load().lake_root)
    lake.create()
    seen = [moment(-86_400 + 7 * 3600), moment(7 * 3600), moment(7.5 * 3600)]
    news = rows(
        TABLES["news"],
        3,
        ts=seen,
        first_seen=seen,
        date=[ts.date() for ts in seen],
        venue="news-x",
        title=["too old", "Bitcoin rests", "A day"],
        symbols=[["BTC"], ["BTC", "ETH"], []],
        edited=False,
    )
    put(lake, TABLES["news"], news)
    (event,) = materialize().asset_materializations_for_node("news__digest")
    told = {name: value.value for name, value in event.metadata.items()}
    assert (told["headlines"], told["symbols"], told["feeds"]) == (2, 2, 1)
    assert "Bitcoin rests" in str(told["digest"])
    assert "too old" not in str(told["digest"])
    assert "data:image/svg+xml;base64," in str(told["plot"])


def test_without_feeds_it_says_so() -> None:
    Lake(load().lake_root).create()
    result = materialize()
    assert not result.asset_materializations_for_node("news__digest")
    (event,) = result.asset_observations_for_node("news__digest")
    assert event.description == "no feeds in the settings (news)"


def test_without_a_lake_it_says_so() -> None:
    (event,) = materialize().asset_observations_for_node("news__digest")
    assert "no lake yet" in str(event.description)
    assert not Path("data").exists()
