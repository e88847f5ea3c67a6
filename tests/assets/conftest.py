"""A small lake to report on."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pyarrow as pa
import pytest

from assets.resources import LiveLake
from pipelines.market import TABLES
from pipelines.store.lake import Lake

NOW = dt.datetime(2026, 3, 4, 12, 0, tzinfo=dt.UTC)


def trade(trade_id: int, **other: Any) -> dict[str, Any]:
    ts = NOW - dt.timedelta(seconds=30) + dt.timedelta(milliseconds=trade_id)
    return {
        "symbol": "BTC-USDT",
        "trade_id": trade_id,
        "ts": ts,
        "end": ts,
        "seq": trade_id,
        "price": 100.0,
        "size": 0.5,
        "side": 1,
        "tape": "agg",
        "fills": 1,
        "counted": True,
        "flags": [],
        **other,
    }


def gap(status: str, minutes: float, as_of_minutes: float) -> dict[str, Any]:
    ts = NOW - dt.timedelta(minutes=minutes)
    return {
        "symbol": "BTC-USDT",
        "feed": "trades",
        "ts": ts,
        "end": ts + dt.timedelta(seconds=1),
        "from_id": 4,
        "to_id": 7,
        "reason": "reconnect",
        "status": status,
        "as_of": NOW - dt.timedelta(minutes=as_of_minutes),
    }


class Stream:
    """What the flow does to the lake."""

    def __init__(self, root: str) -> None:
        self.lake = Lake(root)
        self.commits = 0

    def commit(self, table: str, *rows: dict[str, Any], venue: str = "demo") -> None:
        schema = TABLES[table].lake_schema
        full = [{**dict.fromkeys(schema.names), "date": row["ts"].date(), "venue": venue, **row} for row in rows]
        self.commits += 1
        staged = self.lake.stage(table, pa.Table.from_pylist(full, schema=schema), f"main-{self.commits:010}", {})
        assert self.lake.commit(table, f"main/{table}", self.commits, staged)


@pytest.fixture
def lake(tmp_path: Any) -> LiveLake:
    return LiveLake(root=str(tmp_path / "lake"), venues=["demo"])


@pytest.fixture
def stream(lake: LiveLake) -> Stream:
    made = Stream(lake.root)
    made.lake.create()
    return made
