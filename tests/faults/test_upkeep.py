"""kill -9 during compaction and retention, with readers in a loop: the old set or the new, never both, never none."""

from __future__ import annotations

import datetime as dt
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import polars as pl
import pytest

from pipelines.feed_tables import QUOTES
from pipelines.store import upkeep
from pipelines.store.lake import Lake
from tests.faults.house import ROOT
from tests.faults.tidier import ROWS
from tests.pipelines.store.samples import DAY, put, rows

Seen = dict[dt.date, tuple[int, int, int]]
"""Rows of a date, how many differ in `seq`, and the sum of these."""


def by_polars(lake: Lake) -> Seen:
    counts = (pl.len(), pl.col("seq").n_unique().alias("unique"), pl.col("seq").sum().alias("sum"))
    found = lake.table("quotes").group_by("date").agg(*counts).collect()
    return {date: (n, unique, total) for date, n, unique, total in found.iter_rows()}


def by_duckdb(lake: Lake) -> Seen:
    query = "SELECT date, count(*), count(DISTINCT seq), sum(seq)::BIGINT FROM quotes GROUP BY date"
    return {date: (n, unique, total) for date, n, unique, total in lake.sql(query).fetchall()}


class Reader(threading.Thread):
    """Reads until it is told to stop; keeps what was wrong, and how often each engine read."""

    def __init__(self, root: str, check: Callable[[Seen], str]) -> None:
        super().__init__(daemon=True)
        self.root, self.check = root, check
        self.over = threading.Event()
        self.wrong: list[str] = []
        self.reads = dict.fromkeys(("by_polars", "by_duckdb"), 0)

    def run(self) -> None:
        lake = Lake(self.root)
        while not self.over.is_set():
            for read in (by_polars, by_duckdb):
                try:
                    fault = self.check(self._read(read, lake))
                except Exception as error:  # noqa: BLE001 - told below
                    fault = f"{type(error).__name__}: {error}"
                self.wrong += [f"{read.__name__}: {fault}"] if fault else []
                self.reads[read.__name__] += 1

    def _read(self, read: Callable[[Lake], Seen], lake: Lake) -> Seen:
        """Read as CONTRACT says: a reader whose file was vacuumed meanwhile opens the table anew and runs again.

        Here it is vacuumed at once, not an hour later.
        """
        for _ in range(1000):  # as often as a file can go meanwhile
            try:
                return read(lake)
            except (FileNotFoundError, pl.exceptions.ComputeError, duckdb.IOException) as error:
                if "No such file" not in str(error):
                    raise
        return read(lake)


def kill_and_read(what: str, lake: Lake, count: int, kills: int, check: Callable[[Seen], str]) -> None:
    """Begin, kill at a random moment, begin again; in the end let it end: however late a kill comes, it is only so far."""
    draw = random.Random(what)
    command = [sys.executable, "-m", "tests.faults.tidier", what, lake.root, str(count)]
    reader = Reader(lake.root, check)
    reader.start()
    killed = 0
    try:
        while killed < kills:
            process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(b"\n" * ((killed + 1) * (count // kills)))
            process.stdin.flush()
            assert process.stdout.readline() == b"begun\n"
            time.sleep(draw.uniform(0, 0.6))
            if process.poll() is not None:  # it was quicker
                break
            process.kill()
            process.wait(30)
            killed += 1
        subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True, timeout=500)
    finally:
        reader.over.set()
        reader.join(60)
    assert reader.wrong == []
    assert min(reader.reads.values()) >= 3, reader.reads
    assert killed >= min(kills, 2)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(tmp_path / "lake")
    lake.create()
    return lake


@pytest.mark.parametrize(("files", "kills"), [(60, 3), pytest.param(500, 40, marks=pytest.mark.soak)])
def test_compaction_killed(lake: Lake, monkeypatch: pytest.MonkeyPatch, files: int, kills: int) -> None:
    """The writer's rows are 0, 1, 2 ... without a hole and once each, however its files are merged."""
    grown = 0

    def check(seen: Seen) -> str:
        nonlocal grown
        n, unique, total = seen.get(DAY, (0, 0, 0))
        if n < grown or n % ROWS or unique != n or total != n * (n - 1) // 2:
            return f"{n} rows of which {unique} differ, sum {total}, after {grown}"
        grown = n
        return ""

    kill_and_read("compact", lake, files, kills, check)
    assert by_polars(lake) == {DAY: (files * ROWS, files * ROWS, files * ROWS * (files * ROWS - 1) // 2)}
    assert len(lake.live("quotes")) <= 2
    monkeypatch.setattr(upkeep, "VACUUM_HOURS", 0)
    monkeypatch.setattr(upkeep, "SWEEP_HOURS", 0)
    upkeep.compact(lake, "quotes")
    upkeep.vacuum(lake, "quotes")
    assert lake.orphans("quotes", "") == [], "what a killed one left is gone"


@pytest.mark.parametrize(("dates", "kills"), [(40, 3), pytest.param(400, 40, marks=pytest.mark.soak)])
def test_retention_killed(lake: Lake, dates: int, kills: int) -> None:
    """Each date has two files; it is there whole or not at all, and none goes before an older one."""
    days = [DAY + dt.timedelta(n) for n in range(dates + 2)]
    for part in range(2):
        made = [rows(QUOTES, 5, day=day, seq=list(range(5 * part, 5 * part + 5))) for day in days]
        for table in made:
            put(lake, QUOTES, table)
    begins = days[0]

    def check(seen: Seen) -> str:
        nonlocal begins
        first = min(seen)
        if sorted(seen) != days[days.index(first) :] or first < begins or set(seen.values()) != {(10, 10, 45)}:
            return f"{len(seen)} dates from {first} on after {begins}: {set(seen.values())}"
        begins = first
        return ""

    kill_and_read("retain", lake, dates, kills, check)
    assert sorted(by_duckdb(lake)) == days[dates:]
    on_disk = {path.parent.parent.name for path in Path(lake.root, "quotes").rglob("*.parquet")}
    assert {f"date={day}" for day in days[dates:]} <= on_disk
