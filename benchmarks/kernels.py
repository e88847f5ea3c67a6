"""All kernels over a day of trades, beside DuckDB's plain one-minute OHLCV of the same trades; one core each.

The kernels make seven widths of time bars, tick, volume and dollar bars, VPIN and three detectors; the query makes the
one-minute bars alone.

    python -m benchmarks.kernels
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import pyarrow.parquet as pq

from benchmarks.report import Line, median, show
from benchmarks.tape import DAY, day, instruments, plain
from pipelines.settings import Kernels
from pipelines.signals import Signals
from pipelines.tape import Rows

TRADES = 2_000_000
BATCH = 16_384
LIVE = 100
RUNS = 5
OHLCV = """select symbol, time_bucket(interval 1 minute, ts) as minute, first(price), max(price), min(price), last(price),
sum(size), count(*) from {} group by all"""


class _Bare(Signals):
    """Kernels whose bars are counted but not written as rows."""

    def _write_bars(self) -> None:
        self._closed = []


def signals(rows: Rows, symbols: int, kind: type[Signals] = Signals) -> Signals:
    """Return kernels that know the day's volume, so that every kind of bar is made."""
    made = kind(Kernels(), "history")
    for i, instrument in enumerate(instruments(symbols)):
        made.add(instrument)
        mine = rows[rows["instrument"] == i]
        made.volumes.record(i, DAY, float(mine["size"].sum()), float((mine["price"] * mine["size"]).sum()))
    return made


def rate(rows: Rows, symbols: int, batch: int, kind: type[Signals] = Signals) -> float:
    """Return trades a second of processor time."""
    made = signals(rows, symbols, kind)
    parts = [rows[at : at + batch].repeat(1) for at in range(0, rows.size, batch)]
    begun = time.process_time()
    for part in parts:
        made.prepare(part)
        made.feed(part)
        made.take()
    return rows.size / (time.process_time() - begun)


def queries(rows: Rows, symbols: int, folder: Path) -> tuple[Callable[[], float], Callable[[], float]]:
    """Return what measures DuckDB on Parquet and in memory."""
    tape = plain(rows, symbols)
    pq.write_table(tape, folder / "trades.parquet", compression="zstd")
    database = duckdb.connect()
    database.execute("set threads = 1")
    database.execute("create table trades as from tape")

    def measured(source: str) -> float:
        begun = time.process_time()
        database.sql(OHLCV.format(source)).to_arrow_table()
        return rows.size / (time.process_time() - begun)

    return lambda: measured(f"'{folder}/trades.parquet'"), lambda: measured("trades")


def run() -> Iterator[Line]:
    """Measure."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    for symbols in (1, 10):
        rows = day(TRADES, symbols)
        of = f"{symbols} symbol{'s' * (symbols > 1)}"
        with TemporaryDirectory() as folder:
            parquet, memory = (median(query, RUNS) for query in queries(rows, symbols, Path(folder)))
        bare = median(lambda: rate(rows, symbols, BATCH, _Bare), RUNS)  # noqa: B023 - called at once
        full = median(lambda: rate(rows, symbols, BATCH), RUNS)  # noqa: B023
        live = median(lambda: rate(rows[: TRADES // 10], symbols, LIVE), RUNS)  # noqa: B023
        yield Line(f"kernels alone, {of}", f"{bare / 1e6:.1f} M trades/s", "20 M")
        yield Line(f"kernels and rows, {of}", f"{full / 1e6:.1f} M trades/s", "20 M")
        yield Line(f"kernels and rows, {of}, {LIVE} trades a batch", f"{live / 1e6:.2f} M trades/s")
        yield Line(f"DuckDB 1-minute OHLCV from Parquet, {of}", f"{parquet / 1e6:.1f} M trades/s")
        yield Line(f"DuckDB 1-minute OHLCV in memory, {of}", f"{memory / 1e6:.1f} M trades/s")
        yield Line(f"kernels and rows / DuckDB from Parquet, {of}", f"{full / parquet:.2f}")
        yield Line(f"kernels and rows / DuckDB in memory, {of}", f"{full / memory:.2f}")


if __name__ == "__main__":
    show(run())
