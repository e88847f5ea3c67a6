"""When a score alerts, and from which level: the one piece that severity, cooldown, hysteresis and tuning share.

The level of a date is fixed from the dates before it, so it looks at nothing that it judges, and a date can be computed alone.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

MINUTE = 60_000_000
DAY_MINUTES = 1440

APART = 30
"""Two peaks of a score are two episodes when they are more than so many minutes apart."""
PEAKS = 100
"""Peaks of a date that are kept: as many alarms as are wanted in `DATES` dates, even if all had come on one."""
DATES = 14
"""Earlier dates whose peaks are looked at."""

ALARM = np.dtype(
    [
        ("last", np.int64),  # minute that alerted last, us; 0: none
        ("fired", np.bool_),  # the score has not fallen below the re-arm level since
    ],
    align=True,
)
"""Per instrument and detector."""


@njit(cache=True)
def alerts(alarm, ts, score, level, rearm, cooldown):
    """Whether the minute at `ts` (us) alerts, and note it.

    It does when the score reaches the level, has been below `rearm` x level since it last did, and that is at least
    `cooldown` (us) ago. A score that is not known (NaN) changes nothing.
    """
    if score < rearm * level:
        alarm.fired = False
    if not score >= level or alarm.fired or (alarm.last > 0 and ts - alarm.last < cooldown):
        return False
    alarm.fired = True
    alarm.last = ts
    return True


@njit(cache=True)
def peaks(scores, out):
    """Write the highest scores of a date, highest first, each more than `APART` minutes from those before it.

    scores: float64, (1440,), by minute of the day, NaN: not known. out: float64, (PEAKS,); NaN: there are no more.
    Return the days between the first known score and the last.
    """
    left = scores.copy()
    out[:] = math.nan
    for k in range(out.size):
        best = -1
        for j in range(left.size):
            if not math.isnan(left[j]) and (best < 0 or left[j] > left[best]):
                best = j
        if best < 0:
            break
        out[k] = left[best]
        left[max(0, best - APART) : best + APART + 1] = math.nan
    known = np.flatnonzero(~np.isnan(scores))
    return (known[-1] - known[0] + 1) / DAY_MINUTES if known.size else 0.0


@njit(cache=True)
def level(past, days, per_day, least):
    """Return the score that earlier dates reached `per_day` times a day; never below `least`.

    past: float64, (n,), peaks of earlier dates; days: what these cover. With less than a day of them: `least`.
    """
    if days < 1.0:
        return least
    known = past[~np.isnan(past)]
    wanted = max(1, int(per_day * days))
    if known.size < wanted:
        return least
    return max(least, np.sort(known)[known.size - wanted])
