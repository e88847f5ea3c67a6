"""When a score alerts, and from which level: the one piece that severity, cooldown, hysteresis and tuning share.

The level of a date is fixed from the dates before it, so it looks at nothing that it judges, and a date can be computed alone.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from pipelines.market import DAY_US

MINUTE = 60_000_000
DAY_MINUTES = 1440

APART = 30
"""Two peaks of a score are two episodes when they are more than so many minutes apart."""
PEAKS = 48
"""Peaks of a date that are kept: no more can be so far apart."""
DATES = 14
"""Earlier dates whose peaks are looked at."""
LOOK_BACK = 28
"""Dates are looked at no further back than this many days."""

ALARM = np.dtype(
    [
        ("last", np.int64),  # minute that alerted last, us; 0: none
        ("fired", np.bool_),  # the score has not fallen below the re-arm level since
    ],
    align=True,
)
"""Per instrument and detector."""

HELD = np.dtype(
    [
        ("day", np.int64),  # start of the date, us
        *((name, ALARM[name]) for name in ("last", "fired")),
        ("score", np.float64),  # the last one
        ("level", np.float64),  # of the date; 0: nothing is known
        ("today", np.float64, (DAY_MINUTES,)),  # highest score by minute; NaN: not known
        ("dates", np.int64),  # earlier dates that have been noted
        ("date", np.int64, (DATES,)),  # start of each, us
        ("days", np.float64, (DATES,)),  # what it covers
        ("peaks", np.float64, (DATES, PEAKS)),
    ],
    align=True,
)
"""Per instrument and detector: a score that comes at any time, with the level it is held against."""


class Wanted(NamedTuple):
    """How a score alerts: `rearm` is a share of the level, `cooldown` in us, `dates` the earlier ones that are looked at."""

    least: float
    per_day: float
    rearm: float
    cooldown: int
    dates: int


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


@njit(cache=True)
def judge(held, ts, score, fits, wanted):
    """Whether a score at `ts` (us) alerts, and note it; `held` is a `HELD`, its points in the order of the tape.

    Where it does not fit (another condition fails) it counts as 0 for later levels, and neither fires nor re-arms from
    the level on. A date begins with no cooldown, and as fired if the last score before it reaches its level.
    """
    day = ts // DAY_US * DAY_US
    if day > held.day or held.level == 0.0:
        _turn(held, day, wanted)
    minute = min(max(ts - held.day, 0) // MINUTE, DAY_MINUTES - 1)
    peak = score if fits else 0.0
    if not peak <= held.today[minute]:
        held.today[minute] = peak
    held.score = score if fits else min(score, 0.0)
    if not fits and score >= held.level:
        return False
    return alerts(held, max(ts, held.last), score, held.level, wanted.rearm, wanted.cooldown)


@njit(cache=True)
def calm(held):
    """Note that nothing happened for a while: the score was below every level."""
    held.fired = False
    held.score = 0.0


@njit(cache=True)
def _turn(held, day, wanted):
    """Note what a date leaves, and fix the level of the next one from the newest dates before it."""
    if held.level > 0.0:
        at = held.dates % DATES
        held.date[at] = held.day
        held.days[at] = peaks(held.today, held.peaks[at])
        held.dates += 1
    held.today[:] = math.nan
    held.day = day
    held.last = 0
    past = np.full((DATES, PEAKS), math.nan)
    days = 0.0
    for j in range(min(held.dates, wanted.dates)):
        at = (held.dates - 1 - j) % DATES
        if held.date[at] >= day - LOOK_BACK * DAY_US:
            past[j] = held.peaks[at]
            days += held.days[at]
    held.level = level(past.ravel(), days, wanted.per_day, wanted.least)
    held.fired = held.score >= held.level
