"""Repair: what the archive has and the lake lacks is added once, and the ledger says so."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import pytest

from pipelines import ledger, rows
from pipelines.history.day import Day
from pipelines.history.repair import holes, repair, settle
from pipelines.market import Instrument
from pipelines.store.lake import Lake
from pipelines.tape import VOID, Rows, empty
from pipelines.tape_order import GapRow
from pipelines.venues.columns import Tape

DAY = Day(dt.date(2026, 11, 3), "binance-usdm")
BTC = Instrument("binance-usdm", "BTC-USDT-PERP", "BTCUSDT", "BTC", "USDT")
ETH = Instrument("binance-usdm", "ETH-USDT-PERP", "ETHUSDT", "ETH", "USDT")
NOW = DAY.us + 2 * 86_400_000_000


class Archive(NamedTuple):
    """A day's tape in memory."""

    parts: tuple[Rows, ...]
    instruments: tuple[Instrument, ...] = (BTC, ETH)
    day: Day = DAY
    tape: Tape = "agg"
    source: str = "BTCUSDT-aggTrades-2026-11-03.zip"
    digest: str = "0123456789abcdef0123"

    def pieces(self) -> Iterator[Rows]:
        yield from self.parts


def tape(ids: range, instrument: int = 0) -> Rows:
    made = empty(len(ids))
    made["trade_id"] = ids
    made["instrument"] = instrument
    made["ts"] = DAY.us + 1_000_000 * np.array(ids)
    made["price"], made["size"], made["side"] = 100.0, 1.0, 1
    return made


def hole(first: int | None, last: int | None, at: int = 0, until: int = 9, status: str = "open") -> GapRow:
    return GapRow(0, DAY.us + at * 1_000_000, DAY.us + until * 1_000_000, first, last, "reconnect", status, DAY.us * 1000)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    made = Lake(tmp_path)
    made.create()
    return made


def put(lake: Lake, *parts: Rows) -> None:
    for part in parts:
        table = rows.trades(part, [DAY.venue] * 2, [BTC.symbol, ETH.symbol], ["agg", "agg"])
        name = f"main-{len(lake.live('trades')):010}"
        lake.commit("trades", name, 0, lake.stage("trades", table, name, {}))


def note(lake: Lake, *lines: GapRow) -> None:
    lake.commit("gaps", "main/gaps", 0, lake.stage("gaps", ledger.gaps(lines, [BTC]), "main-0000000001", {}))


def ids(lake: Lake, symbol: str = BTC.symbol, *, repaired: bool = False) -> list[int]:
    frame = lake.table("trades").filter(pl.col("symbol") == symbol)
    if repaired:
        frame = frame.filter(pl.col("flags").list.contains("repaired"))
    return sorted(frame.collect()["trade_id"])


def test_what_the_lake_lacks_is_added_and_the_hole_is_closed(lake: Lake) -> None:
    put(lake, tape(range(5, 10)), tape(range(15, 20)), tape(range(100, 105), 1))
    note(lake, hole(10, 14, 9, 15))
    archive = Archive((tape(range(5, 12)), tape(range(12, 20)), tape(range(100, 105), 1)))
    assert repair(lake, archive, now_us=NOW) == (5, 1, 0)
    assert ids(lake) == list(range(5, 20))
    assert ids(lake, repaired=True) == list(range(10, 15))
    assert ids(lake, ETH.symbol, repaired=True) == []
    assert holes(lake, DAY) == []
    (row,) = lake.table("gaps").collect().to_dicts()
    assert (row["status"], row["from_id"], row["to_id"]) == ("repaired", 10, 14)
    assert row["as_of"] == dt.datetime.fromtimestamp(NOW / 1e6, dt.UTC)
    assert lake.table("gaps_history").collect().height == 2


def test_a_second_repair_does_nothing(lake: Lake) -> None:
    put(lake, tape(range(10)))
    archive = Archive((tape(range(15)),))
    assert repair(lake, archive, now_us=NOW).added == 5
    assert repair(lake, archive, now_us=NOW + 1) == (0, 0, 0)
    assert ids(lake) == list(range(15))


def test_what_the_archive_lacks_too_stays_open(lake: Lake) -> None:
    put(lake, tape(range(5)), tape(range(10, 15)))
    note(lake, hole(5, 9, 4, 10))
    assert repair(lake, Archive((tape(range(8)), tape(range(10, 15)))), now_us=NOW) == (3, 0, 1)
    assert [(gap.first, gap.last) for gap in holes(lake, DAY, BTC.symbol)] == [(5, 9)]


def test_voids_are_no_trades(lake: Lake) -> None:
    void = tape(range(3, 4))
    void["kind"] = VOID
    put(lake, tape(range(3)))
    assert repair(lake, Archive((tape(range(3)), void)), now_us=NOW).added == 0


def test_without_ids_a_whole_day_closes_its_holes(lake: Lake) -> None:
    note(lake, hole(None, None), hole(None, None, 20, 30, "unfillable"), hole(None, None, 40, 50, "repaired"))
    assert settle(lake, DAY, (BTC,), now_us=NOW) == (0, 2)
    assert settle(lake, DAY, (BTC,), now_us=NOW, whole=True) == (2, 0)
    assert holes(lake, DAY) == []


def test_a_hole_across_midnight_belongs_to_both_days(lake: Lake) -> None:
    note(lake, hole(5, 9, -10, 10))
    put(lake, tape(range(5)))
    assert len(holes(lake, DAY)) == len(holes(lake, Day(dt.date(2026, 11, 2), DAY.venue))) == 1
    assert holes(lake, Day(dt.date(2026, 11, 1), DAY.venue)) == []


def test_what_was_noted_since_stays(lake: Lake) -> None:
    """A day that is taken from the archive notes what that lacks: this is not closed with what was open before."""
    note(lake, hole(None, None)._replace(as_of_ns=NOW * 1000), hole(None, None, 20, 30))
    assert settle(lake, DAY, (BTC,), now_us=NOW, whole=True) == (1, 1)
