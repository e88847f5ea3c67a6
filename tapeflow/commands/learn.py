"""The command that learns a model of the learned detector, and judges it on the days that came later."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tapeflow.commands import DemoOption, LakeOption, Refusal, StartOption, SymbolOption, VenueOption, app, open_lake

if TYPE_CHECKING:
    import polars as pl

    from pipelines.learned_model import Model
    from pipelines.research.scores import Score
    from pipelines.store.lake import Lake


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
    from pipelines.research import learned, rules

    try:
        until = dt.date.fromisoformat(last)
        rule, horizon_us = rules.foretold(event, horizon)
    except rules.RuleError as error:
        raise Refusal(str(error), status=2) from None
    except ValueError:
        raise Refusal(f"--last {last}: not a date; write it like 2026-11-20", status=2) from None
    features, bars = _minutes(open_lake(lake, demo=demo), symbol, venue, start)
    try:
        model = learned.learn(_until(features, until), _until(bars, until), rule, horizon_us, false_alarms)
    except learned.Unfit as error:
        raise Refusal(f"nothing learned: {error}") from None
    path = out or Path(f"learned-{model.version}.json")
    path.write_text(model.model_dump_json(indent=1) + "\n", encoding="utf-8")
    print(f"{path}: version {model.version}, learned from {model.first} to {model.last}, alerts from {model.level:.3f}")
    try:
        verdict = _judged(model, learned.judge(model, features, bars))
    except learned.Unfit as error:
        verdict = f"not judged: {error}; leave it off"
    print(verdict)


def _minutes(lake: Lake, symbol: str | None, venue: str | None, start: str | None) -> tuple[pl.DataFrame, pl.DataFrame]:
    from pipelines.research.learned import COLUMNS

    row = ("venue", "symbol", "ts", "end")
    features = lake.table("features", symbol=symbol, venue=venue, start=start).select(*row, *COLUMNS)
    bars = lake.table("bars", symbol=symbol, venue=venue, start=start, bar="1m").select(*row, "close", "quality")
    return features.collect(), bars.collect()


def _until(frame: pl.DataFrame, last: dt.date) -> pl.DataFrame:
    import polars as pl

    return frame.filter(pl.col("ts").dt.date() <= last)


def _judged(model: Model, score: Score) -> str:
    precision = score.precision
    if precision.value is None or score.base_rate is None or precision.low is None:
        reason = precision.why or "too few days"
        return (
            f"after {model.last}: {score.hits} of {score.alerts} alerts right in {score.days:.1f} days; not measured ({reason})"
        )
    told = f"{precision.value:.3f} ({precision.low:.3f} to {precision.high:.3f}), {score.hits} of {score.alerts}"
    verdict = "better than random alerts" if score.beats_base else "not shown to be better than random alerts; leave it off"
    return f"after {model.last}: precision {told}; base rate {score.base_rate:.3f}, {score.days:.1f} days: {verdict}"
