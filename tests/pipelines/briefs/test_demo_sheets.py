"""Briefs of a day of the demo exchange's market, through the batch path."""

from __future__ import annotations

import datetime as dt
import math
from pathlib import Path

import polars as pl
import pytest

from dataflows.demo.archive import ROOT, Archive
from dataflows.demo.clock import Clock
from dataflows.demo.market import GENESIS_MS, Market
from dataflows.demo.tape import DAY_MS
from pipelines.briefs import collect, render
from pipelines.briefs.check import verify
from pipelines.jobs import load
from pipelines.settings import Settings, Venue
from pipelines.store.lake import Lake
from tests.pipelines.test_jobs import job

START = GENESIS_MS + 700 * DAY_MS
DATE = dt.datetime.fromtimestamp(START / 1000, dt.UTC)
SYMBOLS = ("BTC-USDT", "ETH-USDT")
SETTINGS = Settings(venues={"demo": Venue(symbols=SYMBOLS)})


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    folder: Path = tmp_path_factory.mktemp("demo")
    archive = Archive(Market(7, SYMBOLS, 0.1), Clock(origin_ms=START + 2 * DAY_MS))
    for symbol in SYMBOLS:
        native = symbol.replace("-", "")
        path = folder / f"{native}-aggTrades-{DATE:%Y-%m-%d}.zip"
        path.write_bytes(archive.answer(f"{ROOT}{native}/{path.name}").body)
        load(job(folder / "lake", path, venue="demo", kernels=SETTINGS.kernels))
    return Lake(folder / "lake")


@pytest.mark.parametrize("hour", [14.5, 23.25])
def test_every_number_is_a_fact_and_equals_what_the_trades_say(lake: Lake, hour: float) -> None:
    at = DATE + dt.timedelta(hours=hour)
    sheets = collect.collect(lake, collect.watched(lake, SETTINGS, at), at, SETTINGS, "hourly")
    assert sorted((sheet.venue, sheet.symbol) for sheet in sheets) == [("demo", symbol) for symbol in SYMBOLS]
    found = render.render("hourly", sheets, at=at)
    told = f"{found.head}\n{found.thread.rpartition('Run any number again')[0]}"
    assert verify(told, {fact.id: fact for fact in found.facts}) == []
    for sheet in sheets:
        assert sheet.sufficient
        facts = {fact.name: fact for fact in sheet.facts}
        trades = lake.trades(sheet.symbol).filter(pl.col("ts") < at).select("ts", "price", "size").collect()
        hour_of = trades.filter(pl.col("ts") >= at - dt.timedelta(hours=1))
        assert facts["price"].value == trades["price"][-1]
        assert facts["traded"].value == pytest.approx(math.fsum(hour_of["price"] * hour_of["size"]), rel=1e-12)
        assert facts["age"].value == (at - trades["ts"][-1]).total_seconds()
