"""What a best bid and ask say of the price: the middle, the spread, and the micro-price. All NaN where a side is missing.

A quote whose ask lies below its bid (crossed) says nothing either.
"""

from __future__ import annotations

import math

from numba import njit


@njit(cache=True)
def middle(bid, ask):
    """Return (bid + ask) / 2, quote currency."""
    return 0.5 * (bid + ask) if 0.0 < bid <= ask else math.nan


@njit(cache=True)
def spread_bps(bid, ask):
    """Return 10,000 (ask - bid) / middle, bps."""
    return 1e4 * ((ask - bid) / middle(bid, ask)) if 0.0 < bid <= ask else math.nan


@njit(cache=True)
def microprice(bid, bid_size, ask, ask_size):
    """Return (bid x ask size + ask x bid size) / (bid size + ask size), quote currency: nearer to the side with less on it."""
    total = bid_size + ask_size
    if not (0.0 < bid <= ask and total > 0.0):
        return math.nan
    return bid + (ask - bid) * (bid_size / total)
