"""The card of a model of the learned detector, as Markdown: what it was learned from, what it is worth, how it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipelines.learned_model import Model
    from pipelines.research.scores import Estimate, Score

_SHOWN = 20
"""Instruments that are named."""


def verdict(model: Model, score: Score) -> str:
    """Return in a line what a model was worth on the dates after its own."""
    precision = score.precision
    if precision.value is None or score.base_rate is None or precision.low is None:
        reason = precision.why or "too few days"
        return (
            f"after {model.last}: {score.hits} of {score.alerts} alerts right in {score.days:.1f} days; not measured ({reason})"
        )
    told = f"{precision.value:.3f} ({precision.low:.3f} to {precision.high:.3f}), {score.hits} of {score.alerts}"
    found = "better than random alerts" if score.beats_base else "not shown to be better than random alerts; leave it off"
    return f"after {model.last}: precision {told}; base rate {score.base_rate:.3f}, {score.days:.1f} days: {found}"


def card(model: Model, file: str, judged: Score | str) -> str:
    """Return the card; `judged` is the score on later dates, or why there is none."""
    named = ", ".join(model.instruments[:_SHOWN])
    more = f" and {len(model.instruments) - _SHOWN} more" if len(model.instruments) > _SHOWN else ""
    terms = [f"| {t.column} | {t.weight:+.3f} | {t.center:.3f} | {t.scale:.3f} | {t.floor:.3g} |" for t in model.terms]
    return "\n".join(
        [
            f"# Learned detector {model.version}",
            "",
            f"Foretells {model.event} within {model.horizon}. Learned from {model.first} to {model.last}: {named}{more}.",
            "",
            *_worth(model, judged),
            "",
            (
                f"It alerts from a probability of {model.level:.3f}, again once below {model.rearm} of that and after"
                f" {model.cooldown_min} minutes. Intercept {model.intercept:+.3f}; features of version {model.features}."
            ),
            "",
            "| ln of the size of | weight | center | scale | floor |",
            "|---|--:|--:|--:|--:|",
            *terms,
            "",
            "Nothing uses it by itself. To use it, name its file in the settings and restart:",
            "",
            "```yaml",
            f"kernels: {{detectors: {{learned: {{model: {file}}}}}}}",
            "```",
            "",
            (
                "Much of what such a model knows is that volatility stays high once it is; it says nothing of a move's side, nor"
                " of markets and times unlike those above (docs/learned.md)."
            ),
            "",
        ]
    )


def _worth(model: Model, judged: Score | str) -> list[str]:
    if isinstance(judged, str):
        return [f"**Not judged**: {judged}. Leave it off."]
    return [
        f"**Judged** {verdict(model, judged)}.",
        "",
        "| precision | base rate | recall | median lead, s | false a day | alerts | right | events |",
        "|--:|--:|--:|--:|--:|--:|--:|--:|",
        (
            f"| {_figure(judged.precision)} | {'' if judged.base_rate is None else f'{judged.base_rate:.3f}'}"
            f" | {_figure(judged.recall)} | {_figure(judged.lead_s)} | {_figure(judged.false_per_day)}"
            f" | {judged.alerts} | {judged.hits} | {judged.events} |"
        ),
    ]


def _figure(of: Estimate) -> str:
    if of.value is None:
        return of.why
    return f"{of.value:.3g}" + (f" ({of.low:.3g} to {of.high:.3g})" if of.low is not None else "")
