"""Posture: flat, long or short, from the trend score, with a level to enter, a lower one to leave, and persistence.

It says which way the tape has leant for some minutes; it is no advice.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

PERSISTENCE = 3
"""Minutes in a row that it takes to enter or to leave."""
SILENCE = 15 * 60_000_000
"""A posture ends when nothing has traded for longer than this, us."""
TURN = 60 * 60_000_000
"""An entry is a reversal when the other side was left at most this long before, us."""

HOLD, ENTER, REVERSE, EXIT = 0, 1, 2, 3

POSTURE = np.dtype(
    [
        ("state", np.int64),  # 0 flat, 1 long, -1 short
        ("since", np.int64),  # minute that began it, us
        ("last", np.int64),  # minute seen last, us; 0: none
        ("entered", np.int64),  # minute of the last entry, us; 0: none
        ("side", np.int64),  # of the last entry
        ("left", np.int64),  # minute in which that side was last held, us
        ("totals", np.float64, (PERSISTENCE,)),  # scores of the last minutes
    ],
    align=True,
)
"""Per instrument; `totals` begin as NaN."""


@njit(cache=True)
def begin(posture, ts):
    """Begin with no posture at `ts` (us)."""
    posture.state, posture.since, posture.last = 0, ts, 0
    posture.entered, posture.side, posture.left = 0, 0, 0
    posture.totals[:] = math.nan


@njit(cache=True)
def held(totals):
    """Return the score that all of these minutes reached, with its sign; 0: they differ in sign; NaN: one is not known."""
    least = abs(totals[0])
    for k in range(totals.size):
        if math.isnan(totals[k]):
            return math.nan
        if totals[k] * totals[0] <= 0.0:
            least = 0.0
        least = min(least, abs(totals[k]))
    return least if totals[0] > 0.0 else -least


@njit(cache=True)
def _weak(posture, leave):
    """Whether no minute of the last supports the state; one whose score is not known does not."""
    weak = 0
    for k in range(PERSISTENCE):
        supported = posture.state * posture.totals[k] >= leave
        weak += 0 if supported else 1
    return weak == PERSISTENCE


@njit(cache=True)
def step(posture, ts, total, enter, leave, cooldown):
    """Take the score of the minute at `ts` (us); return what changed.

    enter, leave: levels of the score; cooldown: least time between entries, us.
    """
    silent = posture.last > 0 and ts - posture.last > SILENCE
    if silent:
        posture.totals[:] = math.nan
    for k in range(PERSISTENCE - 1):
        posture.totals[k] = posture.totals[k + 1]
    posture.totals[PERSISTENCE - 1] = total
    if posture.state != 0:
        posture.left = posture.last
    posture.last = ts
    reached = held(posture.totals)
    side = 1 if reached > 0.0 else -1
    rested = posture.entered == 0 or ts - posture.entered >= cooldown
    if abs(reached) >= enter and side != posture.state and rested:
        turned = posture.side == -side and ts - posture.left <= TURN
        posture.state, posture.since, posture.entered, posture.side = side, ts, ts, side
        return REVERSE if turned else ENTER
    if posture.state != 0 and (silent or _weak(posture, leave)):
        posture.state, posture.since = 0, ts
        return EXIT
    return HOLD
