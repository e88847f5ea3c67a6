"""The live flow: tails the journal into the lake, for as long as it runs, from where it stopped."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import msgspec
import structlog
from bytewax._bytewax import cli_main, init_db_dir
from bytewax.errors import BytewaxRuntimeError
from bytewax.recovery import RecoveryConfig

from dataflows.lake_sink import LakeSink, Plan
from dataflows.progress import Progress
from dataflows.sources import JournalSource
from dataflows.stream import build
from pipelines.engine import VERSION, Engine
from pipelines.market import TABLES
from pipelines.seed import Seeds
from pipelines.settings import Kernels, Settings
from pipelines.store.journal import JournalError
from pipelines.store.lake import Lake
from pipelines.store.retention import consumed
from pipelines.store.staging import LakeAhead

log = structlog.get_logger()

EPOCH = timedelta(seconds=1)
_CHECK = """
import sqlite3, sys
store = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True)
sys.exit(store.execute("pragma quick_check").fetchone()[0] != "ok")
"""


class RecoveryError(Exception):
    """The recovery store cannot be gone on from; the message says why and names `tapeflow rebuild`."""


def run(settings: Settings, *, until_end: bool = False) -> int:
    """Run the flow until it is told to stop, or to the end of the journal; return the exit status.

    Raises
    ------
    RecoveryError
        If the recovery store is missing, unreadable or older than the lake.
    """
    folder = settings.recovery_dir
    folder.mkdir(parents=True, exist_ok=True)
    with only_one(folder):
        store = check(settings)
        stopping: list[int] = []
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda s, _: stopping.append(s))
        return _run(settings, store, lambda: bool(stopping), until_end=until_end)


def _run(settings: Settings, store: Path, stop: Callable[[], bool], *, until_end: bool) -> int:
    progress = Progress(settings)
    plan = Plan(
        settings.lake_root,
        writer(settings),
        _metadata(settings),
        live=True,
        report=progress.report,
        local=settings.recovery_dir,
    )
    source = JournalSource(settings.shard, settings.journal_dir, ("", 0), stop, until_end=until_end)
    flow = build("tapeflow", settings.shard, source, lambda: _begin(settings), LakeSink(settings.shard, plan), progress.watch)
    os.environ["BYTEWAX_DATAFLOW_API_ENABLED"] = "1"
    os.environ["BYTEWAX_DATAFLOW_API_PORT"] = str(settings.ports.metrics)
    os.environ["BYTEWAX_DATAFLOW_API_CACHE_PATH"] = str(settings.recovery_dir)
    log.info("flow begins", shard=settings.shard, writer=plan.writer, lake=settings.lake_root, journal=str(settings.journal_dir))
    try:
        cli_main(flow, epoch_interval=EPOCH, recovery_config=RecoveryConfig(str(store), backup_interval=timedelta(0)))
    except BytewaxRuntimeError as error:
        cause = root_cause(error)
        if isinstance(cause, LakeAhead):
            raise RecoveryError(_remedy(settings, f"the recovery store at {store} is older than the lake: {cause}")) from None
        if isinstance(cause, JournalError | ValueError):
            raise RecoveryError(str(cause)) from None
        raise
    log.info("flow ended", shard=settings.shard)
    return 0


def _begin(settings: Settings) -> Engine:
    """Return the engine of a first run: with what the lake holds of earlier dates."""
    mark = rebuild_mark(settings.recovery_dir)
    seeds = Seeds(Lake(settings.lake_root), mark.from_day)
    engine = Engine(Kernels(), shard=settings.shard, from_day=mark.from_day, seeds=seeds)
    engine.signals.known_alerts = mark.alerts
    return engine


def writer(settings: Settings) -> str:
    """Return the name under which this shard writes; a rebuild begins a new one."""
    return f"{settings.shard}.{generation(settings.recovery_dir)}"


def generation(folder: Path) -> int:
    """Return how often the recovery store in `folder` was rebuilt."""
    path = folder / "generation"
    return int(path.read_text()) if path.exists() else 0


def check(settings: Settings) -> Path:
    """Return the recovery store, made where nothing was ever written.

    Raises
    ------
    RecoveryError
        If it is missing though the lake has rows of this shard, cannot be read, or is of another version of tapeflow.
    """
    store = settings.recovery_dir / "store"
    version = store / "version"
    files = sorted(store.glob("*.sqlite3"))
    if not rebuild_mark(settings.recovery_dir).ready:
        raise RecoveryError(_remedy(settings, "a rebuild was interrupted before the old rows were taken out"))
    if not files:
        if consumed(settings.journal_dir) is not None or _has_rows(settings):
            raise RecoveryError(
                _remedy(settings, f"there is no recovery store at {store}, but shard {settings.shard} has written")
            )
        store.mkdir(parents=True, exist_ok=True)
        version.write_text(str(VERSION))
        init_db_dir(store, 1)
        return store
    for file in files:
        if subprocess.run([sys.executable, "-c", _CHECK, str(file)], capture_output=True, check=False).returncode:
            raise RecoveryError(_remedy(settings, f"the recovery store {file} cannot be read"))
    if not version.exists() or version.read_text() != str(VERSION):
        raise RecoveryError(_remedy(settings, f"the recovery store at {store} is of another version of tapeflow"))
    return store


def _has_rows(settings: Settings) -> bool:
    lake = Lake(settings.lake_root)
    lake.create()
    return any(lake.version(table, f"{writer(settings)}/{table}") is not None for table in TABLES)


def _remedy(settings: Settings, what: str) -> str:
    return (
        f"{what}; run `tapeflow rebuild --from DATE` with the first date to make again from the journal ({settings.journal_dir})"
    )


class RebuildMark(msgspec.Struct, frozen=True):
    """What a rebuild leaves for the flow that begins after it.

    Attributes
    ----------
    from_day : int
        First date that is made again, us since 1970.
    alerts : frozenset of str
        Ids of the live alerts that the lake holds.
    ready : bool
        The old rows have been taken out.
    """

    from_day: int = 0
    alerts: frozenset[str] = frozenset()
    ready: bool = True


def rebuild_mark(folder: Path) -> RebuildMark:
    """Return what the last rebuild has left."""
    path = folder / "rebuild.json"
    return msgspec.json.decode(path.read_bytes(), type=RebuildMark) if path.exists() else RebuildMark()


def _metadata(settings: Settings) -> dict[str, str]:
    return {"source": f"journal:{settings.shard}", "engine_version": str(VERSION)}


def root_cause(error: BaseException) -> BaseException:
    """Return the exception at the bottom of a chain of causes."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


class only_one:  # noqa: N801 - reads as a sentence where it is used
    """Hold the shard's lock: one flow a shard."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "lock"

    def __enter__(self) -> None:
        self.file = self.path.open("w")
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RecoveryError(f"another flow runs on {self.path.parent}; stop it first (`tapeflow status` shows it)") from None

    def __exit__(self, *_: object) -> None:
        self.file.close()
