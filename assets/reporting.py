"""A sensor that shows in Dagster the days that were finished without it: by `tapeflow backfill`, `seal` or `load`."""

import dagster as dg
import msgspec
import polars as pl

from assets.finishing import House, seals_of
from assets.history import Event, events_of
from assets.partitions import DAYS, key_of
from assets.sealing import TRADES, under_way
from pipelines.history.day import Day
from pipelines.settings import Settings
from pipelines.store.lake import Lake, LakeError

AT_ONCE = 20
"""Days of one report; each takes a third of a second, and a tick may take a minute."""


class Cursor(msgspec.Struct, frozen=True):
    """Version of table `seals` up to which all finished days are known to Dagster."""

    seals: int = -1


def finished_elsewhere(settings: Settings) -> dg.SensorDefinition:
    """Return the sensor."""

    @dg.sensor(name="finished_elsewhere", minimum_interval_seconds=120, default_status=dg.DefaultSensorStatus.RUNNING)
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        """Report days that were finished from the command line."""
        cursor = msgspec.json.decode(context.cursor, type=Cursor) if context.cursor else Cursor()
        at = House(settings, Lake(settings.lake_root))
        try:
            at.lake.require()
            version = at.lake.latest("seals").version()
        except LakeError as error:
            return dg.SkipReason(str(error))
        if version == cursor.seals:
            return dg.SkipReason("no day has been sealed since")
        if venues := under_way(context.instance):
            return dg.SkipReason(f"under way: {', '.join(sorted(venues))}")
        unknown = unreported(at.lake, context.instance)
        events: list[Event] = [event for day in unknown[:AT_ONCE] for event in events_of(at, day, (), seals_of(at.lake, day))]
        reached = cursor if unknown[AT_ONCE:] else Cursor(version)
        return dg.SensorResult(asset_events=events, cursor=msgspec.json.encode(reached).decode())

    return sensor


def unreported(lake: Lake, instance: dg.DagsterInstance) -> list[Day]:
    """Return the finished days that Dagster does not know of, in order."""
    sealed = lake.table("seals").select(pl.col("ts").dt.date(), "venue").unique().collect()
    known = instance.get_materialized_partitions(TRADES)
    days = sorted(Day(date, venue) for date, venue in sealed.iter_rows())
    return [day for day in days if key_of(day) not in known and DAYS.has_partition_key(key_of(day))]
