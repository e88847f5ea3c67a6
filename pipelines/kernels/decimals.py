"""Decimal prices and sizes as integers: value = mantissa * 10**-exponent, exactly.

A double that came from decimal text of at most 15 digits stands for exactly one such text, so the mantissa can be
read off the double: it is the integer m with m / 10**e == value.
"""

from __future__ import annotations

import numpy as np
from numba import njit

MOST_PLACES = 18
LIMIT = 1 << 53
"""Mantissas at a value's own exponent stay below this, where doubles hold integers exactly."""
WIDEST = 1 << 62

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
def widen(values, instrument, exponents, most, unfit):
    """Raise `exponents` so that they hold every value; mark those that need more than `most` places.

    values: float64, (n,), positive. instrument: int32, (n,). exponents: int64, (instruments,), changed in place.
    unfit: bool, (n,), set where a value has more digits than 15 or more places than `most`.
    """
    for k in range(values.size):
        e = exponents[instrument[k]]
        m = np.rint(values[k] * _TENS[e])
        if m < LIMIT and m / _TENS[e] == values[k]:
            continue
        own = _places(values[k])
        if own < 0 or own > most:
            unfit[k] = True
        elif own > e:
            exponents[instrument[k]] = own


@njit(cache=True)
def mantissas(values, instrument, exponents, out):
    """Write each value as an integer at its instrument's exponent; -1 where it does not fit.

    values: float64, (n,), positive. instrument: int32, (n,). exponents: int64, (instruments,). out: int64, (n,).
    """
    for k in range(values.size):
        e = exponents[instrument[k]]
        m = np.rint(values[k] * _TENS[e])
        if m < LIMIT and m / _TENS[e] == values[k]:
            out[k] = np.int64(m)
            continue
        own = _places(values[k])
        out[k] = -1
        if 0 <= own <= e:
            m = np.rint(values[k] * _TENS[own])
            if m < WIDEST / _TENS[e - own]:
                out[k] = np.int64(m) * _TEN[e - own]
