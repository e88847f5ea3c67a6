"""Training of the learned detector. It writes a model and its card beside the shipped one, and replaces nothing."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import dagster as dg
from pydantic import Field

from assets import checks, pictures
from assets.research import NO_LAKE, Clock, nothing, utc
from pipelines import studies
from pipelines.learned_model import Model
from pipelines.research import card, learned, rules
from pipelines.research.scores import Score
from pipelines.settings import Settings
from pipelines.store import upkeep
from pipelines.store.lake import Lake

KEY = dg.AssetKey("learned_model")


class LearnedConfig(dg.Config):
    """What is to be foretold, and from how many of the newest whole UTC dates; the last `judge` of them judge the model."""

    event: str = Field("move:1%/10m", description="move:1%/10m, rv:5%/10m or jump:1%/5m")
    horizon: str = Field("20m", description="how long before an event's end an alert may come")
    false_alarms: float = Field(
        learned.FALSE_PER_DAY, ge=0.01, le=48, description="a day and instrument, on the days learned from"
    )
    days: int = Field(30, ge=2)
    judge: int = Field(10, ge=1)


def learned_asset(settings: Settings, clock: Clock = utc) -> dg.AssetsDefinition:
    """Return the asset of the model."""

    @dg.asset(
        key=KEY,
        group_name="research",
        kinds={"scikitlearn", "polars"},
        owners=["team:tapeflow"],
        deps=[checks.key("features"), checks.key("bars"), "features", "bars"],
        metadata={"dagster/uri": str(settings.data / "models")},
        output_required=False,
    )
    def made(context: dg.AssetExecutionContext, config: LearnedConfig) -> Iterator[dg.MaterializeResult[None]]:
        """A model of the learned detector from the lake's newest days, judged on days after those, with its card.

        A file in `data/models`. The flow goes on with the model that the settings name; the card says how to name this one.
        """
        try:
            rule, horizon_us = rules.foretold(config.event, config.horizon)
        except rules.RuleError as error:
            raise dg.Failure(str(error), allow_retries=False) from None
        if config.judge >= config.days:
            raise dg.Failure("judge: fewer days than days, so that some are left to learn from", allow_retries=False)
        today, lake = clock().date(), Lake(settings.lake_root)
        if not upkeep.tables(lake):
            return nothing(context, KEY, NO_LAKE)
        features, bars = (
            studies.until(frame, today - dt.timedelta(days=1))
            for frame in studies.minutes(lake, start=str(today - dt.timedelta(days=config.days)))
        )
        last = today - dt.timedelta(days=config.judge + 1)
        try:
            model = learned.learn(studies.until(features, last), studies.until(bars, last), rule, horizon_us, config.false_alarms)
        except learned.Unfit as error:
            return nothing(context, KEY, str(error))
        try:
            judged: Score | str = learned.judge(model, features, bars)
        except learned.Unfit as error:
            judged = str(error)
        yield dg.MaterializeResult(metadata=_kept(model, judged, settings))
        return None

    return made


def _kept(model: Model, judged: Score | str, settings: Settings) -> dict[str, Any]:
    """Write the model and its card; return what Dagster is to show."""
    folder = settings.data / "models"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"learned-{model.version}.json"
    text = card.card(model, str(path), judged)
    for target, content in ((path.with_suffix(".md"), text), (path, model.model_dump_json(indent=1) + "\n")):
        draft = target.with_name(target.name + ".new")
        draft.write_text(content, encoding="utf-8")
        draft.replace(target)
    return {
        **_figures(judged),
        "level": round(model.level, 4),
        "instruments": len(model.instruments),
        "days": (model.last - model.first).days + 1,
        "version": str(model.version),
        "file": dg.MetadataValue.path(str(path)),
        "card": dg.MetadataValue.md(text),
        "plot": pictures.markdown(
            pictures.bars(
                "size of each weight (sign behind)",
                [abs(term.weight) for term in model.terms],
                [term.column for term in model.terms],
                [f"{term.weight:+.3f}" for term in model.terms],
            )
        ),
    }


def _figures(judged: Score | str) -> dict[str, Any]:
    if isinstance(judged, str):
        return {"better_than_random": 0, "not_judged": judged}
    figures = {
        "precision": judged.precision.value,
        "precision_low": judged.precision.low,
        "base_rate": judged.base_rate,
        "recall": judged.recall.value,
        "false_a_day": judged.false_per_day.value,
    }
    known = {name: round(value, 4) for name, value in figures.items() if value is not None}
    return {"better_than_random": int(judged.beats_base), **known, "alerts": judged.alerts, "hits": judged.hits}


learn = dg.define_asset_job(
    "learn", dg.AssetSelection.assets(KEY), description="Learn a model of the learned detector; nothing uses it by itself."
)
monthly = dg.ScheduleDefinition(
    name="monthly_learning", job=learn, cron_schedule="30 4 1 * *", default_status=dg.DefaultScheduleStatus.RUNNING
)
