"""What alerts of a detector were worth, as facts: precision beside the base rate, and of how many alerts."""

from __future__ import annotations

from typing import NamedTuple

from pipelines.briefs.fact import Fact, Unit
from pipelines.briefs.notes import Notes, number, said
from pipelines.briefs.queries import MONTH
from pipelines.briefs.reading import moment, text
from pipelines.briefs.sheet import Sentence


class Score(NamedTuple):
    """A detector's newest score at an instrument."""

    detector: str
    precision: Fact
    low: Fact
    base: Fact
    alerts: Fact
    event: Fact
    horizon: Fact

    @property
    def beats_base(self) -> bool:
        """Whether the low end of precision's interval is above the base rate."""
        low, base = number(self.low), number(self.base)
        return low is not None and base is not None and low > base

    @property
    def sentence(self) -> Sentence:
        """The score in words."""
        followed = f"{said(self.precision)} of {said(self.alerts)} alerts were followed by {said(self.event)}"
        return Sentence(f"{self.detector}: {followed} within {said(self.horizon)}, base rate {said(self.base)}")


def score(notes: Notes, detector: str) -> Score | None:
    """Note what alerts of a detector were worth, as scored last within three months; None where they were not."""
    at = notes.about.at
    known = notes.about.where(3 * MONTH, f"detector = {text(detector)} AND as_of <= {moment(at)} AND precision IS NOT NULL")
    order = "origin = 'live', as_of, \"end\", event, version, horizon_s, cooldown_s"
    query = f"SELECT date, {{}} AS value FROM scores_history WHERE {known} ORDER BY {order}"
    if notes.reader.rows(query.format('"end"')).is_empty():
        return None
    names = {
        "precision": ("precision", Unit.SHARE, 1),
        "precision_low": ("low end of precision", Unit.SHARE, 1),
        "base_rate": ("base rate", Unit.SHARE, 1),
        "alerts": ("alerts scored", Unit.COUNT, 0),
        "event": ("event", Unit.WORD, 0),
        "horizon_s": ("horizon", Unit.SECONDS, 0),
    }
    facts = [
        notes.fact(f"{detector}_{column}", f"{label} of {detector}", unit, query.format(column), decimals=places)
        for column, (label, unit, places) in names.items()
    ]
    return Score(detector, *facts)
