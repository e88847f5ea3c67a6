"""Briefs in Dagster: by the hour, by the day, and of what was told at once."""

import datetime as dt
from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg
from pydantic import Field

from assets import analyst, checks, home, pictures
from assets.analyst import Written
from assets.research import NO_LAKE, Clock, nothing, utc
from pipelines.briefs import words
from pipelines.briefs.fact import Fact, Unit
from pipelines.briefs.sheet import Brief
from pipelines.settings import Settings
from pipelines.store import upkeep
from pipelines.store.lake import Lake

SCHEDULED = ("hourly", "daily")
TOLD = {
    "hourly": "What is known of every watched instrument, against the brief of the hour before",
    "daily": "What is known of every watched instrument, against the brief of the day before",
    "elevated": "What is known of one instrument, written at once when an alert of it was told, as a reply in that thread",
}
USED = ("trades", "bars", "vpin", "features", "posture", "alerts", "quotes", "liquidations", "gaps", "coverage", "seals", "news")
"""Tables that a brief's facts are read from, beside scores and the briefs before."""
PRIORITY = "dagster/priority"
FACTS_SHOWN = 60
DRAWN = 12
SECTION, FACTS = "\n\n## ", "\n\n## Facts\n"
"""What begins a section of a brief's Markdown, and its table of facts, which is left out: events keep it for ever."""


class BriefConfig(dg.Config):
    """Of when, and of whom."""

    at: str = Field("", description="Like 2024-07-19T06:00Z: rows complete by then are used. Default: now")
    instruments: list[str] = Field(default=[], description="Like binance-usdm/BTC-USDT-PERP. None: all that are watched")
    episode: str = Field("", description="Episode whose thread it belongs in")


def key(kind: str) -> dg.AssetKey:
    """Return the key of the briefs of a kind."""
    return dg.AssetKey(["briefs", kind])


def brief_assets(settings: Settings, clock: Clock = utc) -> list[dg.AssetsDefinition]:
    """Return the assets of briefs."""
    return [_asset(settings, kind, clock) for kind in TOLD]


def _asset(settings: Settings, kind: str, clock: Clock) -> dg.AssetsDefinition:
    @dg.asset(
        key=key(kind),
        group_name="briefs",
        description=f"{TOLD[kind]}. Rows of tables `briefs`, `facts` and `falsifiers`.\n\nEvery number is a fact: "
        f"`tapeflow fact F12{home.option()}` runs its query again. "
        "Claims of earlier briefs whose time has come are judged in the same run. "
        "A scheduled brief in which nothing changed is kept and not sent; docs/briefs.md.",
        kinds={"duckdb", "markdown"},
        owners=["team:tapeflow"],
        deps=[*map(checks.key, USED), "scores"],
        metadata={"dagster/table_name": "briefs", "dagster/uri": f"{settings.lake_root}/briefs"},
        output_required=False,
    )
    def made(context: dg.AssetExecutionContext, config: BriefConfig) -> Iterator[dg.MaterializeResult[None]]:
        if not upkeep.tables(Lake(settings.lake_root)):
            return nothing(context, key(kind), NO_LAKE)
        if kind == "elevated" and not config.instruments:
            return nothing(context, key(kind), "no instrument in the run config; the sensor `elevated` gives one")
        at = moment(config.at) if config.at else clock().replace(microsecond=0)
        written = analyst.write(settings, kind, at, [split(one) for one in config.instruments], config.episode or None)
        context.log.info("%s\n%s", written.brief.head, written.brief.thread)
        yield dg.MaterializeResult(metadata=metadata(written))
        return None

    return made


def moment(text: str) -> dt.datetime:
    """Return a time; without a zone it is UTC.

    Raises
    ------
    Failure
        If it is none.
    """
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError:
        raise dg.Failure(f"at: {text!r} is no time; write it like 2024-07-19T06:00Z", allow_retries=False) from None
    return found if found.tzinfo else found.replace(tzinfo=dt.UTC)


def split(instrument: str) -> tuple[str, str]:
    """Return venue and symbol.

    Raises
    ------
    Failure
        If it is not like `binance-usdm/BTC-USDT-PERP`.
    """
    venue, slash, symbol = instrument.partition("/")
    if not slash or not venue or not symbol:
        raise dg.Failure(f"instruments: {instrument!r} is not like binance-usdm/BTC-USDT-PERP", allow_retries=False)
    return venue, symbol


def metadata(written: Written) -> dict[str, Any]:
    """Return what Dagster shows of a brief: its text, its facts, how it was written and what became of it."""
    brief = written.brief
    levels = [fact for fact in brief.facts if fact.unit is Unit.PERCENTILE and isinstance(fact.value, float)]
    drawn = sorted(levels, key=lambda fact: -float(fact.value or 0))[:DRAWN]  # type: ignore[arg-type]  # floats, by the line above
    head, _, thread = brief.markdown.partition(FACTS)[0].partition(SECTION)
    return {
        "first_line": brief.head.partition("\n")[0],
        "head": dg.MetadataValue.md(head),
        "thread": dg.MetadataValue.md(f"{SECTION}{thread}".strip()),
        "sent": written.sent,
        "why_sent_or_not": written.reason,
        "changed": brief.changed,
        "writer": brief.writer,
        **({"why_the_template_wrote": brief.why} if brief.why else {}),
        **({"plot": pictures.markdown(_plot(drawn))} if drawn else {}),
        "facts_count": len(brief.facts),
        "not_available": sum(fact.value is None for fact in brief.facts),
        "falsifiers": len(brief.falsifiers),
        "claims_judged": written.judged,
        "instruments_without_enough_data": written.insufficient,
        **({"episode": brief.episode} if brief.episode else {}),
        "brief": brief.id,
        "digest": brief.digest,
        "at": dg.MetadataValue.timestamp(brief.at),
        "facts": facts_table(brief),
    }


def _plot(drawn: list[Fact]) -> str:
    return pictures.bars(
        "where levels stand among their own past values",
        [float(fact.value) for fact in drawn],  # type: ignore[arg-type]  # only floats are drawn
        [f"{fact.symbol} {fact.label.removeprefix('percentile of ')}" for fact in drawn],
        [words.shown(fact) for fact in drawn],
    )


def facts_table(brief: Brief) -> dg.TableMetadataValue:
    """Return the first facts; all are in table `facts`, with their queries."""
    several = len({(fact.venue, fact.symbol) for fact in brief.facts}) > 1
    rows = [
        dg.TableRecord(
            {
                "fact": fact.id,
                "what": f"{fact.symbol} {fact.label}" if several else fact.label,
                "shown": words.shown(fact),
                "rows": fact.n,
                "sealed": "yes" if fact.sealed else "no",
            }
        )
        for fact in brief.facts[:FACTS_SHOWN]
    ]
    columns = [
        dg.TableColumn(name, "int" if name == "rows" else "string") for name in ("fact", "what", "shown", "rows", "sealed")
    ]
    return dg.MetadataValue.table(rows, dg.TableSchema(columns))


jobs = {
    kind: dg.define_asset_job(
        f"brief_{kind}", dg.AssetSelection.assets(key(kind)), description=f"{TOLD[kind]}.", tags={PRIORITY: "10"}
    )
    for kind in TOLD
}


def schedules(settings: Settings) -> list[dg.ScheduleDefinition]:
    """Return the schedules of briefs, in the settings' time zone."""
    cron = {"hourly": settings.briefs.hourly, "daily": settings.briefs.daily}
    return [
        dg.ScheduleDefinition(
            name=f"{kind}_brief",
            job=jobs[kind],
            cron_schedule=cron[kind],
            execution_timezone=settings.briefs.time_zone,
            run_config_fn=_config(kind),
            default_status=dg.DefaultScheduleStatus.RUNNING,
        )
        for kind in SCHEDULED
    ]


def _config(kind: str) -> Callable[[dg.ScheduleEvaluationContext], dict[str, Any]]:
    def config(context: dg.ScheduleEvaluationContext) -> dict[str, Any]:
        return run_config(kind, context.scheduled_execution_time, (), "")

    return config


def run_config(kind: str, at: dt.datetime, instruments: tuple[str, ...], episode: str) -> dict[str, Any]:
    """Return the run config of a brief."""
    told = {"at": at.astimezone(dt.UTC).isoformat(), "instruments": list(instruments), "episode": episode}
    return {"ops": {key(kind).to_python_identifier(): {"config": told}}}
