"""What an archive lacks is in the ledger, what of it was refused in quarantine, once."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from pipelines.history.archive_day import ArchiveDay, archive_day
from pipelines.history.archive_notes import REASON, note
from pipelines.history.day import Day
from pipelines.history.repair import holes
from pipelines.store.lake import Lake
from pipelines.venues import venue
from tests.archive import days
from tests.archive.days import DATE

DAY = Day(DATE, "binance-usdm")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    made = Lake(str(tmp_path / "lake"))
    made.create()
    return made


def read(folder: Path, content: bytes) -> ArchiveDay:
    path = folder / f"BTCUSDT-aggTrades-{DATE}.zip"
    path.write_bytes(days.zipped(path.name.replace(".zip", ".csv"), content))
    day = archive_day([[path]], DAY, [venue("binance-usdm").guess("BTCUSDT")], "agg")
    list(day.pieces())
    return day


def ledger(lake: Lake) -> list[tuple[object, ...]]:
    return lake.table("gaps").select("symbol", "from_id", "to_id", "reason", "status").collect().rows()


def test_holes_and_refused_lines(lake: Lake, tmp_path: Path) -> None:
    trades = days.day(n=20)
    content = days.agg([*trades[:5], *trades[8:]]) + b"garbage\n"
    for now in (1, 2):  # the second time says nothing new
        note(lake, read(tmp_path, content), now_us=DAY.us + now)
    assert ledger(lake) == [("BTC-USDT-PERP", trades[5].id, trades[7].id, REASON, "unfillable")]
    assert lake.table("gaps_history").collect().height == 1
    found = lake.table("quarantine").select("symbol", "segment", "offset", "frame", "reason").collect().rows()
    assert found == [(None, f"BTCUSDT-aggTrades-{DATE}.zip", 19, "garbage", "line had 1 columns instead of 7")]
    assert lake.table("quarantine").select(pl.col("date")).collect().item() == DATE


def test_what_no_repair_can_bring_asks_for_none(lake: Lake, tmp_path: Path) -> None:
    trades = days.day(n=20)
    note(lake, read(tmp_path, days.agg(trades[:5] + trades[8:])), now_us=DAY.us)
    assert holes(lake, DAY) == []


def test_an_issue_without_the_hole_repairs_it(lake: Lake, tmp_path: Path) -> None:
    trades = days.day(n=20)
    note(lake, read(tmp_path, days.agg([*trades[:5], *trades[8:12], *trades[13:]])), now_us=DAY.us)
    note(lake, read(tmp_path, days.agg([*trades[:12], *trades[13:]])), now_us=DAY.us + 1)
    assert {(row[1], row[-1]) for row in ledger(lake)} == {(trades[5].id, "repaired"), (trades[12].id, "unfillable")}


def test_a_good_day_leaves_no_note(lake: Lake, tmp_path: Path) -> None:
    note(lake, read(tmp_path, days.agg(days.day())), now_us=DAY.us)
    assert ledger(lake) == []
    assert lake.table("quarantine").collect().height == 0
