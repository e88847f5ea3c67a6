"""Non-negative 128-bit sums in two uint64 limbs: value = hi * 2**64 + lo.

A day of price ticks times size lots does not fit in 64 bits for every instrument; a float would round.
"""

from __future__ import annotations

import numpy as np
from numba import njit

_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_ONE = np.uint64(1)
_ZERO = np.uint64(0)


@njit(cache=True, inline="always")
def product(a, b):
    """Return a * b as (hi, lo); a, b: int64, not negative (schoolbook multiplication of 32-bit halves)."""
    x, y = np.uint64(a), np.uint64(b)
    x0, x1, y0, y1 = x & _LOW, x >> _HALF, y & _LOW, y >> _HALF
    low = x0 * y0
    middle = x1 * y0 + (low >> _HALF)
    cross = x0 * y1 + (middle & _LOW)
    return x1 * y1 + (middle >> _HALF) + (cross >> _HALF), (cross << _HALF) | (low & _LOW)


@njit(cache=True, inline="always")
def add(hi, lo, more_hi, more_lo):
    """Return (hi, lo) + (more_hi, more_lo); all uint64."""
    total = lo + more_lo
    carry = _ONE if total < lo else _ZERO
    return hi + more_hi + carry, total


@njit(cache=True, inline="always")
def at_least(hi, lo, than_hi, than_lo):
    """Return whether (hi, lo) >= (than_hi, than_lo); all uint64."""
    return hi > than_hi or (hi == than_hi and lo >= than_lo)


def join(hi: int, lo: int) -> int:
    """Return the value of two limbs as a Python integer."""
    return (int(hi) << 64) | int(lo)


def split(value: int) -> tuple[int, int]:
    """Return the limbs (hi, lo) of a value.

    Raises
    ------
    OverflowError
        If the value does not fit in 128 bits or is negative.
    """
    if not 0 <= value < 1 << 128:
        raise OverflowError(f"{value} does not fit in two unsigned 64-bit limbs")
    return value >> 64, value & 0xFFFFFFFFFFFFFFFF
