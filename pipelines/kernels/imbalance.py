"""Imbalance and run bars: how much was bought and sold in a bar, and the threshold that past bars expect.

With b = +1 where the buyer was the taker, else -1, and w = 1, size or price x size (Lopez de Prado, AFML 2018, 2.3.2):

- an imbalance bar closes when |sum b w| reaches its threshold;
- a run bar closes when the greater of sum w over buys and sum w over sells does.

A fixed threshold is exact. An adaptive one is E[T] |E[b w]|, for runs E[T] max(E[w; b = 1], E[w; b = -1]), from an EWMA
over the last `WINDOW` complete bars. That feeds back on itself, so it has guards: E[T] stays between T0 / 5 and 5 T0;
the threshold is at least what equal trades with signs by chance would reach in T0 of them, sqrt(T0) E[w], for runs
T0 / 2 E[w]; a bar of 25 T0 trades closes in any case. Before the first bar there is a warm-up of
T0 trades, which is no bar. The threshold is rounded to 12 significant digits, so that where it is a whole number, no
error of rounding decides.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numba import njit

from pipelines.kernels.bar import unit
from pipelines.kernels.wide import add, at_least, difference, quotient

PLAIN: Final = 0
"""No imbalance: the sum of w itself is held against the threshold."""
IMBALANCE: Final = 1
RUN: Final = 2

FLOW = np.dtype([("buy_hi", np.uint64), ("buy_lo", np.uint64), ("sell_hi", np.uint64), ("sell_lo", np.uint64)])
"""The sums of w over buys and over sells of an open bar: trades, lots or ticks x lots."""
BAR_FLOW = np.dtype([("trades", np.float64), ("imbalance", np.float64), ("total", np.float64)])
"""What is kept of a closed bar for E: trades, sum b w and sum w, in units of the threshold."""

LENGTH: Final = 20
WINDOW: Final = 10 * LENGTH
"""Of the EWMA: alpha = 2 / (LENGTH + 1), begun with the oldest of the last WINDOW bars."""
SPREAD: Final = 5
CAP: Final = 25
"""E[T] stays within T0 / SPREAD and SPREAD T0; a bar closes after CAP T0 trades at the latest."""

_ZERO = np.uint64(0)


@njit(cache=True, inline="always")
def take(flow, side, weight):
    """Add w = (hi, lo) of a trade to its side of `flow`."""
    hi, lo = weight
    bought, sold = np.uint64(1 + side >> 1), np.uint64(1 - side >> 1)  # no branch: a side is chance
    flow.buy_hi, flow.buy_lo = add(flow.buy_hi, flow.buy_lo, hi * bought, lo * bought)
    flow.sell_hi, flow.sell_lo = add(flow.sell_hi, flow.sell_lo, hi * sold, lo * sold)


@njit(cache=True, inline="always")
def clear(flow):
    """Begin a bar."""
    flow.buy_hi, flow.buy_lo, flow.sell_hi, flow.sell_lo = _ZERO, _ZERO, _ZERO, _ZERO


@njit(cache=True, inline="always")
def reading(flow, rule):
    """Return what is held against the threshold, as (hi, lo)."""
    if rule == IMBALANCE:
        return difference(flow.buy_hi, flow.buy_lo, flow.sell_hi, flow.sell_lo)
    if at_least(flow.buy_hi, flow.buy_lo, flow.sell_hi, flow.sell_lo):
        return flow.buy_hi, flow.buy_lo
    return flow.sell_hi, flow.sell_lo


@njit(cache=True)
def signed(flow, places):
    """Return sum b w as the nearest double; `places`: those of the measure's integers."""
    unit_hi, unit_lo = unit(places)
    hi, lo = difference(flow.buy_hi, flow.buy_lo, flow.sell_hi, flow.sell_lo)
    size = quotient(hi, lo, unit_hi, unit_lo)
    return size if at_least(flow.buy_hi, flow.buy_lo, flow.sell_hi, flow.sell_lo) else -size


@njit(cache=True)
def total(flow, places):
    """Return sum w as the nearest double; `places` as of `signed`."""
    unit_hi, unit_lo = unit(places)
    hi, lo = add(flow.buy_hi, flow.buy_lo, flow.sell_hi, flow.sell_lo)
    return quotient(hi, lo, unit_hi, unit_lo)


@njit(cache=True)
def _rounded(value):
    """Return a value above zero rounded half-even to 12 significant digits."""
    places = 11 - math.floor(math.log10(value))
    if places >= 0:
        return np.rint(value * 10.0**places) / 10.0**places
    return np.rint(value / 10.0**-places) * 10.0**-places


@njit(cache=True)
def expected(ring, count, rule, nominal):
    """Return the threshold that past bars expect.

    ring: BAR_FLOW, (WINDOW,), bar k at k % WINDOW; count: how many have entered it, at least one. nominal: T0, trades.
    """
    first = max(0, count - WINDOW)
    oldest = ring[first % WINDOW]
    trades, imbalance, whole = oldest.trades, oldest.imbalance, oldest.total
    alpha = 2.0 / (LENGTH + 1)
    for k in range(first + 1, count):
        bar = ring[k % WINDOW]
        trades += alpha * (bar.trades - trades)
        imbalance += alpha * (bar.imbalance - imbalance)
        whole += alpha * (bar.total - whole)
    size = whole / trades
    length = min(max(trades, nominal / SPREAD), 1.0 * SPREAD * nominal)
    if rule == IMBALANCE:
        return _rounded(max(length * abs(imbalance) / trades, math.sqrt(nominal) * size))
    return _rounded(max(length * (whole + abs(imbalance)) / 2.0 / trades, nominal / 2.0 * size))
