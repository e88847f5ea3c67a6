"""Time bars: one-second bars from trades, wider bars by rolling up integers.

Bar k of width w covers [k w, (k + 1) w) of UTC, left closed (Lopez de Prado, AFML 2018, 2.3.1). A trade whose time
lies before the open second belongs to the open second (`clock.admit` sets its `eff`). Rolled-up sums are sums of
integers, so a rolled-up bar equals the bar made directly from trades.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from pipelines.kernels.bar import begin, extend, merge, terms
from pipelines.tape import CLOCK, TRADE

SECOND = 1_000_000


@njit(cache=True)
def seconds(rows, open_bars, out):
    """Feed rows to the open one-second bars; return how many closed.

    rows: ROW, (n,), in tape order, `eff` and `counted` set. open_bars: BAR, (instruments,), the state. out: BAR,
    (n,), receives the closed bars. A clock row closes every bar that ends at or before its `eff`.
    """
    closed = 0
    for k in range(rows.size):
        row = rows[k]
        traded = row.kind == TRADE and row.counted
        if not traded and row.kind != CLOCK:
            continue
        bar = open_bars[row.instrument]
        if bar.trades > 0 and row.eff >= bar.end:
            out[closed] = bar
            closed += 1
            bar.trades = 0
        if not traded:
            continue
        if bar.trades == 0:
            start = row.eff // SECOND * SECOND
            begin(bar, row, start, start + SECOND)
        extend(bar, terms(row))
        bar.late |= row.late
    return closed


@njit(cache=True)
def _roll(children, floor, open_bars, width, out):
    """Roll closed bars up into bars of `width` us; return how many closed.

    children: BAR, (n,), in time order per instrument. floor: int64, (instruments,), no child that starts before it
    is still to come, us. open_bars: BAR, (instruments,), the state. out: BAR, (n + instruments,).
    """
    closed = 0
    for k in range(children.size):
        child = children[k]
        bar = open_bars[child.instrument]
        if bar.trades > 0 and child.ts >= bar.end:
            out[closed] = bar
            closed += 1
            bar.trades = 0
        if bar.trades == 0:
            start = child.ts // width * width
            open_bars[child.instrument] = child
            bar.ts = start
            bar.end = start + width
        else:
            merge(bar, child)
    for i in range(open_bars.size):
        if open_bars[i].trades > 0 and floor[i] >= open_bars[i].end:
            out[closed] = open_bars[i]
            closed += 1
            open_bars[i].trades = 0
    return closed


@njit(cache=True)
def rolled(children, instruments, width, out):
    """Roll all of `children` up into bars of `width` us; return how many there are.

    children: BAR, (n,), in time order per instrument, of a width that divides `width`. instruments: how many.
    out: BAR, (n,).
    """
    open_bars = np.zeros(instruments, children.dtype)
    return _roll(children, np.full(instruments, np.iinfo(np.int64).max), open_bars, width, out)


@njit(cache=True)
def roll_up(seconds, floor, open_bars, widths, out, closed):
    """Roll closed one-second bars up into bars of each width from those of the width before.

    seconds: BAR, (n,), in time order per instrument. floor: int64, (instruments,), as of `_roll`. open_bars: BAR,
    (widths, instruments), the state. widths: int64, (widths,), us. out: BAR, (widths, n + instruments), receives the
    bars that close; closed: int64, (widths,), how many did.
    """
    children = seconds
    for w in range(widths.size):
        closed[w] = _roll(children, floor, open_bars[w], widths[w], out[w])
        children = out[w][: closed[w]]
