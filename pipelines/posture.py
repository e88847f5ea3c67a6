"""Rows of table `posture`, and the alerts that its changes are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines import alerts
from pipelines import rows as to_rows
from pipelines.detector_settings import Posture
from pipelines.kernels import alarm, posture, trend
from pipelines.market import Instrument

STATES: Final = {0: "flat", 1: "long", -1: "short"}
ACTIONS: Final = {posture.HOLD: "hold", posture.ENTER: "enter", posture.REVERSE: "enter", posture.EXIT: "exit"}
DETECTORS: Final = {posture.ENTER: "new_trend", posture.REVERSE: "trend_reversal", posture.EXIT: "trend_end"}
_STATES: Final = [STATES[state] for state in (-1, 0, 1)]
_ACTIONS: Final = [ACTIONS[action] for action in sorted(ACTIONS)]
_TOLD: Final = ("instrument", "ts", "total", "total_quotes", "state", "since", "action", "agreement")


def logit(p: float) -> float:
    """Return the sum of terms at which p_up is `p`."""
    return math.log(p / (1.0 - p))


def table(found: npt.NDArray[np.void], of: Sequence[Instrument]) -> pa.Table:
    """Return rows of table `posture`; `found`: `standing.FOUND`."""
    by_name = {name: np.ascontiguousarray(found[name]) for name in _TOLD}
    at, ts = by_name["instrument"], by_name["ts"]
    columns = {
        "date": to_rows.date(ts),
        "venue": to_rows.words([x.venue for x in of], at),
        "symbol": to_rows.words([x.symbol for x in of], at),
        "ts": to_rows.time(ts),
        "end": to_rows.time(ts + alarm.MINUTE),
        "p_up": to_rows.or_null(trend.p_ups(by_name["total"])),
        "p_up_quotes": to_rows.or_null(trend.p_ups(by_name["total_quotes"])),
        "entry": pa.array(trend.p_ups(np.ascontiguousarray(found["levels"][:, -1]))),
        "state": to_rows.words(_STATES, by_name["state"] + 1),
        "since": to_rows.time(by_name["since"]),
        "action": to_rows.words(_ACTIONS, by_name["action"]),
        "confidence": to_rows.or_null(by_name["agreement"]),
    }
    for name, terms in zip((*trend.TERMS, *trend.QUOTE_TERMS), np.ascontiguousarray(found["terms"].T), strict=True):
        columns[f"term_{name}"] = to_rows.or_null(terms)
    return to_rows.table("posture", columns)


def change(settings: Posture, it: Instrument, found: np.void) -> alerts.Alert:
    """Return the alert of a minute in which the posture changed; `found`: a `standing.FOUND`."""
    ts, entry = int(found["ts"]), float(found["levels"][-1])
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
