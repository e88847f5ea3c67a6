"""The backtest: one day's buckets of every size and start beside filling them one by one, and all of it on made-up days.

python -m benchmarks.backtest [scale]
"""

from __future__ import annotations

import datetime as dt
import resource
import sys
import time
from collections.abc import Callable, Iterator

import numpy as np

from benchmarks.report import HEAD, Line, median, show
from pipelines import backtests, tape
from pipelines.kernels import vpin
from pipelines.research.backtest import protocol, trades
from pipelines.research.backtest.generated import VENUE, Generated
from pipelines.research.backtest.judge import Asked
from pipelines.research.backtest.trades import Instrument, Span

WEEK = Span(dt.date(2022, 11, 2), dt.date(2022, 11, 12))
CONTROL = Span(dt.date(2022, 8, 2), dt.date(2022, 11, 1))
RUNS = 3


def one_day(scale: float) -> Iterator[Line]:
    """Measure a day: by search for the whole grid, and by filling for one size and start."""
    made = Generated(Span(WEEK.first, WEEK.first), Span(CONTROL.last, CONTROL.last), scale=scale)
    days = list(made.days(Instrument(VENUE, "BTC-USDT")))
    size, count = days[1][1].lots.size, len(protocol.BUCKETS_A_DAY) * (protocol.STARTS + 1)
    alone = _seconds(lambda: trades.read(iter(days[:1]), protocol.BUCKETS_A_DAY, protocol.starts()))
    both = _seconds(lambda: trades.read(iter(days), protocol.BUCKETS_A_DAY, protocol.starts()))
    rows = tape.empty(size)
    rows["lots"], rows["side"], rows["eff"] = days[1][1].lots, days[1][1].sides, days[1][1].times
    target, scales = np.array([int(days[0][1].lots.sum()) // 50]), np.array([10.0 ** days[1][1].places])

    def fill() -> None:
        begun = np.zeros(1, vpin.BUCKET)
        out = np.empty(vpin.count_buckets(rows, begun, target), vpin.BUCKET)
        vpin.buckets(rows, begun, target, scales, out)

    filled = _seconds(fill)
    yield Line(f"a day of {size:,} trades: minutes, and buckets of 3 sizes x 21 starts", f"{(both - alone) * 1e3:.0f} ms")
    yield Line(
        f"the same / filling trade by trade, {count} times ({filled * 1e3:.0f} ms each)", f"{(both - alone) / filled / count:.2f}"
    )


def whole(scale: float) -> Iterator[Line]:
    """Measure all: trades made up, the grid, benchmarks, detectors, intervals."""
    made = Generated(WEEK, CONTROL, scale=scale)
    asked = Asked(tuple(Instrument(VENUE, symbol) for symbol in made.symbols), WEEK, CONTROL)
    found = backtests.make(asked, backtests.GeneratedTape(made))
    total, days = sum(one.trades for one in found.judged), len(made.dates())
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    what = f"whole backtest, 3 instruments, {days} days, {total:,} trades, {len(asked.grid.cells())} cells, detectors"
    yield Line(what, f"{found.seconds:.0f} s ({used.ru_utime + used.ru_stime:.0f} s of processor)", "600 s")
    yield Line("the largest process of it", f"{used.ru_maxrss / 1024:.0f} MB")


def _seconds(work: Callable[[], object]) -> float:
    def measured() -> float:
        begun = time.process_time()
        work()
        return time.process_time() - begun

    return median(measured, RUNS)


if __name__ == "__main__":
    share = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    print(HEAD, flush=True)
    show(one_day(share))
    show(whole(share))
