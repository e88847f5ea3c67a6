"""Running agents: what is due, each on its own, how it went, and findings put into table `alerts` once."""

from __future__ import annotations

import datetime as dt
import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import polars as pl

from pipelines.briefs.agents import finding
from pipelines.briefs.agents.finding import SOURCE, Finding
from pipelines.briefs.agents.reading import Reads, midnight, read
from pipelines.briefs.agents.registry import AGENTS, Agent

if TYPE_CHECKING:
    from pipelines.settings import Settings
    from pipelines.store.lake import Lake

LOOK_BACK: Final = dt.timedelta(hours=1)
"""Findings of this long before a run are stored if no run before has: rows come a minute late, and Dagster may have been down."""
LATE_S: Final = 120.0
"""So long past the time of its next run an agent is late; the round itself may take its time."""
LABELS: Final = 5
WHY: Final = 300
"""Characters of an error that are kept."""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How an agent's last run went; `<data>/status/agents/<name>.json` holds it.

    Attributes
    ----------
    name : str
    at : float
        When it ran last, s since 1970; 0: never.
    took_s : float
    error : str
        Why it failed; empty: it did not.
    failed : int
        Runs in a row that failed.
    found : int
        Findings of the last run that were new.
    found_at : float
        When it last found something new; 0: never.
    labels : tuple of str
        What that was; the first few.
    """

    name: str
    at: float = 0.0
    took_s: float = 0.0
    error: str = ""
    failed: int = 0
    found: int = 0
    found_at: float = 0.0
    labels: tuple[str, ...] = ()

    def status(self, interval_s: int, now: float) -> str:
        """Return `waiting` (it never ran), `failing`, `late` or `ok`."""
        if not self.at:
            return "waiting"
        if self.error:
            return "failing"
        return "late" if now > self.at + interval_s + LATE_S else "ok"


class Round:
    """Agents run at one time over one reading of the lake."""

    def __init__(self, lake: Lake, settings: Settings, at: dt.datetime) -> None:
        self._lake, self._settings, self.at = lake, settings, at
        self._frames: dict[tuple[Reads, dt.datetime], pl.DataFrame] = {}

    def findings(self, agent: Agent, since: dt.datetime) -> list[Finding]:
        """Return what an agent finds that was complete after `since`, on the date under way and the one before."""
        times = [self.at] if midnight(self.at) <= since else [midnight(self.at), self.at]
        found = [one for at in times for one in agent.find(self._read(agent, at), self._settings, at)]
        return sorted((one for one in found if one.end > since), key=lambda one: (one.end, one.venue, one.symbol, one.id))

    def _read(self, agent: Agent, at: dt.datetime) -> dict[str, pl.DataFrame]:
        for reads in agent.reads:
            if (reads, at) not in self._frames:
                self._frames[reads, at] = read(self._lake, reads, at)
        return {reads.table: self._frames[reads, at] for reads in agent.reads}


def run(agent: Agent, its_round: Round, before: Standing, *, store: Lake | None = None, data: Path) -> Standing:
    """Run an agent and return how it went; whatever it raises is told there and stops nobody else."""
    now, began = its_round.at.timestamp(), time.monotonic()
    try:
        found = its_round.findings(agent, its_round.at - LOOK_BACK)
        new = keep(store, found, data) if store else found
    except Exception as error:  # noqa: BLE001 - one failing agent never stops another
        why = f"{type(error).__name__}: {error}".splitlines()[0][:WHY]
        took = round(time.monotonic() - began, 3)
        return msgspec.structs.replace(before, at=now, took_s=took, error=why, failed=before.failed + 1, found=0)
    took = round(time.monotonic() - began, 3)
    if not new:
        return msgspec.structs.replace(before, at=now, took_s=took, error="", failed=0, found=0)
    labels = tuple(one.label for one in new[:LABELS])
    return Standing(name=agent.name, at=now, took_s=took, found=len(new), found_at=now, labels=labels)


def due(data: Path, settings: Settings, at: dt.datetime) -> list[tuple[Agent, Standing]]:
    """Return the agents whose time has come, the one that waits longest first."""
    now = at.timestamp()
    known = [(agent, standing(data, agent.name)) for agent in AGENTS.values()]
    wanted = [(agent, last) for agent, last in known if last.at + agent.interval_s(settings, at) <= now]
    return sorted(wanted, key=lambda one: (one[1].at + one[0].interval_s(settings, at), one[0].name))


def keep(lake: Lake, found: list[Finding], data: Path) -> list[Finding]:
    """Put findings that are not there yet into table `alerts`; return these."""
    if not found:
        return []
    with _alone(data):
        first = min(one.ts for one in found) - dt.timedelta(days=1)
        there = lake.table("alerts", start=first, source=SOURCE).select("alert_id").collect()["alert_id"].to_list()
        new = list({one.id: one for one in found if one.id not in set(there)}.values())
        if new:
            lake.replace("alerts", [], lake.stage("alerts", finding.rows(new), f"agents-{time.time_ns()}", {}))
    return new


def standing(data: Path, name: str) -> Standing:
    """Return how an agent's last run went."""
    try:
        return msgspec.json.decode(_file(data, name).read_bytes(), type=Standing)
    except (FileNotFoundError, msgspec.MsgspecError):
        return Standing(name=name)


def note(data: Path, standing: Standing) -> None:
    """Write how an agent's run went."""
    path = _file(data, standing.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    draft.write_bytes(msgspec.json.encode(standing))
    draft.replace(path)


def _file(data: Path, name: str) -> Path:
    return data / "status" / "agents" / f"{name}.json"


@contextmanager
def _alone(data: Path) -> Iterator[None]:
    """Hold off other processes that store findings: what is there is read before anything is added."""
    path = data / "status" / "agents" / "lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
