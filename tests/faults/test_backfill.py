"""A backfill killed at any instant and begun again ends in the lake of one that was let alone."""

from __future__ import annotations

import datetime as dt
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from assets.history import SEALED
from pipelines.market import TABLES
from pipelines.store.lake import Lake
from tests.archive import days

DATES = [dt.date(2026, 11, 1) + dt.timedelta(days=n) for n in range(2)]
SETTINGS = """
data: {data}
venues: {{binance-usdm: {{symbols: [BTC-USDT-PERP]}}}}
archives: {{binance-usdm: {archive}}}
kernels: {{bars: [1m, 5m], vpin: [v40x5]}}
"""
DEADLINE_S = 500


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("archive")
    for date in DATES:
        name = f"BTCUSDT-aggTrades-{date}"
        (folder / f"{name}.zip").write_bytes(days.zipped(f"{name}.csv", days.agg(days.day(date, 300))))
    return folder


class Place:
    """A folder in which backfills run, each a process of its own."""

    def __init__(self, folder: Path, archive: Path) -> None:
        self.root, self.said = folder / "data" / "lake", folder / "said.txt"
        self.environment = {**os.environ, "TAPEFLOW_CONFIG": str(folder / "tapeflow.yaml")}
        folder.mkdir()
        Path(self.environment["TAPEFLOW_CONFIG"]).write_text(SETTINGS.format(data=folder / "data", archive=archive))

    def start(self) -> subprocess.Popen[bytes]:
        command = ["-m", "tapeflow", "backfill", "--venue", "binance-usdm", "--dates", ",".join(map(str, DATES))]
        with self.said.open("wb") as said:
            return subprocess.Popen([sys.executable, *command], env=self.environment, stdout=said, stderr=subprocess.STDOUT)

    def finish(self) -> None:
        assert self.start().wait(DEADLINE_S) == 0, self.said.read_text()

    def files(self) -> int:
        return sum(1 for _ in self.root.rglob("*.parquet"))

    def rows(self) -> dict[str, list[tuple[Any, ...]]]:
        lake = Lake(self.root)
        found = {name: lake.table(name).sort(TABLES[name].key).collect().rows() for name in SEALED}
        seals = lake.table("seals_history").select("symbol", "ts", "trades", "tape_digest", "rows_digest").sort("ts")
        return found | {"seals": seals.collect().rows()}


def kill(place: Place, after_files: int, delay_s: float) -> None:
    """Start a backfill and kill it so long after it has written so many more data files; it may end before."""
    process, there = place.start(), place.files()
    deadline = time.monotonic() + DEADLINE_S
    while process.poll() is None and place.files() < there + after_files:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    time.sleep(delay_s)  # the instant is chance: nothing is waited for
    process.kill()
    process.wait()


def check_kills(archive: Path, folder: Path, kills: int, seed: int) -> None:
    draw = random.Random(seed)
    uncut, killed = Place(folder / "uncut", archive), Place(folder / "killed", archive)
    uncut.finish()
    for _ in range(kills):
        kill(killed, draw.randrange(12), draw.expovariate(20))
    killed.finish()
    assert killed.rows() == uncut.rows()
    assert len(killed.rows()["seals"]) == len(DATES)


def test_killed_and_begun_again_it_ends_the_same(archive: Path, tmp_path: Path) -> None:
    check_kills(archive, tmp_path, 2, seed=3)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_killed_by_the_dozen(archive: Path, tmp_path: Path) -> None:
    for seed in range(10):
        folder = tmp_path / str(seed)
        folder.mkdir()
        check_kills(archive, folder, 5, seed)
