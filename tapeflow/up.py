"""`tapeflow up`: which processes make tapeflow, what must hold before they start, and what is told meanwhile."""

from __future__ import annotations

import asyncio
import datetime as dt
import fcntl
import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING

from assets import home
from pipelines.briefs.outbox import place
from pipelines.settings import SettingsError, demo_settings, refuse_scaled_clock
from tapeflow import messages
from tapeflow.status import gather
from tapeflow.supervisor import Child, Supervisor
from tapeflow.verdict import headline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipelines.settings import Settings

WORKSPACE = Path(__file__).resolve().parents[1] / "workspace.yaml"
TELL_S = 15.0
MESSAGES_S = 1.0
DRAIN_S = 30.0
"""The flow may take this long to commit what it holds, in seconds."""


def up(base: Settings, *, demo: bool, tell: Callable[[str], None]) -> int:
    """Run everything until SIGINT or SIGTERM.

    Parameters
    ----------
    base
        As `settings.load()` gives them; the demo's are made from them.
    demo
        Start the demo exchange too and record that alone, under `<data>/demo`.
    tell
        Takes one line for the person at the terminal.

    Returns
    -------
    int
        Exit status: 0, or 2 if recorder or flow refused their settings.

    Raises
    ------
    SettingsError
        With every reason found why it cannot start.
    """
    settings = demo_settings(base) if demo else base
    refuse_scaled_clock(settings)
    unwritable = list(_folder_faults(settings))
    lock = None if unwritable else _lock(settings)
    if found := [*unwritable, *_port_faults(settings, demo=demo)]:
        raise SettingsError(found)
    try:
        home.prepare(settings)
        return asyncio.run(_run(settings, children(base, demo=demo), tell))
    finally:
        if lock:
            lock.close()


async def _run(settings: Settings, processes: list[Child], tell: Callable[[str], None]) -> int:
    tell(f"Dagster  http://127.0.0.1:{settings.ports.dagster} (answers in about 20 s)")
    tell(f"metrics  http://127.0.0.1:{settings.ports.metrics}/metrics; of the recorder, port {settings.ports.metrics + 1}")
    tell(f"lake     {settings.lake_root}; logs in {settings.log_dir}; Ctrl-C stops everything")
    telling = [asyncio.create_task(work(settings, tell)) for work in (_keep_telling, _keep_reading_out)]
    status = await Supervisor(processes, settings.data / "status" / "up.json", settings.log_dir, tell).run()
    for task in telling:
        task.cancel()
    tell("stopped")
    return status


async def _keep_telling(settings: Settings, tell: Callable[[str], None]) -> None:
    while True:
        await asyncio.sleep(TELL_S)
        status = await asyncio.to_thread(gather, settings, time.time(), lake=False)
        tell(f"{dt.datetime.now(dt.UTC):%H:%M:%S}  {headline(status)}")


async def _keep_reading_out(settings: Settings, tell: Callable[[str], None]) -> None:
    """Tell the messages that no Slack is there for."""
    last: int | None = None
    while True:
        last, texts = await asyncio.to_thread(messages.unsent, place(settings), last)
        for text in texts:
            tell("message  " + text.replace("\n", "\n         "))
        await asyncio.sleep(MESSAGES_S)


def children(base: Settings, *, demo: bool) -> list[Child]:
    """Return the processes that make tapeflow, in the order in which they are started."""
    ports, flag = base.ports, ("--demo",) if demo else ()
    tapeflow, scripts = (sys.executable, "-m", "tapeflow"), Path(sys.executable).parent
    page = ("-h", "127.0.0.1", "-p", str(ports.dagster), "--code-server-log-level", "warning")
    common = ("-w", str(WORKSPACE), "--log-format", "json")
    batch = _batch_environment(base, demo=demo)
    exchange = Child("exchange", (*tapeflow, "demo-exchange"), port=ports.demo, essential=True, stop=2)
    webserver = (str(scripts / "dagster-webserver"), *page, *common)
    daemon = (str(scripts / "dagster-daemon"), "run", *common)
    return [
        *((exchange,) if demo else ()),
        Child("recorder", (*tapeflow, "record", *flag), essential=True, stop=1),
        Child("flow", (*tapeflow, "run", *flag), essential=True, stop=2, patience=DRAIN_S),
        Child("sender", (*tapeflow, "send", *flag), stop=3),
        Child("dagster-webserver", webserver, batch, ports.dagster, stop=3, orphaned=signal.SIGTERM),
        Child("dagster-daemon", daemon, batch, stop=3, orphaned=signal.SIGTERM),
    ]


def _batch_environment(base: Settings, *, demo: bool) -> dict[str, str]:
    settings = demo_settings(base) if demo else base
    refuse_scaled_clock(settings)
    return {
        "DAGSTER_HOME": str(settings.dagster_home),
        "DAGSTER_DISABLE_TELEMETRY": "yes",
        "TAPEFLOW_DATA": str(base.data.absolute()),
        **({home.USE_DEMO: "yes"} if demo else {}),
    }


def _folder_faults(settings: Settings) -> Iterator[str]:
    for folder in (settings.data / "status", settings.log_dir):
        probe = folder / f".probe-{os.getpid()}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            probe.touch()
            probe.unlink()
        except OSError as error:
            yield f"data: {folder} cannot be written ({error.strerror}); set TAPEFLOW_DATA to a folder that can"


def _port_faults(settings: Settings, *, demo: bool) -> Iterator[str]:
    ports = settings.ports
    used = {"ports.dagster": ports.dagster, "ports.metrics": ports.metrics, "ports.metrics + 1": ports.metrics + 1}
    if demo:
        used["ports.demo"] = ports.demo
    for name, port in used.items():
        variable = f"TAPEFLOW_{name.removesuffix(' + 1').replace('.', '__').upper()}"
        first = next(other for other, number in used.items() if number == port)
        if first != name:
            yield f"{name}: port {port} is that of {first}, too; set {variable} to another"
        elif not _free(port):
            yield f"{name}: port {port} is in use; stop what listens there, or set {variable} to another"


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError):
            return False
    return True


def _lock(settings: Settings) -> IO[str]:
    """Take the lock that keeps a second `tapeflow up` off the same data; it is held while the file is open."""
    lock = (settings.data / "status" / "up.lock").open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        holder = lock.read().strip()
        fault = f"data: `tapeflow up` runs on {settings.data} already, as process {holder}; stop that first"
        raise SettingsError([fault]) from None
    lock.truncate(0)
    lock.write(str(os.getpid()))
    lock.flush()
    return lock
