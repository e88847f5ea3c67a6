"""Briefs of the recorded day XRP/ETH 2019-10-12, their numbers made again from its trades."""

from __future__ import annotations

import datetime as dt
import itertools
import math
from decimal import Decimal

import polars as pl
import pytest

from pipelines.briefs import collect, falsifiers, render
from pipelines.briefs.check import verify
from pipelines.briefs.keep import keep
from pipelines.briefs.sheet import Brief
from pipelines.jobs import load
from pipelines.settings import Kernels, Settings, Venue
from pipelines.store.lake import Lake
from tests.conftest import SHARED
from tests.pipelines.test_jobs import job

pytestmark = pytest.mark.real
KERNELS = Kernels(bucket_volume="1500")
SETTINGS = Settings(venues={"binance-spot": Venue(symbols=("XRPETH",))}, kernels=KERNELS)
CASCADE = dt.datetime(2019, 10, 12, 19, 5, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    root = tmp_path_factory.mktemp("recorded") / "lake"
    recording = SHARED / "trades/freqtrade_XRP_OLD-trades.json.gz"
    load(job(root, recording, venue="binance-spot", complete=False, kernels=KERNELS))
    return Lake(root)


def brief(lake: Lake, at: dt.datetime) -> Brief:
    falsifiers.score(lake, at)
    found = render.render("hourly", collect.collect(lake, collect.watched(lake, SETTINGS, at), at, SETTINGS, "hourly"), at=at)
    keep(lake, found)
    return found


@pytest.fixture(scope="module")
def briefs(lake: Lake) -> list[Brief]:
    return [brief(lake, CASCADE + k * HOUR) for k in (-2, -1, 0, 1)]


def test_numbers_of_the_cascade_equal_those_made_from_its_trades(lake: Lake, briefs: list[Brief]) -> None:
    facts = {fact.name: fact for fact in briefs[2].facts}
    trades = lake.trades("XRP-ETH").filter(pl.col("ts") < CASCADE).select("ts", "price", "size").collect()
    hour = trades.filter(pl.col("ts") >= CASCADE - HOUR)
    notional = sum((Decimal(repr(p)) * Decimal(repr(s)) for _, p, s in hour.iter_rows()), Decimal(0))
    assert facts["traded"].value == pytest.approx(float(notional), rel=1e-12)
    assert facts["price"].value == trades["price"][-1]
    assert facts["age"].value == (CASCADE - trades["ts"][-1]).total_seconds()
    before = trades.filter(pl.col("ts") < CASCADE - HOUR)["price"][-1]
    assert facts["return_hour"].value == pytest.approx(trades["price"][-1] / before - 1, rel=1e-12)
    high, low = hour["price"].max(), hour["price"].min()
    assert isinstance(high, float)
    assert isinstance(low, float)
    assert facts["range"].value == pytest.approx(10_000 * (high - low) / trades["price"][-1], rel=1e-12)
    ends = [CASCADE - k * dt.timedelta(minutes=1) for k in range(60, -1, -1)]
    closes = [trades.filter(pl.col("ts") < end)["price"][-1] for end in ends]
    variance = math.fsum(math.log(b / a) ** 2 for a, b in itertools.pairwise(closes))
    assert facts["volatility"].value == pytest.approx(math.sqrt(variance), rel=1e-9)


def test_the_cascade_is_claimed_from_two_numbers_and_its_end_refutes_what_was_claimed(lake: Lake, briefs: list[Brief]) -> None:
    assert "prices are volatile: volatility 1.52 % at percentile 96.6, range 230.0 bps at percentile 97.7" in briefs[2].head
    assert "rose to or above percentile 90.0" in briefs[2].head
    assert not any("prices are volatile" in quiet.head for quiet in (briefs[0], briefs[1], briefs[3]))
    (made,) = [one for one in briefs[2].falsifiers if one.claim == "volatility stays high"]
    judged = lake.table("falsifiers", brief=briefs[2].id, falsifier=made.id).collect().row(0, named=True)
    assert (judged["outcome"], judged["level"]) == ("refuted", 0.75)
    assert judged["value"] < 0.75
    assert "volatility stays high: 0 [" in briefs[3].thread


def test_every_number_of_a_recorded_brief_is_a_fact(briefs: list[Brief]) -> None:
    for found in briefs:
        told = f"{found.head}\n{found.thread.rpartition('Run any number again')[0]}"
        assert verify(told, {fact.id: fact for fact in found.facts}) == []
