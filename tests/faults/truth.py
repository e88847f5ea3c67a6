"""What must hold once a fault is over, held against the market itself: it is a function of time."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import polars as pl

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
FIGURES = ["open", "high", "low", "close", "volume", "buy_volume", "notional", "vwap", "trades", "first_id", "last_id"]


def market_of(house: House) -> Market:
    """Return the market that the house's exchange serves."""
    return Market(Settings().demo.seed, Settings().demo.symbols, house.rate)


def assert_nothing_lost_nothing_doubled(house: House) -> None:
    """The lake holds every trade of the market between its first and its last, once, as the market made it."""
    trades = house.trades()
    market = market_of(house)
    for symbol in trades["symbol"].unique():  # of a young house some are not committed yet
        ours, native = trades.filter(pl.col("symbol") == symbol), SYMBOLS[symbol]
        first, last = ours["trade_id"].min(), ours["trade_id"].max()
        assert isinstance(first, int)
        assert isinstance(last, int)
        truth = market.trades(native, first, last + 1)
        listing = market.listings[native]
        assert ours["trade_id"].to_list() == truth.id.tolist()
        assert ours["ts"].dt.epoch("ms").to_list() == truth.time.tolist()
        assert ours["price"].to_list() == (truth.price / 10**listing.price_decimals).tolist()
        assert ours["size"].to_list() == (truth.size / 10**listing.size_decimals).tolist()


def missing(house: House) -> int:
    """Return how many trades the lake lacks between its first and its last: it takes trades in by the minute, late ones too."""
    ids = pl.col("trade_id")
    counts = house.lake.table("trades").group_by("symbol").agg((ids.max() - ids.min() + 1 - ids.n_unique()).alias("missing"))
    return int(counts.collect()["missing"].sum())


def assert_equal_to_an_uninterrupted_run(house: House, elsewhere: Path) -> None:
    """A flow that reads the same journal in one go makes the same tables."""
    other = House(elsewhere, 1.0)
    shutil.copytree(house.data / "journal", other.data / "journal")
    (other.data / "journal" / "main" / "consumed.json").unlink()
    other.drain()
    for name in WORKED_OUT:
        table = TABLES[name]
        view = name + "_history" if table.newest else name
        ours, whole = (h.lake.table(view).collect() for h in (house, other))
        if name == "alerts":  # which agents add to, where a house with Dagster in it stands for minutes
            ours = ours.filter(pl.col("source") != "agent")
        order = dict.fromkeys([*table.key, "end", *(column for column, kind in ours.schema.items() if not kind.is_nested())])
        assert ours.sort(*order).equals(whole.sort(*order)), name
    for name in ("trades", "bars", "vpin", "instruments", "inputs", "klines"):
        assert house.rows(name) > 0, name


def stop_and_check(house: House, folder: Path) -> None:
    """Stop everything; nothing is lost, nothing doubled, and an uninterrupted flow makes the same."""
    for name in ("record", "run", "up"):
        if name in house.processes and house.processes[name].poll() is None:
            house.stop(name)
    house.drain()
    assert set(house.trades()["symbol"]) == set(SYMBOLS)
    assert_nothing_lost_nothing_doubled(house)
    assert_equal_to_an_uninterrupted_run(house, folder)


def wait_until_caught_up(house: House) -> None:
    """Wait until the flow has stored trades that were made after this moment."""
    told = house.status("recorder").get("at")
    now = time.time() if house.speed == 1 or not isinstance(told, int) else told / 1e9

    def caught_up() -> bool:
        seen = house.status("flow").get("instruments")
        return isinstance(seen, list) and bool(seen) and all(i["last_trade_ts"] > now and not i["gap_open"] for i in seen)

    wait_for(caught_up, "the flow has caught up")


def bars_of_the_uncut_tape(house: House, folder: Path) -> pl.DataFrame:
    """Return the time bars that the market's own trades give by the batch path."""
    folder.mkdir()
    market = market_of(house)
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


def bars_that_differ(house: House, folder: Path) -> pl.DataFrame:
    """Return the time bars that are not as the uncut tape has them.

    Each must be marked, or, where a heartbeat closed it before its last trades came, be gone on with by a bar that is.
    """
    ours = house.lake.table("bars").filter(pl.col("bar").is_in(list(BAR_WIDTHS_US))).collect()
    truth = bars_of_the_uncut_tape(house, folder)
    both = ours.join(truth, on=["venue", "symbol", "bar", "ts"], how="left", suffix="_truth")
    same = pl.all_horizontal([pl.col(f).eq_missing(pl.col(f + "_truth")) for f in FIGURES])
    odd = both.filter(~same, pl.col("ts") < pl.col("ts").max().over("symbol", "bar"))
    marked = odd.filter(pl.col("quality").is_in(["late", "gap"]))
    taken_in = ours.filter(quality="late").select("symbol", "bar", last_id=pl.col("first_id") - 1)
    unmarked = odd.join(marked, on=["symbol", "bar", "ts"], how="anti").join(taken_in, on=taken_in.columns, how="anti")
    assert unmarked.is_empty(), [unmarked.to_dicts(), ours.filter(quality="late").to_dicts()]
    return odd
