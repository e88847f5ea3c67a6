"""Sizes that a venue counts in contracts, in units of base.

A linear contract is worth `contract` units of base: size = contracts x value, the nearest double of the exact product.
An inverse one is worth `contract` units of quote: size = contracts x value / price, rounded half to even to 1e-8, from
the exact quotient. Each double stands for the one decimal text of at most 15 digits that it came from.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation, Overflow
from fractions import Fraction
from functools import cache

import numpy as np
import numpy.typing as npt

from pipelines.market import Instrument
from pipelines.tape import TRADE, VOID, Rows

Floats = npt.NDArray[np.float64]

DIGITS = 15
"""Significant digits of a size that is kept."""
STEP = 10**8
"""Steps in a unit of base, of the size of an inverse contract."""
LOTS = (0, 4)
"""Decimal places of a number of contracts that are looked for first."""
_SURE = 2.0**-48
"""A quotient of doubles is as near to the exact one, relative to it."""


def in_base(rows: Rows, instruments: Sequence[Instrument]) -> npt.NDArray[np.bool_]:
    """Turn sizes in contracts into base, and keep the contracts; return which came to nothing that can be kept.

    rows : as decoded, `instrument` indexes `instruments`. Those that cannot be kept become voids.
    """
    unfit = np.zeros(rows.size, np.bool_)
    for i, instrument in enumerate(instruments):
        if not instrument.contract:
            continue
        mine = np.flatnonzero((rows["instrument"] == i) & (rows["kind"] == TRADE))
        contracts, prices = rows["size"][mine], rows["price"][mine]
        sizes = _inverse(contracts, prices, instrument) if instrument.inverse else _linear(contracts, instrument)
        odd = mine[sizes <= 0]
        rows["contracts"][mine] = contracts
        rows["size"][mine] = sizes
        rows["kind"][odd], rows["counted"][odd], unfit[odd] = VOID, False, True
    return unfit


def base(contracts: float | str, price: float | str, instrument: Instrument) -> float:
    """Return what a number of contracts at a price is in units of base, by the same rule; 0 where nothing is left."""
    if not instrument.contract:
        return float(contracts)
    value = Fraction(str(contracts)) * worth(instrument)
    if not instrument.inverse:
        return float(value)
    paid = Fraction(str(price))
    return round(value / paid * STEP) / STEP if paid else 0.0


def worth(instrument: Instrument) -> Fraction:
    """Return the value of one contract.

    Raises
    ------
    ValueError
        If it is not above zero, or has more digits than can be kept.
    """
    return _worth(instrument.contract)[0]


@cache
def _worth(text: str) -> tuple[Fraction, int, int]:
    """Return a value exactly, and as integer and decimal places."""
    try:
        value = Decimal(text).normalize()
    except (InvalidOperation, Overflow):
        value = Decimal(0)
    places = max(0, -int(value.as_tuple().exponent)) if value.is_finite() else 0
    if not value.is_finite() or not 0 < value < 10**DIGITS or places > DIGITS or len(value.as_tuple().digits) > DIGITS:
        raise ValueError(f"{text!r} is no value of a contract")
    return Fraction(value), int(value.scaleb(places)), places


def _linear(contracts: Floats, instrument: Instrument) -> Floats:
    """Return sizes; 0 where one is not to be kept."""
    exact, mantissa, places = _worth(instrument.contract)
    sizes, left = np.zeros(contracts.size), np.ones(contracts.size, np.bool_)
    for shift in LOTS:
        count = np.rint(contracts * 10.0**shift)
        product = count * mantissa
        fits = left & (count / 10.0**shift == contracts) & (product < 10.0**DIGITS)
        sizes[fits] = product[fits] / 10.0 ** (places + shift)  # of integers below 2**53: the division alone rounds
        left &= ~fits
    for k in np.flatnonzero(left):
        size = Fraction(repr(float(contracts[k]))) * exact
        sizes[k] = float(size) if _digits(size) <= DIGITS else 0.0
    return sizes


def _inverse(contracts: Floats, prices: Floats, instrument: Instrument) -> Floats:
    """Return sizes; 0 where one is not to be kept."""
    steps = contracts * float(worth(instrument)) / prices * STEP
    rounded = np.rint(steps)
    doubtful = np.abs(np.abs(steps - rounded) - 0.5) <= steps * _SURE
    for k in np.flatnonzero(doubtful | (steps >= 10.0**DIGITS)):
        exact = Fraction(repr(float(contracts[k]))) * worth(instrument) / Fraction(repr(float(prices[k])))
        count = round(exact * STEP)
        rounded[k] = count if _digits(Fraction(count)) <= DIGITS else 0
    return rounded / STEP


def _digits(value: Fraction) -> int:
    """Return how many significant digits a decimal fraction has."""
    while value.denominator > 1:
        value *= 10
    return len(str(value.numerator).rstrip("0"))
