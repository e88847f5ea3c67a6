"""Whole in itself: what must be found wrong is found, however the tape is cut."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines import ledger
from pipelines.history import sound
from pipelines.history.archive_day import archive_day
from pipelines.history.seal import seal
from pipelines.history.stored_day import stored_day
from pipelines.history.tally import WIDE, Tally, total
from pipelines.market import Instrument
from pipelines.settings import Kernels
from pipelines.store.lake import Lake
from pipelines.tape import VOID, empty
from pipelines.tape_order import GapRow
from pipelines.venues import venue
from tests.pipelines.history import days

AAA = Instrument(days.VENUE, "AAA-USDT-PERP", "AAAUSDT", "AAA", "USDT")
KERNELS = Kernels(bars=("1m", "1h"), vpin=("v10x5",), percentile_window=20, percentile_min=5)


def of(ids: list[int], **columns: Any) -> np.ndarray:
    rows = empty(len(ids))
    rows["trade_id"], rows["ts"], rows["size"], rows["side"], rows["fills"] = ids, np.arange(len(ids)), 1.5, 1, 1
    for name, values in columns.items():
        rows[name] = values
    return rows


def tally(rows: np.ndarray, *cuts: int, contiguous: bool = True, places: int = 1) -> Tally:
    made = Tally(contiguous)
    for part in np.split(rows, list(cuts)):
        made.add(part, slice(None), places)
    return made


def holes(of_tape: Tally) -> list[list[int]]:
    return [row[:2] for some in of_tape.holes for row in some.tolist()]


@pytest.mark.parametrize("cuts", [(), (1,), (2, 2), (1, 2, 3, 4)])
def test_holes_and_doubles_are_found_wherever_the_tape_is_cut(cuts: tuple[int, ...]) -> None:
    found = tally(of([5, 6, 10, 10, 11]), *cuts)
    assert (holes(found), found.repeated, found.rows) == ([[7, 9]], 1, 5)
    merged = tally(of([5, 9, 20], span=[1, 4, 3]), *[cut for cut in cuts if cut < 3])
    assert (holes(merged), merged.repeated) == ([[10, 17]], 0)


def test_without_ids_that_follow_each_other_only_doubles_are_found() -> None:
    found = tally(of([50, 3, 70, 3]), 2, contiguous=False)
    assert (found.holes, found.repeated) == ([], 1)


def test_a_refused_trade_leaves_no_hole() -> None:
    found = tally(of([5, 6, 7], kind=[0, VOID, 0]), 1)
    assert (found.holes, found.rows, found.voids, found.lots) == ([], 2, 1, 30)


def test_steps_that_grow_finer_change_no_sum() -> None:
    found = Tally(contiguous=True)
    found.add(of([1], size=1.5), slice(None), 1)
    found.add(of([2, 3], size=[0.25, 2.0], side=[-1, 1], counted=[True, False]), slice(None), 2)
    assert (found.places, found.lots, found.buy_lots, found.counted) == (2, 175, 150, 2)


@given(st.lists(st.integers(0, 2**62), max_size=30))
def test_sums_do_not_overflow(values: list[int]) -> None:
    assert total(np.array(values, np.int64)) == sum(values)


@given(st.lists(st.floats(-1e15, 1e15), max_size=20), st.integers(0, 8))
@settings(max_examples=60)
def test_lots_are_summed_to_the_last_one(values: list[float], places: int) -> None:
    each = [int(value) for value in np.rint(np.array(values) * 10.0**places)]
    assert sound.lots(pl.Series(values, dtype=pl.Float64), places) == (sum(each), sum(abs(n) // WIDE for n in each))


@given(*[st.lists(st.tuples(st.integers(1, 60), st.integers(0, 9)), max_size=8)] * 2)
@settings(max_examples=60)
def test_ids_that_the_ledger_names_are_counted_once(one: list[tuple[int, int]], other: list[tuple[int, int]]) -> None:
    ends, apart = 0, []
    for first, more in sorted(one):  # holes of a tape never overlap
        if first > ends:
            ends = first + more
            apart.append((first, ends))
    named = {k for first, more in other for k in range(first, first + more + 1)}
    wanted = sum(k in named for first, last in apart for k in range(first, last + 1))
    ranges = np.array(apart, np.int64).reshape(-1, 2)
    assert sound.covered(ranges, [(first, first + more) for first, more in other]) == wanted


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lake, dict[str, pl.DataFrame], Tally]:
    """Return a sealed day, its bars and buckets, and what its trades come to."""
    folder = tmp_path_factory.mktemp("sealed")
    lake, tape = Lake(folder / "lake"), days.tape_of(days.archived(folder, 0), 0)
    seal(lake, tape, KERNELS, sealed_at_us=days.NOW)
    made = Tally(contiguous=True)
    for rows in tape.pieces():
        made.add(rows, slice(None), 3)
    return lake, {name: lake.table(name).collect() for name in ("bars", "vpin")}, made


def faults(lake: Lake, tables: dict[str, pl.DataFrame], of_tape: Tally) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = sound.examine(lake, days.day(), AAA.symbol, of_tape, tables, [KERNELS]).compact()["faults"]
    return found


def test_nothing_is_lost_between_tables(sealed: tuple[Lake, dict[str, pl.DataFrame], Tally]) -> None:
    lake, tables, made = sealed
    assert tables["vpin"]["partial"].sum() == 1
    assert tables["vpin"].height > 50
    assert faults(*sealed) == {}
    (row,) = lake.table("seals").collect().to_dicts()
    told = msgspec.json.decode(row["details"])["checks"]
    assert told["sound"]["faults"] == {}
    assert told["sound"]["numbers"] == {"trades": 3000, "counted": 3000, "ids_missing": 0, "ids_in_ledger": 0, "ids_refused": 0}
    assert "tapeflow backfill --venue binance-usdm" in told["matches_venue"]["not_compared"]
    assert made.lots == round(float(tables["bars"].filter(bar="1h")["volume"].sum()) * 1000)


def nudged(frame: pl.DataFrame, row: int, column: str, by: float) -> pl.DataFrame:
    return frame.with_columns(pl.when(pl.int_range(pl.len()) == row).then(pl.col(column) + by).otherwise(column).alias(column))


@pytest.mark.parametrize(
    ("table", "column", "by", "told"),
    [
        ("bars", "volume", 0.001, {"1m bars: other volume, lots": 1}),
        ("bars", "buy_volume", -0.001, {"1m bars: other buy_volume, lots": 1}),
        ("bars", "fills", 2, {"1m bars: other fills": 2}),
        ("vpin", "buy_volume", 0.001, {"v10x5 buckets: other buy_volume, lots": 1}),
        ("vpin", "bucket_volume", 10.0, {"v10x5 buckets: other volume, lots": 10_000}),
    ],
)
def test_a_single_lot_is_missed(
    sealed: tuple[Lake, dict[str, pl.DataFrame], Tally], table: str, column: str, by: float, told: dict[str, int]
) -> None:
    lake, tables, made = sealed
    frame = tables[table].sort(*(["bar"] if table == "bars" else []), "ts")
    at = frame.filter(bar="1h").height if table == "bars" else 3
    assert faults(lake, {**tables, table: nudged(frame, at, column, by)}, made) == {table: told}


def test_a_lost_bar_and_a_lost_bucket_are_missed(sealed: tuple[Lake, dict[str, pl.DataFrame], Tally]) -> None:
    lake, tables, made = sealed
    for name, frame in tables.items():
        assert set(faults(lake, {**tables, name: frame.sort("ts").tail(-3)}, made)) == {name}


def told_of(lake: Lake) -> dict[str, Any]:
    (row,) = lake.table("seals").collect().to_dicts()
    found: dict[str, Any] = msgspec.json.decode(row["details"])["checks"]["sound"]
    return found


def test_holes_of_an_archive_stand_in_the_ledger_and_refused_lines_in_quarantine(tmp_path: Path) -> None:
    path = days.archived(tmp_path, 0)
    lines = path.read_text().splitlines()
    lines[100] = lines[100].replace(lines[100].split(",")[1], "0", 1)
    del lines[501:511]
    path.write_text("\n".join(lines) + "\n")
    lake = Lake(tmp_path / "lake")
    seal(lake, archive_day([[path]], days.day(), [venue(days.VENUE).guess("AAAUSDT")], "agg"), KERNELS, sealed_at_us=days.NOW)
    assert told_of(lake)["faults"] == {}
    assert told_of(lake)["numbers"]["ids_in_ledger"] == 10
    again = KERNELS.model_copy(update={"bars": ("1m", "4h")})
    assert not seal(lake, stored_day(lake, days.day()), again, sealed_at_us=days.NOW + 1).skipped
    assert told_of(lake)["faults"] == {}
    assert told_of(lake)["numbers"] == {"trades": 2989, "counted": 2989, "ids_missing": 11, "ids_in_ledger": 10, "ids_refused": 1}


@pytest.mark.parametrize(("named", "left"), [(None, 20), ((101, 110), 10), ((101, 120), 0), ((None, None), 0)])
def test_a_hole_that_nobody_noted_is_a_fault(tmp_path: Path, named: tuple[Any, Any] | None, left: int) -> None:
    lake, path = Lake(tmp_path / "lake"), days.archived(tmp_path, 0)
    whole = days.tape_of(path, 0)
    lost = whole.rows[100:120]
    lake.create()
    if named is not None:
        gap = GapRow(0, int(whole.rows["ts"][99]), int(whole.rows["ts"][120]), *named, "reconnect", "unfillable", 1)
        assert lost["trade_id"][[0, -1]].tolist() == [101, 120]
        rows = ledger.gaps([gap], [AAA])
        lake.replace("gaps", [], lake.stage("gaps", rows, "main-0000000001", {}))
    cut = whole._replace(rows=np.delete(whole.rows, np.s_[100:120]))
    seal(lake, cut, KERNELS, sealed_at_us=days.NOW)
    wanted = {"trades": {"ids missing without a row in table gaps": left}} if left else {}
    assert told_of(lake)["faults"] == wanted
