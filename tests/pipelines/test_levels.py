"""Levels of the detectors on trades and bars: as often as they are to, and the same for a date alone as in one go."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pipelines import tape
from pipelines.detection import BigTrades, Surges
from pipelines.detector_settings import BigTrade, BookImbalance, CascadeProxy, Detectors, LiquidationSpike, VolumeSurge, VpinHigh
from pipelines.feed_detection import Imbalances, LiquidationSpikes
from pipelines.feed_rows import Snapshot
from pipelines.jobs import Job, load
from pipelines.kernels.bar import BAR
from pipelines.market import DAY_US
from pipelines.settings import Kernels
from pipelines.sources import open_source
from pipelines.store.lake import Lake
from tests import tapes

MINUTE = 60_000_000
SYMBOL = "AAA-USDT-PERP"
DATES, A_DATE = 4, 1500
KERNELS = Kernels(
    bars=("1m",),
    vpin=("v10x5",),
    percentile_window=200,
    percentile_min=50,
    detectors=Detectors(
        big_trade=BigTrade(window=100, z=0.5, floor=1.0, false_alarms_per_day=8.0),
        volume_surge=VolumeSurge(window=30, z=1.0, rvol=1.0, false_alarms_per_day=8.0),
        cascade_proxy=CascadeProxy(window=30, move=0.5, volume=1.0, one_sided=0.1, false_alarms_per_day=8.0),
        vpin_high=VpinHigh(pct=0.8, rearm=0.7, false_alarms_per_day=8.0),
    ),
)
OURS = ["big_trade", "volume_surge", "cascade_proxy", "vpin_high"]


def calm(seed: int, days: int) -> tuple[np.ndarray, np.ndarray]:
    """Return minutes whose volumes do not depend on each other."""
    bars = np.zeros(days * 1440, BAR)
    bars["ts"] = tapes.DAY + np.arange(bars.size) * MINUTE
    bars["end"] = bars["ts"] + MINUTE
    return bars, np.random.default_rng(seed).lognormal(0, 1, bars.size)


@pytest.mark.parametrize("per_day", [1.0, 4.0])
def test_on_calm_days_volume_surges_as_often_as_it_is_to(per_day: float) -> None:
    found = 0
    for seed in range(6):
        surges = Surges(VolumeSurge(z=1.0, rvol=1.0, false_alarms_per_day=per_day))
        surges.grow(1)
        alerts = surges.feed(*calm(seed, 12), tapes.INSTRUMENTS)
        found += sum(a.ts >= tapes.DAY + 4 * DAY_US for a in alerts)
    assert 0.5 < found / (6 * 8) / per_day < 2.0


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return an archive of some dates, a file each."""
    folder, out = tmp_path_factory.mktemp("archive"), []
    rng = np.random.default_rng(3)
    price = 100.0
    for d in range(DATES):
        ts = np.sort(rng.integers(0, DAY_US // 1000, A_DATE)) + (tapes.DAY + d * DAY_US) // 1000
        size, sell = rng.lognormal(-1, 1, A_DATE) + 0.001, rng.random(A_DATE) < 0.5
        lines = ["agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker"]
        for k in range(A_DATE):
            trade_id, price = d * A_DATE + k + 1, price * float(np.exp(rng.normal(0, 3e-4)))
            lines.append(f"{trade_id},{price:.2f},{size[k]:.3f},{trade_id},{trade_id},{ts[k]},{str(sell[k]).lower()}")
        day = np.datetime64(tapes.DAY + d * DAY_US, "us").astype("M8[D]")
        out.append(folder / f"AAAUSDT-aggTrades-{day}.csv")
        out[-1].write_text("\n".join(lines) + "\n")
    return out


def alerts(lake: Lake) -> pl.DataFrame:
    rows = lake.table("alerts").filter(pl.col("detector").is_in(OURS)).sort("detector", "ts", "alert_id").collect()
    return rows.select("date", "detector", "alert_id", "ts", "score", "threshold", "severity", "label", "details")


def loaded(folder: Path, *groups: list[Path]) -> Lake:
    """Load groups of files, each by a job of its own."""
    lake = Lake(folder)
    for group in groups:
        load(Job(open_source(group, venue="binance-usdm", symbol=SYMBOL), KERNELS, lake, complete=True, replace=True))
    return lake


def test_dates_loaded_one_by_one_alert_as_in_one_go(files: list[Path], tmp_path: Path) -> None:
    whole, alone = alerts(loaded(tmp_path / "whole", files)), alerts(loaded(tmp_path / "alone", *([f] for f in files)))
    assert whole.equals(alone)
    tuned = whole.filter(pl.col("date") == whole["date"].max()).group_by("detector").agg(pl.col("threshold").first())
    levels = dict(tuned.iter_rows())
    assert levels["big_trade"] > 0.5
    assert levels["volume_surge"] > 1.0
    assert levels["cascade_proxy"] > 0.5


def test_dates_in_any_order_and_then_again_alert_as_in_order(files: list[Path], tmp_path: Path) -> None:
    groups = [[files[k]] for k in (3, 0, 2, 1)]
    for path in files:  # the same trades, as a job that has not been done
        groups.append([tmp_path / path.name])
        groups[-1][0].write_text(path.read_text() + "\n")
    assert alerts(loaded(tmp_path / "shuffled", *groups)).equals(alerts(loaded(tmp_path / "whole", files)))


def test_liquidations_alert_again_once_they_were_few() -> None:
    spikes = LiquidationSpikes(LiquidationSpike(window=10, times=2.0, floor=100.0, cooldown_s=0))
    totals = [10.0] * 10 + [200.0, 1000.0, 10.0, 3000.0, 0.0]
    found = []
    for k, notional in enumerate(totals):
        found += spikes.feed(0, tapes.DAY + k * MINUTE, 1, notional, tapes.INSTRUMENTS[0])
    assert [(a.ts - tapes.DAY) // MINUTE for a in found] == [10, 13], "the minute between was of the same episode"
    assert [(a.score, a.threshold) for a in found] == [(200.0, 100.0), (3000.0, 1000.0)]


def test_a_book_leans_again_once_it_was_level() -> None:
    books = Imbalances(BookImbalance(levels=1, threshold=0.8, snapshots=2, cooldown_s=0))
    found = []
    for k, lean in enumerate([0.9, 0.9, 0.7, 0.9, 0.9, 0.5, 0.9, 0.8, -0.9, -0.9]):
        shown = Snapshot(0, tapes.DAY + k * MINUTE, 0, k, [], [], 1, 0)
        found += books.feed(shown, ([1.0 + lean], [1.0 - lean]), MINUTE, tapes.INSTRUMENTS[0])
    assert [((a.ts - tapes.DAY) // MINUTE, round(a.score, 6)) for a in found] == [(0, 0.9), (6, 0.8), (8, 0.9)]


def test_the_first_book_after_a_missing_one_says_nothing() -> None:
    books = Imbalances(BookImbalance(levels=1, threshold=0.8, snapshots=2, cooldown_s=0))
    found = []
    for k in (0, 1, 3, 4):
        shown = Snapshot(0, tapes.DAY + k * MINUTE, 0, k, [], [], 1, 0)
        found += books.feed(shown, ([2.0], [0.0]), MINUTE, tapes.INSTRUMENTS[0])
    assert len(found) == 1, "what is not known does not re-arm"


@pytest.mark.parametrize("per_day", [1.0, 4.0])
def test_on_calm_days_big_trades_alert_as_often_as_they_are_to(per_day: float) -> None:
    """A trade every 20 s, of independent sizes; days 4 to 11 of each tape."""
    found = 0
    for seed in range(4):
        rows = tape.empty(11 * 4320)
        rows["ts"] = tapes.DAY + np.arange(rows.size) * 20_000_000
        rows["price"], rows["size"] = 1.0, np.random.default_rng(seed).lognormal(0, 1, rows.size)
        big = BigTrades(BigTrade(z=1.0, floor=0.0, false_alarms_per_day=per_day))
        big.grow(1)
        found += sum(a.ts >= tapes.DAY + 3 * DAY_US for a in big.feed(rows, tapes.INSTRUMENTS))
    assert 0.5 < found / (4 * 8) / per_day < 2.0
