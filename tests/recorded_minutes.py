"""Recorded one-minute bars of `../shared/data`, and the rows of table `features` that the kernels make of them."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import numpy as np
import polars as pl

from pipelines import features
from pipelines.market import DAY_US, Instrument
from pipelines.minute_measures import Measured, joined
from pipelines.reference import places_of
from tests.conftest import SHARED

FTX: Final = "ftx/nautilus_FTX_btc-perp-20211231-20220201_1m.csv.gz"
BINANCE_US: Final = {s: f"ohlcv/iaqf_binanceus_{s}_1m_20230301_20230321.csv.gz" for s in ("BTCUSD", "BTCUSDT")}
USDM: Final = "ohlcv/farukort_binance_usdm_1m_20250617-20250623.parquet"


def ftx() -> list[pl.DataFrame]:
    """Return a month of one perpetual, 2021-12-31 to 2022-02-01."""
    rows = pl.read_csv(SHARED / FTX)
    return [_bars(rows, "ftx", "BTC-PERP", pl.col("timestamp").str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_zone="UTC"))]


def binance_us() -> list[pl.DataFrame]:
    """Return three weeks of bitcoin against dollar and tether, March 2023."""
    opened = pl.col("open_time").str.to_datetime("%Y-%m-%d %H:%M:%S%:z").dt.convert_time_zone("UTC")
    return [_bars(pl.read_csv(SHARED / path), "binanceus", symbol, opened) for symbol, path in BINANCE_US.items()]


def usdm() -> list[pl.DataFrame]:
    """Return six days of 14 perpetuals, June 2025; a fifteenth, which never traded, has no rows."""
    rows, opened = pl.read_parquet(SHARED / USDM), pl.col("open_time").dt.replace_time_zone("UTC")
    symbols = rows["symbol"].unique().sort()
    parts = [_bars(rows.filter(symbol=symbol), "binance-usdm", symbol, opened) for symbol in symbols]
    return [part for part in parts if part.height]


def _bars(rows: pl.DataFrame, venue: str, symbol: str, opened: pl.Expr) -> pl.DataFrame:
    """Return rows as in table `bars`: minutes with trades, in order."""
    return (
        rows.select(
            venue=pl.lit(venue),
            symbol=pl.lit(symbol),
            ts=opened.dt.cast_time_unit("us"),
            end=opened.dt.cast_time_unit("us") + pl.duration(minutes=1),
            high="high",
            low="low",
            close="close",
            volume="volume",
            quality=pl.lit("complete"),
        )
        .filter(pl.col("volume") > 0)
        .unique("ts", keep="first")
        .sort("ts")
    )


def rows(bars: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of table `features` of one instrument's bars."""
    it = Instrument(bars["venue"][0], bars["symbol"][0], bars["symbol"][0], "", "")
    return pl.DataFrame(measured(bars).table([it]))


def measured(bars: pl.DataFrame) -> Measured:
    """Return what the features say of the minutes of one instrument's bars.

    The files know neither sides nor notional: what is made of them (imbalance, VWAP, Kyle, Amihud) means nothing here.
    """
    ts = bars["ts"].dt.epoch("us").to_numpy()
    figures = {name: bars[name].to_numpy() for name in ("high", "low", "close", "volume")}
    places = {name: max(places_of(Decimal(repr(x))) for x in of.tolist()) for name, of in figures.items()}
    price, size = max(places["high"], places["low"], places["close"]), places["volume"]
    figures |= {"buy_volume": np.zeros(ts.size), "notional": figures["volume"] * figures["close"]}
    closed = features.stored(ts, figures, np.zeros(ts.size, np.bool_), (price, size))
    made, parts = features.Features(), []
    made.grow(1)
    for day in np.unique(ts // DAY_US):
        at = ts // DAY_US == day
        made.feed(closed[at], figures["close"][at], figures["volume"][at], np.array([price]), np.array([size]))
        taken = made.take()
        assert taken is not None
        parts.append(taken)
    return joined(parts)
