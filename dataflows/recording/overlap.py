"""Mends a tape whose ids do not follow each other: what the venue shows of its newest trades is held against what came."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Any, Final

import structlog

from dataflows.recording.repair import FIRST_LIVE_S, TRIES, TRY_AGAIN_S, Desk
from dataflows.recording.rest import RestError
from dataflows.recording.tasks import spawn
from pipelines.venues.venue import Sight

KNOWN: Final = 8192
"""Ids remembered of an instrument; more than any venue shows at once."""
log = structlog.get_logger(__name__)


class OverlapMender:
    """Mends one instrument's tape after each interruption.

    A page of newest trades that reaches back to one from before the interruption, and on to the first one after it,
    holds everything that happened between; a page that does not leaves a gap.

    Parameters
    ----------
    desk : Desk
    known : iterable of int
        Ids that the journal holds from before this recorder began.
    """

    def __init__(self, desk: Desk, known: Iterable[int] = ()) -> None:
        self.desk = desk
        self._recent: deque[int] = deque(known, maxlen=KNOWN)
        self._first: int | None = None
        self._reason = ""
        self._since = 0.0
        self._again = ""
        self._unknown = ""
        self._task: asyncio.Task[None] | None = None

    def see(self, sight: Sight, now: float, *, late: bool = False) -> None:
        """Remember a trade that came, `late`: by a socket that is lost; history that a venue sends again says nothing of it.

        Before the first trade a loss is no gap. But what a socket brought is seen once it is in the journal, and it may be
        lost by then: where that was the first, a gap begins after all.
        """
        del now
        if sight.history:
            return
        self._recent.append(sight.last)
        if self._first is None:
            self._first = sight.last
        unknown, self._unknown = self._unknown, ""
        if unknown and late:
            self.interrupted(unknown)

    def interrupted(self, reason: str) -> None:
        """Note that trades may be missing from here on."""
        if self._reason:
            self._again = reason
        elif self._recent:
            self._reason, self._since = reason, self.desk.clock()
            self.desk.open(reason)
            self._task = spawn(self._mend(), f"mend {self.desk.symbol}")
        else:
            self._unknown = reason

    async def stop(self) -> None:
        """Leave what is not mended; the journal says that it is open."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))

    def give_up(self, reason: str) -> None:
        """Close the gap as unfillable: its instrument is no longer recorded."""
        if self._reason:
            self.desk.close("unfillable", reason)
            self._reason = ""

    def gaps(self) -> list[tuple[float, dict[str, Any]]]:
        """Return the gap that was told of and is not mended: since when, and what it is."""
        told = {"from_id": None, "to_id": None, "missing": None, "reason": self._reason}
        return [(self._since, told)] if self._reason else []

    async def _mend(self) -> None:
        while self._reason:
            await self.desk.live.wait()  # until then what came before the loss may still be on its way into the journal
            before, self._first = frozenset(self._recent), None
            try:
                status = await self._compare(before)
            except RestError as error:
                log.error("repair_refused", venue=self.desk.rest.venue.name, symbol=self.desk.symbol, error=str(error))
                status = "unfillable"
            self.desk.close(status, self._reason)
            self._reason, self._again = self._again, ""
            if self._reason:
                self._since = self.desk.clock()
                self.desk.open(self._reason)

    async def _compare(self, before: frozenset[int]) -> str:
        """Journal what the venue shows and did not come; return what became of the gap."""
        for attempt in range(TRIES):
            if attempt:
                await asyncio.sleep(TRY_AGAIN_S)
            await self._wait_for_live()
            rows, body = await self.desk.page(0, None)
            page = set(rows["trade_id"].tolist())
            back, on = bool(page & before), self._first is None or self._first in page
            if page and (on or not back):  # else REST lags behind the socket
                break
        if new := page.difference(self._recent):
            self.desk.keep(body)
            self._recent.extend(new)
        return "unfillable" if not (back and on) else "repaired" if new else "none"

    async def _wait_for_live(self) -> None:
        await self.desk.live.wait()
        end = self.desk.clock() + FIRST_LIVE_S
        while self._first is None and self.desk.clock() < end:
            await asyncio.sleep(0.01)
