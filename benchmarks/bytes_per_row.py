"""Bytes a row of compacted `trades`: recordings where they are at hand, else a made-up day.

python -m benchmarks.bytes_per_row
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.report import Line, show
from benchmarks.tape import day, instruments
from pipelines import rows as to_rows
from pipelines.jobs import Job, load
from pipelines.settings import Kernels
from pipelines.sources import open_source
from pipelines.store.lake import Lake
from pipelines.store.upkeep import compact

CAPTURES = Path(__file__).parents[2] / "shared" / "data" / "captures"
RECORDED = {
    "binance-usdm": ("usdm_btcusdt_20240718.gz", "usdm_btcusdt_20240719.gz"),
    "binance-spot": ("spot_btcusdt_20240808.gz", "spot_btcusdt_20240809.gz"),
}
TRADES = 500_000


def bytes_per_row(lake: Lake) -> float:
    """Return the size of `trades` after compaction, by row."""
    compact(lake, "trades")
    files = lake.live("trades").values()
    return sum(f.size for f in files) / sum(f.rows for f in files)


def run() -> Iterator[Line]:
    """Measure."""
    with TemporaryDirectory() as folder:
        for venue, names in RECORDED.items():
            paths = [CAPTURES / name for name in names]
            if all(p.exists() for p in paths):
                lake = Lake(Path(folder) / venue)
                load(Job(open_source(paths, venue=venue), Kernels(), lake, complete=False, replace=False))
                yield Line(f"trades, recorded, {venue}", f"{bytes_per_row(lake):.1f} bytes a row", "14")
        lake = Lake(Path(folder) / "made")
        lake.create()
        rows, listed = day(TRADES, 10), instruments(10)
        rows["seq"] = rows["trade_id"]
        table = to_rows.trades(rows, [i.venue for i in listed], [i.symbol for i in listed], ["agg"] * 10)
        lake.commit("trades", "benchmark", 0, lake.stage("trades", table, "benchmark-0", {}))
        yield Line("trades, made up, 10 symbols", f"{bytes_per_row(lake):.1f} bytes a row", "14")


if __name__ == "__main__":
    show(run())
