"""The command that scores alerts."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tapeflow import show
from tapeflow.commands import (
    DemoOption,
    EndOption,
    JsonOption,
    LakeOption,
    Refusal,
    StartOption,
    SymbolOption,
    VenueOption,
    app,
    open_lake,
)

if TYPE_CHECKING:
    import polars as pl

    from pipelines.research.scores import Estimate, Scored
    from pipelines.store.lake import Lake

COLUMNS = ("venue", "symbol", "detector", "origin", "days", "precision", "base rate", "recall", "lead s", "false a day")


@app.command()
def score(
    detector: Annotated[str | None, typer.Option(metavar="NAME", help="Like big_trade; by default every detector.")] = None,
    origin: Annotated[Literal["live", "history"] | None, typer.Option(help="By default each by itself.")] = None,
    event: Annotated[
        str, typer.Option(metavar="RULE", help="What was to be foretold: move:1%/10m, rv:5%/10m or jump:1%/5m.")
    ] = "move:1%/10m",
    horizon: Annotated[str, typer.Option(metavar="SPAN", help="How long before it an alert may come.")] = "10m",
    cooldown: Annotated[
        str | None, typer.Option(metavar="SPAN", help="Alerts this soon after another are merged. Default: the horizon.")
    ] = None,
    lake: LakeOption = None,
    demo: DemoOption = False,
    symbol: SymbolOption = None,
    venue: VenueOption = None,
    start: StartOption = None,
    end: EndOption = None,
    store: Annotated[bool, typer.Option("--store", help="Keep the result in table scores.")] = False,
    json: JsonOption = False,
) -> None:
    """Score alerts: how many were followed by an event, how many events they foretold, beside what chance would give.

    Shown with 95 % intervals by block bootstrap over days. An alarm during an event counts as false. A detector is worth
    its alerts only where the low end of precision lies above the base rate: that of random alerts.

    Example: tapeflow score --detector volume_surge --event move:0.5%/10m --horizon 20m
    """
    from rich.console import Console

    from pipelines import studies
    from pipelines.research import bootstrap, rules, score_rows

    try:
        rule, horizon_us = rules.foretold(event, horizon)
        cooldown_us = rules.span_us(cooldown) if cooldown else horizon_us
    except rules.RuleError as error:
        raise Refusal(str(error), status=2) from None
    opened = open_lake(lake, demo=demo)
    alerts = _alerts(opened, detector, origin, {"symbol": symbol, "venue": venue, "start": start, "end": end})
    with Console(stderr=True).status("scoring"):
        found = studies.scored(opened, alerts, rule, horizon_us, cooldown_us, (start, end))
    rows = score_rows.rows(found, rule, horizon_us, cooldown_us, dt.datetime.now(dt.UTC))
    if store:
        studies.keep_scores(opened, rows)
    if json:
        show.as_json(rows.column_names, [tuple(row.values()) for row in rows.to_pylist()])
        return
    spans = f"horizon {rules.span_text(horizon_us)}, alerts within {rules.span_text(cooldown_us)} merged"
    print(f"{rules.name(rule)}, {spans}")
    show.as_table(COLUMNS, [_shown(one) for one in found])
    if any(one.score.precision.low is None or one.score.recall.low is None for one in found):
        print(f"no interval where a figure rests on fewer than {bootstrap.LEAST_DAYS} days; --json gives each reason")


def _alerts(lake: Lake, detector: str | None, origin: str | None, wanted: dict[str, str | None]) -> pl.DataFrame:
    import polars as pl

    frame = lake.table("alerts", symbol=wanted["symbol"], venue=wanted["venue"], start=wanted["start"], end=wanted["end"])
    alerts = frame.select("venue", "symbol", "detector", "version", "origin", "end").collect()
    for column, value in (("detector", detector), ("origin", origin)):
        there = alerts[column].unique().sort().to_list()
        if value is not None and value not in there:
            raise Refusal(f"no alerts of {column} {value!r}" + (f"; there are some of {', '.join(there)}" if there else ""))
        alerts = alerts.filter(pl.col(column) == value) if value is not None else alerts
    if alerts.is_empty():
        raise Refusal("no alerts there; `tapeflow coverage` shows what the lake holds")
    return alerts


def _shown(found: Scored) -> tuple[object, ...]:
    score = found.score
    return (
        found.venue,
        found.symbol,
        found.detector,
        found.origin,
        f"{score.days:.2f}",
        f"{_estimate(score.precision)}, {score.hits} of {score.alerts}",
        None if score.base_rate is None else f"{score.base_rate:.4f}",
        f"{_estimate(score.recall)}, {score.foretold} of {score.events}",
        _estimate(score.lead_s, ".0f"),
        _estimate(score.false_per_day, ".3g"),
    )


def _estimate(figure: Estimate, form: str = ".3f") -> str:
    if figure.value is None:
        return figure.why
    return f"{figure.value:{form}}" + (f" ({figure.low:{form}} to {figure.high:{form}})" if figure.low is not None else "")
