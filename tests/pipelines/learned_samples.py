"""Made-up rows of tables `features` and `bars`, and a model for them."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl

from pipelines.feature_tables import VERSION
from pipelines.learned_model import Model, Term
from pipelines.research.learned import COLUMNS
from tests import tapes

MODEL = Model(
    features=VERSION,
    event="move:1%/10m",
    horizon="20m",
    instruments=("binance-usdm AAA-USDT-PERP",),
    first=dt.date(2023, 11, 1),
    last=dt.date(2023, 11, 14),
    terms=(
        Term(column="mom_bps_1m", floor=0.5, center=1.0, scale=2.0, weight=1.0),
        Term(column="rvol_1m", floor=0.1, center=0.0, scale=1.0, weight=0.5),
    ),
    intercept=0.25,
    level=0.6,
    rearm=0.8,
    cooldown_min=3,
)


def market(seed: int, days: int, *, venue: str = "ftx", symbol: str = "X", begin: int = tapes.DAY) -> tuple[pl.DataFrame, ...]:
    """Return `features` and `bars` of days on which large moves follow minutes of much volume."""
    rng = np.random.default_rng(seed)
    n = days * 1440
    wild = np.repeat(rng.random(n // 30) < 0.1, 30)
    size = np.where(wild, 30.0, 3.0)
    closes = 100.0 * np.exp(np.cumsum(rng.normal(0, 1e-4, n) * size))
    ts = pl.Series("ts", begin + np.arange(n) * 60_000_000).cast(pl.Datetime("us", "UTC"))
    named = {"venue": pl.lit(venue), "symbol": pl.lit(symbol), "end": pl.col("ts") + pl.duration(minutes=1)}
    bars = pl.DataFrame({"ts": ts, "close": closes}).with_columns(**named, quality=pl.lit("complete"))
    figures = {name: rng.normal(0, 1, n) * size for name in COLUMNS}
    figures |= {name: rng.lognormal(0, 0.3, n) * size for name in COLUMNS if name.startswith("r")}
    return pl.DataFrame({"ts": ts, **figures}).with_columns(**named), bars
