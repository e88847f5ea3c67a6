"""The order of a stored day: by id, or by arrival with late trades among the others, however often it was sealed before."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines import rows as to_rows
from pipelines.history.day import Day
from pipelines.history.stored_day import StoredDay, stored_day
from pipelines.market import Flag
from pipelines.store import LakeError
from pipelines.store.lake import Lake
from pipelines.tape import Rows, empty, joined
from tests import tapes
from tests.pipelines.history import days

LATE, REPAIRED, HISTORY, OFF_BOOK, AFTER_GAP = (
    int(f) for f in (Flag.LATE, Flag.REPAIRED, Flag.HISTORY, Flag.OFF_BOOK, Flag.AFTER_GAP)
)


def store(lake: Lake, rows: Rows, name: str, venue: str = days.VENUE) -> None:
    table = to_rows.trades(rows, [venue], ["AAA-USDT-PERP"], ["fill"])
    lake.replace("trades", [], lake.stage("trades", table, name, {}))


def trades(*told: tuple[int, int, int]) -> Rows:
    """Return trades of id, second of the day and flags, stored in this order; what is late or sent again does not count."""
    rows = empty(len(told))
    for k, (trade_id, second, flags) in enumerate(told):
        rows["trade_id"][k], rows["ts"][k], rows["flags"][k], rows["seq"][k] = trade_id, tapes.DAY + second * 1_000_000, flags, k
        rows["counted"][k] = not flags & (LATE | HISTORY | OFF_BOOK)
    rows["price"], rows["size"], rows["side"], rows["instrument"] = 1.0, 1.0, 1, 0
    return rows


def read(lake: Lake, venue: str = days.VENUE) -> tuple[StoredDay, Rows]:
    day = stored_day(lake, Day(days.FIRST, venue))
    return day, joined(list(day.pieces()))


@pytest.fixture(scope="module")
def empty_lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("empty") / "lake"
    Lake(root).create()
    return root


@pytest.fixture
def lake(empty_lake: Path, tmp_path: Path) -> Lake:
    return Lake(shutil.copytree(empty_lake, tmp_path / "lake"))


def test_by_id_each_once_late_ones_counted(lake: Lake) -> None:
    store(lake, trades((1, 0, 0), (2, 1, 0), (5, 9, AFTER_GAP), (8, 10, AFTER_GAP)), "main.0-00000000")
    store(lake, trades((4, 3, LATE), (3, 2, LATE | REPAIRED), (2, 1, 0), (6, 9, OFF_BOOK), (0, 0, HISTORY)), "main.0-00000001")
    day, rows = read(lake)
    assert rows["trade_id"].tolist() == [0, 1, 2, 3, 4, 5, 6, 8]
    assert rows["counted"].tolist() == [False, True, True, True, True, True, False, True]
    assert [Flag(int(f)).words() for f in rows["flags"]] == [
        *(["history"], [], [], ["repaired", "late"], ["late"], [], ["off_book"]),
        ["after_gap"],
    ], "the hole before 5 is filled, that before 8 is not"
    assert day.found["AAA-USDT-PERP"] == (8, 1, 2)
    assert day.tape == "fill"
    assert day.source == "live"


def test_where_ids_do_not_follow_late_trades_go_by_time(lake: Lake) -> None:
    arrived = trades((70, 1, 0), (20, 5, 0), (90, 3, 0), (40, 6, 0), (11, 5, LATE), (12, 4, LATE), (13, 0, LATE), (14, 9, LATE))
    store(lake, arrived, "main.0-00000000", "bybit-linear")
    _, rows = read(lake, "bybit-linear")
    assert rows["trade_id"].tolist() == [13, 70, 12, 20, 90, 11, 40, 14]
    assert rows["counted"].all()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=1, max_size=12), st.data())
def test_what_comes_in_two_turns_ends_in_the_order_of_one(
    empty_lake: Path, tmp_path_factory: pytest.TempPathFactory, told: list[tuple[int, bool]], data: st.DataObject
) -> None:
    """Sealed once in between or not: late trades stand in the same places."""
    once, twice = (Lake(shutil.copytree(empty_lake, tmp_path_factory.mktemp("lake") / "lake")) for _ in range(2))
    rows = trades(*((100 + k, second, LATE if late else 0) for k, (second, late) in enumerate(told)))
    first = data.draw(st.lists(st.booleans(), min_size=len(told), max_size=len(told)).map(np.array)) | (rows["flags"] == 0)
    store(once, rows, "main.0-00000000", "bybit-linear")
    if first.any():
        store(twice, rows[first], "main.0-00000000", "bybit-linear")
        _, between = read(twice, "bybit-linear")
        between["seq"] = np.arange(between.size)
        old = list(twice.live("trades"))
        table = to_rows.trades(between, ["bybit-linear"], ["AAA-USDT-PERP"], ["fill"])
        twice.replace("trades", old, twice.stage("trades", table, "seal.x-00000000", {}))
    if not first.all():
        store(twice, rows[~first], "main.0-00000001", "bybit-linear")
    a, b = (read(lake, "bybit-linear")[1] for lake in (once, twice))
    assert a["trade_id"].tolist() == b["trade_id"].tolist()
    assert a["counted"].tolist() == b["counted"].tolist()


def test_pieces_of_two_symbols_go_by_time(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.history.stored_day.PIECE", 3)
    monkeypatch.setattr("pipelines.history.stored_day.CACHED", 2)
    rows = empty(10)
    rows["trade_id"], rows["seq"] = np.arange(10), np.arange(10)
    rows["ts"] = tapes.DAY + np.arange(10) * 1_000_000
    rows["price"], rows["size"], rows["side"], rows["instrument"] = 1.0, 1.0, 1, np.arange(10) % 2
    for name, part in (("main.0-00000000", rows[:5]), ("main.0-00000001", rows[5:])):
        table = to_rows.trades(part, [days.VENUE] * 2, ["A-USDT-PERP", "B-USDT-PERP"], ["agg"] * 2)
        lake.replace("trades", [], lake.stage("trades", table, name, {}))
    day = stored_day(lake, days.day())
    pieces = list(day.pieces())
    assert [p.size for p in pieces] == [3, 3, 3, 1]
    assert joined(pieces)["trade_id"].tolist() == list(range(10))
    assert joined(pieces)["instrument"].tolist() == [0, 1] * 5


def test_flags_survive_the_lake(lake: Lake) -> None:
    flags = [0, LATE, LATE | REPAIRED, AFTER_GAP, OFF_BOOK | HISTORY, int(Flag.LIQUIDATION)]
    store(lake, trades(*((2 * k, k, f) for k, f in enumerate(flags))), "main.0-00000000")
    assert read(lake)[1]["flags"].tolist() == flags


def test_there_is_no_day_where_nothing_is_stored(lake: Lake) -> None:
    with pytest.raises(LakeError, match="no trades of binance-usdm 2023-11-15"):
        stored_day(lake, days.day())
