"""What takers paid: effective and realised spread."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from pipelines.market import DAY_US

PAID = np.dtype(
    [
        ("ts", np.int64),  # us
        ("price", np.float64),  # quote per base
        ("mid", np.float64),  # just before the trade
        ("side", np.int64),
    ],
    align=True,
)
"""A trade, and the middle just before it."""


@njit(cache=True)
def effective_spread_bps(paid, begin, end):
    """Return the mean of 10,000 x 2 s (p - m) / m over trades with begin <= ts < end, bps; NaN: there are none.

    paid: PAID, (n,).
    """
    total, n = 0.0, 0
    for k in range(paid.size):
        if begin <= paid[k].ts < end:
            total += 2e4 * paid[k].side * ((paid[k].price - paid[k].mid) / paid[k].mid)
            n += 1
    return total / n if n > 0 else math.nan


@njit(cache=True)
def realised_spread_bps(paid, since, mids, tau, begin, end):
    """Return the mean of 10,000 x 2 s (p - m') / m over trades with begin <= ts + tau < end, bps; NaN: there are none.

    m' is the middle that stood at ts + tau; trades without one are left out, as are those whose date was over by then.
    paid: PAID, (n,). since: int64, (k,), us, rising; mids: float64, (k,). tau: us.
    """
    total, n = 0.0, 0
    for k in range(paid.size):
        trade = paid[k]
        then = trade.ts + tau
        if not begin <= then < end or then // DAY_US > trade.ts // DAY_US:
            continue
        at = np.searchsorted(since, then, side="right") - 1
        if at >= 0 and not math.isnan(mids[at]):
            total += 2e4 * trade.side * ((trade.price - mids[at]) / trade.mid)
            n += 1
    return total / n if n > 0 else math.nan
