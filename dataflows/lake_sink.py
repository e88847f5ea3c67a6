"""The Bytewax sink: the first write after a snapshot proves it durable, and commits what it marked as due."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from bytewax.outputs import FixedPartitionedSink, StatefulSinkPartition

from pipelines.engine import Output
from pipelines.store.commits import Turns
from pipelines.store.lake import Lake
from pipelines.store.parquet import Staged
from pipelines.store.staging import Due, Staging

MINUTE_NS = 60_000_000_000


class Arrival(NamedTuple):
    """What reaches the sink: rows, and where the source stood behind them.

    Attributes
    ----------
    output : Output
    segment, offset : str, int
        Where the next batch begins.
    flush : bool
        The source is at its end: stage everything.
    """

    output: Output
    segment: str
    offset: int
    flush: bool = False


Report = Callable[[Arrival, dict[str, int]], None]
"""Called when a snapshot has become durable: with the last arrival that it covers, and how many files each table got."""


class Plan(NamedTuple):
    """How a shard's rows get into the lake.

    Attributes
    ----------
    root : str
        Of the lake.
    writer, metadata, before_commit
        As of `Staging`.
    live : bool
        Commit once a minute of journal time, alerts and gaps every epoch; else only at the end.
    report : Report
    local : Path or None
        As of `Lake`.
    """

    root: str
    writer: str
    metadata: dict[str, str]
    live: bool
    report: Report
    before_commit: Callable[[list[Staged]], dict[str, Turns]] = lambda _: {}
    local: Path | None = None


class LakePart(StatefulSinkPartition[Arrival, dict[str, Any]]):
    """One shard's rows into the lake."""

    def __init__(self, plan: Plan, state: dict[str, Any] | None) -> None:
        self.plan = plan
        self.minute: int = state["minute"] if state else -1
        self.staging = Staging(
            Lake(plan.root, plan.local),
            plan.writer,
            plan.metadata,
            state and state["staging"],
            before_commit=plan.before_commit,
        )
        self.last: Arrival | None = None
        self.covered: Arrival | None = None
        self.flush = False

    def write_batch(self, items: list[Arrival]) -> None:
        """Commit what the snapshot before this epoch marked as due, then buffer."""
        if self.covered is not None:
            self.plan.report(self.covered, self.staging.publish())
            self.covered = None
        for item in items:
            for table, rows in item.output.tables:
                self.staging.add(table, rows)
            self.flush |= item.flush
            self.last = item

    def snapshot(self) -> dict[str, Any]:
        """Stage, and return what is on its way."""
        minute = self.last.output.journal_ns // MINUTE_NS if self.last else self.minute
        due: Due = "all" if self.flush else "nothing"
        if self.plan.live and not self.flush:
            due = "minute" if minute > self.minute else "epoch"
        self.minute = minute
        self.covered = self.last
        return {"staging": self.staging.snapshot(due), "minute": self.minute}

    def close(self) -> None:
        """Commit nothing: this is called after a failure too."""


class LakeSink(FixedPartitionedSink[Arrival, dict[str, Any]]):
    """Writes the rows of one shard into the lake, exactly once."""

    def __init__(self, shard: str, plan: Plan) -> None:
        self.shard, self.plan = shard, plan

    def list_parts(self) -> list[str]:
        """Return the one partition."""
        return [self.shard]

    def build_part(self, step_id: str, for_part: str, resume_state: dict[str, Any] | None) -> LakePart:
        """Go on from `resume_state`: commit what was due, delete what lies beyond."""
        return LakePart(self.plan, resume_state)
