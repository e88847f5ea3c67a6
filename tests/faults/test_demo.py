"""The whole way from socket to lake, with its parts killed and its line cut."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import polars as pl
import pytest

from dataflows.demo.market import Market
from pipelines.jobs import Job, load
from pipelines.market import BAR_WIDTHS_US, TABLES
from pipelines.settings import Settings, demo_settings
from pipelines.sources import open_source
from pipelines.store.lake import Lake
from tests.faults.house import House, wait_for

SYMBOLS = {"BTC-USDT": "BTCUSDT", "ETH-USDT": "ETHUSDT", "SOL-USDT": "SOLUSDT"}
KERNELS = demo_settings(Settings()).kernels
WORKED_OUT = ("trades", "bars", "vpin", "alerts", "gaps", "quarantine", "klines", "instruments", "inputs", "coverage")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path / "data")
    made.begin()
    yield made
    made.close()


def assert_nothing_lost_nothing_doubled(house: House) -> None:
    """The lake holds every trade of the market between its first and its last, once, as the market made it."""
    trades = house.trades()
    market = Market(Settings().demo.seed, Settings().demo.symbols, float(house.env["TAPEFLOW_DEMO__RATE"]))
    for symbol, native in SYMBOLS.items():
        ours = trades.filter(pl.col("symbol") == symbol)
        first, last = ours["trade_id"].min(), ours["trade_id"].max()
        assert isinstance(first, int)
        assert isinstance(last, int)
        truth = market.trades(native, first, last + 1)
        listing = market.listings[native]
        assert ours["trade_id"].to_list() == truth.id.tolist()
        assert ours["ts"].dt.epoch("ms").to_list() == truth.time.tolist()
        assert ours["price"].to_list() == (truth.price / 10**listing.price_decimals).tolist()
        assert ours["size"].to_list() == (truth.size / 10**listing.size_decimals).tolist()


def assert_equal_to_an_uninterrupted_run(house: House, elsewhere: Path) -> None:
    """A flow that reads the same journal in one go makes the same tables."""
    other = House(elsewhere, 1.0)
    shutil.copytree(house.data / "journal", other.data / "journal")
    (other.data / "journal" / "main" / "consumed.json").unlink()
    other.drain()
    for name in WORKED_OUT:
        table = TABLES[name]
        view = name + "_history" if table.newest else name
        order = [*table.key, "end"]
        ours, whole = (h.lake.table(view).collect().sort(order) for h in (house, other))
        assert ours.equals(whole), name
    for name in ("trades", "bars", "vpin", "instruments", "inputs", "klines"):
        assert house.rows(name) > 0, name


def stop_and_check(house: House, tmp_path: Path) -> None:
    house.stop("record")
    if house.processes["run"].poll() is None:
        house.stop("run")
    house.drain()
    assert_nothing_lost_nothing_doubled(house)
    assert_equal_to_an_uninterrupted_run(house, tmp_path / "whole")


def _reached(moment: float) -> bool:
    return time.monotonic() >= moment


def kill_at_random(house: House, names: list[str], kills: int, rng: random.Random) -> None:
    """Kill and start again at random moments."""
    for _ in range(kills):
        moment = time.monotonic() + rng.uniform(0.2, 3.0)
        wait_for(partial(_reached, moment), "the moment to kill")
        name = rng.choice(names)
        house.kill(name)
        house.start(name)
    wait_until_caught_up(house)


def wait_until_caught_up(house: House) -> None:
    """Wait until the flow has stored trades that were made after this moment."""
    now = time.time()

    def caught_up() -> bool:
        seen = house.status("flow").get("instruments")
        return isinstance(seen, list) and bool(seen) and all(i["last_trade_ts"] > now and not i["gap_open"] for i in seen)

    wait_for(caught_up, "the flow has caught up", 90)


@pytest.mark.parametrize("name", ["run", "record"])
def test_killed_and_begun_again_it_goes_on(house: House, tmp_path: Path, name: str) -> None:
    kill_at_random(house, [name], 2, random.Random(name))
    stop_and_check(house, tmp_path)


@pytest.mark.soak
def test_thirty_kills_of_flow_and_recorder(house: House, tmp_path: Path) -> None:
    kill_at_random(house, ["run", "record"], 30, random.Random(30))
    stop_and_check(house, tmp_path)


def bars_of_the_uncut_tape(house: House, folder: Path) -> pl.DataFrame:
    """Return the time bars that the market's own trades give by the batch path."""
    folder.mkdir()
    market = Market(Settings().demo.seed, Settings().demo.symbols, float(house.env["TAPEFLOW_DEMO__RATE"]))
    ours = house.trades()
    for symbol, native in SYMBOLS.items():
        ids = ours.filter(pl.col("symbol") == symbol)["trade_id"]
        first, last = ids.min(), ids.max()
        assert isinstance(first, int)
        assert isinstance(last, int)
        t, listing = market.trades(native, first, last + 1), market.listings[native]
        lines = ["agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker"]
        for k in range(t.id.size):
            price, size = t.price[k] / 10**listing.price_decimals, t.size[k] / 10**listing.size_decimals
            lines.append(f"{t.id[k]},{price},{size:.8f},{t.first[k]},{t.last[k]},{t.time[k]},{str(bool(t.sell[k])).lower()}")
        path = folder / f"{native}.csv"
        path.write_text("\n".join(lines) + "\n")
        load(Job(open_source([path], venue="demo", symbol=symbol), KERNELS, Lake(folder / "lake"), complete=False, replace=False))
    return Lake(folder / "lake").table("bars").filter(pl.col("bar").is_in(list(BAR_WIDTHS_US))).collect()


def cut_and_compare(house: House, tmp_path: Path, seconds: float) -> pl.DataFrame:
    """Cut the line; return the bars that differ from the uncut run's, all of which must be marked."""
    before = house.trades()["ts"].max()
    house.fault("cut", seconds)
    moment = time.monotonic() + seconds
    wait_for(lambda: time.monotonic() >= moment, "the end of the cut", seconds + 5)
    wait_until_caught_up(house)
    house.stop("record")
    house.stop("run")
    house.drain()
    assert_nothing_lost_nothing_doubled(house)
    assert before is not None
    key = ["venue", "symbol", "bar", "ts"]
    figures = ["open", "high", "low", "close", "volume", "buy_volume", "notional", "vwap", "trades", "first_id", "last_id"]
    ours = house.lake.table("bars").filter(pl.col("bar").is_in(list(BAR_WIDTHS_US))).collect()
    truth = bars_of_the_uncut_tape(house, tmp_path / "truth")
    both = ours.join(truth, on=key, how="left", suffix="_truth")
    same = pl.all_horizontal([pl.col(f).eq_missing(pl.col(f + "_truth")) for f in figures])
    odd = both.filter(~same, pl.col("ts") < pl.col("ts").max().over("symbol", "bar"))
    assert set(odd["quality"]) <= {"late", "gap"}, odd
    assert ours.filter(pl.col("quality") == "repaired").height > 0 or odd.height > 0
    return odd


@pytest.mark.parametrize("seconds", [1, 10])
def test_a_cut_is_repaired_or_marked(house: House, tmp_path: Path, seconds: float) -> None:
    odd = cut_and_compare(house, tmp_path, seconds)
    if seconds == 1:
        assert odd.height == 0, "a short cut leaves every bar as it would have been"


@pytest.mark.soak
def test_a_cut_of_a_minute_is_repaired_or_marked(house: House, tmp_path: Path) -> None:
    cut_and_compare(house, tmp_path, 60)


def test_a_stalled_socket_is_found_and_what_it_missed_is_repaired(house: House, tmp_path: Path) -> None:
    house.fault("stall", 20)
    wait_until_caught_up(house)
    stop_and_check(house, tmp_path)


@pytest.mark.parametrize("kind", ["duplicates", "reorder", "missing", "garbage", "late"])
def test_a_misbehaving_exchange_costs_no_trade(house: House, tmp_path: Path, kind: str) -> None:
    house.fault(kind)
    wait_until_caught_up(house)
    stop_and_check(house, tmp_path)
