"""Rows of table `posture`, and the alerts that its changes are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines import alerts
from pipelines import rows as to_rows
from pipelines.detector_settings import Posture
from pipelines.kernels import alarm, posture, trend
from pipelines.market import Instrument
from pipelines.tape import joined

STATES: Final = {0: "flat", 1: "long", -1: "short"}
ACTIONS: Final = {posture.HOLD: "hold", posture.ENTER: "enter", posture.REVERSE: "enter", posture.EXIT: "exit"}
DETECTORS: Final = {posture.ENTER: "new_trend", posture.REVERSE: "trend_reversal", posture.EXIT: "trend_end"}


class Followed(NamedTuple):
    """Minutes of one instrument (us), what was found in them (`standing.FOUND`), and the level of each score."""

    instrument: int
    ts: npt.NDArray[np.int64]
    found: npt.NDArray[np.void]
    levels: npt.NDArray[np.float64]

    @property
    def entry(self) -> float:
        """The score from which a posture begins."""
        return float(self.levels[-1])


def logit(p: float) -> float:
    """Return the sum of terms at which p_up is `p`."""
    return math.log(p / (1.0 - p))


def table(parts: Sequence[Followed], of: Sequence[Instrument]) -> pa.Table:
    """Return rows of table `posture`."""
    ts = np.concatenate([part.ts for part in parts])
    found = joined([part.found for part in parts])
    sizes = [part.ts.size for part in parts]
    at = np.repeat([part.instrument for part in parts], sizes)
    columns = {
        "date": to_rows.date(ts),
        "venue": to_rows.words([x.venue for x in of], at),
        "symbol": to_rows.words([x.symbol for x in of], at),
        "ts": to_rows.time(ts),
        "end": to_rows.time(ts + alarm.MINUTE),
        "p_up": to_rows.or_null(trend.p_ups(found["total"])),
        "p_up_quotes": to_rows.or_null(trend.p_ups(found["total_quotes"])),
        "entry": pa.array(trend.p_ups(np.repeat([part.entry for part in parts], sizes))),
        "state": [STATES[x] for x in found["state"].tolist()],
        "since": to_rows.time(np.ascontiguousarray(found["since"])),
        "action": [ACTIONS[x] for x in found["action"].tolist()],
        "confidence": to_rows.or_null(np.ascontiguousarray(found["agreement"])),
    }
    for name, terms in zip((*trend.TERMS, *trend.QUOTE_TERMS), found["terms"].T, strict=True):
        columns[f"term_{name}"] = to_rows.or_null(np.ascontiguousarray(terms))
    return to_rows.table("posture", columns)


def change(settings: Posture, it: Instrument, ts: int, found: np.void, entry: float) -> alerts.Alert:
    """Return the alert of a minute in which the posture changed; `entry`: the score from which one begins."""
    action, total, state = int(found["action"]), float(found["total"]), STATES[int(found["state"])]
    what, ends = DETECTORS[action], action == posture.EXIT
    terms = {name: _or_none(x) for name, x in zip(trend.TERMS, found["terms"].tolist(), strict=False)}
    figures = {"p_up": _or_none(trend.p_up(total)), "terms": terms, "state": state, "entry": trend.p_up(entry)}
    words = {"new_trend": f"leans {state}", "trend_reversal": f"turned {state}", "trend_end": "leans to no side any more"}
    shown = "unknown" if math.isnan(total) else f"{trend.p_up(total):.2f}"
    label = f"{it.symbol} {words[what]} (p_up {shown}, {posture.PERSISTENCE} minutes in a row)"
    score = 0.0 if math.isnan(total) else abs(total)
    measure = alerts.Measure(score, logit(settings.exit) if ends else entry, label, figures)
    made = alerts.found(what, settings, it, (ts, ts + alarm.MINUTE, str(ts)), measure)
    return made._replace(severity=1) if ends else made


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
