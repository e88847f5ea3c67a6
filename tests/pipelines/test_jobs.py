"""Bounded tapes as jobs: the batch path, what it refuses, and days computed alone."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pipelines.engine import Engine
from pipelines.jobs import Job, JobError, load
from pipelines.market import DAY_US, TABLES
from pipelines.settings import Kernels
from pipelines.sources import Position, open_source
from pipelines.store.lake import Lake
from tests import tapes
from tests.conftest import SHARED

COMPARED = ("trades", "bars", "vpin", "features", "posture", "alerts", "gaps", "seals", "quarantine")


def archive(path: Path, seed: int, day: int, first_id: int, n: int = 4000) -> int:
    """Write a day of USD-M aggTrades as the venue's archive does; return the id behind the last."""
    rng = np.random.default_rng(seed)
    ts = (tapes.DAY + day * DAY_US) // 1000 + np.sort(rng.integers(0, 86_400_000, n))
    price = 100 + np.cumsum(rng.normal(0, 0.05, n))
    size = rng.lognormal(-1, 1, n) + 0.001
    side = rng.random(n) < 0.5
    lines = ["agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker"]
    lines += [f"{first_id + k},{price[k]:.2f},{size[k]:.3f},{2 * k},{2 * k + 1},{ts[k]},{str(side[k]).lower()}" for k in range(n)]
    path.write_text("\n".join(lines) + "\n")
    return first_id + n


def job(
    lake: Path | str,
    *paths: Path,
    venue: str = "binance-usdm",
    kernels: Kernels = tapes.KERNELS,
    complete: bool = True,
    replace: bool = False,
    symbol: str | None = None,
    local: Path | None = None,
) -> Job:
    source = open_source(paths, venue=venue, symbol=symbol)
    return Job(source, kernels, Lake(lake, local), complete=complete, replace=replace)


def contents(lake: Path | str) -> dict[str, pl.DataFrame]:
    """Return every compared table, sorted by key."""
    opened = Lake(lake)
    frames = {}
    for name in COMPARED:
        table = TABLES[name]
        frames[name] = opened.table(name + "_history" if table.newest else name).collect().sort(*table.key, "end")
    return frames


def assert_same(one: Path | str, other: Path | str, *filled: str) -> None:
    """Two lakes hold the same rows bit for bit, and the tables named hold any."""
    a, b = contents(one), contents(other)
    for name in COMPARED:
        assert a[name].equals(b[name]), name
    for name in filled:
        assert a[name].height > 0, name


@pytest.fixture
def days(tmp_path: Path) -> list[Path]:
    paths, first = [], 1
    for day in range(3):
        paths.append(tmp_path / f"AAAUSDT-aggTrades-2023-11-{15 + day}.csv")
        first = archive(paths[-1], day, day, first)
    return paths


def test_days_loaded_one_by_one_equal_days_loaded_together(tmp_path: Path, days: list[Path]) -> None:
    load(job(tmp_path / "together", *days))
    for day in days:
        load(job(tmp_path / "alone", day))
    assert_same(tmp_path / "together", tmp_path / "alone", "trades", "bars", "vpin", "alerts", "seals")
    second = contents(tmp_path / "alone")["vpin"].filter(pl.col("setting") == "adv50x50", pl.col("date").dt.day() == 16)
    assert second["bucket_volume"].n_unique() == 1
    assert second["bucket_volume"][0] != 4.0, "V comes from the day before, not from bucket_volume"
    first = second.sort("bucket").row(0, named=True)
    assert first["vpin_flag"] is not None, "the window runs on across midnight"
    assert first["vpin_bvc"] is not None, "and that of bulk classification"
    assert set(contents(tmp_path / "alone")["bars"]["quality"]) == {"complete"}


def test_an_archive_of_a_day_is_whole_by_its_name(tmp_path: Path, days: list[Path]) -> None:
    assert job(tmp_path, *days).source.whole
    part = days[0].rename(tmp_path / "AAAUSDT-aggTrades-part.csv")
    assert not job(tmp_path, part, *days[1:]).source.whole


def test_the_size_of_pieces_changes_nothing(tmp_path: Path, days: list[Path]) -> None:
    for size in (7, 1000, 10**6):
        load(job(tmp_path / str(size), *days[:2] if size > 7 else days[:1]), size=size)
    assert_same(tmp_path / "1000", tmp_path / "1000000", "trades", "bars", "vpin", "alerts")
    load(job(tmp_path / "whole", days[0]))
    assert_same(tmp_path / "7", tmp_path / "whole", "trades", "bars", "vpin", "alerts")


def test_a_load_begun_again_ends_in_the_same_lake(tmp_path: Path, days: list[Path]) -> None:
    load(job(tmp_path / "once", *days))
    again = job(tmp_path / "again", *days)

    class Killed(Exception):
        pass

    def die(position: object, stored: int) -> None:
        if stored > 5000:
            raise Killed

    with pytest.raises(Killed):
        load(again, die, size=1000)
    assert contents(tmp_path / "again")["trades"].height == 0, "nothing is seen before the end"
    load(again, size=1000)
    load(again, size=1000)
    assert_same(tmp_path / "once", tmp_path / "again", "trades", "bars", "vpin", "alerts")


def test_rows_of_another_job_are_refused_unless_replaced(tmp_path: Path, days: list[Path]) -> None:
    load(job(tmp_path / "lake", *days))
    archive(days[1], 77, 1, 4001)
    with pytest.raises(JobError, match=r"AAA-USDT-PERP on 2023-11-16.*--replace"):
        load(job(tmp_path / "lake", days[1]))
    load(job(tmp_path / "lake", days[1], replace=True))
    ours, whole = contents(tmp_path / "lake"), contents(tmp_path / "lake")["trades"]
    assert whole.filter(pl.col("date").dt.day() == 16).height == 4000
    assert whole.height == 12_000
    assert ours["bars"].select("venue", "symbol", "bar", "ts", "first_id").is_duplicated().sum() == 0
    assert whole.select("venue", "symbol", "trade_id").is_duplicated().sum() == 0


def test_another_symbol_of_the_same_date_is_no_conflict(tmp_path: Path, days: list[Path]) -> None:
    load(job(tmp_path / "lake", days[0]))
    other = days[0].with_name("BBBUSDT-aggTrades-2023-11-15.csv")
    archive(other, 9, 0, 1)
    load(job(tmp_path / "lake", other))
    assert contents(tmp_path / "lake")["trades"]["symbol"].n_unique() == 2


def test_bad_lines_are_quarantined_with_file_and_line(tmp_path: Path, days: list[Path]) -> None:
    lines = days[0].read_text().splitlines()
    lines[10] = lines[10].replace(lines[10].split(",")[1], "0", 1)
    days[0].write_text("\n".join(lines) + "\n")
    load(job(tmp_path / "lake", days[0]))
    refused = contents(tmp_path / "lake")["quarantine"].to_dicts()
    assert [(r["segment"], r["offset"]) for r in refused] == [(days[0].name, 11)]
    assert contents(tmp_path / "lake")["trades"].height == 3999
    load(job(tmp_path / "in pieces", days[0]), size=7)
    assert_same(tmp_path / "lake", tmp_path / "in pieces", "quarantine")


def test_a_capture_with_a_hole_is_marked(tmp_path: Path) -> None:
    ms = tapes.DAY // 1000
    frames = [(ms + 100 * k, tapes.agg_trade("AAAUSDT", k, ms + 100 * k, "100", "1")) for k in range(1, 400) if not 50 <= k < 60]
    with gzip.open(tmp_path / "capture.gz", "wb") as file:
        file.write(b"".join(b"%d %s\n" % (t * 1_000_000, frame) for t, frame in frames))
    for complete, marked in ((False, [0, 4, 6, 39]), (True, [4, 6])):
        load(job(tmp_path / str(complete), tmp_path / "capture.gz", complete=complete))
        out = contents(tmp_path / str(complete))
        assert [(g["from_id"], g["to_id"], g["status"]) for g in out["gaps"].to_dicts()] == [(50, 59, "open")]
        seconds = out["bars"].filter(pl.col("bar") == "1s", pl.col("quality") == "gap").sort("ts")
        assert (seconds["ts"].dt.epoch("us") - tapes.DAY).to_list() == [1_000_000 * s for s in marked]
        day = out["bars"].filter(pl.col("bar") == "1d")
        assert day["quality"].to_list() == ["gap"]


@pytest.mark.real
def test_the_golden_minutes_of_xrp_eth(tmp_path: Path) -> None:
    """12,477 recorded aggTrades give the venue's own candles on all 2,469 minutes."""
    load(job(tmp_path / "lake", SHARED / "trades/freqtrade_XRP_OLD-trades.json.gz", venue="binance-spot", complete=False))
    golden = pl.read_ipc(SHARED / "ohlcv/freqtrade_XRP_ETH-1m.feather").sort("date")
    ours = Lake(tmp_path / "lake").bars("XRP-ETH", "1m").collect()
    assert ours.height == golden.height == 2469
    assert ours["ts"].cast(pl.Datetime("ns", "UTC")).equals(golden["date"].rename("ts"))
    for name in ("open", "high", "low", "close", "volume"):
        assert ours[name].to_list() == golden[name].to_list(), name


@pytest.mark.real
def test_trades_past_midnight_land_in_their_own_date(tmp_path: Path) -> None:
    load(job(tmp_path / "lake", SHARED / "captures/spot_btcusdt_20240808.gz", venue="binance-spot", complete=False))
    trades = Lake(tmp_path / "lake").table("trades").collect()
    assert trades.group_by("date").len().sort("date")["len"].to_list() == [9738, 19]
    assert (trades["date"] == trades["ts"].dt.date()).all()


@pytest.mark.real
def test_contracts_of_a_recording_are_so_many_dollars(tmp_path: Path) -> None:
    load(job(tmp_path / "lake", SHARED / "captures/cm_btcusd_perp_20240808.gz", venue="binance-coinm", complete=False))
    out = contents(tmp_path / "lake")
    trades = out["trades"]
    assert trades.height == 2286
    assert (trades["contracts"] == trades["contracts"].round()).all()
    assert ((trades["size"] * trades["price"] - 100 * trades["contracts"]).abs() <= 0.5e-8 * trades["price"] + 1e-9).all()
    assert out["gaps"].height == out["quarantine"].height == 0
    marked = out["bars"].filter(pl.col("quality") == "gap").group_by("bar").len()
    assert set(marked["len"]) <= {1, 2}, "where the recording begins and where it ends"


def test_a_tape_ends_once_though_a_killed_run_comes_to_its_end_again(days: list[Path], tmp_path: Path) -> None:
    made = job(tmp_path / "lake", days[0])
    engine = made.engine()
    for piece in made.source.pieces(Position(0, 0), 1000):
        engine.feed_piece(piece, days[0].name)
    assert engine.finish().tables
    assert not Engine.restore(engine.snapshot()).finish().tables
