"""What is finished, and what a change of an earlier date makes stale."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pytest

from pipelines import ledger
from pipelines.history.seal import seal
from pipelines.history.stale import is_finished, stale, unsealed
from pipelines.history.stored_day import stored_day
from pipelines.market import DAY_US
from pipelines.store.lake import Lake
from pipelines.store.parquet import Staged
from tests import tapes
from tests.pipelines.history import days


@pytest.mark.parametrize(
    ("reached", "finished"),
    [
        ({"main": 24.0}, False),
        ({"main": 24.26}, True),
        ({"main": 24.26, "second": 24.2}, False),
        ({"main": 30.0, "second": 25.0}, True),
        ({}, False),
    ],
)
def test_a_day_is_finished_once_every_flow_is_past_a_quarter_past_midnight(
    tmp_path: Path, reached: dict[str, float], finished: bool
) -> None:
    lake = Lake(tmp_path)
    lake.create()
    for shard, hours in reached.items():
        for hour in (23.0, hours):
            at = tapes.DAY + int(hour * 3_600_000_000)
            rows = ledger.coverage(days.VENUE, shard, at, 5_000_000, "s", 0, 0)
            lake.replace("coverage", [], lake.stage("coverage", rows, f"{shard}.0-{int(hour * 100):08d}", {}))
    assert is_finished(lake, days.day()) is finished
    assert not is_finished(lake, days.day(-1))


def test_a_loaded_date_is_neither_unsealed_nor_stale_but_what_reads_it_is_told(tmp_path: Path) -> None:
    first, second = (days.archived(tmp_path, shift, n=500) for shift in (0, 1))
    lake = Lake(tmp_path / "lake")
    seal(lake, days.tape_of(second, 1), tapes.KERNELS, sealed_at_us=days.NOW)
    assert stale(lake) == []
    days.loaded(tmp_path / "lake", first)
    assert unsealed(lake) == []
    assert [day for day, _ in stale(lake)] == [days.day(1)]
    seal(lake, stored_day(lake, days.day(1)), tapes.KERNELS, sealed_at_us=days.NOW)
    assert stale(lake) == []
    assert stale(lake, ["okx"]) == []
    days.assert_same(lake, days.loaded(tmp_path / "loaded", first, second))


def test_beyond_the_reach_nothing_is_stale_and_no_change_makes_none(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    for shift in (40, 3, 0):
        seal(lake, days.tape_of(days.archived(tmp_path, shift, n=200), shift), tapes.KERNELS, sealed_at_us=days.NOW)
    assert [day.date for day, _ in stale(lake)] == [days.day(3).date]
    seal(lake, stored_day(lake, days.day(3)), tapes.KERNELS, sealed_at_us=days.NOW)
    assert stale(lake) == []
    other = tapes.KERNELS.model_copy(update={"percentile_min": 6})
    assert not seal(lake, stored_day(lake, days.day(0)), other, sealed_at_us=days.NOW).skipped
    assert stale(lake) in ([], [(days.day(3), "earlier dates of AAA-USDT-PERP have changed since it was sealed")])


def test_a_day_sealed_before_it_is_over_is_whole_no_more_than_its_tape(tmp_path: Path) -> None:
    """The volume of the first date of a recording counts for no later date."""
    rows = days.trades(3, 800)
    lines = days.journal(rows, np.full(rows.size, 50_000), tapes.DAY + DAY_US + 900_000_000)
    lake = days.streamed(tmp_path / "lake", lines)
    seal(lake, stored_day(lake, days.day()), tapes.KERNELS, sealed_at_us=days.NOW)
    seal(lake, stored_day(lake, days.day(1)), tapes.KERNELS, sealed_at_us=days.NOW)
    seals = lake.table("seals").sort("ts").collect()
    assert seals["whole"].to_list() == [False, True]
    assert seals["kind"].to_list() == ["sealed"] * 2
    assert seals["source"].to_list() == ["live"] * 2
    assert seals["as_of"][0] == dt.datetime(2023, 11, 15, tzinfo=dt.UTC) + dt.timedelta(days=40)


def test_each_table_is_listed_once_however_many_days_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sensor asks every two minutes, of years of days."""
    lake = Lake(tmp_path / "lake")
    for shift in range(4):
        seal(lake, days.tape_of(days.archived(tmp_path, shift, n=100), shift), tapes.KERNELS, sealed_at_us=days.NOW)
    listed: list[str] = []
    live = Lake.live

    def counted(self: Lake, table: str) -> dict[str, Staged]:
        listed.append(table)
        return live(self, table)

    monkeypatch.setattr(Lake, "live", counted)
    assert stale(lake) == []
    assert sorted(listed) == ["bars", "trades"]
    listed.clear()
    assert unsealed(lake) == []
    assert listed == ["trades"]
