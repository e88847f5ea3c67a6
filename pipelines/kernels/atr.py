"""Average true range (Wilder, New Concepts in Technical Trading Systems, 1978).

TR = max(H - L, |H - C'|, |L - C'|), C' the close before; of the first bar H - L. ATR is the mean of the first 14 TR, then
(13 ATR + TR) / 14. A bar without trades has TR 0. At each UTC midnight the recursion restarts from the last 140 bars.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

LENGTH = 14
BARS = 10 * LENGTH
"""Bars from which the recursion restarts."""

ATR = np.dtype(
    [
        ("high", np.int64),  # ticks, of the open bar
        ("low", np.int64),
        ("before", np.int64),  # close of the bar before, ticks; 0: none
        ("known", np.int64),  # bars closed
        ("count", np.int64),  # of these, in the recursion
        ("value", np.float64),  # quote; while count < LENGTH, the sum of TR
        ("traded", np.bool_),
    ],
    align=True,
)
"""Per instrument and width."""


@njit(cache=True)
def extend(atr, high, low):
    """Add a minute with trades to the open bar; high, low in ticks."""
    atr.high = max(atr.high, high) if atr.traded else high
    atr.low = min(atr.low, low) if atr.traded else low
    atr.traded = True


@njit(cache=True)
def _add(atr, true_range):
    if atr.count < LENGTH:
        atr.value += true_range
        atr.count += 1
        if atr.count == LENGTH:
            atr.value /= LENGTH
    else:
        atr.value = (atr.value * (LENGTH - 1) + true_range) / LENGTH


@njit(cache=True)
def close(atr, ring, ticks, scale):
    """Close the open bar at the price `ticks`; ring: float64, (BARS, 2), TR and H - L; scale: ticks in a unit of quote."""
    high = atr.high if atr.traded else ticks
    low = atr.low if atr.traded else ticks
    alone = (high - low) / scale
    true_range = (max(high, atr.before) - min(low, atr.before)) / scale if atr.before > 0 else alone
    ring[atr.known % BARS, 0] = true_range
    ring[atr.known % BARS, 1] = alone
    atr.known += 1
    _add(atr, true_range)
    atr.before = ticks
    atr.traded = False


@njit(cache=True)
def restart(atr, ring):
    """Begin the recursion anew with the bars in the ring."""
    count = min(atr.known, BARS)
    atr.count = 0
    atr.value = 0.0
    for j in range(count):
        _add(atr, ring[(atr.known - count + j) % BARS, 1 if j == 0 else 0])


@njit(cache=True)
def value(atr):
    """Return the ATR of the last closed bar, in quote currency; NaN until there are 14."""
    return atr.value if atr.count >= LENGTH else math.nan
