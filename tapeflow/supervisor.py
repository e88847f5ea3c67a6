"""Keeps child processes running: starts them in order, restarts what dies, stops them clean, leaves no orphan."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import random
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

from tapeflow.logs import ProcessLog

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence
    from pathlib import Path

REFUSED = 2
"""Exit status of a process that cannot work with its settings: to start it again is of no use."""

FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0
SETTLED_S = 30.0
"""A child that has lived this long counts as having worked: its next restart is quick again."""

READY_S = 60.0
"""The children behind one with a port wait this long for it to listen, then go on without it."""

POLL_S = 0.05
LAST_LINES_S = 2.0
CANNOT_START = 127
_PR_SET_PDEATHSIG = 1

State = Literal["starting", "running", "waiting", "refused", "stopped"]


class Child(NamedTuple):
    """A process to keep running.

    Attributes
    ----------
    name : str
        Names its log file, too.
    command : sequence of str
    env : mapping
        Added to the environment of the supervisor.
    port : int or None
        On 127.0.0.1; the children after it are started when it accepts connections there.
    essential : bool
        If its settings are refused (exit status 2), everything is stopped.
    stop : int
        Children are stopped in rising order of this, those of one number together.
    patience : float
        How long it may take to stop, in seconds, before it is killed.
    orphaned : signal
        What it receives when the supervisor is killed. A process with children of its own needs SIGTERM, to end them.
    """

    name: str
    command: Sequence[str]
    env: Mapping[str, str] = {}
    port: int | None = None
    essential: bool = False
    stop: int = 0
    patience: float = 15.0
    orphaned: signal.Signals = signal.SIGKILL


class Standing(msgspec.Struct):
    """How a child stands; `since` is when its state began, in s since 1970."""

    name: str
    pid: int | None = None
    state: State = "stopped"
    restarts: int = 0
    since: float = 0.0
    exit: int | None = None


class Report(msgspec.Struct):
    """What `<data>/status/up.json` holds, written once a second; `at` in s since 1970."""

    pid: int
    at: float
    children: list[Standing]


class Supervisor:
    """Runs `children` until it is told to stop.

    Parameters
    ----------
    children
        Started in this order.
    report
        File that is rewritten every second with a `Report`.
    logs
        Folder for `<name>.log`.
    tell
        Takes one line for the person at the terminal.
    """

    def __init__(self, children: Sequence[Child], report: Path, logs: Path, tell: Callable[[str], None]) -> None:
        self._children = children
        self._report = report
        self._logs = logs
        self._tell = tell
        self._standing = {child.name: Standing(child.name) for child in children}
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._ending = asyncio.Event()
        self._hurry = asyncio.Event()
        self._status = 0

    async def run(self) -> int:
        """Start the children and keep them until SIGINT, SIGTERM or SIGHUP; then stop them.

        Returns
        -------
        int
            0, or 2 if an essential child refused its settings.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._asked_to_stop)
        reporting = asyncio.create_task(self._keep_reporting())
        keepers = {}
        for child in self._children:
            if self._ending.is_set():
                break
            keepers[child.name] = asyncio.create_task(self._keep(child))
            await self._unless_ending(self._settled(child))
        await self._ending.wait()
        started = [child for child in self._children if child.name in keepers]
        for rank in sorted({child.stop for child in started}):
            await asyncio.gather(*(self._stop(child, keepers[child.name]) for child in started if child.stop == rank))
        reporting.cancel()
        self._write_report()
        return self._status

    def _asked_to_stop(self) -> None:
        (self._hurry if self._ending.is_set() else self._ending).set()

    async def _keep(self, child: Child) -> None:
        standing, tries = self._standing[child.name], 0
        while not self._ending.is_set():
            started = time.monotonic()
            status, last = await self._live(child)
            lived = time.monotonic() - started
            standing.exit, standing.pid = status, None
            if self._ending.is_set():
                break
            worked = lived >= SETTLED_S
            if status == REFUSED and not worked and not tries:
                self._set(standing, "refused")
                self._tell(f"{child.name} refused its settings and is not started again:{_quoted(last)}")
                if child.essential:
                    self._status = REFUSED
                    self._ending.set()
                return
            tries = 1 if worked else tries + 1
            wait = min(FIRST_WAIT_S * 2 ** (tries - 1), LONGEST_WAIT_S) * random.uniform(0.5, 1)
            self._set(standing, "waiting")
            self._tell(f"{child.name} died ({_told(status)}), starts again in {wait:.1f} s:{_quoted(last)}")
            await self._unless_ending(asyncio.sleep(wait))
            standing.restarts += 1

    async def _live(self, child: Child) -> tuple[int, list[str]]:
        """Run a child from start to end; return its exit status and its last lines."""
        standing, log = self._standing[child.name], ProcessLog(self._logs / f"{child.name}.log")
        self._set(standing, "starting")
        try:
            process, pipe = await _spawn(child)
        except OSError as error:
            return CANNOT_START, [str(error)]
        self._processes[child.name], standing.pid = process, process.pid
        reading = asyncio.create_task(_drain(pipe, log))
        listening = asyncio.create_task(self._listens(child))
        status = await process.wait()
        listening.cancel()
        del self._processes[child.name]
        _signal_group(process.pid, signal.SIGKILL)  # its own children, which also hold the pipe open
        await asyncio.wait({reading}, timeout=LAST_LINES_S)
        reading.cancel()
        return status, list(log.last)

    async def _listens(self, child: Child) -> None:
        while child.port and not await _accepts(child.port):
            await asyncio.sleep(POLL_S)
        self._set(self._standing[child.name], "running")

    async def _settled(self, child: Child) -> None:
        """Wait until a child runs or is given up, at most READY_S."""
        deadline = time.monotonic() + READY_S
        while self._standing[child.name].state not in ("running", "refused") and time.monotonic() < deadline:
            await asyncio.sleep(POLL_S)

    async def _stop(self, child: Child, keeper: asyncio.Task[None]) -> None:
        while not keeper.done() and child.name not in self._processes:
            await asyncio.sleep(POLL_S)  # it is just being started, or its keeper just ends
        if process := self._processes.get(child.name):
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            hurry = asyncio.create_task(self._hurry.wait())
            await asyncio.wait({keeper, hurry}, timeout=child.patience, return_when=asyncio.FIRST_COMPLETED)
            hurry.cancel()
            if not keeper.done():
                self._tell(f"{child.name} did not stop in {child.patience:g} s and is killed")
                _signal_group(process.pid, signal.SIGKILL)
        await keeper
        standing = self._standing[child.name]
        if standing.state != "refused":
            self._set(standing, "stopped")

    async def _unless_ending(self, work: Coroutine[None, None, None]) -> None:
        task, ending = asyncio.create_task(work), asyncio.create_task(self._ending.wait())
        await asyncio.wait({task, ending}, return_when=asyncio.FIRST_COMPLETED)
        task.cancel()
        ending.cancel()

    async def _keep_reporting(self) -> None:
        while True:
            self._write_report()
            await asyncio.sleep(1)

    def _write_report(self) -> None:
        report = Report(os.getpid(), time.time(), list(self._standing.values()))
        draft = self._report.with_suffix(".new")
        with contextlib.suppress(OSError):  # a full disk must not stop the feed
            draft.write_bytes(msgspec.json.encode(report))
            draft.replace(self._report)

    def _set(self, standing: Standing, state: State) -> None:
        standing.state, standing.since = state, time.time()


async def _spawn(child: Child) -> tuple[asyncio.subprocess.Process, int]:
    """Start a child in a process group of its own; return it with the end of the pipe it writes to.

    The pipe is ours and not asyncio's, whose `wait` would wait for the pipe's other holders too.
    """
    ours, theirs = os.pipe()
    try:
        process = await asyncio.create_subprocess_exec(
            *child.command,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **child.env},
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=_dies_with_parent(child.orphaned),
        )
    except OSError:
        os.close(ours)
        raise
    finally:
        os.close(theirs)
    return process, ours


def _dies_with_parent(number: signal.Signals) -> Callable[[], None] | None:
    if not sys.platform.startswith("linux"):
        return None
    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()

    def ask_the_kernel() -> None:
        prctl(_PR_SET_PDEATHSIG, int(number))
        if os.getppid() != parent:  # it died before the kernel was asked
            os._exit(1)

    return ask_the_kernel


async def _drain(pipe: int, log: ProcessLog) -> None:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(pipe, "rb"))
    try:
        while chunk := await reader.read(65_536):
            log.feed(chunk)
    finally:
        log.close()
        transport.close()


async def _accepts(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _told(status: int) -> str:
    return f"exit status {status}" if status >= 0 else f"killed by {signal.Signals(-status).name}"


def _quoted(lines: Sequence[str]) -> str:
    return "".join(f"\n    {line}" for line in lines) or " it said nothing"
