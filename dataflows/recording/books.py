"""Keeps the books of a socket as the flow will, so that a broken one is asked for again at once."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import structlog

from pipelines.book import Book
from pipelines.feeds import Depth
from pipelines.venues.venue import Venue

SPREAD_S: Final = 1.0
"""Snapshots of many books are asked for within so long after their first updates."""
AGAIN_S: Final = 5.0
"""A book is asked for again after so long at the earliest; after each request that did not help, twice as long."""
LONGEST_S: Final = 60.0
DUE_S: Final = 30.0
"""A snapshot that the socket should bring by itself is asked for after so long."""
log = structlog.get_logger(__name__)


@dataclass
class _Kept:
    """A book, and when to ask for it next."""

    book: Book
    ask_at: float
    asked_at: float = -math.inf
    not_before: float = -math.inf
    delay: float = 0.0


class Books:
    """The books of one socket, one for each instrument.

    Attributes
    ----------
    breaks : int
        How often a book could no longer be trusted.
    """

    def __init__(self, venue: Venue, opened_at: float) -> None:
        self.breaks = 0
        self._venue = venue
        self._opened_at = opened_at
        self._kept: dict[str, _Kept] = {}

    def expect(self, natives: Iterable[str]) -> None:
        """Take note of the instruments whose books the socket was asked for."""
        for native in natives:
            apart = self._venue.book_request(native) is not None
            book = Book(self._venue.checksum, self._venue.rules.book_depth, apart=apart)
            self._kept[native] = _Kept(book, math.inf if apart else self._opened_at + DUE_S)

    @property
    def broken(self) -> list[str]:
        """The instruments that have no book at present."""
        return [native for native, kept in self._kept.items() if not kept.book.synced]

    @property
    def whole(self) -> list[str]:
        """Those whose book can be trusted at present."""
        return [native for native, kept in self._kept.items() if kept.book.synced]

    def take(self, depths: Iterable[Depth], now: float) -> None:
        """Apply what was journaled, in that order."""
        for depth in depths:
            kept = self._kept.get(depth.symbol)
            if kept is None:
                continue
            whole = kept.book.synced
            reason = kept.book.apply(depth)
            if reason is not None:
                self.breaks += 1
                kept.delay = 0.0 if now - kept.asked_at > 2 * LONGEST_S else kept.delay
                kept.ask_at = max(now, kept.not_before)
                log.warning("book_broken", venue=self._venue.name, symbol=depth.symbol, reason=reason)
            elif kept.book.synced and not whole:
                kept.ask_at = math.inf
            elif not kept.book.synced and kept.ask_at == math.inf:
                kept.ask_at = now + random.uniform(0, SPREAD_S)  # spreads requests, protects nothing

    def shed(self, now: float, *, over: bool) -> None:
        """Trust none of them: updates are missing from here on, or (`over`) come again."""
        for kept in self._kept.values():
            self.breaks += kept.book.synced
            kept.book.clear()
            kept.ask_at = now + random.uniform(0, SPREAD_S) if over else math.inf

    def due(self, now: float) -> list[str]:
        """Return the instruments whose book is to be asked for now, and count on that it is."""
        due = [native for native, kept in self._kept.items() if not kept.book.synced and kept.ask_at <= now]
        for native in due:
            kept = self._kept[native]
            kept.delay = min(2 * kept.delay, LONGEST_S) or AGAIN_S
            kept.asked_at, kept.ask_at = now, now + kept.delay
            kept.not_before = kept.ask_at
        return due
