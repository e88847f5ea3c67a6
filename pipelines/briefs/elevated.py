"""What is told at once: severe alerts that stand alone or that an alert of another kind bears out, and extreme VPIN.

One measure far out is common: on a thin market the volume of minutes is, several times a day. Two measures of different
kinds at once are rare, and a claim rests on two.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from pipelines.brief_settings import Briefs
from pipelines.briefs.episodes import MINUTE_US, Alert

KINDS: Final = {
    "big_trade": "volume",
    "volume_surge": "volume",
    "rvol_spike": "volume",
    "volatility_jump": "price",
    "cusum_break": "price",
    "new_trend": "posture",
    "trend_reversal": "posture",
    "trend_end": "posture",
    "vpin_high": "flow",
    "book_imbalance": "flow",
    "spread_blowout": "cost",
    "liquidity_drain": "cost",
    "dislocation": "venues",
    "rvol": "volume",
    "reversal": "price",
    "macro": "price",
    "trend": "posture",
    "vpin_regime": "flow",
    "liquidity": "cost",
    "cross_venue": "venues",
}
"""Detectors, and agents, that measure the same thing bear nothing out among themselves. Others are a kind of their own."""
ALONE: Final = ("cascade_proxy", "liquidation_spike", "stale_feed", "pipeline_behind")
"""They hold several measures against their levels by themselves, or say that data is missing."""
POSTURES: Final = ("new_trend", "trend_reversal")
BEARS_OUT: Final = 2
"""Severity from which an alert bears out another."""


def stands_alone(alert: Alert, settings: Briefs) -> bool:
    """Whether an alert is elevated by itself."""
    least = settings.elevated
    severe = alert["severity"] >= least.severity
    return (
        settings.slack.mode == "verbose"
        or is_complete(alert, settings)
        or (severe and (not least.confirm_min or alert["source"] == "rule"))
        or (alert["detector"] == "vpin_high" and alert["score"] >= least.vpin_pct)
        or (least.posture and alert["detector"] in POSTURES)
    )


def is_complete(alert: Alert, settings: Briefs) -> bool:
    """Whether an alert is severe and by a detector that needs no second measure."""
    severe: bool = alert["severity"] >= settings.elevated.severity
    return severe and alert["detector"] in ALONE


def borne_out(alert: Alert, recent: Iterable[Alert], settings: Briefs) -> Alert | None:
    """Return the severest of the `recent` alerts of this instrument that makes the pair elevated; None: there is none."""
    if alert["severity"] < BEARS_OUT:
        return None
    least, end = settings.elevated, alert["end"]
    near = [
        one
        for one in recent
        if one["severity"] >= BEARS_OUT
        and _kind(one) != _kind(alert)
        and abs(one["end"] - end) <= least.confirm_min * MINUTE_US
        and max(one["severity"], alert["severity"]) >= least.severity
    ]
    return max(near, key=lambda one: (one["severity"], one["end"], one["alert_id"]), default=None)


def _kind(alert: Alert) -> str:
    detector: str = alert["detector"]
    return KINDS.get(detector, detector)
