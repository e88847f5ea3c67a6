"""Mends holes: asks the venue for the ids that are missing and journals what it answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
import numpy as np
import structlog

from dataflows.recording.holes import Hole, Tape
from dataflows.recording.rest import Rest, RestError
from dataflows.recording.tasks import spawn
from pipelines.records import Gap, Kind, Repair, headed

REORDER_S: Final = 0.25
"""How long a missing id may still come by itself: from the other socket, or out of order."""
FIRST_LIVE_S: Final = 1.0
"""How long a live trade is waited for, which tells how much is missing."""
CAP: Final = 200_000
"""A hole of more ids than this is left to the archives."""
PAGE: Final = 1000
TRIES: Final = 3
TRY_AGAIN_S: Final = 1.0
"""REST may lag behind the socket: ids that it lacks are asked for again."""
log = structlog.get_logger(__name__)


class Mender:
    """Mends the holes of one instrument's tape, one after the other.

    Parameters
    ----------
    symbol : str
        The venue's own name.
    tape : Tape
    rest : Rest
    put : callable
        Journals a record of a kind with a payload.
    connected : asyncio.Event
        Set while trades come in.
    ready : callable
        Waits until the journal takes frames.
    clock : callable
        Seconds, as `Hole.since` counts them.
    """

    def __init__(
        self,
        symbol: str,
        tape: Tape,
        rest: Rest,
        put: Callable[[Kind, bytes], None],
        connected: asyncio.Event,
        ready: Callable[[], Awaitable[None]],
        clock: Callable[[], float],
    ) -> None:
        self.symbol = symbol
        self.tape = tape
        self.opened = 0
        self.closed = 0
        self._rest = rest
        self._put = put
        self._connected = connected
        self._ready = ready
        self._clock = clock
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Tell of every hole that is certain, and mend."""
        for hole in self.tape.holes:
            if hole.reason != "missing_ids":
                self._tell(hole)
        if self.tape.holes and (self._task is None or self._task.done()):
            self._task = spawn(self._run(), f"mend {self.symbol}")

    async def stop(self) -> None:
        """Leave what is not mended; the journal says that it is open."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))

    def give_up(self, reason: str) -> None:
        """Close every hole as unfillable: its instrument is no longer recorded."""
        for hole in self.tape.holes:
            if hole.told:
                self._journal(Kind.GAP_CLOSE, hole, "unfillable", reason)
        self.tape.holes.clear()

    async def _run(self) -> None:
        while self.tape.holes:
            hole = self.tape.holes[0]
            if not hole.told:
                await asyncio.sleep(max(0.0, hole.since + REORDER_S - self._clock()))
                if hole.missing:
                    self._tell(hole)
            if hole.told:
                status, reason = await self._mend(hole)
                self._journal(Kind.GAP_CLOSE, hole, status, reason)
                self.closed += 1
            self.tape.holes.remove(hole)

    def _tell(self, hole: Hole) -> None:
        if not hole.told:
            hole.told = True
            self.opened += 1
            self._journal(Kind.GAP_OPEN, hole, "open", hole.reason)

    def _journal(self, kind: Kind, hole: Hole, status: str, reason: str) -> None:
        last = hole.last if hole.last is not None and hole.last >= hole.first else None
        gap = Gap(self._rest.venue.name, self.symbol, "trades", reason, status, hole.first, last)
        self._put(kind, msgspec.json.encode(gap))
        log.info("gap", **msgspec.structs.asdict(gap))

    async def _mend(self, hole: Hole) -> tuple[str, str]:
        """Return the status and the reason that a hole is closed with."""
        try:
            if hole.last is None:
                await self._wait_for_live(hole)
            if hole.last is None:
                await self._catch_up(hole)
            if hole.missing > CAP:
                return "unfillable", f"more than {CAP} ids"
            lost = await self._fetch(hole)
        except RestError as error:
            log.error("repair_refused", venue=self._rest.venue.name, symbol=self.symbol, error=str(error))
            return "unfillable", "the venue refused"
        if lost:
            return "unfillable", "the venue lacks ids"
        return ("repaired", hole.reason) if hole.last is not None and hole.last >= hole.first else ("none", hole.reason)

    async def _wait_for_live(self, hole: Hole) -> None:
        await self._connected.wait()
        end = self._clock() + FIRST_LIVE_S
        while hole.last is None and self._clock() < end:
            await asyncio.sleep(0.01)

    async def _catch_up(self, hole: Hole) -> None:
        """Fetch from the first missing id on until the venue has no more, or a live trade tells where the hole ends."""
        at = hole.first
        while hole.last is None and at - hole.first <= CAP:
            ids, body = await self._page(at, None)
            if ids.size:
                self._keep(body)
                at = int(ids.max()) + 1
            if ids.size < PAGE:
                break
        if hole.last is None:
            hole.end(at - 1)
            self.tape.next_id = max(self.tape.next_id or at, at)
        hole.fill(hole.first, at - 1)

    async def _fetch(self, hole: Hole) -> list[tuple[int, int]]:
        """Fetch what is missing; return the ranges that the venue does not have."""
        lost: list[tuple[int, int]] = []
        tries = 0
        while hole.left:
            first, last = hole.left[0]
            ids, body = await self._page(first, last)
            if _fill(hole, ids):
                self._keep(body)
            if not hole.left or hole.left[0][0] != first:
                tries = 0
            elif (tries := tries + 1) == TRIES:
                lost.append(hole.left.pop(0))
                tries = 0
            else:
                await asyncio.sleep(TRY_AGAIN_S)
        return lost

    async def _page(self, first: int, last: int | None) -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], bytes]:
        """Return the ids from `first` on, and the answer that holds them; ask until there is one or it is refused."""
        delay = 1.0
        while True:
            await self._ready()
            try:
                body = await self._rest.get(self._rest.venue.repair_request(self.symbol, first, last))
                return self._rest.venue.decode_rest(body, self.symbol).rows["trade_id"], body
            except RestError as error:
                if error.final:
                    raise
                log.warning("repair_waits", venue=self._rest.venue.name, symbol=self.symbol, error=str(error))
            await asyncio.sleep(delay)
            delay = min(2 * delay, 30.0)

    def _keep(self, body: bytes) -> None:
        self._put(Kind.REPAIR, headed(Repair(self._rest.venue.name, self.symbol), body))


def _fill(hole: Hole, ids: np.ndarray[tuple[int], np.dtype[np.int64]]) -> int:
    """Take ids off a hole, a run of consecutive ones at a time; return how many it had missed."""
    ids = np.unique(ids)
    return sum(hole.fill(int(run[0]), int(run[-1])) for run in np.split(ids, np.flatnonzero(np.diff(ids) != 1) + 1) if run.size)
