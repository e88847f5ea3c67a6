"""A day that is sealed while the flow writes it: no key ever stands twice, none is lost, and the end is that of one seal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.history.seal import Sealed, seal
from pipelines.history.stale import stale
from pipelines.history.stored_day import stored_day
from pipelines.market import DAY_US, TABLES
from pipelines.store.lake import Lake
from tests import tapes
from tests.pipelines.history import days

CUT, LAST = 311, 7
"""Records of a piece; the piece that passes midnight."""
SYMBOL = "AAA-USDT-PERP"
MIDNIGHT = tapes.DAY + DAY_US
END = MIDNIGHT + 1_000_000_000
"""The flow has passed 00:15 of the next date."""


def lines(seed: int, late: dict[int, float]) -> list[tapes.Line]:
    """Return a journal over midnight in which the trades numbered so arrive so many seconds late."""
    rows = days.trades(seed, 1500, minutes=14)
    delays = np.full(rows.size, 50_000)
    for k, seconds in late.items():
        delays[k] = int(seconds * 1e6)
    return days.journal(rows, delays, END + 60_000_000)


def seal_now(lake: Lake, **more: Any) -> Sealed:
    """Seal the first date as `--force` does, shortly before its end."""
    return seal(lake, stored_day(lake, days.day()), tapes.KERNELS, sealed_at_us=MIDNIGHT - 1, **more)


def keys(lake: Lake, table: str) -> set[tuple[Any, ...]]:
    """Return the keys of a table; none of them stands twice."""
    found = lake.table(table).select(TABLES[table].key).collect()
    assert found.is_duplicated().sum() == 0, (table, found.filter(found.is_duplicated()).rows()[:3])
    return set(found.rows())


def pieces(lake: Lake, journal: list[tapes.Line]) -> Iterator[int]:
    return days.streaming(lake, journal, cut=CUT)


def test_no_reader_sees_a_key_twice_or_misses_one_while_a_day_is_sealed_that_is_being_written(tmp_path: Path) -> None:
    """On a calm tape: each row that the stream wrote stays, each that it has yet to write comes once."""
    journal = lines(5, {})
    calm = days.streamed(tmp_path / "calm", journal, cut=CUT)
    lake, known = Lake(tmp_path / "lake"), {table: set[tuple[Any, ...]]() for table in days.TABLES_OF_A_DAY}
    sealed = 0
    for number in pieces(lake, journal):
        if lake.live("trades") and number < LAST:
            sealed += not seal_now(lake).skipped
        for table, seen in known.items():
            now = keys(lake, table)
            assert seen <= now, (number, table, sorted(seen - now)[:3])
            known[table] = now
    assert sealed >= 4
    for table in days.TABLES_OF_A_DAY:
        assert known[table] == keys(calm, table), table


def test_with_late_trades_no_key_stands_twice_and_the_end_is_that_of_a_day_sealed_once(tmp_path: Path) -> None:
    journal = lines(5, {200: 30.0, 500: 61.0, 501: 31.0, 1200: 25.0})
    once = days.streamed(tmp_path / "once", journal, cut=CUT)
    lake = Lake(tmp_path / "lake")
    for number in pieces(lake, journal):
        if number % 2 == 0 and number < LAST and lake.live("trades"):
            seal_now(lake)
        for table in days.TABLES_OF_A_DAY:
            keys(lake, table)
    for each in (once, lake):
        seal(each, stored_day(each, days.day()), tapes.KERNELS, sealed_at_us=days.NOW)
        assert stale(each) == []
    days.assert_same(once, lake, "origin")


def test_what_is_left_to_the_flow_is_told_and_the_day_is_sealed_again_when_it_is_over(tmp_path: Path) -> None:
    journal = lines(5, {})
    lake = Lake(tmp_path / "lake")
    wanted = days.streamed(tmp_path / "wanted", journal, cut=CUT)
    once = seal(wanted, stored_day(wanted, days.day()), tapes.KERNELS, sealed_at_us=days.NOW)
    told: dict[str, Any] = {}
    for number in pieces(lake, journal):
        if number == 4:
            told = seal_now(lake).differences[SYMBOL]
            assert seal_now(lake).skipped
            assert stale(lake) == []
    assert told["unfinished"]["bars"] >= 7
    assert told["unfinished"]["vpin"] >= 1
    assert "1d" not in lake.bars(SYMBOL, "1m", end="2023-11-16").collect()["bar"]
    assert told["checks"]["sound"]["faults"] == {}
    for table, of in told["tables"].items():
        assert set(of.get("only_sealed", {})) <= {"open"}, (table, of)
    assert [day for day, _ in stale(lake)] == [days.day()]
    done = seal(lake, stored_day(lake, days.day()), tapes.KERNELS, sealed_at_us=days.NOW)
    assert "unfinished" not in done.differences[SYMBOL]
    for table, of in done.differences[SYMBOL]["tables"].items():
        assert of == once.differences[SYMBOL]["tables"][table], table
    assert stale(lake) == []
    days.assert_same(lake, wanted)


def test_a_flow_that_stopped_for_good_leaves_nothing_open_two_days_later(tmp_path: Path) -> None:
    journal = [line for line in lines(5, {}) if line[0] < (MIDNIGHT - 300_000_000) * 1000]
    lake = days.streamed(tmp_path / "lake", journal, cut=CUT)
    assert "1d" not in seal_now(lake).differences
    assert not lake.bars(SYMBOL, "1d").collect().height
    done = seal(lake, stored_day(lake, days.day()), tapes.KERNELS, sealed_at_us=tapes.DAY + 2 * DAY_US)
    assert not done.skipped
    assert lake.bars(SYMBOL, "1d").collect().height == 1


@pytest.mark.parametrize("step", ["compute", "compare", "commit"])
def test_the_flow_writes_while_its_day_is_sealed(tmp_path: Path, step: str) -> None:
    journal = lines(7, {300: 30.0})
    calm = days.streamed(tmp_path / "calm", journal, cut=CUT)
    lake, flow = Lake(tmp_path / "lake"), Lake(tmp_path / "lake")
    going, told = pieces(flow, journal), 0
    for _ in range(5):
        next(going)

    def watch(at: str, _: int) -> None:
        nonlocal told
        told += at == step
        if at == step and told in (1, 3):
            next(going, None)

    for _ in range(2):
        told = 0
        seal_now(lake, watch=watch)
        for table in days.TABLES_OF_A_DAY:
            keys(lake, table)
    for _ in going:
        pass
    for each in (calm, lake):
        seal(each, stored_day(each, days.day()), tapes.KERNELS, sealed_at_us=days.NOW)
    days.assert_same(calm, lake, "origin")


def test_a_row_is_seen_after_the_trades_that_it_is_made_of(tmp_path: Path) -> None:
    """A seal between the two commits would else find bars without trades, and take them out."""
    order: list[str] = []

    class Told(Lake):
        def commit(self, table: str, *args: Any) -> bool:
            order.append(table)
            return super().commit(table, *args)

    next(pieces(Told(tmp_path), lines(5, {})))
    assert order[0] == "trades"
    assert order == ["trades", *sorted(order[1:])]
    assert len(order) > 4
