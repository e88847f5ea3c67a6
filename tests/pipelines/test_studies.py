"""What studies read of a lake, and how their rows are kept."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pipelines import studies
from pipelines.market import BARS
from pipelines.store.lake import Lake
from tests.pipelines.store.samples import DAY, moment, put, rows


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    made = Lake(tmp_path / "lake")
    made.create()
    return made


def fill(lake: Lake, symbol: str, trades: int, venue: str = "demo", n: int = 90) -> None:
    ends = [moment((k + 1) * 60) for k in range(n)]
    closes = [100.0 + (k * 7919 % 13) for k in range(n)]
    about: dict[str, Any] = {"trades": trades, "venue": venue, "symbol": symbol}
    put(lake, BARS, rows(BARS, n, end=ends, close=closes, **about))


def test_the_busiest_are_paired_in_the_order_of_the_alphabet() -> None:
    frame = pl.DataFrame({"symbol": ["C", "B", "A", "A", "D"], "trades": [9, 5, 4, 2, 0], "close": 1.0})
    assert list(studies.busiest(frame, 2)) == ["A", "C"]
    assert list(studies.busiest(frame, 9)) == ["A", "B", "C"]
    assert studies.busiest(frame, 2)["A"].height == 2


def test_symbols_of_one_venue_are_paired_within_the_span(lake: Lake) -> None:
    for venue in ("okx", "demo"):
        fill(lake, "A-USDT", 1, venue)
        fill(lake, "B-USDT", 1, venue)
    fill(lake, "C-USDT", 1, "kraken")
    found = studies.paired(lake, "1m", 10, moment(0), moment(3600))
    assert [frame["venue"].to_list() for frame in found] == [["demo"], ["okx"]]
    assert found[0]["end"].to_list() == [moment(3600)]
    assert studies.paired(lake, "1m", 10, moment(-3600), moment(0)) == []


def test_the_rows_of_a_run_are_kept_once(lake: Lake) -> None:
    fill(lake, "A-USDT", 1)
    fill(lake, "B-USDT", 1)
    (found,) = studies.paired(lake, "1m", 10, moment(0), moment(3600))
    assert [studies.keep_pairs(lake, found) for _ in range(2)] == [1, 1]
    assert lake.table("pairs").collect().height == 1


def test_rows_up_to_a_date_hold_that_date() -> None:
    frame = pl.DataFrame({"ts": [moment(0), moment(86_399), moment(86_400)]})
    assert studies.until(frame, DAY).height == 2
    assert studies.until(frame, DAY - dt.timedelta(days=1)).is_empty()
