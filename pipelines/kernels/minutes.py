"""The last minutes of each instrument, one after another: what features look back on.

A minute without trades has no volume, and the price stays what it was. Sums stay integers (see `wide`).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from pipelines.kernels.bar import unit
from pipelines.kernels.wide import add, product, quotient

MINUTE = 60_000_000

KEPT = 315
"""Minutes that are looked back on: 21 windows of 15."""
ROOM = 400
"""Minutes a buffer holds before the oldest are thrown away."""
FAR = 4_320
"""After this many minutes without trades nothing from before counts, whatever looks back on it."""

CLOSED = np.dtype(
    [
        ("close", np.int64),  # ticks
        ("volume_hi", np.uint64),  # lots; 0: no trades
        ("volume_lo", np.uint64),
        ("buy_hi", np.uint64),
        ("buy_lo", np.uint64),
        ("notional_hi", np.uint64),  # ticks x lots
        ("notional_lo", np.uint64),
        ("gap", np.bool_),
    ],
    align=True,
)
"""A minute that is over."""

STATE = np.dtype(
    [
        ("last", np.int64),  # start of the last minute, us
        ("known", np.int64),  # minutes since the first, at most FAR
        ("filled", np.int64),  # minutes in the buffer
    ],
    align=True,
)
"""Per instrument: where its minutes stand; `known` 0: none yet."""

_ZERO = np.uint64(0)


@njit(cache=True)
def push(state, buffer):
    """Return the place in `buffer` (CLOSED, (ROOM,)) for the next minute, empty, at the price of the last."""
    if state.filled == ROOM:
        buffer[:KEPT] = buffer[ROOM - KEPT :].copy()
        state.filled = KEPT
    at = state.filled
    buffer[at].close = buffer[at - 1].close if at > 0 else 0
    buffer[at].volume_hi, buffer[at].volume_lo = _ZERO, _ZERO
    buffer[at].buy_hi, buffer[at].buy_lo = _ZERO, _ZERO
    buffer[at].notional_hi, buffer[at].notional_lo = _ZERO, _ZERO
    buffer[at].gap = False
    state.filled += 1
    state.known = min(state.known + 1, FAR)
    return at


@njit(cache=True)
def sums(minutes):
    """Return volume, buy volume and notional of minutes (CLOSED, (n,)), in two limbs each."""
    volume, buy, notional = (_ZERO, _ZERO), (_ZERO, _ZERO), (_ZERO, _ZERO)
    for k in range(minutes.size):
        minute = minutes[k]
        volume = add(volume[0], volume[1], minute.volume_hi, minute.volume_lo)
        buy = add(buy[0], buy[1], minute.buy_hi, minute.buy_lo)
        notional = add(notional[0], notional[1], minute.notional_hi, minute.notional_lo)
    return volume, buy, notional


@njit(cache=True)
def volume(minutes):
    """Return the volume of minutes (CLOSED, (n,)) in two limbs."""
    hi, lo = _ZERO, _ZERO
    for k in range(minutes.size):
        hi, lo = add(hi, lo, minutes[k].volume_hi, minutes[k].volume_lo)
    return hi, lo


@njit(cache=True)
def has_gap(minutes):
    """Return whether any of these minutes spans a hole in the tape."""
    found = False
    for k in range(minutes.size):
        found |= minutes[k].gap
    return found


@njit(cache=True, inline="always")
def times(hi, lo, factor):
    """Return (hi, lo) x factor in two limbs; factor not negative."""
    more_hi, more_lo = product(lo, factor)
    return hi * np.uint64(factor) + more_hi, more_lo


@njit(cache=True)
def rescale(buffer, ticks, lots):
    """Bring minutes to steps of price and size that are finer by these factors."""
    for k in range(buffer.size):
        minute = buffer[k]
        minute.close *= ticks
        minute.volume_hi, minute.volume_lo = times(minute.volume_hi, minute.volume_lo, lots)
        minute.buy_hi, minute.buy_lo = times(minute.buy_hi, minute.buy_lo, lots)
        hi, lo = times(minute.notional_hi, minute.notional_lo, ticks)
        minute.notional_hi, minute.notional_lo = times(hi, lo, lots)


@njit(cache=True)
def figures(buffer, price_places, size_places, out):
    """Write volume, buy volume and notional of minutes in units of base and quote, each rounded to a double once.

    buffer: CLOSED, (n,). out: float64, (n, 3).
    """
    lot_hi, lot_lo = unit(size_places)
    both_hi, both_lo = unit(price_places + size_places)
    for k in range(buffer.size):
        minute = buffer[k]
        out[k, 0] = quotient(minute.volume_hi, minute.volume_lo, lot_hi, lot_lo)
        out[k, 1] = quotient(minute.buy_hi, minute.buy_lo, lot_hi, lot_lo)
        out[k, 2] = quotient(minute.notional_hi, minute.notional_lo, both_hi, both_lo)
