"""Rows of features scored by a learned model: the one way for the flow, for learning and for judging."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipelines.kernels import alarm, learned
from pipelines.learned_model import Model

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


class Scored(NamedTuple):
    """Rows: probability, what each term adds to the log odds, and whether the row alerts."""

    scores: Floats
    parts: Floats
    told: npt.NDArray[np.bool_]


def fresh(n: int) -> npt.NDArray[np.void]:
    """Return the state of `n` instruments of which nothing was seen."""
    return np.zeros(n, learned.STATE)


def terms(model: Model) -> npt.NDArray[np.void]:
    """Return the terms as the kernel takes them."""
    return np.array([(t.floor, t.center, t.scale, t.weight) for t in model.terms], learned.TERM)


def score(model: Model, instrument: Integers, ts: Integers, rows: Floats, states: npt.NDArray[np.void]) -> Scored:
    """Score minutes, in order per instrument.

    Parameters
    ----------
    model : Model
    instrument, ts : int64, (n,)
        Index into `states`, and start, us.
    rows : float64, (n, terms)
        The columns of the model's terms; NaN: null.
    states : learned.STATE, (instruments,)
        Where the instruments stand; they go on.
    """
    out = Scored(np.empty(ts.size), np.empty(rows.shape), np.empty(ts.size, np.bool_))
    cooldown = model.cooldown_min * alarm.MINUTE
    learned.follow(instrument, ts, rows, terms(model), model.intercept, model.level, model.rearm, cooldown, states, *out)
    return out
