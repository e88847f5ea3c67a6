"""Sealing, killed at any instant, raced by another sealer and by a writer: readers see the old rows or the new ones.

Each attempt is a process of its own. What it has done when it is killed is chance; what it ends in is not.
"""

from __future__ import annotations

import datetime as dt
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pipelines.history.seal import seal
from pipelines.history.stale import stale
from pipelines.history.stored_day import stored_day
from pipelines.market import DAY_US, TABLES
from pipelines.store.lake import Lake
from tests import tapes
from tests.pipelines.history import days

READ = ("trades", "bars", "vpin", "features")
ATTEMPT = """
import sys
from pipelines.history.seal import seal
from pipelines.history.stored_day import stored_day
from pipelines.store.lake import Lake
from tests import tapes
from tests.pipelines.history import days

def say(step, done):
    print(step, flush=True)

say("ready", 0)
lake = Lake(sys.argv[1])
seal(lake, stored_day(lake, days.day(0)), tapes.KERNELS, sealed_at_us=days.NOW, watch=say)
say("done", 0)
"""


@pytest.fixture(scope="module")
def streamed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a lake with a streamed date that sealing changes."""
    rows = days.trades(5, 2000, minutes=14)
    delays = np.full(rows.size, 50_000)
    delays[[300, 301, 1200]] = 30_000_000
    root = tmp_path_factory.mktemp("streamed") / "lake"
    days.streamed(root, days.journal(rows, delays, tapes.DAY + DAY_US))
    return root


def hashes(frame: pl.DataFrame) -> tuple[int, int]:
    """Return a number that tells contents apart, whatever their order."""
    return int(frame.select(sorted(frame.columns)).hash_rows().sum()), frame.height


def rows_of(lake: Lake, table: str) -> pl.DataFrame:
    columns = [c for c in TABLES[table].schema.names if c not in ("flags", "seq")]
    return lake.table(table).select(columns).collect()


@contextmanager
def watched(root: Path, known: dict[str, set[object]]) -> Iterator[list[str]]:
    """Read every table in a loop, through polars and through DuckDB; note whatever is neither old nor new."""
    wrong: list[str] = []
    done = threading.Event()

    def look() -> None:
        lake = Lake(root)
        while not done.is_set():
            for table in READ:
                seen = rows_of(lake, table)
                if hashes(seen) not in known[table]:
                    wrong.append(f"polars: {table}, {seen.height} rows")
                columns = ", ".join(f'"{c}"' for c in seen.columns)
                seen = pl.DataFrame(lake.sql(f"select {columns} from {table}").to_arrow_table()).cast(seen.schema)
                if hashes(seen) not in known[table]:
                    wrong.append(f"duckdb: {table}, {seen.height} rows")

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield wrong
    finally:
        done.set()
        thread.join()


def attempt(root: Path, kill_after: tuple[int, float] | None) -> bool:
    """Seal in a process of its own; kill it so many seconds after a line it says. Return whether it had ended."""
    process = subprocess.Popen([sys.executable, "-c", ATTEMPT, str(root)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for number, line in enumerate(process.stdout):
        if kill_after is not None and number >= kill_after[0]:
            time.sleep(kill_after[1])  # the instant is chance: nothing is waited for
            process.kill()
            break
        if line.strip() == "done":
            break
    process.stdout.close()
    return process.wait(300) == 0


def check_kills(streamed: Path, folder: Path, kills: int, seed: int) -> None:
    draw = random.Random(seed)
    uncut = folder / "uncut"
    shutil.copytree(streamed, uncut)
    assert attempt(uncut, None)
    old, new = Lake(streamed), Lake(uncut)
    known: dict[str, set[object]] = {t: {hashes(rows_of(old, t)), hashes(rows_of(new, t))} for t in READ}
    assert all(len(of) == 2 for of in known.values()), "sealing changes every table"
    details = new.table("seals").select("details", "rows_digest", "trades").collect()
    root, left = folder / "killed 0", kills
    shutil.copytree(streamed, root)
    while left:
        with watched(root, known) as wrong:
            ended = False
            while left and not ended:
                ended = attempt(root, (draw.randrange(16), draw.expovariate(30)))
                left -= 1
            if not ended:
                assert attempt(root, None)
        assert wrong == []
        days.assert_same(new, Lake(root))
        assert Lake(root).table("seals").select("details", "rows_digest", "trades").collect().equals(details)
        assert not list((root / "_seals").glob("*"))
        root = folder / f"killed {kills - left}"
        shutil.copytree(streamed, root)


def test_killed_at_random_it_ends_the_same_and_readers_see_old_or_new(streamed: Path, tmp_path: Path) -> None:
    check_kills(streamed, tmp_path, 3, seed=1)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_killed_at_random_very_often(streamed: Path, tmp_path: Path) -> None:
    check_kills(streamed, tmp_path, 60, seed=2)


def test_two_sealers_at_once_end_as_one(streamed: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    shutil.copytree(streamed, one)
    shutil.copytree(streamed, two)
    assert attempt(one, None)
    faults: list[BaseException] = []

    def run() -> None:
        try:
            lake = Lake(two)
            seal(lake, stored_day(lake, days.day()), tapes.KERNELS, sealed_at_us=days.NOW)
        except BaseException as fault:  # noqa: BLE001 - told below
            faults.append(fault)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    days.assert_same(Lake(one), Lake(two))
    assert stale(Lake(two)) == []


def test_rows_that_a_writer_adds_meanwhile_stay(streamed: Path, tmp_path: Path) -> None:
    root = tmp_path / "lake"
    shutil.copytree(streamed, root)
    lake, writer = Lake(root), Lake(root)
    known = lake.table("trades").sort("trade_id").collect()
    row = known.row(0, named=True)
    written: list[int] = []

    def write(step: str, done: int) -> None:
        """Add a late trade for each step that is told."""
        if len(written) < 6:
            late = {**row, "trade_id": 1 + len(written), "flags": ["late"], "counted": False, "seq": 1 << 40}
            rows = pl.DataFrame([late], schema=known.schema).to_arrow()
            staged = writer.stage("trades", rows, f"main.0-{900 + len(written):08d}", {})
            writer.replace("trades", [], staged)
            written.append(late["trade_id"])

    seal(lake, stored_day(lake, days.day()), tapes.KERNELS, sealed_at_us=days.NOW, watch=write)
    assert written == [1, 2, 3, 4, 5, 6]
    trades = lake.table("trades").collect()
    assert trades["trade_id"].n_unique() == trades.height == known.height + 6
    while stale(lake):
        seal(lake, stored_day(lake, days.day()), tapes.KERNELS, sealed_at_us=days.NOW)
    sealed = lake.table("trades").sort("seq").collect()
    assert sealed["trade_id"].to_list() == sorted(trades["trade_id"].to_list())
    assert sealed["counted"].all()
    assert sealed["date"].unique().to_list() == [dt.date(2023, 11, 15)]
