"""A bounded tape through the live flow: the same dataflow as the journal's, with a recovery store of its own."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import numpy as np
from bytewax._bytewax import init_db_dir, run_main
from bytewax.errors import BytewaxRuntimeError
from bytewax.recovery import RecoveryConfig

from dataflows.lake_sink import LakeSink, Plan
from dataflows.live import root_cause
from dataflows.sources import TapeSource
from dataflows.stream import build
from pipelines.engine import Engine
from pipelines.jobs import PIECE, Job, first_us

EPOCH = timedelta(seconds=1)
PART = "tape"


def replay(
    job: Job,
    watch: Callable[[Engine], None] = lambda _: None,
    *,
    size: int = PIECE,
    recovery: Path | None = None,
    epoch: timedelta = EPOCH,
) -> None:
    """Run a job through the stream, going on from where a killed run of it stopped.

    Parameters
    ----------
    job : Job
    watch
        Called with the engine after each piece.
    size
        Records a piece.
    recovery
        Where its recovery store lies; by default the job's folder.

    Raises
    ------
    JobError
        If the lake holds rows of others for the same dates.
    """
    job.lake.create()
    job.refuse_conflicts(
        {str(np.datetime64(first_us(job.source), "us"))[:10]}
    )  # later dates are refused in the flow, with a panic
    store = (recovery or job.folder) / "store"
    if not list(store.glob("*.sqlite3")):
        store.mkdir(parents=True, exist_ok=True)
        init_db_dir(store, 1)
    plan = Plan(
        job.lake.root,
        job.writer,
        job.metadata,
        live=False,
        report=lambda *_: None,
        before_commit=job.before_commit,
        local=job.lake.local,
    )
    flow = build("replay", PART, TapeSource(job.source, size), job.engine, LakeSink(PART, plan), watch)
    try:
        run_main(flow, epoch_interval=epoch, recovery_config=RecoveryConfig(str(store), backup_interval=timedelta(0)))
    except BytewaxRuntimeError as error:
        raise root_cause(error) from None
