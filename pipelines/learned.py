"""The learned detector: rows of table `features` scored one by one with a model that was learned before."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pipelines import alerts, learned_scores
from pipelines.feature_tables import VERSION
from pipelines.kernels import alarm
from pipelines.learned_model import Model
from pipelines.market import Instrument
from pipelines.minute_measures import Measured

NAME = "learned"


class LearnedAlarms:
    """The learned detector over all instruments; plain and picklable. Without a model that fits it finds nothing.

    Attributes
    ----------
    since : int64, (instruments,)
        The last minute (us) that had closed before there was the model: it scores later ones.
    """

    def __init__(self, model: Model | None) -> None:
        self.configure(model, np.zeros(0, np.int64))

    def configure(self, model: Model | None, closed: npt.NDArray[np.int64]) -> None:
        """Take another model, or none, and the last minute that has closed of each instrument; all begin anew."""
        self.settings = model
        self.model = model if model is not None and model.features == VERSION else None
        self.since, self.states = closed.copy(), learned_scores.fresh(closed.size)

    def grow(self, n: int) -> None:
        """Make room for `n` instruments."""
        more = n - self.since.size
        self.since = np.concatenate([self.since, np.zeros(more, np.int64)])
        self.states = np.concatenate([self.states, learned_scores.fresh(more)])

    def feed(self, minutes: Measured, of: Sequence[Instrument]) -> list[alerts.Alert]:
        """Take minutes in order of time per instrument; return the alerts. A row that lacks a figure gives none."""
        model = self.model
        if model is None:
            return []
        early = minutes.ts <= self.since[minutes.instrument]
        minutes = minutes.chosen(~early) if early.any() else minutes
        rows = minutes.columns([term.column for term in model.terms])
        found = learned_scores.score(model, minutes.instrument, minutes.ts, rows, self.states)
        return [
            _alert(model, of[int(minutes.instrument[k])], int(minutes.ts[k]), float(found.scores[k]), found.parts[k].tolist())
            for k in np.flatnonzero(found.told)
        ]


def _alert(model: Model, it: Instrument, ts: int, score: float, parts: list[float]) -> alerts.Alert:
    what = f"{model.event} within {model.horizon}"
    measure = alerts.Measure(
        score,
        model.level,
        f"{it.symbol} looks as it did before large moves ({what}: {score:.0%} on the days it was learned from)",
        {
            "event": model.event,
            "horizon": model.horizon,
            "learned": [model.first.isoformat(), model.last.isoformat()],
            "terms": {term.column: part for term, part in zip(model.terms, parts, strict=True)},
        },
    )
    return alerts.found(NAME, model, it, (ts, ts + alarm.MINUTE, str(ts)), measure)._replace(version=model.version)
