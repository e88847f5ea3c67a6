"""A month of sensors, reports and runs: Dagster's databases stay small, and its page of runs quick."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import TickData, TickStatus
from dagster._utils.schedules import cron_string_iterator

from assets import agents, checks, live, retention, upkeep
from assets.compaction import compaction
from assets.definitions import defs
from assets.home import prepare
from assets.live import REPORT_S, Cursor
from assets.resources import LiveLake
from pipelines.briefs.agents.registry import AGENTS
from pipelines.briefs.agents.running import Standing
from pipelines.market import TABLES
from pipelines.settings import Settings
from pipelines.store.lake import Lake
from tests.assets.month import Home, Reports, Run
from tests.assets.test_history import DAYS, archive, launch, settings
from tests.faults.house import ROOT, wait_for
from tests.pipelines.store.samples import put, rows
from tests.ports import free_ports

__all__ = ["archive", "settings"]

MONTH = 30
LARGEST = 500 * 10**6
SLOWEST_S = 2.0
VENUES = ("binance-usdm", "okx", "coinbase")
EPISODES = 6
"""Briefs a day that nobody scheduled: no more messages than that are sent."""
DAY_S = 86_400

RUNS_PAGE = """
query RunsFeedRootQuery($limit: Int!, $cursor: String, $filter: RunsFilter, $view: RunsFeedView!) {
  runsFeedOrError(limit: $limit, cursor: $cursor, filter: $filter, view: $view) {
    __typename
    ... on RunsFeedConnection {
      cursor
      hasMore
      results {
        __typename id runStatus creationTime startTime endTime tags { key value } jobName
        ... on Run {
          repositoryOrigin { id repositoryLocationName repositoryName }
          assetSelectionPreview: assetSelection(limit: 25) { ... on AssetKey { path } }
          assetSelectionCount
          assetCheckSelectionPreview: assetCheckSelection(limit: 25) { name assetKey { path } }
          assetCheckSelectionCount
          hasReExecutePermission hasTerminatePermission hasDeletePermission canTerminate
          mode status pipelineName pipelineSnapshotId hasConcurrencyKeySlots
        }
      }
    }
  }
}
"""
"""What the page asks for, as its own source has it."""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    root = prepare(Settings(data=tmp_path))
    with dg.DagsterInstance.from_config(str(root)) as instance:
        yield Home(instance, root)


def live_reports(home: Home, folder: Path) -> tuple[Reports, str]:
    """Report every table of the stream; return the sensor's cursor, too."""
    lake = Lake(folder)
    lake.create()
    for name in checks.STREAMED:
        put(lake, TABLES[name], rows(TABLES[name], 20))
    found = live.report(LiveLake(root=str(folder), venues=list(VENUES)), Cursor(), time.time())
    assert isinstance(found, dg.SensorResult)
    events = [event for event in found.asset_events if not isinstance(event, dg.AssetObservation)]
    return home.reports(events), found.cursor or ""


def agent_reports(home: Home, settings: Settings) -> Reports:
    """Report every agent, each with a finding."""
    now = dt.datetime.now(dt.UTC)
    went = [
        (
            agent,
            Standing(name=agent.name, at=now.timestamp(), took_s=0.5, found=1, labels=("BTC-USDT volume 3.2 times its mean",)),
        )
        for agent in AGENTS.values()
    ]
    return home.reports(agents.report(went, {}, now, settings)[0])


def hourly_run(home: Home, folder: Path) -> Run:
    """Run what merges the lake's files and reports what it holds."""
    settings = Settings(data=folder)
    lake = Lake(settings.lake_root)
    lake.create()
    for name in ("trades", "bars", "features"):
        put(lake, TABLES[name], rows(TABLES[name], 20))
    job = dg.Definitions(assets=[compaction(settings), *retention.retention_assets(settings)], jobs=[retention.hourly])
    done = job.resolve_job_def("lake_files").execute_in_process(instance=home.instance)
    assert done.success
    return home.run(done.run_id)


def finished_day(home: Home, settings: Settings) -> Run:
    """Finish a day: six tables with their plots and checks."""
    done = launch(settings, home.instance, DAYS[0], DAYS[0])
    assert done.success
    return home.run(done.run_id)


def tell_as_the_daemon_does(home: Home, run: Run) -> Run:
    """Add what daemon and run worker tell of a run, which one that is executed in process has not."""
    taken = home.instance.get_run_by_id(run.row["run_id"])
    assert taken is not None
    for told in ("enqueued", "dequeued", "starting", "launched", "process started", "process exited", "logs captured"):
        home.instance.report_engine_event(f"{told}: {'x' * 200}", taken)
    return home.run(run.row["run_id"])


def tick(name: str, kind: InstigatorType, status: TickStatus, cursor: str = "") -> TickData:
    """Return a tick as the daemon writes it."""
    known = uuid.uuid5(uuid.NAMESPACE_URL, name).hex
    why = "nothing is due: no day is over that is not sealed" if status is TickStatus.SKIPPED else None
    ids = [known] if status is TickStatus.SUCCESS else []
    return TickData(
        known, name, kind, status, time.time(), ids, ids, skip_reason=why, cursor=cursor, selector_id=known, log_key=[known, name]
    )


def every(day: dt.datetime, seconds: float) -> list[dt.datetime]:
    """Return the times of a day, so many seconds apart."""
    return [day + dt.timedelta(seconds=seconds * n) for n in range(int(DAY_S / seconds))]


def scheduled(schedule: dg.ScheduleDefinition, day: dt.datetime) -> list[dt.datetime]:
    """Return when a schedule runs on a day."""
    assert isinstance(schedule.cron_schedule, str)
    times = cron_string_iterator(day.timestamp(), schedule.cron_schedule, schedule.execution_timezone or "UTC")
    return [at.astimezone(dt.UTC) for at in takewhile(lambda at: at < day + dt.timedelta(days=1), times)]


class Month:
    """What a day of tapeflow writes, every sensor and schedule switched on."""

    def __init__(self, home: Home, folder: Path, settings: Settings) -> None:
        self.home = home
        self.live, cursor = live_reports(home, folder / "lake")
        self.agents = agent_reports(home, settings)
        self.hourly = tell_as_the_daemon_does(home, hourly_run(home, folder / "hourly"))
        self.finished = tell_as_the_daemon_does(home, finished_day(home, settings))
        self.schedules = [one for one in defs.schedules or () if isinstance(one, dg.ScheduleDefinition)]
        self.ticks = [(tick("live_tables", InstigatorType.SENSOR, TickStatus.SUCCESS, cursor), float(REPORT_S))]
        for sensor in defs.sensors or ():
            told = cursor if sensor.name == "live_tables" else ""
            skipped = tick(sensor.name, InstigatorType.SENSOR, TickStatus.SKIPPED, told)
            self.ticks.append((skipped, float(sensor.minimum_interval_seconds or 30)))

    def write(self, day: dt.datetime) -> None:
        """Write a day, then do what is done every night."""
        self.home.report(self.live, every(day, REPORT_S))
        self.home.report(self.agents, every(day, agents.HEARTBEAT_S))
        for data, seconds in self.ticks:
            self.home.tick(data, every(day, seconds))
        for schedule in self.schedules:
            times = scheduled(schedule, day)
            self.home.tick(tick(schedule.name, InstigatorType.SCHEDULE, TickStatus.SUCCESS), times)
            self.home.launch(self.hourly, schedule.job_name, times)
        self.home.launch(self.hourly, "brief_elevated", every(day, DAY_S / EPISODES))
        self.home.launch(self.finished, "finish_days", every(day, DAY_S / len(VENUES)))

    def tidy(self, now: dt.datetime) -> None:
        """Do what the daemon and the nightly job do."""
        for data, _ in self.ticks:
            self.home.purge(data, now)
        assert upkeep.tidy(self.home.instance, now).busy == []


@contextmanager
def webserver(home: Home) -> Iterator[str]:
    """Serve the pages; yield the address of their queries."""
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "dagster_webserver", "-h", "127.0.0.1", "-p", str(port), "-m", "assets.definitions"]
    data = home.root.parent
    env = os.environ | {"DAGSTER_HOME": str(home.root), "TAPEFLOW_DATA": str(data), "TAPEFLOW_CONFIG": os.devnull}
    with (data / "webserver.log").open("wb") as log:
        process = subprocess.Popen(command, env=env, cwd=ROOT, stdout=log, stderr=log)
        try:
            url = f"http://127.0.0.1:{port}/graphql"
            wait_for(lambda: answers(url), f"the webserver answers, see {log.name}", 180)
            yield url
        finally:
            process.terminate()
            process.wait(60)


def answers(url: str) -> bool:
    """Whether the webserver answers."""
    try:
        return bool(ask(url, "{ version }", {}))
    except OSError:
        return False


def ask(url: str, query: str, variables: dict[str, Any]) -> dict[str, Any]:
    """Ask the webserver."""
    body = json.dumps({"query": query, "variables": variables}).encode()
    with urllib.request.urlopen(urllib.request.Request(url, body, {"Content-Type": "application/json"}), timeout=60) as answer:
        found: dict[str, Any] = json.load(answer)
    assert "errors" not in found, found
    data: dict[str, Any] = found["data"]
    return data


@pytest.mark.soak
@pytest.mark.usefixtures("archive")
@pytest.mark.timeout(3600)
def test_after_a_month_the_databases_are_small_and_the_page_of_runs_is_quick(
    home: Home, tmp_path: Path, settings: Settings, record_testsuite_property: Callable[[str, object], None]
) -> None:
    month = Month(home, tmp_path / "made", settings)
    first = dt.datetime.combine(dt.datetime.now(dt.UTC).date() - dt.timedelta(days=MONTH), dt.time(), dt.UTC)
    sizes = []
    for number in range(MONTH):
        month.write(first + dt.timedelta(days=number))
        sizes.append(home.bytes())
        month.tidy(first + dt.timedelta(days=number + 1, minutes=40))
    with webserver(home) as url:
        took = []
        for view in ("ROOTS", "RUNS") * 3:
            began = time.monotonic()
            page = ask(url, RUNS_PAGE, {"limit": 30, "view": view, "filter": {}})
            took.append(time.monotonic() - began)
            assert len(page["runsFeedOrError"]["results"]) == 30
    record_testsuite_property("bytes before each night", sizes)
    record_testsuite_property("seconds of the page of runs", took)
    assert max(sizes) < LARGEST
    assert max(took) < SLOWEST_S
