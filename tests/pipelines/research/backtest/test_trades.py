"""Buckets of whole dates: those of table `vpin` at start 0, and the same however much comes later."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl
import pytest

from pipelines.backtests import LakeTape
from pipelines.jobs import load
from pipelines.research.backtest import measures, trades
from pipelines.research.backtest.trades import EPOCH, Instrument, Trades
from pipelines.settings import Kernels
from pipelines.store.lake import Lake
from tests import tapes
from tests.pipelines.test_jobs import archive, job

DAYS = 7
AAA = Instrument("binance-usdm", "AAA-USDT-PERP")
FIRST = dt.date(2023, 11, 15)
US = 1_000_000
DATES = [FIRST + dt.timedelta(days=k) for k in range(DAYS)]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    folder, paths, first = tmp_path_factory.mktemp("backtest"), [], 1
    for day in range(DAYS):
        paths.append(folder / f"AAAUSDT-aggTrades-2023-11-{15 + day}.csv")
        first = archive(paths[-1], day, day, first, 1500 + 300 * day)
    kernels = Kernels(bars=("1m",), vpin=("adv50x25", "adv100x50"))
    load(job(folder / "lake", *paths, kernels=kernels))
    return Lake(folder / "lake")


@pytest.mark.parametrize(("v", "n"), [(50, 25), (100, 50)])
def test_at_start_0_buckets_and_percentiles_are_those_of_table_vpin(lake: Lake, v: int, n: int) -> None:
    passed = trades.read(LakeTape(lake.root, DATES).days(AAA), (v,), np.ones(1))
    closed = passed.buckets[v, 0]
    stored = lake.table("vpin", setting=f"adv{v}x{n}").filter(~pl.col("partial")).sort("end", "bucket").collect()
    assert stored.height == closed.size > 250
    for name, column in (("ts", "ts"), ("end", "end")):
        assert closed[name].tolist() == stored[column].dt.epoch("us").to_list()
    assert (closed["buy"] / 10.0**passed.places).tolist() == stored["buy_volume"].to_list()
    read = measures.windows(closed, n, passed.places)
    for k, column in enumerate(("vpin_flag", "pct")):
        got = [None if np.isnan(x) else x for x in read[:, k].tolist()]
        assert got == stored[column].to_list(), column
        assert any(x is not None for x in got)


def test_minutes_are_those_of_table_bars(lake: Lake) -> None:
    passed = trades.read(LakeTape(lake.root, DATES).days(AAA), (50,), np.ones(1))
    stored = lake.table("bars", bar="1m").sort("ts").collect()
    got = passed.minutes.bars(AAA)
    assert got["ts"].equals(stored["ts"])
    assert got["close"].equals(stored["close"])
    traded = passed.minutes.trades.ravel() > 0
    for name, values in (("volume", passed.minutes.volumes), ("buy_volume", passed.minutes.buys)):
        np.testing.assert_allclose(values.ravel()[traded], stored[name], rtol=1e-12)
    np.testing.assert_array_equal(passed.minutes.trades.ravel()[traded], stored["trades"])


def test_a_bucket_begins_a_date_at_its_start_and_what_is_cut_short_is_left_out() -> None:
    """V = 100 / 10 = 10 from the second date on; a trade a second of 1, bought in turn five at a time."""

    def day(date: dt.date) -> tuple[dt.date, Trades]:
        n, start = 100, (date - EPOCH).days * 86_400 * US
        sides = np.where(np.arange(n) // 5 % 2 == 0, 1, -1).astype(np.int8)
        prices = np.full(n, 7.0)
        return date, Trades(start + np.arange(n) * US, prices, np.full(n, 1, np.int64), 0, sides, np.empty(0, np.int64))

    found = trades.read(iter([day(FIRST), day(DATES[1])]), (10,), np.array([1.0, 0.5]))
    plain, half = found.buckets[10, 0], found.buckets[10, 1]
    assert (plain.size, half.size) == (10, 9)
    assert plain["buy"].tolist() == [5] * 10
    begun = (DATES[1] - EPOCH).days * 86_400
    assert (half["ts"][0] // US - begun, half["end"][-1] // US - begun) == (5, 94)


def test_sizes_that_no_step_holds_are_told() -> None:
    empty = np.empty(0, np.int64)
    one = np.ones(1)
    assert trades.to_trades(np.zeros(1, np.int64), one, np.array([1 / 3]), one.astype(np.int8), empty) is None
    fine = trades.to_trades(np.array([5, 3]), np.ones(2), np.array([0.1, 2.25]), np.ones(2, np.int8), empty)
    assert fine is not None
    assert (fine.lots.tolist(), fine.places, fine.times.tolist()) == ([10, 225], 2, [5, 5])


def test_dates_whose_volume_fits_no_integer_are_left_out_and_named() -> None:
    sides, times = np.ones(1, np.int8), np.zeros(1, np.int64)
    huge = Trades(times, np.ones(1), np.array([1 << 62]), 0, sides, np.empty(0, np.int64))
    found = trades.read(iter([(FIRST, huge)]), (10,), np.ones(1))
    assert found.left_out == ["2023-11-15: volumes do not fit in 62 bits"]
    assert found.minutes.dates.size == 0


def test_tapes_of_tests_begin_where_this_one_does() -> None:
    assert (FIRST - EPOCH).days * 86_400 * US == tapes.DAY
