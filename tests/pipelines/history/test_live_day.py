"""A streamed day, sealed: nothing changes but what late, repaired and clock-closed trades explain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from pipelines.history.seal import Sealed, seal
from pipelines.history.stale import is_finished, stale, unsealed
from pipelines.history.stored_day import stored_day
from pipelines.market import DAY_US
from pipelines.records import Kind
from pipelines.store.lake import Lake
from tests import tapes
from tests.pipelines.history import days

MIDNIGHT = tapes.DAY + DAY_US
FINISHED = MIDNIGHT + DAY_US + 1_800_000_000
SYMBOL = "AAA-USDT-PERP"


def sealed(lake: Lake, shift: int) -> Sealed:
    return seal(lake, stored_day(lake, days.day(shift)), tapes.KERNELS, sealed_at_us=days.NOW)


def told(done: Sealed) -> dict[str, Any]:
    tables: dict[str, Any] = done.differences[SYMBOL]["tables"]
    return tables


def until_finished(lines: list[tapes.Line]) -> list[tapes.Line]:
    """Add heartbeats after the next midnight, by which the dates before are finished."""
    return [*lines, *((at * 1000, Kind.HEARTBEAT, b"") for at in range(FINISHED, FINISHED + 120_000_000, 1_000_000))]


def test_a_calm_stream_over_midnight_is_equal_to_what_sealing_makes_of_it(tmp_path: Path) -> None:
    rows = days.trades(3)
    lines = until_finished(days.journal(rows, np.full(rows.size, 50_000), MIDNIGHT + 950_000_000))
    lake = days.streamed(tmp_path / "lake", lines)
    live = days.contents(lake)
    assert unsealed(lake) == [days.day(0), days.day(1)]
    assert is_finished(lake, days.day(0))
    assert is_finished(lake, days.day(1))
    for shift in (0, 1):
        for table, difference in told(sealed(lake, shift)).items():
            assert set(difference) == {"equal"}, (shift, table, difference)
    after = days.contents(lake)
    for name, frame in live.items():
        assert frame.equals(after[name]), name
    assert unsealed(lake) == []
    assert stale(lake) == []


def delayed(seed: int, n: int, late: dict[int, float]) -> list[tapes.Line]:
    """Return a journal in which the trades numbered so arrive so many seconds late."""
    rows = days.trades(seed, n)
    delays = np.full(rows.size, 50_000)
    for k, seconds in late.items():
        delays[k] = int(seconds * 1e6)
    return until_finished(days.journal(rows, delays, MIDNIGHT + 950_000_000))


def test_late_trades_count_once_sealed_and_explain_every_difference(tmp_path: Path) -> None:
    lake = days.streamed(tmp_path / "lake", delayed(5, 2500, {500: 30.0, 501: 31.0, 2000: 25.0}))
    live = days.contents(lake)["trades"]
    late = live.filter(pl.col("flags").list.contains("late"))
    assert late.height == 3
    assert not late["counted"].any()
    for shift, count in ((0, 2), (1, 1)):
        tables = told(sealed(lake, shift))
        assert tables["trades"]["changed"] == {"late": count}
        for table, difference in tables.items():
            for side in ("changed", "only_live", "only_sealed"):
                assert set(difference.get(side, {})) <= {"late", "filled", "earlier dates"}, (table, difference)
    after = days.contents(lake)["trades"]
    assert after.filter(pl.col("flags").list.contains("late"))["counted"].all()
    for date in after.partition_by("date"):
        assert date.sort("trade_id")["seq"].to_list() == list(range(date.height))
    assert set(days.contents(lake)["bars"]["quality"]) - {"complete"} == {"gap"}, "only where the recording begins"
    assert days.contents(lake)["bars"].filter(pl.col("quality") == "gap", pl.col("bar") == "1m").height == 1


def test_a_whole_tape_sealed_equals_the_late_one_sealed(tmp_path: Path) -> None:
    """What was late, and is sealed, gives the bytes of a tape on which nothing was."""
    whole = days.streamed(tmp_path / "whole", delayed(5, 2500, {}))
    late = days.streamed(tmp_path / "late", delayed(5, 2500, {500: 30.0, 501: 31.0, 2000: 25.0}))
    for shift in (0, 1):
        sealed(whole, shift)
        sealed(late, shift)
    a, b = (days.contents(lake, "recv_ts", "flags", "origin", "quality") for lake in (whole, late))
    for name in ("trades", "bars", "vpin", "features", "posture"):
        assert a[name].equals(b[name]), name
    known = set(a["alerts"]["alert_id"].to_list())
    assert known <= set(b["alerts"]["alert_id"].to_list()), "live alerts that the sealed tape has not stay beside"


def test_bars_that_a_heartbeat_closed_too_early_are_explained(tmp_path: Path) -> None:
    lake = days.streamed(tmp_path / "lake", delayed(7, 300, dict.fromkeys(range(20, 280, 20), 4.5)))
    assert "late" in set(days.contents(lake)["bars"]["quality"])
    tables = told(sealed(lake, 0))
    reasons = {r for d in tables.values() for side in ("changed", "only_live", "only_sealed") for r in d.get(side, {})}
    assert reasons == {"closed by clock"}
    assert "late" not in set(lake.bars(SYMBOL, "1s", end="2023-11-16").collect()["quality"])


def test_rows_that_come_after_the_seal_make_the_date_stale(tmp_path: Path) -> None:
    lines = delayed(5, 2500, {500: 30.0})
    lake = days.streamed(tmp_path / "lake", lines)
    sealed(lake, 0)
    assert stale(lake) == []
    row = lake.table("trades", start="2023-11-15", end="2023-11-15").sort("trade_id").collect().row(100, named=True)
    late = {**row, "trade_id": 999, "flags": ["late"], "counted": False, "seq": 1 << 40}
    more = pl.DataFrame([late], schema=lake.table("trades").collect_schema()).to_arrow()
    lake.replace("trades", [], lake.stage("trades", more, "main.0-00000900", {}))
    assert stale(lake) == [(days.day(0), f"rows of {SYMBOL} came after it was sealed")]
    done = sealed(lake, 0)
    assert not done.skipped
    assert told(done)["trades"]["changed"] == {"late": 1}
    first = lake.trades(SYMBOL, end="2023-11-16").collect().row(0, named=True)
    assert (first["trade_id"], first["seq"]) == (999, 0)
    assert stale(lake) == []
    sealed(lake, 1)
    assert stale(lake) == []
