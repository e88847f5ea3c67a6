"""Alerts: what detectors found, as rows that name themselves by what they are about."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
from pydantic import BaseModel

from pipelines.detector_settings import Held
from pipelines.kernels import alarm
from pipelines.market import DAY_US, TABLES, Instrument
from pipelines.rows import date, table, time

VERSIONS = {
    "big_trade": 2,
    "volume_surge": 2,
    "vpin_high": 2,
    "liquidation_spike": 2,
    "cascade_proxy": 2,
    "spread_blowout": 2,
    "book_imbalance": 2,
    "stale_feed": 1,
    "pipeline_behind": 1,
    "dislocation": 2,
    "rvol_spike": 1,
    "volatility_jump": 1,
    "liquidity_drain": 1,
    "cusum_break": 1,
    "new_trend": 1,
    "trend_reversal": 1,
    "trend_end": 1,
    "learned": 1,
}
SEVERE = (1.0, 1.5, 2.0)
"""Multiples of the threshold from which the severity is 1, 2, 3."""


class Alert(NamedTuple):
    """A row of table `alerts` before it is written; times in us."""

    alert_id: str
    instrument: Instrument
    ts: int
    end: int
    detector: str
    severity: int
    score: float
    threshold: float
    label: str
    details: str
    source: str = "detector"
    version: int = 0
    """0: that of the detector in `VERSIONS`."""


class Quiet:
    """Which alerts are told: of a detector at an instrument none within its cooldown of the last; each UTC date begins anew."""

    def __init__(self) -> None:
        self.last: dict[tuple[str, str, str], int] = {}

    def told(self, found: list[Alert], cooldown: Mapping[str, int]) -> list[Alert]:
        """Return those of `found`, in order of time per instrument, that are told; `cooldown` by detector, s."""
        return [alert for alert in found if self._tells(alert, cooldown.get(alert.detector, 0) * 1_000_000)]

    def _tells(self, alert: Alert, cooldown: int) -> bool:
        who = alert.detector, alert.instrument.venue, alert.instrument.symbol
        last = self.last.get(who)
        if cooldown and last is not None and last // DAY_US == alert.ts // DAY_US and alert.ts - last < cooldown:
            return False
        self.last[who] = alert.ts
        return True


class Measure(NamedTuple):
    """What was measured: the score, what it was held against, one line for a person, and the figures behind it."""

    score: float
    threshold: float
    label: str
    figures: dict[str, Any]


def wanted(of: Held, least: float, rearm: float, dates: int = alarm.DATES) -> alarm.Wanted:
    """Return how a score alerts, as kernels take it."""
    return alarm.Wanted(float(least), of.false_alarms_per_day, float(rearm), of.cooldown_s * 1_000_000, dates)


def found(detector: str, settings: BaseModel, instrument: Instrument, when: tuple[int, int, str], measure: Measure) -> Alert:
    """Return an alert; `when` is its `ts` and `end` (us) and the text that says what it is about."""
    ts, end, about = when
    return Alert(
        alert_id(detector, settings.model_dump_json().encode(), instrument, about),
        instrument,
        ts,
        end,
        detector,
        severity(measure.score, measure.threshold),
        measure.score,
        measure.threshold,
        measure.label,
        details(**measure.figures),
    )


def alert_id(detector: str, settings: bytes, instrument: Instrument, about: str) -> str:
    """Return the hash of what an alert is about: never of a value, so that a repaired tape keeps it."""
    parts = ("detector", detector, str(VERSIONS[detector]), settings.decode(), instrument.venue, instrument.symbol, about)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def severity(score: float, threshold: float) -> int:
    """Return 1, 2 or 3: notice, warning, severe."""
    return sum(score >= threshold * times for times in SEVERE)


def details(**figures: Any) -> str:
    """Return the figures behind an alert as JSON."""
    return msgspec.json.encode(figures).decode()


def rows(found: list[Alert], origin: str) -> pa.Table:
    """Return alerts as rows of table `alerts`."""
    if not found:
        return TABLES["alerts"].lake_schema.empty_table()
    ts = np.array([a.ts for a in found], np.int64)
    return table(
        "alerts",
        {
            "date": date(ts),
            "venue": [a.instrument.venue for a in found],
            "alert_id": [a.alert_id for a in found],
            "symbol": [a.instrument.symbol for a in found],
            "ts": time(ts),
            "end": time(np.array([a.end for a in found], np.int64)),
            "source": [a.source for a in found],
            "detector": [a.detector for a in found],
            "version": [a.version or VERSIONS[a.detector] for a in found],
            "severity": [a.severity for a in found],
            "score": [a.score for a in found],
            "threshold": [a.threshold for a in found],
            "label": [a.label for a in found],
            "details": [a.details for a in found],
            "origin": [origin] * len(found),
        },
    )
