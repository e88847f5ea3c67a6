"""New alerts are read once each, whatever is committed late, written again or compacted meanwhile."""

from __future__ import annotations

import datetime as dt
import json
import random
import time
from pathlib import Path
from typing import Any

import pytest

from dataflows.sender.new_alerts import NewAlerts
from pipelines.market import ALERTS
from pipelines.store.lake import Lake
from tests.pipelines.store import samples

HOUR_US = 3_600_000_000


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(tmp_path / "lake")
    lake.create()
    return lake


def put(lake: Lake, *seconds: float, venue: str = "demo", origin: str = "live") -> None:
    """Commit alerts in one file, each named by its second."""
    times = [samples.moment(second) for second in seconds]
    names = [f"{venue} {second:g}" for second in seconds]
    found = samples.rows(ALERTS, len(times), alert_id=names, ts=times, end=times, venue=venue, origin=origin)
    samples.put(lake, ALERTS, found)


def compact(lake: Lake) -> None:
    """Rewrite everything in one file each partition, as upkeep does."""
    live = lake.live(ALERTS.name)
    frame = lake.table(ALERTS.name).collect().to_arrow().cast(ALERTS.lake_schema)
    staged = lake.stage(ALERTS.name, frame, f"compacted-{time.monotonic_ns()}", {})
    lake.replace(ALERTS.name, list(live), staged, data_change=False)


def names(rows: list[dict[str, Any]]) -> list[str]:
    return [row["alert_id"] for row in rows]


def reader(lake: Lake, before: NewAlerts | None = None, ahead_us: int = 0) -> NewAlerts:
    """Return a reader that goes on where another was, as after a restart, with its clock that far ahead."""
    return NewAlerts(lake, json.loads(json.dumps(before.cursor())) if before else None, time.time_ns() // 1000 + ahead_us)


def test_without_a_lake_there_is_nothing_yet(tmp_path: Path) -> None:
    made = NewAlerts(Lake(tmp_path / "none"), None, 0)
    assert made.read() == []
    assert made.cursor() is None


def test_each_commit_is_read_once(lake: Lake) -> None:
    made = reader(lake)
    assert made.read() == []
    put(lake, 10, 5)
    assert names(made.read()) == ["demo 5", "demo 10"]
    assert made.read() == []
    put(lake, 11)
    put(lake, 9.5)  # late
    row, *rest = made.read()
    assert (row["alert_id"], row["venue"], row["end"]) == ("demo 9.5", "demo", dt.datetime(2024, 7, 19, 0, 0, 9, 500_000, dt.UTC))
    assert names(rest) == ["demo 11"]


def test_the_first_start_leaves_out_what_is_old(lake: Lake) -> None:
    put(lake, 100, 5000)
    put(lake, 20, venue="okx")
    later = reader(lake, ahead_us=HOUR_US)
    assert later.read() == []
    compact(lake)
    assert later.read() == []
    put(lake, 5000.5)
    put(lake, 21, venue="okx")
    assert sorted(names(later.read())) == ["demo 5000.5", "okx 21"]


def test_the_first_start_takes_the_last_minutes_of_what_was_just_committed(lake: Lake) -> None:
    put(lake, 100, 5000, 4500)
    assert names(reader(lake).read()) == ["demo 4500", "demo 5000"]


def test_history_is_not_news(lake: Lake) -> None:
    made = reader(lake)
    made.read()
    put(lake, 5, origin="history")
    assert made.read() == []


def test_compaction_brings_nothing_back(lake: Lake) -> None:
    made = reader(lake)
    made.read()
    for second in range(0, 3000, 100):
        put(lake, second)
        made.read()
    compact(lake)
    assert made.read() == []
    assert reader(lake, made).read() == []
    put(lake, 3001)
    compact(lake)
    assert names(reader(lake, made).read()) == ["demo 3001"]


def test_what_came_while_it_was_down_is_read_then_all_of_it(lake: Lake) -> None:
    made = reader(lake)
    made.read()
    put(lake, 10)
    made.read()
    for second in (20, 5000, 9000):
        put(lake, second)
    put(lake, 1, venue="okx")
    compact(lake)
    assert names(reader(lake, made).read()) == ["okx 1", "demo 20", "demo 5000", "demo 9000"]


def test_what_was_read_but_not_kept_is_read_again(lake: Lake) -> None:
    made = reader(lake)
    made.read()
    kept = reader(lake, made)
    put(lake, 10)
    assert names(made.read()) == names(kept.read()) == ["demo 10"]


@pytest.mark.parametrize("seed", range(3))
def test_each_row_once_through_restarts_compactions_and_late_rows(lake: Lake, seed: int) -> None:
    dice, made, seconds = random.Random(seed), reader(lake), 0.0
    made.read()
    put_so_far: list[str] = []
    read: list[str] = []
    for _ in range(25):
        match dice.randrange(5):
            case 0:
                compact(lake)
            case 1:
                made = reader(lake, made)
            case 2:
                read += names(made.read())
            case _:
                seconds += dice.choice([0.5, 30, 700])
                several = [seconds - late for late in (0, dice.uniform(0.1, 500))][: dice.randint(1, 2)]
                put(lake, *several)
                put_so_far += [f"demo {second:g}" for second in several]
    read += names(made.read())
    assert sorted(read) == sorted(put_so_far)
