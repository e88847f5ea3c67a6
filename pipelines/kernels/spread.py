"""The spread at the end of each second, held against the seconds before."""

from __future__ import annotations

import numpy as np
from numba import njit

from pipelines.kernels import alarm
from pipelines.kernels.ranks import median_and_high
from pipelines.market import DAY_US

SECOND = 1_000_000

TOP = np.dtype(
    [
        ("instrument", np.int64),
        ("ts", np.int64),  # the venue's time, us since 1970
        ("bid", np.float64),  # quote per base; 0: no order on that side
        ("bid_size", np.float64),  # base
        ("ask", np.float64),
        ("ask_size", np.float64),
        ("frame", np.int64),
        ("of_book", np.bool_),  # seen in a book, not sent as a quote
    ],
    align=True,
)
"""A best bid and ask."""

STATE = np.dtype(
    [
        ("second", np.int64),  # start of the open second, us; 0: none is open
        ("spread", np.float64),  # bps of the middle, the last one in it
        ("count", np.int64),  # values in the ring since the date began
        ("quoted", np.bool_),  # the venue sends quotes: those of books are not needed
    ],
    align=True,
)
"""Per instrument: the open second."""

WIDE = np.dtype(
    [
        ("instrument", np.int64),
        ("second", np.int64),  # us
        ("spread", np.float64),  # bps
        ("median", np.float64),
        ("high", np.float64),  # 99 % order statistic
        ("least", np.float64),  # bps that it had to reach
        ("level", np.float64),  # multiple of it, on its date
    ],
    align=True,
)
"""A second that ended with a wide spread."""


@njit(cache=True)
def _close(state, ring, held, i, times, floor, wanted, out, found):
    """End the open second: test it, then add it to the ring; return how many were found."""
    n = ring.size
    if state.count >= n:
        median, high, least = 0.0, 0.0, floor
        if state.spread >= floor:
            median, high = median_and_high(ring)
            least = max(floor, high, times * median)
        if alarm.judge(held, state.second, state.spread / least, True, wanted):
            out[found].instrument = i
            out[found].second = state.second
            out[found].spread = state.spread
            out[found].median = median
            out[found].high = high
            out[found].least = least
            out[found].level = held.level
            found += 1
    ring[state.count % n] = state.spread
    state.count += 1
    return found


@njit(cache=True)
def wide_spreads(tops, states, ring, held, times, floor, wanted, out):
    """Find seconds whose last spread stands out against the W seconds with quotes before; return how many.

    tops: TOP, (n,), in order of receipt. states: STATE, (instruments,). ring: float64, (instruments, W). held: alarm.HELD,
    (instruments,). times: least multiple of the median. floor: bps. wanted: alarm.Wanted. out: WIDE, (n,).

    spread = 10,000 (ask - bid) / ((ask + bid) / 2), by max(floor, 99 % order statistic, times x median) of the W seconds,
    is held against the level; below the floor it is spread / floor. A quote of an earlier second counts in the open one.
    The ring begins anew with each UTC date.
    """
    found = 0
    for k in range(tops.size):
        top = tops[k]
        state = states[top.instrument]
        if not top.of_book:
            state.quoted = True
        elif state.quoted:
            continue
        if top.bid <= 0.0 or top.ask < top.bid:
            continue
        second = max(top.ts // SECOND * SECOND, state.second)
        if second > state.second:
            if state.second > 0:
                i = top.instrument
                found = _close(state, ring[i], held[i], i, times, floor, wanted, out, found)
                if second // DAY_US > state.second // DAY_US:
                    state.count = 0
            state.second = second
        state.spread = 20_000.0 * (top.ask - top.bid) / (top.ask + top.bid)
    return found
