"""Tick, volume and dollar bars (Lopez de Prado, AFML 2018, 2.3.1).

A bar closes at the first trade with which its count, sum of size or sum of price x size reaches the threshold; that
trade belongs to it whole, and the next bar starts from nothing. `tick` counts rows of the tape, not fills.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

from pipelines.kernels.bar import begin, extend, terms
from pipelines.kernels.wide import at_least
from pipelines.tape import TRADE

TRADES: Final = 0
VOLUME: Final = 1
NOTIONAL: Final = 2

_ZERO = np.uint64(0)


@njit(cache=True)
def threshold_bars(rows, open_bars, limits, measures, out, closed):
    """Feed rows to the open bars of several kinds.

    rows: ROW, (n,), in tape order. open_bars: BAR, (kinds, instruments), the state. limits: uint64, (kinds, instruments,
    2), the thresholds as (hi, lo); 0: no bars. measures: int64, (kinds,): whether a threshold is in trades, lots or
    ticks x lots. out: BAR, (kinds, n), receives the bars that close; closed: int64, (kinds,), how many did.
    """
    closed[:] = 0
    for k in range(rows.size):
        row = rows[k]
        if row.kind != TRADE or not row.counted:
            continue
        trade = terms(row)
        for m in range(measures.size):
            hi, lo = limits[m, row.instrument, 0], limits[m, row.instrument, 1]
            if hi == _ZERO and lo == _ZERO:
                continue
            bar = open_bars[m, row.instrument]
            if bar.trades == 0:
                begin(bar, row, row.eff, row.eff)
            extend(bar, trade)
            bar.end = row.eff
            if measures[m] == TRADES:
                reached = np.uint64(bar.trades) >= lo
            elif measures[m] == VOLUME:
                reached = at_least(bar.volume_hi, bar.volume_lo, hi, lo)
            else:
                reached = at_least(bar.notional_hi, bar.notional_lo, hi, lo)
            if reached:
                out[m, closed[m]] = bar
                closed[m] += 1
                bar.trades = 0
