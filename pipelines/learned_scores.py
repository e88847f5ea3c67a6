"""Rows of features scored by a learned model: the one way for the flow, for learning and for judging."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipelines.kernels import alarm, learned
from pipelines.learned_model import Model

Floats = npt.NDArray[np.float64]


class Scored(NamedTuple):
    """Rows of one instrument: probability, what each term adds to the log odds, and whether the row alerts."""

    scores: Floats
    parts: Floats
    told: npt.NDArray[np.bool_]


def fresh() -> npt.NDArray[np.void]:
    """Return the state of an instrument of which nothing was seen."""
    return np.zeros(1, learned.STATE)


def terms(model: Model) -> npt.NDArray[np.void]:
    """Return the terms as the kernel takes them."""
    return np.array([(t.floor, t.center, t.scale, t.weight) for t in model.terms], learned.TERM)


def score(model: Model, ts: npt.NDArray[np.int64], rows: Floats, state: npt.NDArray[np.void]) -> Scored:
    """Score minutes of one instrument, in order.

    Parameters
    ----------
    model : Model
    ts : int64, (n,)
        Start, us.
    rows : float64, (n, terms)
        The columns of the model's terms; NaN: null.
    state : learned.STATE, (1,)
        Where the instrument stands; it goes on.
    """
    out = Scored(np.empty(ts.size), np.empty(rows.shape), np.empty(ts.size, np.bool_))
    cooldown = model.cooldown_min * alarm.MINUTE
    learned.follow(ts, rows, terms(model), model.intercept, model.level, model.rearm, cooldown, state, *out)
    return out
