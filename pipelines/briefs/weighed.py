"""Confidence in claims by rule, and what speaks against them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pipelines.briefs.claims import USUAL, Claim, unusual
from pipelines.briefs.levels import Level, Levels, has_band
from pipelines.briefs.notes import number, said
from pipelines.briefs.scored import Score
from pipelines.briefs.sheet import Sentence

DAY_OF_MINUTES: Final = 1440
"""Earlier minutes below which what is usual is not known well."""


def confidence(levels: Levels, word: str, claims: Sequence[Claim], scores: Sequence[Score]) -> tuple[str, Sentence]:
    """Return low, medium or high, and why.

    Low: data that are not current, no claim, or less than a day of earlier minutes. High: besides, the alerts of a
    detector that bears on a claim were followed by moves more often than chance. Medium: all else.
    """
    history = levels.by_name.get("volatility")
    if word != "current":
        return "low", Sentence(f"data {word}")
    if not claims:
        return "low", Sentence("no claim has a second number that agrees")
    if not history:
        return "low", Sentence("volatility is not known")
    known = f"data current, {said(history.n)} earlier minutes"
    if (number(history.n) or 0) < DAY_OF_MINUTES:
        return "low", Sentence(f"{known}: less than a day of minutes")
    better = [score for score in scores if score.beats_base]
    if better:
        best = better[0]
        return "high", Sentence(
            f"{known}; precision of {best.detector} is at least {said(best.low)}, base rate {said(best.base)}"
        )
    why = "scores do not beat their base rate" if scores else "no scores of the detectors that bear on it"
    return "medium", Sentence(f"{known}; {why}")


def counter(levels: Levels, claims: Sequence[Claim]) -> list[Sentence]:
    """Return what points the other way."""
    names = {claim.name for claim in claims}
    found = [
        _in_band(levels) if "one-sided" in names else None,
        _against_price(levels) if names & {"one-sided", "leaning"} else None,
        _quotes_against(levels) if names & {"one-sided", "leaning"} else None,
        _not_high(levels, "rvol") if names & {"volatile", "one-sided", "leaning", "thin"} else None,
        _not_high(levels, "traded") if names & {"volatile", "one-sided", "forced"} else None,
        _not_high(levels, "volatility") if names & {"busy", "one-sided", "leaning"} else None,
        _not_high(levels, "imbalance") if names & {"volatile", "busy", "forced"} else None,
        _not_low(levels, "rvol") if "quiet" in names else None,
        _not_low(levels, "range") if "quiet" in names else None,
    ]
    alone = [] if names - {"usual"} else [_alone(level) for name, level in levels.by_name.items() if unusual(name, level)]
    return [sentence for sentence in found if sentence] + alone


def _in_band(levels: Levels) -> Sentence | None:
    vpin, low, high = levels.by_name["vpin"].now, levels.other["null_low"], levels.other["null_high"]
    value, top = number(vpin), number(high)
    if not has_band(levels):
        return Sentence("buckets of VPIN hold too few trades to tell one-sided flow from independent signs")
    if value is None or top is None or value > top:
        return None
    return Sentence(f"VPIN {said(vpin)} is no higher than with independent signs ({said(low)} to {said(high)})")


def _against_price(levels: Levels) -> Sentence | None:
    hour, imbalance = levels.other["return_hour"], levels.by_name["imbalance"].now
    if (number(hour) or 0.0) * (number(imbalance) or 0.0) >= 0:
        return None
    return Sentence(f"price and flow differ in sign: {said(hour)} over the last hour, trade imbalance {said(imbalance)}")


def _quotes_against(levels: Levels) -> Sentence | None:
    ofi, imbalance = levels.by_name.get("ofi"), levels.by_name["imbalance"].now
    if not ofi or (number(ofi.now) or 0.0) * (number(imbalance) or 0.0) >= 0:
        return None
    return Sentence(f"quotes and trades differ in sign: order flow imbalance {said(ofi.now)}, trade imbalance {said(imbalance)}")


def _not_high(levels: Levels, name: str) -> Sentence | None:
    level = levels.by_name.get(name)
    pct = number(level.pct) if level else None
    if level is None or pct is None or pct >= USUAL:
        return None
    return Sentence(f"{level.now.label} is not high: {said(level.now)} at {said(level.pct)}")


def _not_low(levels: Levels, name: str) -> Sentence | None:
    level = levels.by_name.get(name)
    pct = number(level.pct) if level else None
    if level is None or pct is None or pct <= USUAL:
        return None
    return Sentence(f"{level.now.label} is not low: {said(level.now)} at {said(level.pct)}")


def _alone(level: Level) -> Sentence:
    return Sentence(f"{level.now.label} stands out alone at {said(level.pct)}: no second number agrees")
