"""Frames as agents are given them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl

from pipelines.market import TABLES
from pipelines.settings import Settings, Venue
from pipelines.store.lake import Lake
from tests.pipelines.store.samples import put
from tests.pipelines.store.samples import rows as samples

DAY = dt.datetime(2024, 7, 19, tzinfo=dt.UTC)
NOON = DAY + dt.timedelta(hours=12)
MINUTE = dt.timedelta(minutes=1)


def settings(**other: Any) -> Settings:
    venues = {"demo": Venue(symbols=("BTC-USDT",)), "okx": Venue(symbols=("BTC-USDT",))}
    return Settings(_env_file=None, venues=venues, **other)


def minute(k: float) -> dt.datetime:
    """Return when minute k of the day begins."""
    return DAY + k * MINUTE


def frame(table: str, rows: Iterable[dict[str, Any]]) -> pl.DataFrame:
    """Return rows of a table; of an instrument of our own unless they say which, a minute long, else null."""
    schema = pl.Schema(pl.DataFrame(TABLES[table].lake_schema.empty_table()).schema)
    whole = [
        {"venue": "demo", "symbol": "BTC-USDT", "end": row["ts"] + MINUTE, **row} if "symbol" in schema else {"venue": "x", **row}
        for row in rows
    ]
    return pl.DataFrame(whole, schema=schema).sort([c for c in ("venue", "symbol", "ts") if c in schema])


def by_minute(table: str, first: int, **columns: list[Any]) -> pl.DataFrame:
    """Return a row a minute from minute `first` of the day on."""
    n = len(next(iter(columns.values())))
    return frame(table, [{"ts": minute(first + i), **{name: of[i] for name, of in columns.items()}} for i in range(n)])


def busy(root: Path | str) -> Lake:
    """Return a lake with 20 minutes of features at 10:00, of which those from 10:03 are busy."""
    made = Lake(root)
    made.create()
    ts = [minute(600 + k) for k in range(20)]
    rvol = [1.0] * 3 + [6.0] * 17
    about: dict[str, Any] = {"ts": ts, "end": [t + MINUTE for t in ts], "rvol_5m": rvol, "rvol_15m": rvol, "date": DAY.date()}
    put(made, TABLES["features"], samples(TABLES["features"], 20, **about))
    return made
