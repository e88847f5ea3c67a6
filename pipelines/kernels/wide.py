"""Non-negative 128-bit sums in two uint64 limbs: value = hi * 2**64 + lo.

A day of price ticks times size lots does not fit in 64 bits for every instrument; a float would round.
"""

from __future__ import annotations

import numpy as np
from numba import njit

_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_ONE = np.uint64(1)
_TOP = np.uint64(63)
_ZERO = np.uint64(0)
_DOUBLES = np.uint64(1 << 53)
"""Integers below this are doubles."""


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


@njit(cache=True, inline="always")
def difference(hi, lo, other_hi, other_lo):
    """Return |(hi, lo) - (other_hi, other_lo)|; all uint64."""
    if at_least(hi, lo, other_hi, other_lo):
        return hi - other_hi - (_ONE if lo < other_lo else _ZERO), lo - other_lo
    return other_hi - hi - (_ONE if other_lo < lo else _ZERO), other_lo - lo


@njit(cache=True)
def quotient(hi, lo, by_hi, by_lo):
    """Return (hi, lo) / (by_hi, by_lo) as the nearest double, ties to even; all uint64, the divisor below 2**127."""
    if hi == _ZERO and by_hi == _ZERO and lo < _DOUBLES and by_lo < _DOUBLES:
        return lo / by_lo
    digits, exponent = _ZERO, 128  # long division: a bit of the quotient at a time, until there are two more than a double has
    rest_hi, rest_lo = _ZERO, _ZERO
    while digits < _DOUBLES << _ONE and exponent > -1000:
        rest_hi, rest_lo = rest_hi << _ONE | rest_lo >> _TOP, rest_lo << _ONE | hi >> _TOP
        hi, lo = hi << _ONE | lo >> _TOP, lo << _ONE
        digits <<= _ONE
        exponent -= 1
        if at_least(rest_hi, rest_lo, by_hi, by_lo):
            rest_hi, rest_lo = rest_hi - by_hi - (_ONE if rest_lo < by_lo else _ZERO), rest_lo - by_lo
            digits |= _ONE
    if hi | lo | rest_hi | rest_lo:
        digits |= _ONE  # whatever is left decides only a tie
    return digits * 2.0**exponent


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
