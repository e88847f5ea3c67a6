"""The whole set of signals in one pass, and 1-minute bars alone beside Nautilus Trader's aggregator; one core each.

The set is what default settings switch on: seven widths of time bars, tick, volume and dollar bars, VPIN in both forms,
features, every detector on trades and minutes, posture; rows of all tables are made. Speed is in processor time, which other
work on the machine disturbs least, and the best of several runs counts. Each side gets trades in its own form, made before.
`NAUTILUS_PYTHON` names a Python that has nautilus_trader; without it, one is made in a temporary folder.

    python -m benchmarks.signals
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np

from benchmarks.kernels import BATCH, rate
from benchmarks.report import Line, show
from benchmarks.tape import day
from pipelines.kernels import bar, time_bars
from pipelines.signals import Signals
from pipelines.tape import Rows

NAUTILUS: Final = "nautilus_trader==1.221.0"
TRADES: Final = 2_000_000
TICKS: Final = 400_000
"""Trades that both sides take; Nautilus keeps an object of each."""
RUNS: Final = 5
GOAL: Final = 5e6
TIMES: Final = 2
_MINUTE: Final = np.array([60_000_000], np.int64)


class _Minutes(Signals):
    """1-minute bars and their rows, nothing else."""

    def _run(self, rows: Rows) -> None:
        seconds = np.empty(rows.size, bar.BAR)
        seconds = seconds[: time_bars.seconds(rows, self.levels[0], seconds)]
        out, closed = np.empty((1, seconds.size + len(self.instruments)), bar.BAR), np.empty(1, np.int64)
        time_bars.roll_up(seconds, self._floor(), self.levels[1:2], _MINUTE, out, closed)
        self._bars("1m", 1, out[0, : closed[0]])


def nautilus(folder: Path) -> tuple[str, str]:
    """Return a Python that has Nautilus Trader, or else why there is none."""
    if named := os.environ.get("NAUTILUS_PYTHON"):
        return named, ""
    venv.create(folder / "venv", with_pip=True)
    python = str(folder / "venv" / ("Scripts" if sys.platform == "win32" else "bin") / "python")
    command = [python, "-m", "pip", "install", "-q", "--only-binary", ":all:", NAUTILUS]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    lines = done.stderr.strip().splitlines() or ["no reason given"]
    return (python, "") if done.returncode == 0 else ("", lines[-1][:200])


def theirs(rows: Rows, python: str, folder: Path) -> tuple[float, int, float]:
    """Return trades a second, bars, and the sum of their volumes."""
    names = ("ts", "price", "size", "side")
    plain = np.empty(rows.size, [("ts", np.int64), ("price", np.float64), ("size", np.float64), ("side", np.int64)])
    for name in names:
        plain[name] = rows[name]
    np.save(folder / "trades.npy", plain)
    command = [python, str(Path(__file__).with_name("nautilus_side.py").resolve()), "trades.npy", str(RUNS)]
    done = subprocess.run(command, capture_output=True, check=True, cwd=folder)
    seconds, bars, volume = done.stdout.split()[-3:]
    return rows.size / float(seconds), int(bars), float(volume)


def same(rows: Rows, bars: int, volume: float) -> None:
    """Raise unless both sides made the same bars of all trades."""
    minutes = np.unique(rows["ts"] // int(_MINUTE[0])).size
    if bars != minutes or abs(volume - float(rows["size"].sum())) > 1e-6:
        raise AssertionError(f"{bars} bars of {minutes}, volume {volume}")


def best(rows: Rows, symbols: int, kind: type[Signals] = Signals) -> float:
    """Return trades a second of processor time, of the best run."""
    return max(rate(rows, symbols, BATCH, kind) for _ in range(RUNS + 1))


def run() -> Iterator[Line]:
    """Measure."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    for symbols in (1, 10):
        reached = best(day(TRADES, symbols), symbols)
        of = f"{symbols} symbol{'s' * (symbols > 1)}"
        yield Line(f"the whole signal set, rows included, {of}", f"{reached / 1e6:.1f} M trades/s", f"{GOAL / 1e6:.0f} M")
    rows = day(TICKS, 1)
    with TemporaryDirectory() as folder:
        python, why = nautilus(Path(folder))
        if not python:
            yield Line(f"{NAUTILUS} could not be had: {why}", "")
            return
        ours = best(rows, 1, _Minutes)
        other, bars, volume = theirs(rows, python, Path(folder))
        same(rows, bars, volume)
        ours = max(ours, best(rows, 1, _Minutes))
    yield Line("1-minute bars alone, rows included", f"{ours / 1e6:.1f} M trades/s")
    yield Line(f"1-minute bars of {NAUTILUS}, objects made before", f"{other / 1e6:.1f} M trades/s")
    yield Line("1-minute bars: as fast as Nautilus, times", f"{ours / other:.1f}", str(TIMES))


if __name__ == "__main__":
    show(run())
