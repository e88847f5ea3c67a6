"""Intervals by the block bootstrap over days: whole UTC dates are drawn with replacement, so what hangs together stays so."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

DRAWS = 2000
SEED = 20_240_719
TAILS = (2.5, 97.5)
"""Percentiles of the draws that are the ends of an interval: 95 %."""
LEAST_DAYS = 7
"""Days that must bear on a figure before an interval is given."""
_AT_ONCE = 100  # draws

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class Interval(NamedTuple):
    """Ends of a 95 % interval; None, with the reason, where too few days bear on the figure."""

    low: float | None
    high: float | None
    why: str = ""


def ratio(above: Floats, below: Floats, what: str) -> Interval:
    """Return the interval of sum(above) / sum(below), both given per day; `what` names what `below` counts."""
    bearing = int(np.count_nonzero(below))
    if bearing < LEAST_DAYS:
        return _none(what, bearing)
    drawn = draws(below.size)
    sums = drawn @ below
    some = sums > 0
    return _ends((drawn @ above)[some] / sums[some])


def share(above: Floats, below: Floats, what: str) -> Interval:
    """Return the interval of sum(above) / sum(below), where `above` counts some of `below`: as `ratio`, but for all or none.

    There every draw is the same, and says nothing of what other days may bring: the far end is then that share of days at
    which so many days in a row are alike once in 40 times (Clopper and Pearson).
    """
    low, high, why = ratio(above, below, what)
    alike = TAILS[0] / 100
    days = np.count_nonzero(below)
    if low == high == 1:
        low = alike ** (1 / days)
    elif low == high == 0:
        high = 1 - alike ** (1 / days)
    return Interval(low, high, why)


def median(values: Floats, day: Ints, days: int, what: str) -> Interval:
    """Return the interval of the median of `values`, each of a day numbered from 0 below `days`."""
    bearing = np.unique(day).size
    if bearing < LEAST_DAYS:
        return _none(what, bearing)
    order = np.argsort(values, kind="stable")
    values, day = values[order], day[order]
    drawn = draws(days)
    found = []
    for k in range(0, DRAWS, _AT_ONCE):
        weight = np.cumsum(drawn[k : k + _AT_ONCE, day], axis=1)
        some = weight[weight[:, -1] > 0]
        found.append(values[np.argmax(2 * some >= some[:, -1:], axis=1)])
    return _ends(np.concatenate(found))


@lru_cache(maxsize=8)
def draws(days: int) -> Ints:
    """Return how often each day was drawn, a row a draw; the same for every figure of so many days. Not to be written to."""
    drawn = np.random.default_rng(SEED).multinomial(days, np.full(days, 1 / days), DRAWS)
    drawn.setflags(write=False)
    return drawn


def _ends(drawn: Floats) -> Interval:
    low, high = np.percentile(drawn, TAILS)
    return Interval(float(low), float(high))


def _none(what: str, bearing: int) -> Interval:
    return Interval(None, None, f"{what} on {bearing} of the {LEAST_DAYS} days needed")
