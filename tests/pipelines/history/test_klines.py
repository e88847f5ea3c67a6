"""Minutes against the venue's own candles: by hand, with sides turned round, and on recorded ones."""

from __future__ import annotations

import datetime as dt
import gzip
import json
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from pipelines.history.klines import agreement
from pipelines.market import TABLES
from pipelines.settings import Kernels
from tests.conftest import SHARED
from tests.pipelines.test_recorded_signals import tables

BEGIN = dt.datetime(2026, 11, 20, tzinfo=dt.UTC)


def minute(k: int, **other: Any) -> dict[str, Any]:
    ts = BEGIN + dt.timedelta(minutes=k)
    plain = {"bar": "1m", "ts": ts, "end": ts + dt.timedelta(minutes=1), "fills": 4, "volume": 1.3, "buy_volume": 0.1 * (k % 7)}
    return {**plain, "open": 10.0, "high": 12.0, "low": 9.0, "close": 11.0, **other}


def bars(*rows: dict[str, Any]) -> pl.DataFrame:
    schema = TABLES["bars"].lake_schema
    return pl.DataFrame([{**dict.fromkeys(schema.names), **row} for row in rows], schema=pl.Schema(schema))


def candle(row: dict[str, Any], **other: Any) -> dict[str, Any]:
    return {**{k: v for k, v in row.items() if k not in ("bar", "buy_volume")}, "taker_buy_volume": row["buy_volume"], **other}


def klines(*rows: dict[str, Any]) -> pl.DataFrame:
    schema = TABLES["klines"].lake_schema
    return pl.DataFrame([{**dict.fromkeys(schema.names), **row} for row in rows], schema=pl.Schema(schema))


def day(n: int = 200) -> list[dict[str, Any]]:
    return [minute(k) for k in range(n)]


def test_every_minute_is_exact() -> None:
    ours = day()
    quiet = candle(minute(200), volume=0.0, taker_buy_volume=0.0, fills=0)
    found = agreement(bars(*ours), klines(*map(candle, ours), quiet), "fill")
    assert found is not None
    assert (found.compared, found.exact, found.differing, found.share, found.passed) == (200, 200, {}, 1.0, True)


@pytest.mark.parametrize(("wrong", "passed"), [(2, True), (3, False)])
def test_of_a_hundred_minutes_one_may_differ(wrong: int, passed: bool) -> None:
    ours = day()
    theirs = [candle(row, volume=1.4) if k < wrong else candle(row) for k, row in enumerate(ours)]
    found = agreement(bars(*ours), klines(*theirs), "fill")
    assert found is not None
    assert (found.exact, found.differing, found.passed) == (200 - wrong, {"volume": wrong}, passed)
    assert found.shown == ["00:00", "00:01", "00:02"][:wrong]
    of_aggregates = agreement(bars(*ours), klines(*theirs), "agg")
    assert of_aggregates is not None
    assert (of_aggregates.share, of_aggregates.passed) == (found.share, True)


@pytest.mark.parametrize("tape", ["fill", "agg"])
def test_sides_that_are_turned_round_fail(tape: Any) -> None:
    ours = day()
    turned = [{**row, "buy_volume": row["volume"] - row["buy_volume"]} for row in ours]
    found = agreement(bars(*turned), klines(*map(candle, ours)), tape)
    assert found is not None
    assert not found.passed
    assert found.differing.keys() == {"taker_buy_volume"}
    assert found.flipped_away < 1e-9 < found.away


def test_a_minute_that_we_lack_is_not_exact() -> None:
    ours = day(20)
    found = agreement(bars(*ours[1:]), klines(*map(candle, ours)), "fill")
    assert found is not None
    assert (found.compared, found.exact, found.shown) == (20, 19, ["00:00"])


def test_only_what_both_have_is_compared() -> None:
    ours = day(20)
    theirs = [candle(row, taker_buy_volume=None, fills=None) for row in ours[:10]]
    found = agreement(bars(*ours), klines(*theirs), "fill", since=int(BEGIN.timestamp() + 120) * 1_000_000)
    assert found is not None
    assert (found.compared, found.exact) == (8, 8)
    assert agreement(bars(*ours), klines(), "fill") is None
    assert agreement(bars(), klines(candle(minute(0), volume=0.0)), "fill") is None


def test_contracts_are_rounded_trade_by_trade() -> None:
    ours = day(3)
    theirs = klines(*(candle(row, volume=1.3 + 3e-8) for row in ours))
    plain, inverse = agreement(bars(*ours), theirs, "fill"), agreement(bars(*ours), theirs, "fill", inverse=True)
    assert plain is not None
    assert inverse is not None
    assert (plain.exact, inverse.exact) == (0, 3)


@pytest.mark.real
def test_recorded_trades_come_to_the_recorded_candles() -> None:
    """Three days of XRP/ETH: the venue's candles, and taker buys summed from the recording by another way."""
    name = "trades/freqtrade_XRP_OLD-trades.json.gz"
    ours = pl.DataFrame(tables(name, Kernels(bars=("1m",), vpin=()))["bars"])
    recorded = pl.read_ipc(SHARED / "ohlcv/freqtrade_XRP_ETH-1m.feather")
    bought: dict[int, Decimal] = {}
    fills: dict[int, int] = {}
    for trade in (line["info"] for line in json.loads(gzip.decompress((SHARED / name).read_bytes()))):
        at = int(trade["T"]) // 60_000
        bought[at] = bought.get(at, Decimal(0)) + (0 if trade["m"] else Decimal(trade["q"]))
        fills[at] = fills.get(at, 0) + trade["l"] - trade["f"] + 1
    starts = (recorded["date"].dt.epoch("ms") // 60_000).to_list()
    schema = pl.Schema(TABLES["klines"].lake_schema)
    theirs = pl.DataFrame(
        {
            **{name: recorded[name] for name in ("open", "high", "low", "close", "volume")},
            "ts": recorded["date"].dt.cast_time_unit("us"),
            "taker_buy_volume": [float(bought.get(k, 0)) for k in starts],
            "fills": [fills.get(k, 0) for k in starts],
        }
    ).cast({"ts": schema["ts"]})
    found = agreement(ours, theirs, "agg")
    assert found is not None
    assert found.compared > 2000
    assert (found.share, found.passed) == (1.0, True)
    turned = ours.with_columns(buy_volume=pl.col("volume") - pl.col("buy_volume"))
    flipped = agreement(turned, theirs, "agg")
    assert flipped is not None
    assert not flipped.passed
    assert flipped.share < 0.5
