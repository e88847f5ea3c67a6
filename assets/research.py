"""Research over the lake, made again by the clock: pairs every hour and every day, scores of alerts every week."""

import datetime as dt
from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Any, NamedTuple

import dagster as dg
import polars as pl
from pydantic import Field

from assets import checks, pictures
from assets.compaction import SHOWN, table
from assets.live import column_schema
from pipelines import studies
from pipelines.market import TABLES
from pipelines.research import rules, score_rows
from pipelines.research.scores import Score, Scored
from pipelines.settings import Settings
from pipelines.store import upkeep
from pipelines.store.lake import Lake

Shown = dict[str, Any]
Clock = Callable[[], dt.datetime]
SIGNIFICANT = 0.05
"""p-values corrected for the number of pairs are counted below this."""
DRAWN = 10


class Period(NamedTuple):
    """What pairs are measured over: bars of one width, over `reach` up to the last end of a `whole`; when, as cron says."""

    name: str
    interval: str
    reach: dt.timedelta
    whole: dt.timedelta
    cron: str
    told: str
    caution: str


WINDOW = 60
HOURLY = Period(
    "hourly",
    "1m",
    dt.timedelta(days=1),
    dt.timedelta(hours=1),
    "12 * * * *",
    "the last 24 whole hours",
    "Tests of cointegration say nothing over one day: read the daily ones",
)
DAILY = Period(
    "daily",
    "15m",
    dt.timedelta(days=30),
    dt.timedelta(days=1),
    "50 0 * * *",
    "the last 30 whole UTC dates",
    "A small p over a month is no promise for the next",
)
SCORES = dg.AssetKey("scores")
NO_LAKE = "no lake yet: `tapeflow up` makes it"


class ScoresConfig(dg.Config):
    """What alerts are held against, over how many of the newest whole UTC dates."""

    event: str = Field("move:1%/10m", description="move:1%/10m, rv:5%/10m or jump:1%/5m")
    horizon: str = Field("10m", description="how long before an event an alert may come; alerts as close are merged")
    days: int = Field(28, ge=1)


def key(period: Period) -> dg.AssetKey:
    """Return the key of the pairs of a period."""
    return dg.AssetKey(["pairs", period.name])


def utc() -> dt.datetime:
    """Return the time."""
    return dt.datetime.now(dt.UTC)


def research_assets(settings: Settings, clock: Clock = utc) -> list[dg.AssetsDefinition]:
    """Return the assets of pairs and scores."""
    return [_pairs(settings, HOURLY, clock), _pairs(settings, DAILY, clock), _scores(settings, clock)]


def nothing(context: dg.AssetExecutionContext, asset: dg.AssetKey, why: str) -> None:
    """Note that there is nothing to make yet, and why: a young lake is no failure, and nothing made is nothing materialized."""
    context.log.warning("nothing made: %s", why)
    context.log_event(dg.AssetObservation(asset, description=why, metadata={"made": 0, "why": why}))


def _pairs(settings: Settings, period: Period, clock: Clock) -> dg.AssetsDefinition:
    @dg.asset(
        key=key(period),
        group_name="research",
        description=f"Pairs of each venue's {studies.MOST} busiest symbols over {period.told}: {period.interval} bars, windows of"
        f" {WINDOW}. Rows of table `pairs`.\n\nHedge ratios, spread and z, correlation, tests of cointegration with p-values"
        f" corrected for the number of pairs. {period.caution}; docs/pairs.md.",
        kinds={"polars", "deltalake"},
        owners=["team:tapeflow"],
        deps=[checks.key("bars"), "bars"],
        metadata=_storage("pairs", settings),
        output_required=False,
    )
    def made(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult[None]]:
        lake = Lake(settings.lake_root)
        if not upkeep.tables(lake):
            return nothing(context, key(period), NO_LAKE)
        end = _floor(clock(), period.whole)
        found = studies.paired(lake, period.interval, WINDOW, end - period.reach, end)
        kept = sum(studies.keep_pairs(lake, frame) for frame in found)
        if not kept:
            return nothing(
                context, key(period), f"no venue has two symbols with enough {period.interval} bars before {end:%F %R} UTC"
            )
        yield dg.MaterializeResult(metadata=pairs_metadata(pl.concat(found), period, end))
        return None

    return made


def pairs_metadata(found: pl.DataFrame, period: Period, end: dt.datetime) -> Shown:
    """Return the headline numbers of pairs, some of them as a table, and a picture of where spreads stand.

    Tests of cointegration over one day are not counted: independent walks with bursts of volatility pass too often.
    """
    far = found.drop_nulls("z").sort(pl.col("z").abs(), descending=True)
    names = [f"{y} / {x}" for y, x in far.select("y", "x").iter_rows()]
    shown = ["venue", "y", "x", "points", "correlation", "beta", "z", "half_life_hours"]
    counted: Shown = {}
    if period is DAILY:
        shown += ["p", "p_fdr"]
        counted = {"tested": int(found["p"].count()), "fdr_below_5_percent": int((found["p_fdr"] < SIGNIFICANT).sum())}
        rows = found.sort("p_fdr", "venue", "y", "x", nulls_last=True).to_dicts()
    else:
        rows = far.to_dicts()
    return {
        "pairs": found.height,
        **counted,
        "widest_z": _rounded(far["z"].abs().max()),
        "median_correlation": _rounded(found["correlation"].median()),
        "end": dg.MetadataValue.timestamp(end),
        **table("shown", [{name: _told(row[name]) for name in shown} for row in rows]),
        "plot": pictures.markdown(
            pictures.bars(
                "how far the spread is from its mean, standard deviations (sign behind)",
                far["z"].abs().head(DRAWN).to_list(),
                far["venue"].head(DRAWN).to_list(),
                [f"{z:+.2f} {name}" for z, name in zip(far["z"], names, strict=True)][:DRAWN],
            )
        ),
    }


def _scores(settings: Settings, clock: Clock) -> dg.AssetsDefinition:
    @dg.asset(
        key=SCORES,
        group_name="research",
        description=TABLES["scores"].doc.replace(" ([definitions](scoring.md))", "")
        + "\n\nBy instrument, detector, version and origin, over the last 28 whole UTC dates unless run config says otherwise. "
        "A detector is worth its alerts where the low end of precision lies above the base rate; docs/scoring.md.",
        kinds={"polars", "deltalake"},
        owners=["team:tapeflow"],
        deps=[checks.key("alerts"), checks.key("bars"), "alerts", "bars"],
        metadata=_storage("scores", settings),
        output_required=False,
    )
    def made(context: dg.AssetExecutionContext, config: ScoresConfig) -> Iterator[dg.MaterializeResult[None]]:
        try:
            rule, horizon_us = rules.foretold(config.event, config.horizon)
        except rules.RuleError as error:
            raise dg.Failure(str(error), allow_retries=False) from None
        lake, now = Lake(settings.lake_root), clock()
        if not upkeep.tables(lake):
            return nothing(context, SCORES, NO_LAKE)
        end = _floor(now, dt.timedelta(days=1))
        during = (end - dt.timedelta(days=config.days), end)
        alerts = lake.table("alerts", start=during[0], end=end)
        asked = alerts.select("venue", "symbol", "detector", "version", "origin", "end").collect()
        if asked.is_empty():
            return nothing(context, SCORES, f"no alerts from {during[0]:%F} on, before {end:%F}")
        found = studies.scored(lake, asked, rule, horizon_us, horizon_us, during)
        studies.keep_scores(lake, score_rows.rows(found, rule, horizon_us, horizon_us, now))
        yield dg.MaterializeResult(metadata=scores_metadata(found))
        return None

    return made


def scores_metadata(found: list[Scored]) -> Shown:
    """Return the headline numbers of scores, the busiest as a table, and precision by detector as a picture."""
    busy = sorted(found, key=lambda one: (-one.score.alerts, one[:5]))[:SHOWN]
    by_detector = {
        name: [one.score for one in group]
        for name, group in groupby(sorted(found, key=lambda one: one.detector), lambda one: one.detector)
    }
    counts = {name: (sum(s.hits for s in of), sum(s.alerts for s in of)) for name, of in by_detector.items()}
    rows = [
        {
            **{name: getattr(one, name) for name in ("venue", "symbol", "detector", "origin")},
            "alerts": one.score.alerts,
            "hits": one.score.hits,
            "precision": _told(one.score.precision.value),
            "low": _told(one.score.precision.low),
            "base_rate": _told(one.score.base_rate),
            "recall": _told(one.score.recall.value),
            "false_a_day": _told(one.score.false_per_day.value),
        }
        for one in busy
    ]
    return {
        "scores": len(found),
        "better_than_random": sum(one.score.beats_base for one in found),
        "alerts": sum(alerts for _, alerts in counts.values()),
        "hits": sum(hits for hits, _ in counts.values()),
        "detectors": len(counts),
        **table("busiest", rows),
        "plot": pictures.markdown(
            pictures.bars(
                "share of alerts that an event followed, by detector",
                [hits / alerts if alerts else 0.0 for hits, alerts in counts.values()],
                list(counts),
                [_counted(*counts[name], of) for name, of in by_detector.items()],
            )
        ),
    }


def _counted(hits: int, alerts: int, of: list[Score]) -> str:
    """Return how many alerts were right, and how many random ones at such times would have been."""
    if not alerts:
        return "no alert can be judged"
    chance = sum(one.base_rate * one.alerts for one in of if one.base_rate is not None)
    return f"{hits / alerts:.1%}: {hits:,} of {alerts:,}; random ones {chance / alerts:.1%}"


def _storage(name: str, settings: Settings) -> Shown:
    return {
        "dagster/column_schema": column_schema(TABLES[name]),
        "dagster/table_name": name,
        "dagster/uri": f"{settings.lake_root}/{name}",
    }


def _floor(now: dt.datetime, width: dt.timedelta) -> dt.datetime:
    since = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    return now - (now - since) % width


def _rounded(value: Any) -> float:
    return round(float(value), 4) if value is not None else 0.0


def _told(value: Any) -> Any:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else value


_JOBS = {
    period: dg.define_asset_job(
        f"pairs_{period.name}", dg.AssetSelection.assets(key(period)), description=f"Measure pairs over {period.interval} bars."
    )
    for period in (HOURLY, DAILY)
}
scores = dg.define_asset_job(
    "score_alerts",
    dg.AssetSelection.assets(SCORES),
    description="Score alerts of the last weeks. Run config says which event they were to foretell.",
)
jobs = [*_JOBS.values(), scores]
schedules = [
    *(
        dg.ScheduleDefinition(
            name=f"{period.name}_pairs", job=job, cron_schedule=period.cron, default_status=dg.DefaultScheduleStatus.RUNNING
        )
        for period, job in _JOBS.items()
    ),
    dg.ScheduleDefinition(
        name="weekly_scores", job=scores, cron_schedule="30 3 * * 1", default_status=dg.DefaultScheduleStatus.RUNNING
    ),
]
