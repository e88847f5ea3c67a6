"""Which streams were asked for and do not come: that a subscription was acknowledged says nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

import structlog

from dataflows.recording.connection import Connection
from pipelines.feeds import Feed
from pipelines.venues.venue import Stream

DEADLINES: Final[dict[Feed, float]] = {"trades": 60.0, "quotes": 30.0, "book": 30.0}
"""Seconds after the subscription within which an instrument's first data is due."""
RENEW_S: Final = 60.0
"""New sockets are tried after so long at the earliest; each time that they did not help, after twice as long."""
LONGEST_S: Final = 3600.0
log = structlog.get_logger(__name__)


class Delivery:
    """Holds the sockets of one venue against what they were asked for.

    Attributes
    ----------
    silent : set of Stream
        What did not come within its deadline on any socket, and has not since.
    found : int
        How often a stream was found silent.
    """

    def __init__(self) -> None:
        self.silent: set[Stream] = set()
        self.found = 0
        self._delay = RENEW_S
        self._renew_at: float | None = None

    def look(self, lines: Iterable[Connection], now: float, unseen: Collection[Feed] = ()) -> bool:
        """Look at the sockets; return whether it is time to try new ones. Of feeds that are `unseen` nothing is said."""
        lines = list(lines)
        late = {
            stream
            for line in lines
            if line.opened.is_set() and line.subscribed_at is not None
            for stream in line.awaited
            if stream.feed not in unseen and now - line.subscribed_at > DEADLINES[stream.feed]
        }
        shown = {stream for line in lines if line.opened.is_set() for stream in line.streams - line.awaited}
        late -= shown
        for feed, symbol in late - self.silent:
            self.found += 1
            log.error("stream_silent", feed=feed, symbol=symbol)
        self.silent = late | {s for s in self.silent - shown if any(s in line.awaited for line in lines)}
        if not self.silent:
            self._delay, self._renew_at = RENEW_S, None
        elif self._renew_at is None:
            self._renew_at = now
        return self._renew_at is not None and self._due(now)

    def _due(self, now: float) -> bool:
        if self._renew_at is None or now < self._renew_at:
            return False
        self._renew_at = now + self._delay
        self._delay = min(2 * self._delay, LONGEST_S)
        return True
