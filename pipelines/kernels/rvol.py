"""Volume of now against volume of before, and which side took it."""

from __future__ import annotations

import math

from numba import njit

from pipelines.kernels.minutes import sums, times, volume
from pipelines.kernels.wide import add, at_least, difference, quotient

BEFORE = 20
"""Windows that the volume of a window is held against."""


@njit(cache=True)
def relative_volume(minutes, w):
    """Return the volume of the last w minutes / mean volume of the 20 windows of w before them.

    NaN where those had none. One division of integers. minutes: CLOSED, (>= 21 w,).
    """
    n = minutes.size
    now = volume(minutes[n - w :])
    before = volume(minutes[n - (BEFORE + 1) * w : n - w])
    if not (before[0] | before[1]):
        return math.nan
    hi, lo = times(now[0], now[1], BEFORE)
    return quotient(hi, lo, before[0], before[1])


@njit(cache=True)
def trade_imbalance(minutes, w):
    """Return (buy - sell) / volume of the last w minutes, by aggressor, -1 to 1; NaN: no trades.

    The share of signed volume that Cont, Kukanov and Stoikov (2014) call trade imbalance; it is not order flow imbalance.
    """
    total, buy, _ = sums(minutes[minutes.size - w :])
    if not (total[0] | total[1]):
        return math.nan
    twice = add(buy[0], buy[1], buy[0], buy[1])
    apart = difference(twice[0], twice[1], total[0], total[1])
    share = quotient(apart[0], apart[1], total[0], total[1])
    return share if at_least(twice[0], twice[1], total[0], total[1]) else -share
