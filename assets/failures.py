"""A sensor that tells Slack of failed runs and failed checks, at most once per cause and hour."""

import datetime as dt
import re
import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import dagster as dg
import msgspec
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from assets import slack
from assets.day_checks import UNFINISHED
from assets.slack import Slack
from pipelines.briefs.blocks import escaped

HOUR_S = 3600.0
SHOWN = 300
"""Characters of a cause that are shown."""
SAME = 120
"""Characters in which errors of one cause are alike."""
OVERLAP_S = 60.0
"""Each look goes back behind the last by this: what bears an earlier time may be stored only after it. None is told twice."""
RUNS_AT_ONCE = 50
CHECKS_AT_ONCE = 10


class Notice(NamedTuple):
    """Something that failed: what is told of it at most once an hour, by `cause`."""

    cause: str
    text: str


class Cursor(msgspec.Struct, frozen=True):
    """Up to when failures have been looked at, and when each cause was told last (s since 1970)."""

    since: float
    told: dict[str, float] = {}


def failures(page: str, target: Slack) -> dg.SensorDefinition:
    """Return the sensor; `page` is the URL of Dagster's pages."""

    @dg.sensor(
        name="failures",
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING if target.is_on else dg.DefaultSensorStatus.STOPPED,
    )
    def failures_sensor(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        """Tell Slack of failed runs and checks, at most once per cause and hour."""
        if not target.is_on:
            return dg.SkipReason(slack.OFF)
        now = time.time()
        cursor = msgspec.json.decode(context.cursor, type=Cursor) if context.cursor else Cursor(now - HOUR_S)
        keys = context.repository_def.asset_graph.asset_check_keys if context.repository_def else ()
        since = cursor.since - OVERLAP_S
        found = [*failed_runs(context.instance, since, page), *failed_checks(context.instance, keys, since, page)]
        reached, faults = tell(found, cursor, now, target)
        context.update_cursor(msgspec.json.encode(reached).decode())
        sent = sum(at == now for at in reached.told.values())
        return dg.SkipReason("; ".join([f"{sent} of {len(found)} failures told", *faults]))

    return failures_sensor


def tell(found: Iterable[Notice], cursor: Cursor, now: float, target: Slack) -> tuple[Cursor, list[str]]:
    """Send what was not told within the hour before `now`; return the cursor behind it, and what went wrong.

    What could not be sent is found again by the next tick.
    """
    told = {cause: at for cause, at in cursor.told.items() if now - at < HOUR_S}
    faults: list[str] = []
    for notice in found:
        if notice.cause in told:
            continue
        if fault := target.send(notice.text):
            faults.append(f"not sent: {fault}")
        else:
            told[notice.cause] = now
    return Cursor(cursor.since if faults else now, told), faults


def failed_runs(instance: dg.DagsterInstance, since: float, page: str) -> Iterator[Notice]:
    """Yield the runs that failed after `since`; their cause is the job and the first line of the error."""
    after = dt.datetime.fromtimestamp(since, dt.UTC)
    wanted = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], updated_after=after)
    for run in instance.get_runs(wanted, limit=RUNS_AT_ONCE):
        name = _job(run)
        why = _first_line(instance, run.run_id)
        yield Notice(
            f"{name}: {_cause(why)}", f"*{escaped(name)} failed*: {escaped(why)}\n<{page}/runs/{run.run_id}|run {run.run_id[:8]}>"
        )


def failed_checks(instance: dg.DagsterInstance, keys: Iterable[dg.AssetCheckKey], since: float, page: str) -> Iterator[Notice]:
    """Yield the checks that failed after `since`, each once: its newest failure.

    Records are ordered by when their runs began, and bear that time; the event in them has that of the result.
    """
    failed = {AssetCheckExecutionRecordStatus.FAILED}
    for key in sorted(keys, key=lambda k: k.to_user_string()):
        records = instance.event_log_storage.get_asset_check_execution_history(key, limit=CHECKS_AT_ONCE, status=failed)
        told = [
            (record.event.timestamp, record.run_id, evaluation)
            for record in records
            if record.event and record.event.timestamp > since
            if (evaluation := record.evaluation) and UNFINISHED not in evaluation.metadata
        ]
        if told:
            _, run, evaluation = max(told, key=lambda one: one[0])
            name = f"{key.asset_key.to_user_string()} {key.name}"
            part = f" ({evaluation.partition})" if evaluation.partition else ""
            link = f"{page}/runs/{run}" if run else f"{page}/assets/{'/'.join(key.asset_key.path)}?view=checks"
            text = f"*check {escaped(name)} failed*{part}: {escaped((evaluation.description or '')[:SHOWN])}\n<{link}|look>"
            yield Notice(f"check {name}", text)


def _cause(why: str) -> str:
    """Return what errors of one cause have in common: their beginnings but for numbers, so that each day's is the same."""
    return re.sub(r"\d+", "0", why)[:SAME]


def _job(run: dg.DagsterRun) -> str:
    """Return what a run is called: its job, or the assets where it was launched on these."""
    if not run.job_name.startswith("__"):
        return run.job_name
    return ", ".join(sorted(key.to_user_string() for key in run.asset_selection or ())) or "assets"


def _first_line(instance: dg.DagsterInstance, run_id: str) -> str:
    """Return the first line of the error that ended a run."""
    kinds = {dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.RUN_FAILURE}
    for entry in instance.all_logs(run_id, of_type=kinds):
        event = entry.get_dagster_event()
        data = event.event_specific_data
        error = getattr(data, "error", None)
        while error is not None and error.cause is not None:
            error = error.cause
        message = error.message if error else event.message
        if message:
            return message.strip().splitlines()[0].rpartition("Failure: ")[2][:SHOWN]
    return "no error was told"
