"""When a condition begins, and where a value stands among those before it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def begins(
    score: Sequence[float | None], ends: Sequence[dt.datetime], level: float, rearm: float, cooldown: dt.timedelta
) -> list[int]:
    """Return where a spell begins: the score reaches `level` after it was below `rearm`, `cooldown` after the last at least.

    A score that is not known (None or NaN) changes nothing. The first row may begin one: each date begins anew.
    """
    found: list[int] = []
    armed = True
    for i, value in enumerate(score):
        if value is None or np.isnan(value):
            continue
        if value < rearm:
            armed = True
        elif armed and value >= level and (not found or ends[i] - ends[found[-1]] >= cooldown):
            found.append(i)
            armed = False
    return found


def percentiles(values: Floats, ends: npt.NDArray[np.int64], first: int, reach_us: int, least: int) -> Floats:
    """Return, for each row from `first` on, the share of the known values of `reach_us` before it that are below its own.

    Below, not at most: a spread of one tick all day is not wide. NaN where it is not known or fewer than `least` are.
    """
    out = np.full(len(values) - first, np.nan)
    begin = np.searchsorted(ends, ends - reach_us, side="right")
    for i in range(first, len(values)):
        before = values[begin[i] : i]
        known = np.count_nonzero(~np.isnan(before))
        if known >= least and not np.isnan(values[i]):
            out[i - first] = np.count_nonzero(before < values[i]) / known
    return out
