"""Mends holes: asks the venue for the ids that are missing and journals what it answers."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
import numpy as np
import structlog

from dataflows.recording.holes import Hole, Tape
from dataflows.recording.rest import Rest, RestError
from dataflows.recording.tasks import spawn
from pipelines.records import Gap, Kind, Repair, headed
from pipelines.tape import Rows
from pipelines.venues.venue import Sight

REORDER_S: Final = 0.25
"""How long a missing id may still come by itself: from the other socket, or out of order."""
FIRST_LIVE_S: Final = 1.0
"""How long a live trade is waited for, which tells how much is missing."""
CAP: Final = 200_000
"""A hole of more ids than this is left to the archives."""
TRIES: Final = 3
TRY_AGAIN_S: Final = 1.0
"""REST may lag behind the socket: ids that it lacks are asked for again."""
log = structlog.get_logger(__name__)


class Desk:
    """What repairs of one instrument need: where to ask, where to write, and when trades come in.

    Attributes
    ----------
    symbol : str
        The venue's own name.
    rest : Rest
    live : asyncio.Event
        Set while trades come in.
    clock : callable
        Seconds, as `Hole.since` counts them.
    counts : Counter
        Gaps told, of all instruments: `opened`, `closed` and, of these, `unfillable`.
    """

    def __init__(
        self,
        symbol: str,
        rest: Rest,
        put: Callable[[Kind, bytes], None],
        live: asyncio.Event,
        ready: Callable[[], Awaitable[None]],
        clock: Callable[[], float],
        counts: Counter[str],
    ) -> None:
        self.symbol = symbol
        self.rest = rest
        self.live = live
        self.clock = clock
        self.counts = counts
        self._put = put
        self._ready = ready

    def open(self, reason: str, first: int | None = None, last: int | None = None) -> None:
        """Journal that a gap opened."""
        self.counts["opened"] += 1
        self._tell(Kind.GAP_OPEN, "open", reason, first, last)

    def close(self, status: str, reason: str, first: int | None = None, last: int | None = None) -> None:
        """Journal what became of a gap."""
        self.counts["closed"] += 1
        self.counts["unfillable"] += status == "unfillable"
        self._tell(Kind.GAP_CLOSE, status, reason, first, last)

    def _tell(self, kind: Kind, status: str, reason: str, first: int | None, last: int | None) -> None:
        last = last if first is not None and last is not None and last >= first else None
        gap = Gap(self.rest.venue.name, self.symbol, "trades", reason, status, first, last)
        self._put(kind, msgspec.json.encode(gap))
        log.info("gap", **msgspec.structs.asdict(gap))

    def keep(self, body: bytes) -> None:
        """Journal a REST answer with trades that were missing."""
        self._put(Kind.REPAIR, headed(Repair(self.rest.venue.name, self.symbol), body))

    async def page(self, first: int, last: int | None) -> tuple[Rows, bytes]:
        """Return trades that `Venue.repair_request` asks for, and the answer that holds them; ask until there is one.

        Raises
        ------
        RestError
            If the venue will not answer this request.
        """
        delay = 1.0
        while True:
            await self._ready()
            try:
                body = await self.rest.get(self.rest.venue.repair_request(self.symbol, first, last))
                return self.rest.venue.decode_rest(body, self.symbol).rows, body
            except RestError as error:
                if error.final and not error.refused:
                    raise
                log.warning("repair_waits", venue=self.rest.venue.name, symbol=self.symbol, error=str(error))
            await asyncio.sleep(delay)
            delay = min(2 * delay, 30.0)


class Mender:
    """Mends the holes of one instrument's tape, whose ids are contiguous, one hole after the other."""

    def __init__(self, desk: Desk, tape: Tape) -> None:
        self.desk = desk
        self.tape = tape
        self._task: asyncio.Task[None] | None = None

    def see(self, sight: Sight, now: float, *, late: bool = False) -> None:
        """Hold a trade that came, `late`: by a socket that is lost, or that the venue says exists, against the gap rule."""
        if sight.first > sight.last:
            hole = self.tape.told(sight.last, now)
        else:
            hole = self.tape.see(sight.first, sight.last, now, history=sight.history, late=late)
        if hole is not None and late:
            asyncio.get_running_loop().call_soon(self.begin)  # once all that came before the loss was seen
        elif hole is not None:
            self.begin()

    def interrupted(self, reason: str) -> None:
        """Note that trades may be missing from here on."""
        if self.tape.lost(reason, self.desk.clock()) is not None:
            self.begin()

    def begin(self) -> None:
        """Tell of every hole that is certain, and mend."""
        for hole in self.tape.holes:
            if hole.reason != "missing_ids":
                self._tell(hole)
        if self.tape.holes and (self._task is None or self._task.done()):
            self._task = spawn(self._run(), f"mend {self.desk.symbol}")

    async def stop(self) -> None:
        """Leave what is not mended; the journal says that it is open."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))

    def give_up(self, reason: str) -> None:
        """Close every hole as unfillable: its instrument is no longer recorded."""
        for hole in self.tape.holes:
            if hole.told:
                self.desk.close("unfillable", reason, hole.first, hole.last)
        self.tape.holes.clear()

    def gaps(self) -> list[tuple[float, dict[str, Any]]]:
        """Return the holes that were told of and are not mended: since when, and what they are."""
        return [
            (h.since, {"from_id": h.first, "to_id": h.last, "missing": h.missing, "reason": h.reason})
            for h in self.tape.holes
            if h.told
        ]

    async def _run(self) -> None:
        while self.tape.holes:
            hole = self.tape.holes[0]
            if not hole.told:
                await asyncio.sleep(max(0.0, hole.since + REORDER_S - self.desk.clock()))
                if hole.missing:
                    self._tell(hole)
            if hole.told:
                status, reason = await self._mend(hole)
                self.desk.close(status, reason, hole.first, hole.last)
            self.tape.holes.remove(hole)

    def _tell(self, hole: Hole) -> None:
        if not hole.told:
            hole.told = True
            self.desk.open(hole.reason, hole.first, hole.last)

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
            log.error("repair_refused", venue=self.desk.rest.venue.name, symbol=self.desk.symbol, error=str(error))
            return "unfillable", "the venue refused"
        if lost:
            return "unfillable", "the venue lacks ids"
        return ("repaired", hole.reason) if hole.last is not None and hole.last >= hole.first else ("none", hole.reason)

    async def _wait_for_live(self, hole: Hole) -> None:
        await self.desk.live.wait()
        end = self.desk.clock() + FIRST_LIVE_S
        while hole.last is None and self.desk.clock() < end:
            await asyncio.sleep(0.01)

    async def _catch_up(self, hole: Hole) -> None:
        """Learn how far the tape goes: from what the venue has from the first missing id on, or from a live trade.

        Some venues page forward from that id, others show their newest page alone; either way the greatest id that
        comes is where the tape is, and `_fetch` asks for what is missing before it.
        """
        came: list[Rows] = []
        at = hole.first
        while hole.last is None and at - hole.first <= CAP:
            rows, body = await self.desk.page(at, None)
            fresh = rows.compress(rows["trade_id"] >= at)
            if fresh.size:
                self.desk.keep(body)
                came.append(fresh)
                at = int(fresh["trade_id"].max()) + 1
            if fresh.size < self.desk.rest.venue.rules.page:
                break
        if hole.last is None:
            hole.end(at - 1)
            self.tape.next_id = max(self.tape.next_id or at, at)
        for rows in came:
            _fill(hole, rows)

    async def _fetch(self, hole: Hole) -> list[tuple[int, int]]:
        """Fetch what is missing; return the ranges that the venue does not have."""
        lost: list[tuple[int, int]] = []
        tries = 0
        while hole.left:
            first, last = hole.left[0]
            rows, body = await self.desk.page(first, last)
            if _fill(hole, rows):
                self.desk.keep(body)
                tries = 0
            elif not hole.left or hole.left[0] != (first, last):  # they came by themselves
                tries = 0
            elif (tries := tries + 1) == TRIES:
                lost.append(hole.left.pop(0))
                tries = 0
            else:
                await asyncio.sleep(TRY_AGAIN_S)
        return lost


def _fill(hole: Hole, rows: Rows) -> int:
    """Take ids off a hole, a run of consecutive ones at a time; return how many it had missed."""
    ids = np.unique(rows["trade_id"])
    if ids.size == 0:
        return 0
    if (rows["span"] != 1).any():
        return sum(hole.fill(int(row["trade_id"] - row["span"]) + 1, int(row["trade_id"])) for row in rows)
    return sum(hole.fill(int(run[0]), int(run[-1])) for run in np.split(ids, np.flatnonzero(np.diff(ids) != 1) + 1))
