"""A big day of an archive, from the zip on disk: to a tape, to sealed tables, beside polars reading the same CSV.

Each side runs in a process of its own, bound to one core, and the better of two turns counts, in processor time. polars
gets the zip as well (it cannot read one: Python unpacks it into memory), and writes what it read as Parquet. The first day
that a process seals loads the compiled kernels too, about a second, whatever the size of the day; a backfill does so once.

    python -m benchmarks.archive_day
"""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
import polars as pl

from benchmarks.report import Line, show
from benchmarks.tape import DAY, day, instruments
from pipelines.sources.tables import archive_symbol

TRADES: Final = 5_000_000
TURNS: Final = 2
GOAL: Final = 2e6
GOAL_MB: Final = 1_500
_BEGIN: Final = """
import datetime as dt, os, sys, time
from pathlib import Path
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
path, folder = Path(sys.argv[1]), Path(sys.argv[2])
"""
_OURS: Final = (
    _BEGIN
    + """
from benchmarks.tape import instruments
from pipelines.history.archive_day import archive_day
from pipelines.history.day import Day
date = Day(dt.date(2023, 11, 15), "binance-usdm")
def tape():
    return archive_day([[path]], date, instruments(1), "agg")
begin = time.process_time()
"""
)
_SEAL: Final = (
    _OURS
    + """
from pipelines.history.seal import seal
from pipelines.settings import Kernels
from pipelines.store.lake import Lake
def sealed(name):
    seal(Lake(str(folder / name)), tape(), Kernels(bucket_volume='300'), sealed_at_us=date.us)
"""
)
_SIDES: Final = {
    "tape": _OURS + "rows = sum(piece.size for piece in tape().pieces())\n",
    "first": _SEAL + "sealed('first')\n",
    "next": _SEAL + "sealed('first')\nbegin = time.process_time()\nsealed('next')\n",
    "polars": _BEGIN
    + """
import io, zipfile
import polars as pl
begin = time.process_time()
with zipfile.ZipFile(path) as archive:
    table = pl.read_csv(io.BytesIO(archive.read(archive.infolist()[0])))
table.write_parquet(folder / "x.parquet", compression="zstd")
""",
}
_END: Final = """
seconds = time.process_time() - begin
(peak,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
print(seconds, int(peak.split()[1]) / 1024)
"""
"""The kernel's own peak: `ru_maxrss` of a child begins with its parent's."""


def archive(folder: Path) -> Path:
    """Make a day's archive as Binance USD-M publishes it."""
    rows = day(TRADES, 1, begin=DAY)
    path = folder / f"{instruments(1)[0].native}-aggTrades-2023-11-15.zip"
    assert archive_symbol(path)
    columns = {
        "agg_trade_id": rows["trade_id"] + 3_055_120_000,
        "price": pl.Series(np.rint(rows["price"] * 10).astype(np.int64)).cast(pl.Decimal(18, 1)) / 10,
        "quantity": pl.Series(np.rint(rows["size"] * 1000).astype(np.int64)).cast(pl.Decimal(18, 3)) / 1000,
        "first_trade_id": rows["first_fill"] + 7_090_110_000,
        "last_trade_id": rows["last_fill"] + 7_090_110_000,
        "transact_time": rows["ts"] // 1000,
        "is_buyer_maker": rows["side"] < 0,
    }
    csv = folder / "made.csv"
    pl.DataFrame(columns).write_csv(csv)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.write(csv, path.name.replace(".zip", ".csv"))
    csv.unlink()
    return path


def measure(side: str, path: Path) -> tuple[float, float]:
    """Return processor seconds and peak memory (MB) of one side."""
    turns = []
    for _ in range(TURNS):
        with TemporaryDirectory() as folder:
            told = subprocess.run(
                [sys.executable, "-c", _SIDES[side] + _END, str(path), folder], capture_output=True, text=True, check=True
            )
        seconds, megabytes = map(float, told.stdout.split())
        turns.append((seconds, megabytes))
    return min(turns)


def run() -> Iterator[Line]:
    """Measure."""
    with TemporaryDirectory() as folder:
        path = archive(Path(folder))
        took = {side: measure(side, path) for side in _SIDES}
    yield Line(f"polars: {TRADES:,} trades, zip to Parquet", _told(*took["polars"]))
    sides = {"tape": "zip to tape", "first": "zip to sealed tables", "next": "the same, after another in the same process"}
    for side, what in sides.items():
        seconds, megabytes = took[side]
        goal = "" if side == "tape" else f"{GOAL / 1e6:.0f} M/s, {GOAL_MB} MB"
        yield Line(f"ours: {what}", f"{_told(seconds, megabytes)}, {seconds / took['polars'][0]:.2f} times polars' time", goal)


def _told(seconds: float, megabytes: float) -> str:
    return f"{TRADES / seconds / 1e6:.2f} M trades/s of a core, {megabytes:.0f} MB"


if __name__ == "__main__":
    show(run())
