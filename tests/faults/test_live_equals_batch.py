"""The demo market streamed over sockets, sealed, and backfilled from the exchange's archive: the same rows, column by column."""

from __future__ import annotations

import datetime as dt
import io
import json
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from assets import finishing
from assets.finishing import Ask, finish_all
from dataflows.demo.archive import ROOT
from dataflows.demo.tape import DAY_MS, MINUTE_MS
from pipelines.history import unfinished
from pipelines.history.day import Day
from pipelines.history.differences import OTHER_FEEDS
from pipelines.history.repair import MISSING
from pipelines.market import TABLES
from pipelines.store.lake import Lake
from tests.archive import days
from tests.archive.server import Shelf, serve
from tests.faults.house import House, wait_for
from tests.faults.truth import SYMBOLS

BEFORE_MS, AFTER_MS = 40 * MINUTE_MS, 20 * MINUTE_MS
"""Recorded of the first date and of the last: the flow must be past 00:15 for the date before to be finished."""
LARGEST_STEP_MS = 10_000_000
"""By which the exchange's clock is put forward or back at once."""
STREAMED = ("recv_ts", "flags", "origin")
"""Columns that say how a row came, and not what it is."""
MARKS = ("quality", "gap", "spans_gap")
"""Columns that say where a recording begins; an archive's day is taken for whole."""
BY_VOLUME = {"bars": pl.col("bar").is_in(["volume", "dollar"]), "vpin": pl.col("setting") == "adv50x50"}
"""Rows by a share of a day's volume. That is an input: the flow notes the venue's own, a backfill has earlier dates alone."""


class Market:
    """A demo exchange on a fast clock, and what records it.

    Parameters
    ----------
    folder : Path
    speed, rate : float
        Exchange seconds a second; trades a second of exchange time.
    """

    def __init__(self, folder: Path, speed: float, rate: float) -> None:
        self.house = House(folder, rate, TAPEFLOW_DEMO__SPEED=str(speed))
        self.speed = speed
        self.rest = 0

    def now(self) -> int:
        """Return exchange time in ms."""
        found: int = json.loads(self.house.ask("/demo/status"))["time"]
        return found

    def put_clock(self, ms: int) -> None:
        """Put the exchange's clock to a time, from where it runs on."""
        left = ms - self.now()
        while left:
            step = max(-LARGEST_STEP_MS, min(left, LARGEST_STEP_MS))
            self.house.ask(f"/demo/fault?kind=skew&milliseconds={step}")
            left -= step

    def begins_at(self, ms: int) -> bool:
        """Hold the clock at a time until the recorder has asked for it: its start takes minutes of the exchange's."""
        began = self.house.asked()["rest"] > self.rest
        if not began:
            self.put_clock(ms)
        return began

    def reached(self) -> int:
        """Return up to where the recorder has come, by its own clock (ms), which a slow answer may have set behind."""
        at = self.house.status("recorder").get("at")
        return at // 10**6 if isinstance(at, int) else 0

    def record(self, nights: int) -> list[Day]:
        """Record from the evening of a date until so many midnights have passed; return the dates, which the archive then has."""
        house = self.house
        house.start("demo-exchange")
        wait_for(house.answers, "the exchange answers")
        midnight = (self.now() // DAY_MS + 1) * DAY_MS
        self.put_clock(midnight - BEFORE_MS)
        house.draw_past()
        self.rest = house.asked()["rest"]
        house.start("record")
        wait_for(lambda: self.begins_at(midnight - BEFORE_MS), "the recorder asks for the time")
        house.start("run")
        end = midnight + (nights - 1) * DAY_MS + AFTER_MS
        wait_for(lambda: self.reached() >= end, "the recorder has come to the end", (end - self.now()) / 1000 / self.speed + 200)
        house.stop("record")
        house.stop("run")
        house.drain()
        self.put_clock(midnight + nights * DAY_MS + MINUTE_MS)
        first = dt.date(1970, 1, 1) + dt.timedelta(days=midnight // DAY_MS - 1)
        return [Day(first + dt.timedelta(days=number), "demo") for number in range(nights + 1)]

    def archive(self, dates: Iterable[Day]) -> tuple[Shelf, list[tuple[str, int]]]:
        """Return the exchange's archive with the trades that were recorded alone, and those between them that were not."""
        shelf, lost = Shelf(), []
        for symbol, ids in self.house.trades().group_by("symbol").agg("trade_id").iter_rows():
            native, known, first, last = symbol.replace("-", ""), set(ids), min(ids), max(ids)
            for day in dates:
                name = f"{native}-aggTrades-{day.date}"
                path = f"{ROOT}{native}/{name}.zip"
                packed = zipfile.ZipFile(io.BytesIO(self.house.ask(path, 120.0)))  # the exchange makes it now
                head, *lines = packed.read(f"{name}.csv").splitlines(keepends=True)
                numbers = [int(line.partition(b",")[0]) for line in lines]
                common = [line for line, number in zip(lines, numbers, strict=True) if number in known]
                shelf.checked(path, days.zipped(f"{name}.csv", head + b"".join(common)))
                lost += [(symbol, number) for number in numbers if first < number < last and number not in known]
        return shelf, lost


def sealed(market: Market, dates: list[Day]) -> dict[tuple[Day, str], dict[str, Any]]:
    """Seal what was recorded, the last date before its end; return the comparison with the stream by day, symbol and table."""
    at = finishing.house(market.house.settings)
    assert [day for day, _ in finishing.due(at.lake, None)] == dates[:-1]
    outcomes = [*finish_all(at, dates[:-1], Ask())]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unfinished, "GIVEN_UP_US", -(10**15))  # the flow has stopped for good: nothing is left to it
        outcomes += finish_all(at, dates[-1:], Ask(force=True))
    assert [(o.status, o.error) for o in outcomes] == [("sealed", "")] * len(dates)
    return {
        (outcome.day, symbol): told["tables"]
        for outcome in outcomes
        for one in outcome.sealed
        for symbol, told in one.differences.items()
    }


def backfilled(market: Market, folder: Path, shelf: Shelf, dates: list[Day]) -> Lake:
    """Return a second lake, with the dates as an archive has them."""
    with serve(shelf) as url:
        at = finishing.house(market.house.settings.model_copy(update={"data": folder, "archives": {"demo": url}}))
        outcomes = [*finish_all(at, dates, Ask())]
    assert [(o.status, o.error) for o in outcomes] == [("sealed", "")] * len(dates)
    return at.lake


def rows(lake: Lake, table: str, *without: str) -> pl.DataFrame:
    """Return rows that do not hang on a day's volume, in order."""
    frame = lake.table(table).filter(~BY_VOLUME.get(table, pl.lit(value=False))).collect()
    return frame.sort(TABLES[table].key).drop(*STREAMED, *without, strict=False)


def assert_equal_but_for_marks(live: Lake, batch: Lake) -> None:
    """Trades, bars, VPIN, features and posture are equal to the bit; marks differ only where the recording begins."""
    begins = dict(live.table("trades").group_by("symbol").agg(pl.col("ts").min()).collect().iter_rows())
    for table in ("trades", "bars", "vpin", "features", "posture"):
        ours, theirs = (rows(lake, table, *MARKS) for lake in (live, batch))
        assert ours["date"].n_unique() == theirs["date"].n_unique() > 1, table
        assert_frame_equal(ours, theirs, check_exact=True)
        ours, theirs = (rows(lake, table) for lake in (live, batch))
        for mark in set(MARKS) & set(ours.columns):
            odd = ours.filter(ours[mark].ne_missing(theirs[mark]))
            late = [row for row in odd.iter_rows(named=True) if row["ts"] >= begins[row["symbol"]] + dt.timedelta(hours=1)]
            assert late == [], (table, mark)


def assert_alerts_are_those_of_the_archive(live: Lake, batch: Lake, told: dict[tuple[Day, str], dict[str, Any]]) -> None:
    """An alert of the stream stays as it was told, so there may be more, or other scores: as many as the seals account for."""
    kept = pl.col("detector").is_in(OTHER_FEEDS).not_() & ~pl.col("details").str.contains("adv50x50")
    ours, theirs = (lake.table("alerts").filter(kept).sort("alert_id").drop("origin").collect() for lake in (live, batch))
    assert theirs.height > 0
    assert set(theirs["alert_id"]) <= set(ours["alert_id"])
    odd = ours.join(theirs, on=ours.columns, how="anti", nulls_equal=True).height
    assert odd <= sum(sum(of["alerts"].get(side, {}).values()) for of in told.values() for side in ("changed", "only_live"))


def check(folder: Path, *, speed: float, rate: float, nights: int) -> None:
    """Stream, seal and backfill; every row of the stream is as the archive's, or the ledger says why not."""
    market = Market(folder / "streamed", speed, rate)
    try:
        dates = market.record(nights)
        told = sealed(market, dates)
        shelf, lost = market.archive(dates)
        live, batch = market.house.lake, backfilled(market, folder / "batch", shelf, dates)
    finally:
        market.house.close()
    assert set(told) == {(day, symbol) for day in dates for symbol in SYMBOLS}
    assert {(at, table): of for at, tables in told.items() for table, of in tables.items() if "unexplained" in of} == {}
    gaps = live.table("gaps").filter(pl.col("feed") == "trades", pl.col("status").is_in(MISSING)).collect()
    holes = [(gap["symbol"], gap["from_id"], gap["to_id"]) for gap in gaps.iter_rows(named=True)]
    assert [one for one in lost if not any(one[0] == of and first <= one[1] <= last for of, first, last in holes)] == []
    assert_equal_but_for_marks(live, batch)
    assert_alerts_are_those_of_the_archive(live, batch, told)


def test_an_hour_over_midnight(tmp_path: Path) -> None:
    check(tmp_path, speed=150, rate=2, nights=1)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_day_and_the_hour_around_it(tmp_path: Path) -> None:
    check(tmp_path, speed=100, rate=5, nights=2)
