"""The command that learns a model of the learned detector, and judges it on the days that came later."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated

import typer

from tapeflow.commands import DemoOption, LakeOption, Refusal, StartOption, SymbolOption, VenueOption, app, open_lake


@app.command()
def learn(
    last: Annotated[str, typer.Option(metavar="DATE", help="Last UTC date to learn from; later ones judge the model.")],
    event: Annotated[
        str, typer.Option(metavar="RULE", help="What is to be foretold: move:1%/10m, rv:5%/10m or jump:1%/5m.")
    ] = "move:1%/10m",
    horizon: Annotated[str, typer.Option(metavar="SPAN", help="How long before its end an alert may come.")] = "20m",
    false_alarms: Annotated[
        float, typer.Option(metavar="N", min=0.01, max=48, help="False alarms a day and instrument on the days learned from.")
    ] = 2.0,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where the model goes. Default: learned-<version>.json here.")
    ] = None,
    lake: LakeOption = None,
    demo: DemoOption = False,
    symbol: SymbolOption = None,
    venue: VenueOption = None,
    start: StartOption = None,
) -> None:
    """Learn from recorded days which minutes look as they did before an event, and judge that on later days.

    The model is a small file of numbers; kernels.detectors.learned.model in the settings names it. The demo's market is
    generated, so nothing is learned or judged there. How to read the outcome: docs/learned.md.

    Example: tapeflow learn --last 2024-07-20 --event move:1%/10m --horizon 20m
    """
    from pipelines import studies
    from pipelines.research import card, learned, rules

    try:
        until = dt.date.fromisoformat(last)
        rule, horizon_us = rules.foretold(event, horizon)
    except rules.RuleError as error:
        raise Refusal(str(error), status=2) from None
    except ValueError:
        raise Refusal(f"--last {last}: not a date; write it like 2026-11-20", status=2) from None
    features, bars = studies.minutes(open_lake(lake, demo=demo), symbol=symbol, venue=venue, start=start)
    try:
        model = learned.learn(studies.until(features, until), studies.until(bars, until), rule, horizon_us, false_alarms)
    except learned.Unfit as error:
        raise Refusal(f"nothing learned: {error}") from None
    path = out or Path(f"learned-{model.version}.json")
    path.write_text(model.model_dump_json(indent=1) + "\n", encoding="utf-8")
    print(f"{path}: version {model.version}, learned from {model.first} to {model.last}, alerts from {model.level:.3f}")
    try:
        verdict = card.verdict(model, learned.judge(model, features, bars))
    except learned.Unfit as error:
        verdict = f"not judged: {error}; leave it off"
    print(verdict)
