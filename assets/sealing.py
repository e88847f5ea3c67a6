"""What finishes days by itself: sensors that ask for days that are over, stale or repairable, each in one run."""

import datetime as dt
import hashlib
from collections import defaultdict
from collections.abc import Iterable

import dagster as dg
import polars as pl

from assets.archives import has_archive
from assets.finishing import due
from assets.history import HISTORY
from assets.partitions import DAYS, day_of, key_of
from pipelines.history import archive_notes
from pipelines.history.day import Day
from pipelines.history.repair import MISSING
from pipelines.history.stale import finished
from pipelines.settings import Settings
from pipelines.store.lake import Lake, LakeError

TRADES = dg.AssetKey("trades")
AT_ONCE = 31
"""Runs of a venue that one tick asks for."""
REPAIR_DAYS = 14
"""Holes older than this are left to whoever asks for it."""
PUBLISHED = dt.timedelta(hours=10)
"""A day's archive, where the venue has one, is out this long after its end; before that nobody asks for it."""
UNFINISHED = [
    *(dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING),
    *(dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING),
]

finish_days = dg.define_asset_job(
    "finish_days",
    HISTORY,
    description="Finish days of a venue: seal what was recorded, fetch from the archive what was not.",
)


def sensors(settings: Settings) -> list[dg.SensorDefinition]:
    """Return the sensors that ask for `finish_days`."""

    @dg.sensor(name="seal_finished", job=finish_days, minimum_interval_seconds=120, default_status=dg.DefaultSensorStatus.RUNNING)
    def seal_finished(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        """Ask for a run per day that is over and not sealed, or whose seal no longer holds, in order."""
        lake = Lake(settings.lake_root)
        try:
            lake.require()
            wanted = due(lake, None)
        except LakeError as error:
            return dg.SkipReason(str(error))
        return _asked(context.instance, lake, wanted, repair=False)

    @dg.sensor(name="repair_gaps", job=finish_days, minimum_interval_seconds=1800, default_status=dg.DefaultSensorStatus.STOPPED)
    def repair_gaps(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        """Ask for a run per day with holes that may be filled, once a day. It reaches outside: off until it is wanted."""
        lake = Lake(settings.lake_root)
        try:
            lake.require()
        except LakeError as error:
            return dg.SkipReason(str(error))
        return _asked(context.instance, lake, repairable(lake, settings, dt.datetime.now(dt.UTC)), repair=True)

    return [seal_finished, repair_gaps]


def repairable(lake: Lake, settings: Settings, now: dt.datetime) -> list[tuple[Day, str]]:
    """Return the recorded days whose trades have holes that may be filled by `now`, in order, each with how many.

    That is once their archive is out; where a venue has none, REST is asked, and reaches less far back the longer one waits.
    """
    found = lake.table("gaps").filter(
        pl.col("date") >= now.date() - dt.timedelta(days=REPAIR_DAYS),
        pl.col("feed") == "trades",
        pl.col("status").is_in(MISSING),
        pl.col("reason") != archive_notes.REASON,
    )
    counted = found.group_by("date", "venue").agg(pl.len()).collect()
    holes = {Day(date, venue): count for date, venue, count in counted.iter_rows()}
    waits = {day: PUBLISHED if has_archive(settings, day) else dt.timedelta() for day in finished(lake, [*holes])}
    return [(day, f"{holes[day]} holes in its trades") for day in sorted(waits) if (now - waits[day]).date() > day.date]


def _asked(
    instance: dg.DagsterInstance, lake: Lake, wanted: Iterable[tuple[Day, str]], *, repair: bool
) -> dg.SensorResult | dg.SkipReason:
    """Return a request per day; a venue that has runs under way waits for these.

    The key of a request holds what the day is made of, and the date of asking: a day that fails is tried again when
    something has changed, or tomorrow.
    """
    busy = under_way(instance)
    files: dict[Day, list[str]] = defaultdict(list)
    for path, file in lake.live("trades").items():
        files[Day(dt.date.fromisoformat(file.date), file.venue)].append(path)
    asked: dict[str, list[dg.RunRequest]] = {}
    for day, reason in wanted:
        mine = asked.setdefault(day.venue, [])
        if day.venue not in busy and len(mine) < AT_ONCE and DAYS.has_partition_key(key_of(day)):
            mine.append(_request(day, reason, files[day], repair=repair))
    requests = [request for mine in asked.values() for request in mine]
    if not requests:
        return dg.SkipReason(f"under way: {', '.join(sorted(busy & asked.keys()))}" if busy & asked.keys() else "nothing is due")
    return dg.SensorResult(run_requests=requests)


def _request(day: Day, reason: str, files: Iterable[str], *, repair: bool) -> dg.RunRequest:
    told = [reason, str(dt.datetime.now(dt.UTC).date()), *sorted(files)]
    digest = hashlib.sha256("\n".join(told).encode()).hexdigest()[:16]
    config = {"ops": {"history": {"config": {"repair": True}}}} if repair else {}
    return dg.RunRequest(
        run_key=f"{'repair' if repair else 'seal'} {key_of(day)} {digest}",
        partition_key=key_of(day),
        run_config=config,
        tags={"tapeflow/reason": reason},
    )


def under_way(instance: dg.DagsterInstance) -> set[str]:
    """Return the venues of which days are being finished, by a job or from the page of an asset."""
    runs = instance.get_runs(dg.RunsFilter(statuses=UNFINISHED))
    ours = [r for r in runs if r.job_name == finish_days.name or TRADES in (r.asset_selection or ())]
    keys = [run.tags.get("dagster/partition") or run.tags.get("dagster/asset_partition_range_start") for run in ours]
    return {day_of(key).venue for key in keys if key}
