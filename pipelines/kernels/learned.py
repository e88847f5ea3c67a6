"""The learned score: how probable an event is, by a logistic regression on the magnitudes of a row of features.

Each row is scored alone, its terms added one after the other: who scores, and how many rows at once, changes no bit.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from pipelines.kernels import alarm
from pipelines.market import DAY_US

TERM = np.dtype([(name, np.float64) for name in ("floor", "center", "scale", "weight")])
"""A column's part in the score: weight x (ln max(|x|, floor) - center) / scale."""
STATE = np.dtype([("day", np.int64), ("last", np.int64), ("fired", np.bool_)], align=True)
"""Per instrument: the date (us) it is at, and there what `alarm.ALARM` has."""


@njit(cache=True)
def standardised(x, term):
    """Return how far the magnitude of a value is from what is usual, on a scale of logarithms."""
    return (math.log(max(abs(x), term.floor)) - term.center) / term.scale


@njit(cache=True)
def probability(row, terms, intercept, parts):
    """Return the probability that a row stands for; NaN where a value is not known.

    row: float64, (terms,). terms: TERM, (terms,). parts: float64, (terms,), what each term adds to the log odds.
    """
    total = intercept
    for j in range(terms.size):
        if math.isnan(row[j]):
            parts[:] = math.nan
            return math.nan
        parts[j] = terms[j].weight * standardised(row[j], terms[j])
        total += parts[j]
    return 1.0 / (1.0 + math.exp(-total))


@njit(cache=True)
def follow(instrument, ts, rows, terms, intercept, level, rearm, cooldown, states, scores, parts, told):
    """Take rows one after the other; each date begins with nothing seen.

    instrument, ts: int64, (n,), in time (us) order per instrument. rows: float64, (n, terms), NaN: null. level, rearm,
    cooldown (us): as `alarm.alerts` takes them. states: STATE, (instruments,). Written: scores, float64, (n,); parts, float64,
    (n, terms); told, bool, (n,): it alerts.
    """
    for k in range(ts.size):
        state = states[instrument[k]]
        day = ts[k] // DAY_US * DAY_US
        if day != state.day:
            state.day, state.last, state.fired = day, 0, False
        scores[k] = probability(rows[k], terms, intercept, parts[k])
        told[k] = alarm.alerts(state, ts[k], scores[k], level, rearm, cooldown)
