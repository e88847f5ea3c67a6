"""The learned detector: rows of table `features` scored one by one with a model that was learned before."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines import alerts, learned_scores
from pipelines.feature_tables import VERSION
from pipelines.kernels import alarm
from pipelines.kernels.bar import Bars
from pipelines.learned_model import Model
from pipelines.market import Instrument

NAME = "learned"


@dataclass
class _Side:
    """An instrument: minutes that wait for their features, features that wait for earlier ones, and where its alarm stands."""

    closed: deque[int] = field(default_factory=deque)
    featured: dict[int, tuple[float, ...]] = field(default_factory=dict)
    state: npt.NDArray[np.void] = field(default_factory=learned_scores.fresh)


class LearnedAlarms:
    """The learned detector over all instruments; plain and picklable. Without a model that fits it finds nothing."""

    def __init__(self, model: Model | None) -> None:
        self.sides: list[_Side] = []
        self.configure(model)

    def configure(self, model: Model | None) -> None:
        """Take another model, or none; every instrument begins anew."""
        self.settings = model
        self.model = model if model is not None and model.features == VERSION else None
        self.sides = [_Side() for _ in self.sides]

    def grow(self, n: int) -> None:
        """Make room for `n` instruments."""
        self.sides += [_Side() for _ in range(n - len(self.sides))]

    def minutes(self, bars: Bars) -> None:
        """Take one-minute bars that closed, in order per instrument."""
        if self.model is not None:
            for i, ts in zip(bars["instrument"].tolist(), bars["ts"].tolist(), strict=True):
                self.sides[i].closed.append(ts)

    def features(self, table: pa.Table, of: Sequence[Instrument]) -> list[alerts.Alert]:
        """Take rows of table `features`, each after its bar; return the alerts. A row that lacks a figure gives none."""
        if self.model is None:
            return []
        places = {(it.venue, it.symbol): i for i, it in enumerate(of)}
        names = zip(table["venue"].to_pylist(), table["symbol"].to_pylist(), strict=True)
        figures = zip(*(table[term.column].to_numpy().tolist() for term in self.model.terms), strict=True)
        touched: dict[int, None] = {}
        for name, ts, row in zip(names, table["ts"].cast(pa.int64()).to_pylist(), figures, strict=True):
            self.sides[places[name]].featured[ts] = row
            touched[places[name]] = None
        return [alert for i in touched for alert in self._follow(self.model, self.sides[i], of[i])]

    def _follow(self, model: Model, side: _Side, it: Instrument) -> list[alerts.Alert]:
        """Score the oldest minutes of which all is known."""
        minutes = []
        while side.closed and side.closed[0] in side.featured:
            minutes.append(side.closed.popleft())
        rows = np.array([side.featured.pop(ts) for ts in minutes]).reshape(-1, len(model.terms))
        if not side.closed:
            side.featured.clear()  # their bars closed before there was a model
        found = learned_scores.score(model, np.array(minutes, np.int64), rows, side.state)
        return [
            _alert(model, it, minutes[k], float(found.scores[k]), found.parts[k].tolist()) for k in np.flatnonzero(found.told)
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
