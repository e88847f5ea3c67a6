"""A sealed day equals a loaded one, whatever is sealed before, between or beside it."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from pipelines.history.archive_day import archive_day
from pipelines.history.seal import plan, seal
from pipelines.history.stale import stale, unsealed
from pipelines.history.stored_day import stored_day
from pipelines.store.lake import Lake
from pipelines.venues import venue
from tests import tapes
from tests.pipelines.history import days


def test_sealed_days_equal_loaded_ones(tmp_path: Path) -> None:
    paths = [days.archived(tmp_path, shift) for shift in range(3)]
    sealed = Lake(tmp_path / "sealed")
    for shift, path in enumerate(paths):
        done = seal(sealed, days.tape_of(path, shift), tapes.KERNELS, sealed_at_us=days.NOW)
        assert not done.skipped
        assert done.tables["trades"].rows == 3000
    days.assert_same(sealed, days.loaded(tmp_path / "loaded", *paths))
    assert stale(sealed) == []
    assert unsealed(sealed) == []


def test_a_second_seal_of_the_same_tape_does_nothing(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    tape = days.tape_of(days.archived(tmp_path, 0), 0)
    seal(lake, tape, tapes.KERNELS, sealed_at_us=days.NOW)
    before = days.contents(lake), lake.live("trades"), lake.live("bars")
    for again in (tape, stored_day(lake, days.day())):
        assert plan(lake, again, tapes.KERNELS).done
        assert seal(lake, again, tapes.KERNELS, sealed_at_us=days.NOW + 1).skipped
    assert (lake.live("trades"), lake.live("bars")) == before[1:]
    assert lake.table("seals_history").collect().height == 1
    assert not list((tmp_path / "lake" / "_seals").glob("*"))


def test_what_a_job_brought_is_sealed_by_the_settings_of_the_job(tmp_path: Path) -> None:
    """Sealed and sealed again: by the settings it was computed with, whatever those of today are."""
    paths = [days.archived(tmp_path, shift) for shift in range(2)]
    mine = tapes.KERNELS.model_copy(update={"vpin": ("v7x20",), "bars": ("1s", "1m", "tick:11")})
    wanted = days.contents(days.loaded(tmp_path / "loaded", *paths, kernels=mine))
    lake = days.loaded(tmp_path / "lake", *paths, kernels=mine)
    for kernels in (tapes.KERNELS, tapes.KERNELS.model_copy(update={"bars": ("1s", "1m")})):
        for shift in range(2):
            done = seal(lake, stored_day(lake, days.day(shift)), kernels, sealed_at_us=days.NOW)
            told = {name: counts for of in done.differences.values() for name, counts in of["tables"].items()}
            assert all(set(counts) <= {"equal"} for counts in told.values()), told
            assert done.skipped == (len(kernels.bars) == 2)
        assert {name: rows.equals(wanted[name]) for name, rows in days.contents(lake).items()} == dict.fromkeys(wanted, True)
    another = days.tape_of(paths[0], 0)._replace(digest="another")
    assert not seal(lake, another, tapes.KERNELS, sealed_at_us=days.NOW + 1).skipped
    assert days.contents(lake)["bars"].equals(wanted["bars"])


def test_days_sealed_in_any_order_then_the_stale_ones_give_the_same_bytes(tmp_path: Path) -> None:
    paths = [days.archived(tmp_path, shift, n=600) for shift in range(5)]
    in_order, shuffled = Lake(tmp_path / "in order"), Lake(tmp_path / "shuffled")
    for shift, path in enumerate(paths):
        seal(in_order, days.tape_of(path, shift), tapes.KERNELS, sealed_at_us=days.NOW)
    for shift in (3, 1, 4, 0, 2):
        seal(shuffled, days.tape_of(paths[shift], shift), tapes.KERNELS, sealed_at_us=days.NOW)
    sealed_again = 0
    while found := stale(shuffled):
        day, reason = found[0]
        assert "earlier dates of AAA-USDT-PERP have changed" in reason
        assert not seal(shuffled, stored_day(shuffled, day), tapes.KERNELS, sealed_at_us=days.NOW).skipped
        sealed_again += 1
        assert sealed_again <= 10
    assert sealed_again >= 2
    days.assert_same(in_order, shuffled)
    seals = [lake.table("seals").sort("ts").drop("as_of").collect() for lake in (in_order, shuffled)]
    assert seals[0].equals(seals[1])


def test_what_an_archive_lacks_and_what_it_has_wrong_is_accounted_for_once(tmp_path: Path) -> None:
    path = days.archived(tmp_path, 0)
    lines = path.read_text().splitlines()
    lines[100] = lines[100].replace(lines[100].split(",")[1], "0", 1)
    del lines[501:511]
    path.write_text("\n".join(lines) + "\n")
    lake = Lake(tmp_path / "sealed")
    for kernels in (tapes.KERNELS, tapes.KERNELS.model_copy(update={"bars": ("1s", "1m", "1h", "1d")})):
        tape = archive_day([[path]], days.day(), [venue(days.VENUE).guess("AAAUSDT")], "agg")
        assert not seal(lake, tape, kernels, sealed_at_us=days.NOW).skipped
    gaps = lake.table("gaps_history").collect()
    assert gaps.select("from_id", "to_id", "status").rows() == [(501, 510, "unfillable")]
    refused = lake.table("quarantine").collect()
    assert refused.select("segment", "offset", "reason").rows() == [(path.name, 101, "price was not above zero: '0'")]
    assert lake.table("instruments").collect()["native"].to_list() == ["AAAUSDT"]
    assert set(lake.table("inputs").collect()["venue"]) == {days.VENUE}
    seal(lake, tape, tapes.KERNELS, sealed_at_us=days.NOW)
    days.assert_same(lake, days.loaded(tmp_path / "loaded", path))


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(2, 12))])
def test_days_in_any_order_and_late_trades_in_any_order_end_in_the_same_bytes(tmp_path: Path, seed: int) -> None:
    """Two lakes get the same trades, some of them late, in different order, and are sealed until nothing is stale."""
    folder, draw = tmp_path, random.Random(seed)
    order, lateness = draw.sample(range(3), 3), draw.sample(range(3), 3)
    tapes_of = [days.tape_of(days.archived(folder, shift, n=300), shift) for shift in range(3)]
    ends = []
    for number, (first, late) in enumerate(((range(3), range(3)), (order, lateness))):
        lake = Lake(folder / f"lake {number}")
        lake.create()
        for shift in first:
            tape = tapes_of[shift]
            kept = tape.rows["trade_id"] % 50 > 0
            seal(lake, tape._replace(rows=tape.rows[kept]), tapes.KERNELS, sealed_at_us=days.NOW)
        for shift in late:
            rows = tapes_of[shift].rows
            days.store_late(lake, rows[rows["trade_id"] % 50 == 0], f"main.0-{shift:08d}")
            if shift % 2:
                seal(lake, stored_day(lake, days.day(shift)), tapes.KERNELS, sealed_at_us=days.NOW)
        while found := stale(lake):
            seal(lake, stored_day(lake, found[0][0]), tapes.KERNELS, sealed_at_us=days.NOW)
        ends.append(lake)
    days.assert_same(ends[0], ends[1])


@pytest.mark.parametrize("place", [0, 1, 3, 6])
def test_two_seals_of_a_day_at_once_leave_the_rows_of_one(tmp_path: Path, place: int) -> None:
    """The second runs from beginning to end while the first computes, or is about to commit to its first, third or last table."""
    path = days.archived(tmp_path, 0, n=600)
    first, second = Lake(tmp_path / "lake"), Lake(tmp_path / "lake")
    steps: list[str] = []

    def watch(step: str, _: int) -> None:
        if step == "commit" or step not in steps:
            steps.append(step)
            if len(steps) == place + 1:
                assert not seal(second, days.tape_of(path, 0), tapes.KERNELS, sealed_at_us=days.NOW).skipped

    seal(first, days.tape_of(path, 0), tapes.KERNELS, sealed_at_us=days.NOW, watch=watch)
    assert steps[: place + 1] == ["compute", *["commit"] * 6][: place + 1]
    assert stale(first) == []
    days.assert_same(first, days.loaded(tmp_path / "loaded", path))
    for table, rows in (("seals_history", 1), ("instruments_history", 1), ("inputs_history", 2)):
        assert first.table(table).collect().height == rows, table
    kept = {Path(file).name for table in (*days.TABLES_OF_A_DAY, "seals") for file in first.files(table)}
    assert {p.name for table in (*days.TABLES_OF_A_DAY, "seals") for p in (tmp_path / "lake" / table).rglob("*.parquet")} == kept


@pytest.mark.parametrize("when", ["before it is planned", "after"])
def test_trades_that_come_while_a_day_is_sealed_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    """They were taken out with the files that had been read, and stood nowhere any more."""
    tape = days.tape_of(days.archived(tmp_path, 0, n=600), 0)
    is_late = tape.rows["trade_id"] % 50 == 0
    lake, true_plan = Lake(tmp_path / "lake"), plan
    seal(lake, tape._replace(rows=tape.rows[~is_late], digest="most"), tapes.KERNELS, sealed_at_us=days.NOW)
    half = tape.rows["trade_id"] % 100 == 0
    days.store_late(lake, tape.rows[half], "main.0-00000001")
    stored = stored_day(lake, days.day())

    def plan_and_wait(*args: Any) -> Any:
        made = true_plan(*args)
        if not done:
            days.store_late(lake, tape.rows[is_late & ~half], "main.0-00000002")
            done.append(True)
        return made

    done: list[bool] = []
    if when == "after":
        monkeypatch.setattr("pipelines.history.seal.plan", plan_and_wait)
    else:
        plan_and_wait(lake, stored, tapes.KERNELS)
    seal(lake, stored, tapes.KERNELS, sealed_at_us=days.NOW)
    assert lake.table("trades").collect()["trade_id"].sort().to_list() == list(range(1, 601))
    assert len(stale(lake)) == (when == "after")
    for day, _ in stale(lake):
        seal(lake, stored_day(lake, day), tapes.KERNELS, sealed_at_us=days.NOW)
    assert stale(lake) == []
    days.assert_same(lake, days.loaded(tmp_path / "loaded", tmp_path / f"AAAUSDT-aggTrades-{days.FIRST}.csv"), "flags")
