"""The chart of a message: drawn from what was known, the same rows the same bytes."""

from __future__ import annotations

import datetime as dt
import math
from pathlib import Path

import polars as pl
import pytest

from pipelines.briefs.chart import SPAN, chart, described, drawn
from pipelines.market import ALERTS, TABLES
from pipelines.store.lake import Lake
from tests.pipelines.store import samples
from tests.slack_server import PNG

AT = samples.moment(5 * 3600)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    lake = Lake(tmp_path_factory.mktemp("chart") / "lake")
    lake.create()
    ends = [samples.moment(60 * k) for k in range(1, 420) if not 200 < k < 230]  # a hole, and rows behind AT
    closes = [60_000 + 300 * math.sin(k / 30) for k in range(len(ends))]
    samples.put(lake, TABLES["bars"], samples.rows(TABLES["bars"], len(ends), ts=ends, end=ends, close=closes, bar="1m"))
    pct: list[float | None] = [0.5 + 0.45 * math.sin(k / 40) for k in range(len(ends))]
    vpin = samples.rows(TABLES["vpin"], len(ends), ts=ends, end=ends, pct=pct, setting="v5x50")
    samples.put(lake, TABLES["vpin"], vpin)
    other = samples.rows(TABLES["vpin"], 3, ts=ends[:3], end=ends[:3], pct=0.1, setting="adv50x50")
    samples.put(lake, TABLES["vpin"], other)
    times = [samples.moment(60 * k) for k in (150, 240, 400)]
    samples.put(lake, ALERTS, samples.rows(ALERTS, 3, ts=times, end=times, severity=[1, 3, 3]))
    return lake


def test_a_picture_that_slack_takes(lake: Lake) -> None:
    found = chart(lake, "demo", "BTC-USDT", AT)
    assert found.startswith(PNG)
    assert 10_000 < len(found) < 200_000


def test_only_what_was_known_is_drawn(lake: Lake, tmp_path: Path) -> None:
    cut = Lake(tmp_path / "lake")
    cut.create()
    for name in ("bars", "vpin", "alerts"):
        rows = lake.table(name).filter(pl.col("end") <= AT).collect().to_arrow().cast(TABLES[name].lake_schema)
        samples.put(cut, TABLES[name], rows)
    assert chart(cut, "demo", "BTC-USDT", AT) == chart(lake, "demo", "BTC-USDT", AT)


def test_without_bars_there_is_none_and_without_vpin_it_is_said(lake: Lake) -> None:
    assert chart(lake, "demo", "BTC-USDT", AT - dt.timedelta(hours=9)) == b""
    minutes = pl.DataFrame({"end": [AT - SPAN / 2], "close": [1.0]})
    nothing = pl.DataFrame({"end": [], "pct": []}, {"end": pl.Datetime("us", "UTC"), "pct": pl.Float64})
    assert drawn("title", minutes, nothing, pl.DataFrame({"end": [], "severity": []}), AT).startswith(PNG)


def test_it_is_described_without_a_number() -> None:
    assert not any(c.isdigit() for c in described("BTC-USDT"))
