"""The stream against the batch path, and under kill -9."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from dataflows.replay import replay
from pipelines.detector_settings import BigTrade, Detectors, VolumeSurge, VpinHigh
from pipelines.jobs import JobError, load
from pipelines.settings import Kernels
from tests.conftest import SHARED
from tests.pipelines.test_jobs import archive, assert_same, contents, job

CAPTURES = SHARED / "captures"
RECORDED = {
    "usdm-btc": ("binance-usdm", "0.5", ["usdm_btcusdt_20240718.gz", "usdm_btcusdt_20240719.gz"]),
    "usdm-eth": ("binance-usdm", "10", ["usdm_ethusdt_20240718.gz", "usdm_ethusdt_20240719.gz"]),
    "spot-btc": ("binance-spot", "0.5", ["spot_btcusdt_20240808.gz", "spot_btcusdt_20240809.gz"]),
}
FIRING = Detectors(
    big_trade=BigTrade(window=100, z=2.5, floor=10_000.0),
    volume_surge=VolumeSurge(bar="1s", window=30, z=2.0, rvol=1.5),
    vpin_high=VpinHigh(pct=0.9),
)


def kernels(volume: str) -> Kernels:
    return Kernels(bucket_volume=volume, percentile_min=20, detectors=FIRING)


@pytest.mark.real
@pytest.mark.parametrize("name", RECORDED)
def test_recordings_replayed_equal_recordings_loaded(tmp_path: Path, name: str) -> None:
    venue, volume, files = RECORDED[name]
    paths = [CAPTURES / f for f in files]
    load(job(tmp_path / "load", *paths, venue=venue, kernels=kernels(volume), complete=False), size=7777)
    replayed = job(tmp_path / "replay", *paths, venue=venue, kernels=kernels(volume), complete=False)
    replay(replayed, size=1000, epoch=timedelta(milliseconds=100))
    assert_same(tmp_path / "load", tmp_path / "replay", "trades", "bars", "vpin", "alerts")
    out = contents(tmp_path / "load")
    assert out["quarantine"].height == out["gaps"].height == 0
    assert out["vpin"].height >= 100
    assert set(out["alerts"]["detector"]) == {"big_trade", "volume_surge", "vpin_high"}


@pytest.mark.parametrize("size", [1, 7, 1000, 10**6])
def test_the_size_of_pieces_changes_nothing(tmp_path: Path, size: int) -> None:
    path = tmp_path / "AAAUSDT-aggTrades-2023-11-15.csv"
    archive(path, 5, 0, 1, 400 if size == 1 else 3000)
    load(job(tmp_path / "load", path))
    replay(job(tmp_path / "replay", path), size=size)
    assert_same(tmp_path / "load", tmp_path / "replay", "trades", "bars", "vpin", "alerts")


def test_rows_of_another_job_are_refused_in_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "AAAUSDT-aggTrades-2023-11-15.csv"
    archive(path, 5, 0, 1, 400)
    load(job(tmp_path / "lake", path))
    with pytest.raises(JobError, match="AAA-USDT-PERP on 2023-11-15"):
        replay(job(tmp_path / "lake", path, kernels=kernels("7")))
    assert capfd.readouterr().err == "", "no panic of the engine's threads is shown"


REPLAY = """
import sys
from datetime import timedelta
from pathlib import Path
from dataflows.replay import replay
from tests.pipelines.test_jobs import job
todo = job(Path(sys.argv[1]), *map(Path, sys.argv[2:]))
replay(todo, size=50, epoch=timedelta(milliseconds=20))
todo.finish()
"""


def killed_at_random(lake: Path, paths: list[Path], kills: int, rng: random.Random) -> int:
    """Run a replay over and over, killing it `kills` times at random moments, then to its end; return the kills made."""
    made = 0
    while True:
        process = subprocess.Popen(
            [sys.executable, "-c", REPLAY, str(lake), *map(str, paths)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        deadline = time.monotonic() + 60
        store = lake / "_jobs"
        while process.poll() is None and not store.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        if made < kills:
            try:
                process.wait(rng.uniform(0.1, 1.5))
            except subprocess.TimeoutExpired:
                os.kill(process.pid, signal.SIGKILL)
                made += 1
        _, errors = process.communicate(timeout=500)
        if process.returncode == 0:
            return made
        assert process.returncode == -signal.SIGKILL, errors.decode()[-2000:]


def kill_and_compare(tmp_path: Path, kills: int, seed: int) -> int:
    paths, first = [], 1
    for day in range(2):
        paths.append(tmp_path / f"AAAUSDT-aggTrades-2023-11-{15 + day}.csv")
        first = archive(paths[-1], day, day, first, 6_000)
    load(job(tmp_path / "whole", *paths))
    made = killed_at_random(tmp_path / "killed", paths, kills, random.Random(seed))
    assert_same(tmp_path / "whole", tmp_path / "killed", "trades", "bars", "vpin", "alerts", "seals")
    return made


def test_a_killed_replay_ends_in_the_same_lake(tmp_path: Path) -> None:
    assert kill_and_compare(tmp_path, 3, 1) >= 1


@pytest.mark.soak
def test_thirty_kills_of_a_replay(tmp_path: Path) -> None:
    made = 0
    for round_ in range(30):
        folder = tmp_path / str(round_)
        folder.mkdir()
        made += kill_and_compare(folder, 5, round_)
        if made >= 30:
            break
    assert made >= 30
