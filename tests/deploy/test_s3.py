"""The lake on S3: the same commands, the same rows, the same readers."""

from __future__ import annotations

import datetime as dt
import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

import dagster as dg
import duckdb
import polars as pl
import pytest
from pyarrow.fs import FileSelector

from assets.finishing import Ask, finish_all, house
from assets.live import Cursor, report
from assets.resources import LiveLake
from pipelines.history.day import Day
from pipelines.settings import Kernels, Venue, load
from pipelines.store import upkeep
from pipelines.store.lake import Lake
from tapeflow.cli import main
from tests.pipelines.store.samples import put, rows
from tests.pipelines.test_jobs import archive, assert_same, job

DATES = (dt.date(2023, 11, 15), dt.date(2023, 11, 16))
VENUE = "binance-usdm"
KERNELS = Kernels(bars=("1m", "1h"), vpin=("v50x5",), percentile_window=20, percentile_min=5)


@pytest.fixture(autouse=True)
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TAPEFLOW_CONFIG", raising=False)


@pytest.fixture
def lake(s3: str) -> str:
    return f"{s3}/{uuid4().hex[:8]}"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Return a folder that holds two days as the venue's archive does."""
    folder, first = tmp_path / "archive", 1
    folder.mkdir()
    for day, date in enumerate(DATES):
        first = archive(folder / f"AAAUSDT-aggTrades-{date}.csv", day, day, first, 1000)
    return folder


def ran(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    capsys.readouterr()
    status = main(list(argv))
    out, err = capsys.readouterr()
    assert status == 0, err
    return out


def test_an_archive_loaded_into_s3_equals_one_loaded_into_a_folder(
    lake: str, files: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (path, _) = sorted(files.iterdir())
    load_it = ("load", str(path), "--venue", VENUE, "--bucket-volume", "5", "--complete", "--lake")
    ran(capsys, *load_it, lake)
    ran(capsys, *load_it, "here")
    assert_same(lake, tmp_path / "here", "trades", "bars", "vpin", "seals")
    assert "nothing to do" in ran(capsys, *load_it, f"{lake}/")
    counted = json.loads(ran(capsys, "sql", "--json", "--lake", lake, "select count(*) n from trades where counted"))
    assert counted == [{"n": 1000}]
    assert pl.scan_delta(f"{lake}/trades").select(pl.len()).collect().item() == 1000
    trades = Lake(lake).latest("trades").to_pyarrow_dataset()  # DuckDB's own reader of S3 is an extension to download
    assert duckdb.from_arrow(trades).count("*").fetchall() == [(1000,)]
    assert not list(tmp_path.rglob("s3:*")), "a URL is no path"


def test_days_are_backfilled_into_s3_and_sealed_there(lake: str, files: Path, tmp_path: Path) -> None:
    days = [Day(date, VENUE) for date in DATES]
    for root in (lake, str(tmp_path / "here")):
        chosen = load(
            data=tmp_path / "data",
            lake=root,
            kernels=KERNELS,
            venues={VENUE: Venue(symbols=("AAAUSDT",))},
            archives={VENUE: str(files)},
        )
        outcomes = list(finish_all(house(chosen), days, Ask()))
        assert [outcome.status for outcome in outcomes] == ["sealed", "sealed"], outcomes
        assert [outcome.status for outcome in finish_all(house(chosen), days, Ask())] == ["complete", "complete"]
    there, here = (Lake(root) for root in (lake, tmp_path / "here"))
    for name in ("trades", "bars", "vpin", "features", "posture"):
        one, other = (at.table(name).collect().sort("symbol", "ts", pl.all()) for at in (there, here))
        assert one.equals(other), name
        assert one.height, name


def test_upkeep_and_the_sensor_of_the_live_tables_work_on_s3(lake: str) -> None:
    from pipelines.market import TRADES

    opened = Lake(lake)
    opened.create()
    for n in range(4):
        put(opened, TRADES, rows(TRADES, 5, trade_id=[5 * n + k for k in range(5)]))
    told = report(LiveLake(root=lake, venues=["demo"]), Cursor(), dt.datetime.now(dt.UTC).timestamp())
    assert isinstance(told, dg.SensorResult)
    (event,) = (e for e in told.asset_events if isinstance(e, dg.AssetMaterialization))
    assert event.metadata["new_rows"].value == 20
    assert upkeep.compact(opened, "trades") == upkeep.Merged(4, 1)
    assert upkeep.vacuum(opened, "trades").files == 0, "what was replaced stays for an hour"
    assert Lake(lake).table("trades").collect().height == 20


REPLAY = """
import sys
from datetime import timedelta
from pathlib import Path
from dataflows.replay import replay
from tests.pipelines.test_jobs import job
made = job(sys.argv[1], Path(sys.argv[2]), local=Path(sys.argv[3]))
replay(made, size=50, epoch=timedelta(milliseconds=20))
made.finish()
"""


def replayed(lake: str, path: Path, local: Path, most: int | None = None) -> int:
    """Run a replay, killed when the lake has so many objects more; return its exit status."""
    command, root = [sys.executable, "-c", REPLAY, lake, str(path), str(local)], Path(__file__).parents[2]
    there = objects(lake)
    with subprocess.Popen(command, cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while most is not None and process.poll() is None and objects(lake) < there + most:
            time.sleep(0.01)
        if most is not None:
            process.kill()
        return process.wait()


def objects(lake: str) -> int:
    """Return how many objects a lake has, committed or not."""
    fs, folder = Lake(lake).folder("trades")
    return len(fs.get_file_info(FileSelector(folder.rpartition("/")[0], recursive=True, allow_not_found=True)))


def test_the_stream_into_s3_gives_what_the_batch_path_gives(lake: str, files: Path, tmp_path: Path) -> None:
    (path, _) = sorted(files.iterdir())
    assert replayed(lake, path, tmp_path / "local") == 0
    from pipelines.jobs import load as run

    run(job(tmp_path / "here", path))
    assert_same(lake, tmp_path / "here", "trades", "bars", "vpin")
    assert not list((tmp_path / "local").rglob("*.parquet")), "what was committed has left this machine"


@pytest.mark.soak
def test_killed_on_its_way_into_s3_it_ends_in_the_same_lake(lake: str, files: Path, tmp_path: Path) -> None:
    from pipelines.jobs import load as run

    (path, _) = sorted(files.iterdir())
    draw, kills = random.Random(5), 0
    for _ in range(20):
        if (status := replayed(lake, path, tmp_path / "local", draw.randrange(1, 12))) == 0:
            break
        assert status == -signal.SIGKILL
        kills += 1
    assert replayed(lake, path, tmp_path / "local") == 0
    assert kills >= 3
    run(job(tmp_path / "here", path))
    assert_same(lake, tmp_path / "here", "trades", "bars", "vpin")
    assert not list((tmp_path / "local").rglob("*.parquet"))
