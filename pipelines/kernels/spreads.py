"""What takers paid: effective and realised spread.

The middle just before a trade is the last one whose time is earlier than the trade's: what was received just before it has
often been changed by it already, since quotes come to us faster than trades.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from pipelines.market import DAY_US

PAID = np.dtype(
    [
        ("eff", np.int64),  # event time under which it counts, us
        ("ts", np.int64),  # match time, us
        ("price", np.float64),  # quote per base
        ("side", np.int64),
    ],
    align=True,
)
"""A trade."""


@njit(cache=True)
def _before(since, mids, ts):
    at = np.searchsorted(since, ts, side="left") - 1
    return mids[at] if at >= 0 else math.nan


@njit(cache=True)
def effective_spread_bps(paid, since, mids, begin, end):
    """Return the mean of 10,000 x 2 s (p - m) / m over trades with begin <= eff < end, bps; NaN: there are none.

    Trades before which no middle stood are left out. paid: PAID, (n,). since: int64, (k,), us, rising: from when each of
    mids, float64, (k,), stood; NaN: none.
    """
    total, n = 0.0, 0
    for k in range(paid.size):
        trade = paid[k]
        mid = _before(since, mids, trade.ts)
        if begin <= trade.eff < end and not math.isnan(mid):
            total += 2e4 * trade.side * ((trade.price - mid) / mid)
            n += 1
    return total / n if n > 0 else math.nan


@njit(cache=True)
def realised_spread_bps(paid, since, mids, tau, begin, end):
    """Return the mean of 10,000 x 2 s (p - m') / m over trades with begin <= eff + tau < end, bps; NaN: there are none.

    m' is the middle that stood at ts + tau; trades without one are left out, as are those whose date was over by then.
    tau: us; the others as of `effective_spread_bps`.
    """
    total, n = 0.0, 0
    for k in range(paid.size):
        trade = paid[k]
        then = trade.eff + tau
        if not begin <= then < end or then // DAY_US > trade.eff // DAY_US:
            continue
        mid, after = _before(since, mids, trade.ts), _before(since, mids, trade.ts + tau + 1)
        if not (math.isnan(mid) or math.isnan(after)):
            total += 2e4 * trade.side * ((trade.price - after) / mid)
            n += 1
    return total / n if n > 0 else math.nan
