"""Lakes for briefs: one whose every value is known, one made of random trades, and what of a lake was there at a time."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path
from typing import Any, Final

import polars as pl

from pipelines.jobs import load
from pipelines.market import TABLES
from pipelines.settings import Settings, Venue
from pipelines.store.lake import Lake
from tests.pipelines.store.samples import moment, put, rows
from tests.pipelines.test_jobs import archive, job

BEGIN: Final = moment(0)
MINUTES: Final = 1800
AT: Final = BEGIN + dt.timedelta(minutes=MINUTES)
"""When the known lake ends: 2024-07-20 06:00."""
BUCKETS: Final = 300
DEMO: Final = ("demo", "BTC-USDT")
SETTINGS: Final = Settings(venues={"demo": Venue(symbols=("BTC-USDT",))})


def known(root: Path, *, minutes: int = MINUTES, notional: list[float] | None = None, **features: Any) -> Lake:
    """Make a lake of 30 hours in which a minute of number k closes at 100 + k / 100 and the hour h trades 60,000 + 60 h.

    `notional`: what each minute trades, where it is to be something else; `features`: columns of the minutes' features, where
    they are to be other than rising.
    """
    lake = Lake(root)
    lake.create()
    count = range(minutes)
    dates = [(BEGIN + dt.timedelta(minutes=k)).date() for k in count]
    closes = [round(100 + k / 100, 2) for k in count]
    times: dict[str, Any] = {"date": dates, "end": [moment(60 * (k + 1)) for k in count]}
    flags = ["gap" if k == MINUTES - 100 else "complete" for k in count]
    bars: dict[str, Any] = {
        "close": closes,
        "high": [c + 0.5 for c in closes],
        "low": [c - 0.5 for c in closes],
        "quality": flags,
    }
    bars["notional"] = notional or [1000.0 + k // 60 for k in count]
    put(lake, TABLES["bars"], rows(TABLES["bars"], minutes, **times, **bars))
    told: dict[str, Any] = {
        "rvol_15m": [k / 1000 for k in count],
        "rv_1h": [(k / 1e6) ** 2 for k in count],
        "trade_imbalance_15m": [(k % 100) / 200 * (-1) ** k for k in count],
        "amihud_1h": [1e-9] * minutes,
        "spread_bps": [None] * minutes,
        "ofi_15m": [None] * minutes,
    }
    put(lake, TABLES["features"], rows(TABLES["features"], minutes, **times, **(told | features)))
    posture: dict[str, Any] = {"state": ["flat"] * (minutes - 10) + ["long"] * 10, "p_up": 0.6, "since": moment(0)}
    put(lake, TABLES["posture"], rows(TABLES["posture"], minutes, **times, **posture))
    traded = [moment(60 * k + 30) for k in count]
    put(lake, TABLES["trades"], rows(TABLES["trades"], minutes, date=dates, ts=traded, end=traded, seq=list(count), side=1))
    _vpin(lake, minutes)
    return lake


def _vpin(lake: Lake, minutes: int) -> None:
    """Add a bucket each of the last minutes, VPIN rising by 1 / 1000."""
    first = minutes - BUCKETS
    ends = [moment(60 * (first + k) + 30) for k in range(BUCKETS)]
    values: dict[str, Any] = {"vpin_flag": [0.1 + k / 1000 for k in range(BUCKETS)], "null_low": 0.2, "null_high": 0.5}
    more: dict[str, Any] = {
        "date": [e.date() for e in ends],
        "ts": ends,
        "end": ends,
        "setting": "adv50x50",
        "partial": False,
        "gap": False,
    }
    put(lake, TABLES["vpin"], rows(TABLES["vpin"], BUCKETS, **values, **more))


def random_days(folder: Path, days: int = 3) -> Lake:
    """Make a lake of days of random trades, with everything that is made of trades."""
    first = 1
    for day in range(days):
        path = folder / f"AAAUSDT-aggTrades-2023-11-{15 + day}.csv"
        first = archive(path, day, day, first)
        load(job(folder / "lake", path))
    return Lake(folder / "lake")


def copy(lake: Lake, root: Path) -> Lake:
    """Copy a lake, to be added to."""
    return Lake(shutil.copytree(lake.root, root / "lake"))


def cut(lake: Lake, root: Path, at: dt.datetime) -> Lake:
    """Copy what a lake knew at a time: rows with `end` and, where there is one, `as_of` no later."""
    part = Lake(root)
    part.create()
    for table in TABLES.values():
        frame = lake.table(f"{table.name}_history" if table.newest else table.name).filter(pl.col("end") <= at)
        frame = frame.filter(pl.col("as_of") <= at) if "as_of" in table.lake_schema.names else frame
        found = frame.collect()
        if found.height:
            put(part, table, found.select(table.lake_schema.names).to_arrow().cast(table.lake_schema))
    return part
