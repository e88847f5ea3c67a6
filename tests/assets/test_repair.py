"""A recorded day with a hole: the archive fills it, the ledger says so, the day is sealed anew."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from assets import finishing
from assets.finishing import Ask, House, finish_all
from assets.sealing import repairable
from pipelines import ledger, rows
from pipelines.history.repair import holes
from pipelines.market import DAY_US
from pipelines.tape_order import GapRow
from tests import tapes
from tests.assets.test_history import DAYS, VENUE, Archive, MadeUp, archive, settings

if TYPE_CHECKING:
    from pipelines.settings import Settings
    from pipelines.tape import Rows

__all__ = ["archive", "settings"]

DAY = DAYS[0]
AAA = tapes.INSTRUMENTS[:1]
NOON = dt.datetime.combine(DAY.date, dt.time(12), dt.UTC)


def tape() -> Rows:
    made: Rows = np.concatenate(list(MadeUp(DAY, tuple(AAA)).pieces()))
    made["seq"] = np.arange(made.size)
    made["recv_ns"] = made["ts"] * 1000 + 5_000_000
    return made


@pytest.fixture
def recorded(archive: Archive, settings: Settings) -> House:
    """Record all trades of the day but the 100th to the 119th."""
    at, whole = finishing.house(settings), tape()
    kept, lost = np.delete(whole, np.s_[100:120]), whole[100:120]
    trades = rows.trades(kept, [VENUE], [AAA[0].symbol], ["agg"])
    gap = GapRow(
        0, int(whole["ts"][99]), int(whole["ts"][120]), *map(int, lost["trade_id"][[0, -1]]), "reconnect", "unfillable", 1
    )
    minutes = [DAY.us + 60_000_000 * minute for minute in (0, 24 * 60 + 14, 24 * 60 + 16)]
    put(at, "trades", trades)
    put(at, "gaps", ledger.gaps([gap], AAA))
    for n, minute in enumerate(minutes):
        put(at, "coverage", ledger.coverage(VENUE, "main", minute, 0, "seg", n, 1), str(n))
    return at


def put(at: House, table: str, made: pa.Table, name: str = "0") -> None:
    staged = at.lake.stage(table, made, f"main-{int(name):010}", {})
    assert at.lake.commit(table, "main", int(name), staged)


def stored(at: House, flag: str | None = None) -> int:
    frame = at.lake.table("trades").filter(pl.col("venue") == VENUE)
    found = frame.filter(pl.col("flags").list.contains(flag)) if flag else frame
    return found.collect().height


def test_a_hole_is_filled_and_the_day_is_sealed(recorded: House, archive: Archive) -> None:
    assert [day for day, _ in finishing.due(recorded.lake, None)] == [DAY]
    assert [o.status for o in finish_all(recorded, [DAY], Ask())] == ["sealed"]
    assert archive.asked == []
    assert stored(recorded) == tape().size - 20
    assert [day for day, _ in repairable(recorded.lake, NOON + dt.timedelta(days=2))] == [DAY]
    (outcome,) = finish_all(recorded, [DAY], Ask(repair=True))
    assert (outcome.status, outcome.error) == ("sealed", "")
    assert archive.asked == [DAY]
    assert stored(recorded) == tape().size
    assert stored(recorded, "repaired") == 20
    assert holes(recorded.lake, DAY) == []
    assert repairable(recorded.lake, NOON + dt.timedelta(days=2)) == []
    ids = recorded.lake.table("trades").sort("seq").collect()["trade_id"]
    assert ids.is_sorted()
    (seal,) = finishing.seals_of(recorded.lake, DAY).values()
    assert (seal["trades"], seal["source"]) == (tape().size, "live")
    assert finishing.due(recorded.lake, None) == []


def test_a_day_that_the_flow_has_not_passed_is_left_alone(archive: Archive, settings: Settings) -> None:
    at = finishing.house(settings)
    put(at, "trades", rows.trades(tape(), [VENUE], [AAA[0].symbol], ["agg"]))
    put(at, "coverage", ledger.coverage(VENUE, "main", DAY.us + DAY_US // 2, 0, "seg", 0, 1))
    assert finishing.due(at.lake, None) == []
    (outcome,) = finish_all(at, [DAY], Ask())
    assert outcome.status == "failed"
    assert "seal with --force" in outcome.error
    assert [o.status for o in finish_all(at, [DAY], Ask(force=True))] == ["sealed"]


def test_a_day_may_be_taken_whole_from_the_archive(recorded: House, archive: Archive) -> None:
    assert [o.status for o in finish_all(recorded, [DAY], Ask(archive=True))] == ["sealed"]
    assert archive.asked == [DAY]
    assert stored(recorded) == tape().size
    assert stored(recorded, "repaired") == 0
    assert holes(recorded.lake, DAY) == []
    (seal,) = finishing.seals_of(recorded.lake, DAY).values()
    assert seal["source"] == "made-up.zip"
