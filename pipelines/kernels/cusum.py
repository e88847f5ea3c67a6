"""Cumulative sums of standardised returns (Page, 1954): a drift that no single minute shows.

S+ = max(0, S+ + x - 0.5), S- = max(0, S- - x - 0.5); beyond the level that side begins anew at 0 (Lopez de Prado,
Advances in Financial Machine Learning, 2.5.2.1). x is the minute's log return by the root mean square of the 59 before.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

DRIFT = 0.5
"""Deviations a minute that are expected anyway."""

CUSUM = np.dtype(
    [
        ("up", np.float64),
        ("down", np.float64),
        ("free_up", np.float64),  # as if no level had ever been reached
        ("free_down", np.float64),
    ],
    align=True,
)
"""Per instrument."""

_LEAST = 1e-9


@njit(cache=True)
def standardised(mom_bps, rv):
    """Return the log return of a minute by the root mean square of the 59 minutes before; NaN: these did not move.

    mom_bps: change of the price in the minute, bps; rv: realised variance of the hour that ends with it.
    """
    change = math.log1p(1e-4 * mom_bps)
    before = rv - change * change
    if not before > _LEAST * rv:
        return math.nan
    return change / math.sqrt(before / 59)


@njit(cache=True)
def add(sums, x, quiet):
    """Add a minute after `quiet` minutes without trades; return whether the higher sum is that of rises."""
    idle = DRIFT * quiet
    sums.up, sums.down = max(0.0, sums.up - idle), max(0.0, sums.down - idle)
    sums.free_up, sums.free_down = max(0.0, sums.free_up - idle), max(0.0, sums.free_down - idle)
    if not math.isnan(x):
        sums.up, sums.down = max(0.0, sums.up + x - DRIFT), max(0.0, sums.down - x - DRIFT)
        sums.free_up, sums.free_down = max(0.0, sums.free_up + x - DRIFT), max(0.0, sums.free_down - x - DRIFT)
    return sums.up >= sums.down


@njit(cache=True)
def reset(sums, level):
    """Begin each side anew that has reached the level."""
    if sums.up >= level:
        sums.up = 0.0
    if sums.down >= level:
        sums.down = 0.0
