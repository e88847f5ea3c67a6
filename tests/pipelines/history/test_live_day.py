"""A streamed day, sealed: nothing changes but what late, repaired and clock-closed trades explain."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl

from pipelines.briefs.agents.finding import Finding
from pipelines.briefs.agents.running import keep
from pipelines.history.seal import Sealed, seal
from pipelines.history.stale import is_finished, stale, unsealed
from pipelines.history.stored_day import stored_day
from pipelines.market import DAY_US, TABLES
from pipelines.records import Kind, Reference
from pipelines.store.lake import Lake
from tests import tapes
from tests.pipelines.history import days

MIDNIGHT = tapes.DAY + DAY_US
FINISHED = MIDNIGHT + DAY_US + 1_800_000_000
SYMBOL = "AAA-USDT-PERP"


def sealed(lake: Lake, shift: int) -> Sealed:
    done = seal(lake, stored_day(lake, days.day(shift)), tapes.KERNELS, sealed_at_us=days.NOW)
    for of_symbol in done.differences.values():
        assert of_symbol["checks"]["sound"]["faults"] == {}
    return done


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


def test_what_was_in_force_on_a_recorded_date_is_taken_from_the_record(tmp_path: Path) -> None:
    """V of a reference record, and settings that change within the date."""
    rows = days.trades(3)
    lines = until_finished(days.journal(rows, np.full(rows.size, 50_000), MIDNIGHT + 950_000_000))
    reference = Reference("binance-usdm", "AAAUSDT", "2023-11-15", 77.0, 7700.0, 30, "2023-11-14")
    changed = tapes.KERNELS.model_copy(update={"vpin": ("adv50x50", "v2.5x5", "v5x3")})
    at = (MIDNIGHT - 300_000_000) * 1000 + 7
    lines = [
        (lines[0][0], Kind.REFERENCE, msgspec.json.encode(reference)),
        *(line for line in lines if line[0] <= at),
        (at, Kind.SETTINGS, changed.canonical()),
        *(line for line in lines if line[0] > at),
    ]
    lake = days.streamed(tmp_path / "lake", lines)
    live = days.contents(lake)
    assert live["vpin"].filter(pl.col("setting") == "adv50x50")["bucket_volume"][0] == 1.54
    assert "v5x3" in live["vpin"]["setting"]
    other = tapes.KERNELS.model_copy(update={"bucket_volume": "9"})
    for shift in (0, 1):
        done = seal(lake, stored_day(lake, days.day(shift)), other, sealed_at_us=days.NOW)
        for table, difference in told(done).items():
            assert set(difference) == {"equal"}, (shift, table, difference)
    for name, frame in live.items():
        assert frame.equals(days.contents(lake)[name]), name


def test_what_quotes_say_is_kept_as_it_was(tmp_path: Path) -> None:
    lake = days.streamed(tmp_path / "lake", delayed(5, 2500, {500: 30.0}))
    features = lake.table("features").collect()
    told_of = features.with_columns(
        spread_bps=pl.int_range(pl.len()) / 7, ofi_1m=pl.when(pl.int_range(pl.len()) % 3 > 0).then(pl.int_range(pl.len()) * 1.5)
    )
    old = list(lake.live("features"))
    rows = [lake.stage("features", part.to_arrow(), "main.0-00000800", {}) for part in told_of.partition_by("date")]
    lake.replace("features", old, [file for files in rows for file in files])
    for shift in (0, 1):
        sealed(lake, shift)
    after = days.contents(lake)
    kept = told_of.sort("ts").select("ts", "spread_bps", "ofi_1m")
    assert after["features"].sort("ts").select("ts", "spread_bps", "ofi_1m").equals(kept)
    flows = after["posture"].sort("ts").join(kept, on="ts")
    assert (flows["term_ofi_1m"].is_null() == flows["ofi_1m"].is_null()).all(), "terms are made of what is kept"


def test_what_agents_found_stays_and_is_not_compared(tmp_path: Path) -> None:
    rows = days.trades(3)
    lines = until_finished(days.journal(rows, np.full(rows.size, 50_000), MIDNIGHT + 950_000_000))
    lake = days.streamed(tmp_path / "lake", lines)
    ts = dt.datetime.fromtimestamp(tapes.DAY / 1e6, dt.UTC) + dt.timedelta(hours=1)
    about = {"venue": days.day().venue, "symbol": SYMBOL, "ts": ts, "end": ts, "about": "x", "figures": {}, "label": "x"}
    found = msgspec.convert({**about, "agent": "rvol", "version": 1, "severity": 1, "score": 1, "threshold": 1}, Finding)
    assert keep(lake, [found], tmp_path) == [found]
    assert set(told(sealed(lake, 0))["alerts"]) == {"equal"}
    assert lake.table("alerts").filter(source="agent").select("alert_id").collect().rows() == [(found.id,)]
    assert stale(lake) == []


def test_other_symbols_in_the_same_files_stay_and_live_alerts_too(tmp_path: Path) -> None:
    lines = delayed(5, 1000, {200: 30.0})
    other = days.trades(9, 700)
    more = days.journal(other, np.full(other.size, 60_000), 0, "BBBUSDT")
    lake = days.streamed(tmp_path / "lake", sorted([*lines, *more], key=lambda line: line[0]))
    live = days.contents(lake)
    day = stored_day(lake, days.day())
    assert [i.symbol for i in day.instruments] == [SYMBOL, "BBB-USDT-PERP"]
    rows = np.concatenate(list(day.pieces()))
    mine = days.RowsDay(day.day, rows[rows["instrument"] == 0], day.instruments[:1], "alone")
    seal(lake, mine, tapes.KERNELS, sealed_at_us=days.NOW)
    after = days.contents(lake)
    for name in days.TABLES_OF_A_DAY:
        theirs = pl.col("symbol") == "BBB-USDT-PERP"
        assert live[name].filter(theirs).equals(after[name].filter(theirs)), name
        assert after[name].select(TABLES[name].key).is_duplicated().sum() == 0, name
    told_live = pl.col("origin") == "live"
    assert live["alerts"].equals(after["alerts"].filter(told_live))
    assert after["alerts"].filter(~told_live).height > 0
    assert unsealed(lake) == [days.day(0), days.day(1)]
    sealed(lake, 0)
    assert unsealed(lake) == [days.day(1)]
    assert stale(lake) == []


def test_a_sealed_stream_equals_the_archive_of_the_same_date(tmp_path: Path) -> None:
    """But for what only a stream has: times of receipt, words, and that its recording began within the date."""
    rows = days.trades(5, 2500)
    live = days.streamed(tmp_path / "live", delayed(5, 2500, {500: 30.0, 700: 4.0}))
    sealed(live, 0)
    archive = Lake(tmp_path / "archive")
    tape = days.RowsDay(days.day(), rows[rows["ts"] < MIDNIGHT], tuple(tapes.INSTRUMENTS[:1]), "archive")
    tape.rows["fills"], tape.rows["first_fill"] = 2, 2 * tape.rows["trade_id"]
    tape.rows["last_fill"] = tape.rows["first_fill"] + 1
    seal(archive, tape, tapes.KERNELS, sealed_at_us=days.NOW)
    a, b = (days.contents(lake, "recv_ts", "flags", "origin", "quality", "gap", "spans_gap") for lake in (live, archive))
    for name in ("trades", "bars", "vpin", "features", "posture"):
        on_date = a[name].filter(pl.col("date") == days.FIRST)
        assert on_date.height > 0, name
        assert on_date.equals(b[name]), name
    assert set(b["alerts"]["alert_id"]) <= set(a["alerts"]["alert_id"])
