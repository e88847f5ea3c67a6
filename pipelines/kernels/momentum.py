"""How far the price has come, and how far it is from the volume-weighted average, both in basis points."""

from __future__ import annotations

import math

from numba import njit

from pipelines.kernels.minutes import sums, times
from pipelines.kernels.wide import at_least, difference, quotient


@njit(cache=True)
def momentum_bps(minutes, w):
    """Return 10,000 (C_t / C_(t-w) - 1), bps: the close against that of w minutes before; minutes: CLOSED, (> w,)."""
    then = minutes[minutes.size - 1 - w].close
    return 1e4 * ((minutes[minutes.size - 1].close - then) / then)


@njit(cache=True)
def from_vwap_bps(minutes, w):
    """Return 10,000 (C_t / VWAP - 1), bps, VWAP = sum PQ / sum Q of the last w minutes; NaN: no trades in them.

    The difference C sum Q - sum PQ is taken between integers, so nothing cancels.
    """
    window = minutes[minutes.size - w :]
    volume, _, notional = sums(window)
    if not (volume[0] | volume[1]):
        return math.nan
    hi, lo = times(volume[0], volume[1], window[w - 1].close)
    apart = difference(hi, lo, notional[0], notional[1])
    share = 1e4 * quotient(apart[0], apart[1], notional[0], notional[1])
    return share if at_least(hi, lo, notional[0], notional[1]) else -share
