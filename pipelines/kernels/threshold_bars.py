"""Tick, volume and dollar bars (Lopez de Prado, AFML 2018, 2.3.1).

A bar closes at the first trade with which its count, sum of size or sum of price x size reaches the threshold; that
trade belongs to it whole, and the next bar starts from nothing. `tick` counts rows of the tape, not fills.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

from pipelines.kernels.bar import begin, extend
from pipelines.kernels.wide import at_least
from pipelines.tape import TRADE

TRADES: Final = 0
VOLUME: Final = 1
NOTIONAL: Final = 2

_ZERO = np.uint64(0)


@njit(cache=True)
def threshold_bars(rows, open_bars, limits, measure, out):
    """Feed rows to the open bars; return how many closed.

    rows: ROW, (n,), in tape order. open_bars: BAR, (instruments,), the state. limits: uint64, (instruments, 2), the
    threshold as (hi, lo) in trades, lots or ticks x lots by `measure`; 0: no bars. out: BAR, (n,).
    """
    closed = 0
    for k in range(rows.size):
        row = rows[k]
        hi, lo = limits[row.instrument, 0], limits[row.instrument, 1]
        if row.kind != TRADE or not row.counted or (hi == _ZERO and lo == _ZERO):
            continue
        bar = open_bars[row.instrument]
        if bar.trades == 0:
            begin(bar, row, row.eff, row.eff)
        extend(bar, row)
        bar.end = row.eff
        if measure == TRADES:
            reached = np.uint64(bar.trades) >= lo
        elif measure == VOLUME:
            reached = at_least(bar.volume_hi, bar.volume_lo, hi, lo)
        else:
            reached = at_least(bar.notional_hi, bar.notional_lo, hi, lo)
        if reached:
            out[closed] = bar
            closed += 1
            bar.trades = 0
    return closed
