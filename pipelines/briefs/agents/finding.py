"""What an agent found, and its row in table `alerts`."""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import Any

import msgspec
import pyarrow as pa

from pipelines import alerts
from pipelines.instants import us
from pipelines.market import Instrument

SOURCE = "agent"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent found at an instrument.

    Attributes
    ----------
    agent : str
        Its name, in column `detector`; no detector has the same.
    version : int
        Of its definition.
    venue, symbol : str
    ts, end : datetime
        When what it is about happened, and when that was complete, in event time.
    about : str
        What it is about, like the minute that began it: with agent, version and instrument it makes the id. Never a value.
    severity : int
        1 notice, 2 warning, 3 severe.
    score, threshold : float
        The measure that was tested, and what it was held against.
    label : str
        One line for a person.
    figures : dict
        What is behind it.
    """

    agent: str
    version: int
    venue: str
    symbol: str
    ts: dt.datetime
    end: dt.datetime
    about: str
    severity: int
    score: float
    threshold: float
    label: str
    figures: dict[str, Any]

    @property
    def id(self) -> str:
        """The alert's id: the same however often the agent runs."""
        parts = (SOURCE, self.agent, str(self.version), self.venue, self.symbol, self.about)
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def rows(found: list[Finding]) -> pa.Table:
    """Return findings as rows of table `alerts`."""
    return alerts.rows([_alert(one) for one in found], "live")


def _alert(one: Finding) -> alerts.Alert:
    return alerts.Alert(
        one.id,
        Instrument(one.venue, one.symbol, "", "", ""),
        us(one.ts),
        us(one.end),
        one.agent,
        one.severity,
        one.score,
        one.threshold,
        one.label,
        alerts.details(**one.figures),
        source=SOURCE,
        version=one.version,
    )
