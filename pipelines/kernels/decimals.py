"""Decimal prices and sizes as integers: value = mantissa * 10**-exponent, exactly.

A double that came from decimal text of at most 15 digits stands for exactly one such text, so the mantissa can be
read off the double: it is the integer m with m / 10**e == value.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from pipelines.tape import TRADE, VOID

PRICE_PLACES = 12
SIZE_PLACES = 8
MOST_NOTIONAL = 1e15
"""Decimal places of price and size, and price x size, beyond which a trade is refused: sums must fit in 128 bits."""
MOST_PLACES = 18
LIMIT = 1 << 53
"""Mantissas at a value's own exponent stay below this, where doubles hold integers exactly."""
WIDEST = 1 << 62
DIGITS = 1e15
"""Below it a mantissa is what the shortest text of a double says; above, two texts may stand for one double."""

_TENS = np.array([10.0**e for e in range(MOST_PLACES + 1)])
_TEN = np.array([10**e for e in range(MOST_PLACES + 1)], np.int64)


@njit(cache=True)
def _places(value):
    """Return the least exponent that holds `value`, or -1."""
    for e in range(MOST_PLACES + 1):
        m = np.rint(value * _TENS[e])
        if m >= LIMIT:
            return -1
        if m / _TENS[e] == value:
            return e
    return -1


@njit(cache=True)
def _enough(value, places, most):
    """Return `places`, or as many more as `value` needs; -1 if it has more than `most`, or more digits than 15."""
    m = np.rint(value * _TENS[places])
    if m < LIMIT and m / _TENS[places] == value:
        return places
    own = _places(value)
    return max(own, places) if 0 <= own <= most else -1


@njit(cache=True)
def least_places(sizes):
    """Return the least exponent that holds every size (float64, (n,), above zero); -1: none does, or one has too many digits."""
    places = 0
    for k in range(sizes.size):
        places = _enough(sizes[k], places, SIZE_PLACES)
        if places < 0:
            return -1
    return places


@njit(cache=True)
def read_off(values, mantissas, places):
    """Write each value (float64, (n,), not below zero) as mantissa and least exponent; places -1: it has more than 15 digits."""
    for k in range(values.size):
        own = _places(values[k])
        m = np.rint(values[k] * _TENS[own]) if own >= 0 else DIGITS
        places[k] = own if m < DIGITS else -1
        mantissas[k] = np.int64(m)


@njit(cache=True)
def widen(rows, price_places, size_places, unfit):
    """Raise the places of each instrument so that they hold its prices and sizes; what cannot be kept becomes a void.

    rows: ROW, (n,), in any order. price_places, size_places: int64, (instruments,), changed in place. unfit: bool,
    (n,), set where a trade has more digits than 15, more places or a greater notional than is kept.
    """
    for k in range(rows.size):
        row = rows[k]
        if row.kind != TRADE:
            continue
        i = row.instrument
        price, size = _enough(row.price, price_places[i], PRICE_PLACES), _enough(row.size, size_places[i], SIZE_PLACES)
        if price < 0 or size < 0 or row.price * row.size >= MOST_NOTIONAL:
            unfit[k] = True
            row.kind = VOID
        else:
            price_places[i], size_places[i] = price, size


@njit(cache=True)
def mantissa(value, places):
    """Return `value` as an integer of that many places; -1 where it does not fit."""
    m = np.rint(value * _TENS[places])
    if m < LIMIT and m / _TENS[places] == value:
        return np.int64(m)
    own = _places(value)
    if 0 <= own <= places:
        m = np.rint(value * _TENS[own])
        if m < WIDEST / _TENS[places - own]:
            return np.int64(m) * _TEN[places - own]
    return np.int64(-1)


@njit(cache=True)
def mantissas(values, places, out):
    """Write every value (float64, (n,), above zero) as an integer of that many places; return whether all fit."""
    fits = True
    for k in range(values.size):
        out[k] = mantissa(values[k], places)
        fits &= out[k] > 0
    return fits


@njit(cache=True)
def to_integers(rows, price_places, size_places, unfit):
    """Set `ticks` and `lots` of trades; those that do not fit become voids.

    rows: ROW, (n,). price_places, size_places: int64, (instruments,). unfit: bool, (n,), set where one did not fit.
    """
    for k in range(rows.size):
        row = rows[k]
        if row.kind != TRADE:
            continue
        row.ticks = mantissa(row.price, price_places[row.instrument])
        row.lots = mantissa(row.size, size_places[row.instrument])
        if row.ticks <= 0 or row.lots <= 0:
            unfit[k] = True
            row.kind = VOID
