"""What a row says was known by its `end`: what comes later changes no row, and earns no rule a penny more."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.jobs import Job, load
from pipelines.market import DAY_US
from pipelines.sources import open_source
from pipelines.store.lake import Lake
from tests import tapes

HOURS = 30
BACK_US = 3_000_000
"""Trades of the made-up tapes are at most so late. What was complete by then is told by each instrument's own last trade: where a
tape ends inside a bar, that bar's quality says so."""
SYMBOL = "AAA-USDT-PERP"


def known(tables: dict[str, pa.Table], limit: int) -> dict[str, pa.Table]:
    """Return the rows that were complete by a time, us."""
    at = pa.scalar(limit, pa.timestamp("us", tz="UTC"))
    return {name: rows.filter(pc.less_equal(rows["end"], at)) for name, rows in tables.items() if name != "seals"}


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 1000), st.integers(2000, 5999))
def test_cutting_the_tape_leaves_every_row_that_was_complete(seed: int, cut: int) -> None:
    tape = tapes.rows(seed, 6000, span_us=HOURS * 3_600_000_000)
    limit = min(int(tape["ts"][:cut][tape["instrument"][:cut] == i].max()) for i in range(2)) - BACK_US
    whole, part = (known(tapes.run(tapes.signals(), rows.copy()), limit) for rows in (tape, tape[:cut]))
    assert {"bars", "vpin", "features", "posture", "alerts"} <= {name for name, rows in whole.items() if rows.num_rows}
    empty = {name: rows.slice(0, 0) for name, rows in (whole | part).items()}
    for name, none in empty.items():
        assert part.get(name, none).equals(whole.get(name, none)), name


def archive(folder: Path, trades: int) -> Lake:
    """Load the first trades of a random walk; return the lake."""
    folder.mkdir()
    rng = np.random.default_rng(5)
    ts = tapes.DAY // 1000 + np.cumsum(rng.integers(1, 20_000, 6000))
    price, size = 100 * np.exp(np.cumsum(rng.normal(0, 3e-4, 6000))), rng.lognormal(-1, 1, 6000) + 0.001
    sell = rng.random(6000) < 0.5
    lines = ["agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker"]
    lines += [f"{k + 1},{price[k]:.2f},{size[k]:.3f},{2 * k},{2 * k + 1},{ts[k]},{str(sell[k]).lower()}" for k in range(trades)]
    path = folder / "AAAUSDT-aggTrades.csv"
    path.write_text("\n".join(lines) + "\n")
    source = open_source([path], venue="binance-usdm", symbol=SYMBOL)
    load(Job(source, tapes.KERNELS, Lake(folder / "lake"), complete=False, replace=False))
    return Lake(folder / "lake")


def earned(lake: Lake, until: int) -> list[tuple[float, float]]:
    """Return what a rule holds after each bar and earned in it, told nothing that was complete later: it follows the price."""
    complete = pl.col("end").dt.epoch("us") <= until
    bars = lake.table("bars").filter(complete, bar="tick:7").select("venue", "symbol", "ts", "end", "first_id", "close")
    features = lake.table("features").filter(complete).select("venue", "symbol", "end", "mom_bps_5m")
    position = pl.col("mom_bps_5m").sign().fill_null(0.0)
    gain = (position.shift(1) * pl.col("close").log().diff()).fill_null(0.0)
    return lake.asof(bars, features).sort("first_id").select(position, gain.alias("gain")).collect().rows()


def test_a_rule_on_features_joined_as_of_earns_the_same_without_later_rows(tmp_path: Path) -> None:
    """Bars of seven trades end amid minutes, where a join that looks ahead would take the minute that is still open."""
    whole, part = archive(tmp_path / "whole", 6000), archive(tmp_path / "part", 4500)
    gains = earned(whole, tapes.DAY + DAY_US)
    assert sum(gain != 0 for _, gain in gains) > 100
    ends = part.table("bars").filter(bar="tick:7").select(pl.col("end").dt.epoch("us")).collect().to_series().sort()
    for until in ends[100:-20:50].to_list():
        for lake in (whole, part):
            told = earned(lake, until)
            assert told == gains[: len(told)]
            assert len(told) > 90
