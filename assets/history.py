"""Finished days as assets: `trades` and the five tables of signals made of it, by date and venue, in one pass that seals them."""

from collections.abc import Iterator

import dagster as dg
from pydantic import Field

from assets import day_checks, figures, home
from assets.finishing import RECORDED, Ask, House, Outcome, Seals, Watch, finish_all, house, retry, seals_of
from assets.live import column_schema
from assets.partitions import DAYS, day_of, key_of
from pipelines.history.day import Day
from pipelines.history.seal import Sealed
from pipelines.market import TABLES
from pipelines.settings import Settings

SIGNALS = {
    "bars": ("trades",),
    "vpin": ("trades",),
    "features": ("trades", "bars"),
    "posture": ("features",),
    "alerts": ("trades", "bars", "vpin", "features", "posture"),
}
"""The tables of signals, and what each is made of."""
SEALED = ("trades", *SIGNALS)
RUN_DAYS = 31
"""Days of a venue that one run of a backfill takes at most."""
ARCHIVE = dg.AssetKey(["archive", "files"])
HISTORY = dg.AssetSelection.assets(*SEALED)
POOL = "lake_writer"
Event = dg.AssetMaterialization | dg.AssetCheckEvaluation


class HistoryConfig(dg.Config):
    """Which symbols, and from where."""

    symbols: list[str] = Field(default=[], description="None: those that were recorded that day, else those of the settings.")
    archive: bool = Field(default=False, description="Take the day whole from the venue's archive, even where it was recorded.")
    repair: bool = Field(
        default=False, description="Add what the archive has and the lake lacks, and close the holes of the ledger."
    )
    force: bool = Field(default=False, description="Do it though the day is complete, or not over for the flow.")


ARCHIVES = dg.AssetSpec(
    ARCHIVE,
    partitions_def=DAYS,
    group_name="archive",
    kinds={"csv"},
    owners=["team:tapeflow"],
    description="Files of trades by day or month that Binance, Bybit and OKX publish, or that lie in a local folder in the same "
    "layout. Fetched files are kept under `<data>/archive` with their checksums.",
)
"""Where days come from that were not recorded."""


def history_assets(settings: Settings) -> dg.AssetsDefinition:
    """Return the assets of finished days, in the lake of the settings."""

    @dg.multi_asset(
        name="history",
        specs=[_spec(name, f"{settings.lake_root}/{name}") for name in SEALED],
        check_specs=[*day_checks.specs(SEALED)],
        partitions_def=DAYS,
        backfill_policy=dg.BackfillPolicy.multi_run(RUN_DAYS),
        can_subset=True,
        pool=POOL,
    )
    def history(context: dg.AssetExecutionContext, config: HistoryConfig) -> Iterator[Event]:
        """Finish days in order: each is recorded at once, one that fails stops no other, and those that failed are named last."""
        ask = Ask(tuple(config.symbols), archive=config.archive, repair=config.repair, force=config.force)
        days = [day_of(key) for key in context.partition_keys]
        outcomes, at = [], house(settings)
        known = context.instance.get_materialized_partitions(dg.AssetKey("trades"))
        for outcome in finish_all(at, days, ask, _tell(context)):
            outcomes.append(outcome)
            context.log.info("%s: %s %s", outcome.day, outcome.status, outcome.error)
            if outcome.status == "failed":
                yield from (answer for name in SEALED for answer in day_checks.unfinished(outcome.day, name, outcome.error))
            elif outcome.sealed or ask.force or key_of(outcome.day) not in known:
                yield from events_of(at, outcome.day, outcome.sealed, seals_of(at.lake, outcome.day))
        if failed := [o for o in outcomes if o.status == "failed"]:
            raise _failure(failed, len(outcomes), ask)

    return history


def _spec(name: str, uri: str) -> dg.AssetSpec:
    table = TABLES[name]
    return dg.AssetSpec(
        name,
        deps=SIGNALS.get(name, (dg.AssetKey(["live", "trades"]), ARCHIVE)),
        skippable=True,  # each day reports itself, when it is done
        group_name="history",
        description=f"{table.doc}\n\nFinished days: final rows, rebuilt from the day's tape in one pass of the kernels, "
        f"unique by `{', '.join(table.key)}`. Symbols are run config.",
        kinds={"numba", "deltalake", "parquet"},
        owners=["team:tapeflow"],
        metadata={
            "dagster/column_schema": column_schema(table),
            "dagster/table_name": table.name,
            "dagster/uri": uri,
            "partitioned_by": "date, venue",
        },
    )


def _tell(context: dg.AssetExecutionContext) -> Watch:
    """Return what logs each step once: every line that is logged is kept in Dagster's database."""
    told: set[tuple[Day, str]] = set()

    def tell(day: Day, text: str) -> None:
        step = day, text.partition(",")[0]
        if step not in told:
            told.add(step)
            context.log.debug("%s: %s", *step)

    return tell


def events_of(at: House, day: Day, sealed: tuple[Sealed, ...], seals: Seals) -> Iterator[Event]:
    """Yield what Dagster is to know of a finished day: where it came from, a materialization a table, and its checks."""
    if fetched := sorted({str(row["source"]) for row in seals.values()} - {*RECORDED}):
        yield dg.AssetMaterialization(ARCHIVE, partition=key_of(day), metadata={"files": "; ".join(fetched)})
    for name in SEALED:
        yield materialization(at, day, name, sealed)
        yield from day_checks.evaluations(at.lake, day, name, seals)


def materialization(at: House, day: Day, name: str, sealed: tuple[Sealed, ...]) -> dg.AssetMaterialization:
    """Return the event of one table of a finished day; `sealed` is empty where it was complete before."""
    told = figures.metadata(at.lake, day, name)
    if sealed:
        told["bytes"] = sum(one.tables[name].bytes for one in sealed if name in one.tables)
        told["seconds"] = round(sum(sum(one.seconds.values()) for one in sealed), 3)
    return dg.AssetMaterialization(name, partition=key_of(day), description=None if sealed else "complete before", metadata=told)


def _failure(failed: list[Outcome], count: int, ask: Ask) -> dg.Failure:
    again = [command + home.option() for command in retry(failed, ask)]
    reasons: dict[str, list[str]] = {}
    for outcome in failed:
        reasons.setdefault(outcome.error, []).append(str(outcome.day))
    bad = "; ".join(f"{', '.join(days)}: {reason}" for reason, days in reasons.items())
    others = " The others are done." if count > len(failed) else ""
    return dg.Failure(
        f"{len(failed)} of {count} days failed: {bad}.{others} Just these again: {'; '.join(again)}",
        metadata={"failed_days": len(failed), "to_try_again": dg.MetadataValue.md("\n".join(["```", *again, "```"]))},
        allow_retries=False,
    )
