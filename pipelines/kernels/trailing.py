"""Percentiles among past values, and alarms that stand above a level: nothing of them is known later than it says."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True)
def percentiles(values, window, least, out):
    """Write the share of the last `window` values that are at most this one; NaN until `least` are known.

    values: float64, (n,), in order of time; NaN: none, neither ranked nor remembered. out: float64, (n,).
    """
    past = np.empty(window)
    count = 0
    for k in range(values.size):
        out[k] = np.nan
        if np.isnan(values[k]):
            continue
        known = min(count, window)
        if known >= least:
            below = 0
            for j in range(known):
                below += past[j] <= values[k]
            out[k] = below / known
        past[count % window] = values[k]
        count += 1


@njit(cache=True)
def alarms(times, values, levels, cooldown, out):
    """Mark where a measure is at or above its level, once a cooldown; return how many.

    times: int64, (n,), us, rising. values: float64, (n,), NaN: none. levels: float64, (n,), NaN: no alarm may be. out:
    bool, (n,).
    """
    count, last = 0, 0
    for k in range(values.size):
        out[k] = values[k] >= levels[k] and (count == 0 or times[k] - last >= cooldown)
        if out[k]:
            count += 1
            last = times[k]
    return count
