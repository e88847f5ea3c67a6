"""From sockets to journal: frames gather in memory for 5 ms, are written as a group, and made durable every 100 ms.

Where the volume runs full or cannot keep up, frames are shed, quotes and books before trades, and what was shed is told. What is
not a frame (connects, gaps, repairs, settings) is never shed: it waits until it can be written.
"""

from __future__ import annotations

import asyncio
import math
import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from enum import IntEnum
from pathlib import Path
from typing import Final, Protocol

import structlog

from pipelines.feeds import Feed
from pipelines.records import Kind
from pipelines.store.journal_writer import WriteFailed, Writer

GROUP_S: Final = 0.005
SYNC_S: Final = 0.1
BEAT_S: Final = 0.25
PAUSE_S: Final = 1.0
"""A recorder that was held up for so long, suspended or starved, has frames to read that came before now."""
SETTLE_S: Final = 2.0
"""For so long after that it does not beat: a heartbeat ahead of those frames would close their bars without them."""
DISK_S: Final = 1.0
QUEUE_BYTES: Final = 64 << 20
"""Frames in memory that the journal has not taken yet, beyond which quotes and books are shed; at twice that, all frames."""
RETRY_S: Final = 1.0
FRAME: Final = int(Kind.FRAME)
BEAT: Final = int(Kind.HEARTBEAT)
Item = tuple[int, int, int, bytes]
"""A record as (recv_ns, connection, kind, payload)."""
log = structlog.get_logger(__name__)


class Shed(IntEnum):
    """What is not written."""

    NOTHING = 0
    QUOTES = 1
    FRAMES = 2


_SHED_AT: Final[dict[Feed, Shed]] = {"quotes": Shed.QUOTES, "book": Shed.QUOTES, "trades": Shed.FRAMES}


class Owner(Protocol):
    """Whom the intake tells what became of frames."""

    def written(self, group: Sequence[Item]) -> None:
        """Take note of records that are in the journal."""

    def feed_of(self, connection: int, frame: bytes) -> Feed:
        """Tell which feed a frame is shed with: `quotes`, `book`, or with all that is left, `trades`."""

    def dropped(self, connection: int) -> None:
        """Take note that a frame of a connection was shed."""

    def shedding(self, feed: Feed, reason: str) -> None:
        """Take note that frames of a feed are no longer written."""

    def shed(self, feed: Feed, reason: str, frames: int) -> None:
        """Take note that frames of a feed are written again, after so many were not."""


def free_share(folder: Path) -> float:
    """Return which share of a folder's volume is free, 0 to 1."""
    volume = os.statvfs(folder)
    return volume.f_bavail / volume.f_blocks if volume.f_blocks else 1.0


def disk_level(free: float, level: Shed) -> Shed:
    """Return what to shed at a share of free space: quotes below 5 %, all frames below 2 %, 1 % more to take them up again."""
    if free < (0.03 if level == Shed.FRAMES else 0.02):
        return Shed.FRAMES
    return Shed.QUOTES if free < (0.05 if level == Shed.NOTHING else 0.06) else Shed.NOTHING


class Intake:
    """Gathers records and writes them.

    Attributes
    ----------
    incoming : list of Item
        Where records are put, in the order received.
    queued : int
        Bytes that wait because the writer is behind.
    durable_s : float
        How long it took last to make the journal durable.
    lag_s : float
        How long the oldest record of those made durable last took from receipt to there, in seconds of the machine.
    dropped : Counter
        Frames shed so far, by feed.
    """

    def __init__(
        self,
        writer: Writer,
        now_ns: Callable[[], int],
        owner: Owner,
        free: Callable[[Path], float] = free_share,
        queue_bytes: int = QUEUE_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.writer = writer
        self.incoming: list[Item] = []
        self.queued = 0
        self.durable_s = 0.0
        self.lag_s = 0.0
        self.dropped: Counter[str] = Counter()
        self._now_ns = now_ns
        self._owner = owner
        self._free = free
        self._queue_bytes = queue_bytes
        self._clock = clock
        self._looked_at = math.inf
        self._settled_at = -math.inf
        self._queue: list[Item] = []
        self._full = asyncio.Event()
        self._disk = Shed.NOTHING
        self._pressure = Shed.NOTHING
        self._failed = ""
        self._volatile: float | None = None
        self._episodes: dict[Feed, tuple[str, int]] = {}
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="journal")

    def put(self, kind: Kind, payload: bytes, connection: int = 0) -> None:
        """Append a record received now."""
        self.incoming.append((self._now_ns(), connection, int(kind), payload))

    @property
    def shedding(self) -> Shed:
        """What is shed at present."""
        return Shed.FRAMES if self._failed else max(self._disk, self._pressure)

    @property
    def reasons(self) -> dict[Feed, str]:
        """Why frames of a feed are shed at present."""
        return {feed: reason for feed, (reason, _) in self._episodes.items()}

    @property
    def behind(self) -> bool:
        """Whether frames wait to be written, or are shed."""
        return self.queued > 0 or self.shedding == Shed.FRAMES

    async def run(self) -> None:
        """Write until cancelled.

        Raises
        ------
        OSError
            If what was written cannot be made durable.
        """
        self.look_at_disk()
        async with asyncio.TaskGroup() as group:
            for step, seconds in ((self.collect, GROUP_S), (self.beat, BEAT_S), (self.look_at_disk, DISK_S)):
                group.create_task(_every(seconds, step))
            group.create_task(self._write())
            group.create_task(self._sync())

    async def close(self) -> None:
        """Write and make durable what is left."""
        self.collect()
        if self._queue:
            await self._write_group()
        self._pool.shutdown()
        self.writer.close()

    def beat(self) -> None:
        """Record that the recorder is alive, unless it was held up just now."""
        now = self._clock()
        if now - self._looked_at > PAUSE_S:
            self._settled_at = now + SETTLE_S
        self._looked_at = now
        if now < self._settled_at:
            return
        self.put(Kind.HEARTBEAT, b"")

    def look_at_disk(self) -> None:
        """Decide by the space that is left what is shed."""
        self._disk = disk_level(self._free(self.writer.folder), self._disk)

    def collect(self) -> None:
        """Move what came in to the queue, without what is to be shed."""
        group = self.incoming[:]
        self.incoming.clear()
        if self._queue:  # the writer is behind
            self.queued += sum(len(item[3]) for item in group)
            most = self._queue_bytes
            self._pressure = Shed.FRAMES if self.queued > 2 * most else Shed.QUOTES if self.queued > most else self._pressure
        else:
            self.queued = 0
            self._pressure = Shed.NOTHING
        if group and self._volatile is None:
            self._volatile = asyncio.get_running_loop().time() - GROUP_S
        self._settle(self.shedding)
        self._queue += group if self.shedding == Shed.NOTHING else self._sieve(group)
        if self._queue:
            self._full.set()

    def _sieve(self, group: list[Item]) -> list[Item]:
        """Leave out, and count, the frames that are to be shed."""
        kept: list[Item] = []
        for item in group:
            feed = self._owner.feed_of(item[1], item[3]) if item[2] == FRAME else None
            if feed in self._episodes:
                self._drop(feed)
                self._owner.dropped(item[1])
            else:
                kept.append(item)
        return kept

    def _drop(self, feed: Feed) -> None:
        reason, count = self._episodes[feed]
        self._episodes[feed] = (reason, count + 1)
        self.dropped[feed] += 1

    def _settle(self, level: Shed) -> None:
        """Tell the owner where shedding begins or ends."""
        reason = self._failed or ("disk_low" if self._disk == level else "queue_full")
        for feed, since in _SHED_AT.items():
            if level >= since and feed not in self._episodes:
                self._episodes[feed] = (reason, 0)
                log.error("shedding", feed=feed, reason=reason)
                self._owner.shedding(feed, reason)
            elif level < since and feed in self._episodes:
                first_reason, count = self._episodes.pop(feed)
                log.warning("shedding_ended", feed=feed, reason=first_reason, frames=count)
                self._owner.shed(feed, first_reason, count)

    async def _write(self) -> None:
        while True:
            await self._full.wait()
            self._full.clear()
            if self._queue:
                await self._write_group()
            if self._failed:
                await asyncio.sleep(RETRY_S)
                self._full.set()

    async def _write_group(self) -> None:
        """Write the queue; what comes in meanwhile makes the next one."""
        group = self._queue[:]
        written = len(group)
        laid_out = self.writer.group(group)  # here, so that the thread does not contend for the interpreter
        writing = asyncio.get_running_loop().run_in_executor(self._pool, self.writer.append, laid_out)
        cancelled = not await _outlast(writing)
        try:
            writing.result()
            self._failed = ""
        except WriteFailed as error:
            written = error.written
            if not self._failed:
                log.error("write_failed", error=str(error))
            self._failed = "write_failed"
            self._settle(Shed.FRAMES)
        self._queue[: len(group)] = self._sieve([item for item in group[written:] if item[2] != BEAT])
        self.queued = sum(len(item[3]) for item in self._queue)
        self._owner.written(group[:written])
        if cancelled:
            raise asyncio.CancelledError

    async def _sync(self) -> None:
        loop, durable = asyncio.get_running_loop(), -1
        while True:
            await asyncio.sleep(SYNC_S)
            if self.writer.written != durable:
                durable, begun = self.writer.written, loop.time()
                since, self._volatile = self._volatile, None
                await loop.run_in_executor(self._pool, self.writer.sync)
                self.durable_s = loop.time() - begun
                self.lag_s = loop.time() - (begun if since is None else since)


async def _outlast(writing: asyncio.Future[None]) -> bool:
    """Wait for a write that cannot be stopped half-way; False where this was cancelled meanwhile."""
    undisturbed = True
    while not writing.done():
        try:
            await asyncio.wait((writing,))
        except asyncio.CancelledError:
            undisturbed = False
    return undisturbed


async def _every(seconds: float, step: Callable[[], None]) -> None:
    while True:
        await asyncio.sleep(seconds)
        step()
