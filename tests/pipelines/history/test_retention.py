"""What retention plans to remove is needed by nobody."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.account_tables import COVERAGE
from pipelines.history import retention
from pipelines.history.day import Day
from pipelines.history.retention import READ_LATER, Needs, Share, needs, plan, sealed_through, shares
from pipelines.market import BARS, DAY_US, GAPS, TABLES, TRADES
from pipelines.seed import REACH, Seeds
from pipelines.settings import Kernels
from pipelines.store.lake import Lake
from tests import tapes
from tests.pipelines.store.samples import put, rows

if TYPE_CHECKING:
    from pathlib import Path

    import polars as pl

TODAY = dt.date(2026, 11, 21)
DAYS = [TODAY - dt.timedelta(n) for n in range(100)]


def share(table: str, age: int, venue: str = "demo") -> Share:
    return Share(table, Day(TODAY - dt.timedelta(age), venue), (f"{table}-{age}",), 10, 1000)


def ages_of(found: list[Share]) -> list[int]:
    return [(TODAY - s.day.date).days for s in found]


def test_what_is_past_its_limit_goes_and_the_rest_is_not_mentioned() -> None:
    held = [share("quotes", age) for age in range(5)] + [share("book", 9), share("inputs", 99)]
    made = plan(held, Needs({}, {TODAY: "today"}), {"quotes": 2, "book": 9}, TODAY)
    assert ages_of(made.goes) == [4, 3], "today and two dates before are kept"
    assert made.stays == []


def test_what_is_needed_stays_and_the_reason_is_told() -> None:
    held = [share("quotes", 40), share("quotes", 41), share("trades", 40), share("trades", 72), share("trades", 73)]
    needed = Needs({Day(TODAY - dt.timedelta(41), "demo"): "not sealed yet"}, {TODAY: "today"})
    made = plan(held, needed, {"quotes": 30, "trades": 30}, TODAY)
    assert {(s.share.table, (TODAY - s.share.day.date).days): s.reason for s in made.stays} == {
        ("quotes", 41): "not sealed yet",
        ("trades", 72): "read by 2026-10-11: not sealed yet",
    }
    assert [(s.table, (TODAY - s.day.date).days) for s in made.goes] == [("quotes", 40), ("trades", 73), ("trades", 40)]


def test_today_reads_earlier_dates_of_tables_that_seed_and_of_no_others() -> None:
    held = [share(table, age) for table in ("bars", "posture") for age in (REACH, REACH + 1)]
    made = plan(held, Needs({}, {TODAY: "today"}), {"bars": 1, "posture": 1}, TODAY)
    assert [(s.table, (TODAY - s.day.date).days) for s in made.goes] == [("bars", 32), ("posture", 32), ("posture", 31)]
    assert [s.reason for s in made.stays] == ["read by 2026-11-21: today"]


def test_another_venue_needs_nothing_of_this_one() -> None:
    needed = Needs({Day(TODAY - dt.timedelta(50), "okx"): "an open gap"}, {})
    assert ages_of(plan([share("bars", 50), share("bars", 60)], needed, {"bars": 1}, TODAY).goes) == [60, 50]


venue = st.sampled_from(["demo", "okx"])
day = st.builds(Day, st.sampled_from(DAYS), venue)
held = st.builds(
    lambda table, day: Share(table, day, (f"{table} {day}",), 1, 1),
    st.sampled_from(["trades", "bars", "features", "quotes", "book", "alerts", "inputs", "seals"]),
    day,
)


@settings(max_examples=200)
@given(
    st.lists(held, unique=True, max_size=30),
    st.dictionaries(day, st.just("open"), max_size=5),
    st.dictionaries(st.sampled_from(DAYS), st.just("read"), max_size=3),
    st.dictionaries(st.sampled_from(["trades", "bars", "features", "quotes", "book"]), st.integers(1, 80), max_size=5),
)
def test_what_goes_is_needed_by_nobody(
    found: list[Share], opened: dict[Day, str], reading: dict[dt.date, str], limits: dict[str, int]
) -> None:
    """Said the other way round: from those who need rows, not from the rows."""
    made = plan(found, Needs(opened, reading), limits, TODAY)
    gone = {(s.table, s.day) for s in made.goes}
    for table in TABLES:
        for kept in range(limits.get(table, 100) + 1):
            assert not {(table, Day(TODAY - dt.timedelta(kept), v)) for v in ("demo", "okx")} & gone
        for it in opened:
            assert (table, it) not in gone
            earlier = {Day(it.date - dt.timedelta(n), it.venue) for n in range(1, REACH + 1)}
            assert table not in READ_LATER or not {(table, before) for before in earlier} & gone
        for date in reading:
            earlier = {Day(date - dt.timedelta(n), v) for n in range(1, REACH + 1) for v in ("demo", "okx")}
            assert table not in READ_LATER or not {(table, before) for before in earlier} & gone
    mentioned = [*made.goes, *(kept.share for kept in made.stays)]
    assert sorted(mentioned) == sorted(s for s in found if s.table in limits and (TODAY - s.day.date).days > limits[s.table])


class Spied(Lake):
    """A lake that notes which tables are read."""

    asked: set[str]

    def table(self, name: str, **how: Any) -> pl.LazyFrame:
        self.asked.add(name)
        return super().table(name, **how)


def test_dates_read_no_other_table_of_earlier_dates(tmp_path: Path) -> None:
    """Else `READ_LATER` lacks one."""
    begin = tapes.DAY + DAY_US
    out = tapes.run(tapes.signals(Kernels(), complete=True), tapes.rows(1, 400, begin=tapes.DAY))
    lake = Spied(tmp_path)
    lake.create()
    for name, made in out.items():
        lake.commit(name, "x", 1, lake.stage(name, made, "x-1", {}))
    lake.asked = set()
    assert Seeds(lake, begin).plant(tapes.signals(Kernels(), complete=True), 0)
    assert lake.asked == READ_LATER - {"news", "coverage"} | {"seals"}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(tmp_path / "lake")
    lake.create()
    return lake


def test_shares_are_what_a_table_holds_by_day(lake: Lake) -> None:
    put(lake, TRADES, rows(TRADES, 4))
    put(lake, TRADES, rows(TRADES, 3, venue=["demo", "okx", "okx"]))
    files = lake.live("trades")
    demo, okx = shares(lake, "trades")
    assert (demo.day, demo.rows, len(demo.files)) == (Day(dt.date(2024, 7, 19), "demo"), 5, 2)
    assert (okx.day, okx.rows, len(okx.files)) == (Day(dt.date(2024, 7, 19), "okx"), 2, 1)
    assert demo.bytes + okx.bytes == sum(f.size for f in files.values())
    assert {*demo.files, *okx.files} == set(files)
    assert shares(Lake(f"{lake.root}-none"), "trades") == []


def test_needs_are_those_of_flow_seals_and_ledger(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    dates = [TODAY - dt.timedelta(n) for n in (9, 8, 7, 6, 5, 1, 0)]
    for date in dates:
        put(lake, TRADES, rows(TRADES, 2, day=date))
    put(lake, COVERAGE, rows(COVERAGE, 2, day=dates[-2], shard="main"))
    put(lake, COVERAGE, rows(COVERAGE, 2, day=dates[4], shard="old"))
    begun, over = (dt.datetime.combine(d, dt.time(23, 59), dt.UTC) for d in (dates[1], dates[2]))
    for venue, status in (("demo", "open"), ("okx", "repaired")):
        put(lake, GAPS, rows(GAPS, 1, day=dates[1], venue=venue, ts=begun, end=over, status=status))
    open_days = [Day(date, "demo") for date in (dates[0], *dates[-2:])]
    monkeypatch.setattr(retention, "unsealed", lambda _: open_days)
    monkeypatch.setattr(retention, "stale", lambda _: [(Day(dates[3], "demo"), "late rows came")])
    monkeypatch.setattr(retention, "is_finished", lambda _, day: day.date < dates[-2])
    needed = needs(lake, TODAY)
    assert needed.open == {
        Day(dates[0], "demo"): "not sealed yet",
        Day(dates[1], "demo"): "an open gap",
        Day(dates[2], "demo"): "an open gap",
        Day(dates[3], "demo"): "to be sealed again: late rows came",
        Day(dates[5], "demo"): "the flow has not passed it",
        Day(dates[6], "demo"): "not sealed yet",
    }
    assert needed.reading == {TODAY: "today", dates[-2]: "shard main stands there"}
    assert needed.compared == set()


def test_bars_that_a_later_seal_is_compared_with_stay(lake: Lake) -> None:
    """Bars of a load have no digest of their own: their files' names stand for them."""
    ages = {"load": (60, 50), "seal.x": (55,)}
    for writer, days in ages.items():
        for age in days:
            made = rows(BARS, 2, day=TODAY - dt.timedelta(age))
            lake.commit("bars", f"{writer}/{age}", 0, lake.stage("bars", made, f"{writer}-{age:08d}", {}))
    put(lake, TRADES, rows(TRADES, 2, day=TODAY - dt.timedelta(52)))
    needed = needs(lake, TODAY)
    assert needed.compared == {("bars", Day(TODAY - dt.timedelta(60), "demo"))}
    made = plan(shares(lake, "bars"), needed._replace(open={}), {"bars": 1}, TODAY)
    assert ages_of(made.goes) == [55, 50]
    assert [kept.reason for kept in made.stays] == ["a seal of a later date depends on its files"]


def test_a_journal_is_sealed_up_to_the_first_open_date_that_it_holds() -> None:
    needed = Needs({Day(d, v): "" for d, v in ((DAYS[50], "demo"), (DAYS[9], "okx"), (DAYS[5], "demo"), (TODAY, "demo"))}, {})
    assert sealed_through(needed, {"demo"}, DAYS[20]) == DAYS[6]
    assert sealed_through(needed, {"demo", "okx"}, DAYS[20]) == DAYS[10]
    assert sealed_through(needed, {"coinbase"}, DAYS[20]) is None, "nothing is recorded: nothing is known"
