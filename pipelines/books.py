"""The books of all instruments, one per connection: which is shown, when, and how often one was lost."""

from __future__ import annotations

from typing import NamedTuple

from pipelines.book import Book
from pipelines.feed_rows import Snapshot
from pipelines.feeds import Depth, Level
from pipelines.tape_order import GapRow
from pipelines.venues import venue as venue_named

LEVELS = 20
"""Levels of a side in a snapshot."""


FAR = 7_200_000_000
"""A time this far back (us) was not passed: the venue's clock was not known yet when the next moment was set."""


class Moment(NamedTuple):
    """When an update came: the venue's time, corrected from the receipt where it says none (us), and the receipt (ns)."""

    ts: int
    recv_ns: int


class Books:
    """Books by instrument and connection. Plain state; what is found is taken away by `take_*`.

    A snapshot shows the book as it was before the first thing that is known to be at or behind the moment shown: a
    heartbeat by the venue's clock, or an update by its own time. It is that of the lowest-numbered connection whose
    book is sound.
    """

    def __init__(self) -> None:
        self.books: dict[int, dict[int, Book]] = {}
        self.due: dict[int, int] = {}
        self.resyncs: dict[int, int] = {}
        self.losses: dict[int, int] = {}
        self.seen: dict[int, int] = {}
        self.open: dict[int, GapRow] = {}
        self._shown: list[Snapshot] = []
        self._breaks: list[GapRow] = []

    def take_shown(self) -> list[Snapshot]:
        """Return the snapshots made since the last call."""
        shown, self._shown = self._shown, []
        return shown

    def take_breaks(self) -> list[GapRow]:
        """Return the losses of a book (`open`) and the returns (`repaired`) since the last call."""
        breaks, self._breaks = self._breaks, []
        return breaks

    @property
    def synced(self) -> int:
        """How many instruments have a sound book."""
        return sum(self.elected(i) is not None for i in self.books)

    def elected(self, i: int) -> int | None:
        """Return the connection whose book of instrument `i` is shown; None: no book is sound."""
        return min((c for c, book in self.books.get(i, {}).items() if book.synced), default=None)

    def clock(self, i: int, ts: int, interval: int) -> None:
        """Show the book of instrument `i` where the time `ts` has passed a multiple of `interval` (us)."""
        due = self.due.get(i)
        if due is not None and due - FAR <= ts < due:
            return
        at = ts // interval * interval
        self.due[i] = at + interval
        if due is not None and ts >= due:
            self._show(i, at)

    def _show(self, i: int, at: int) -> None:
        connection = self.elected(i)
        if connection is not None:
            book = self.books[i][connection]
            bids, asks = book.top(LEVELS)
            self._shown.append(Snapshot(i, at, book.ts, book.last, bids, asks, connection, self.resyncs.get(i, 0)))

    def apply(self, i: int, venue: str, connection: int, depth: Depth, moment: Moment) -> None:
        """Give a snapshot or an update to the connection's book of instrument `i`."""
        book = self.books.setdefault(i, {}).get(connection)
        if book is None:
            book = self.books[i][connection] = _new(venue, depth.symbol)
        before = book.synced
        reason = book.apply(depth)
        if reason is not None:
            self.losses[i] = self.losses.get(i, 0) + before
            if i in self.seen and i not in self.open and self.elected(i) is None:
                self.open[i] = GapRow(i, self.seen[i], moment.ts, None, None, reason, "open", moment.recv_ns)
                self._breaks.append(self.open[i])
        elif book.synced:
            self._sound(i, moment, fresh=not before)

    def _sound(self, i: int, moment: Moment, *, fresh: bool) -> None:
        self.seen[i] = moment.ts
        if fresh and self.losses.get(i, 0):
            self.losses[i] -= 1
            self.resyncs[i] = self.resyncs.get(i, 0) + 1
        if i in self.open:
            self._breaks.append(self.open.pop(i)._replace(end=moment.ts, status="repaired", as_of_ns=moment.recv_ns))

    def best(self, i: int, connection: int) -> tuple[Level | None, Level | None] | None:
        """Return best bid and ask of instrument `i` if this connection's book is the one shown."""
        return self.books[i][connection].best() if self.elected(i) == connection else None

    def empty(self, i: int) -> None:
        """Have the books of instrument `i` wait for a snapshot: updates were shed."""
        for book in self.books.get(i, {}).values():
            self.losses[i] = self.losses.get(i, 0) + book.synced
            book.clear()

    def drop(self, connection: int | None = None) -> None:
        """Forget the books of a connection that is gone; of all, where none is named."""
        for i, books in self.books.items():
            for c in list(books):
                if connection in (None, c):
                    self.losses[i] = self.losses.get(i, 0) + books.pop(c).synced


def _new(venue: str, native: str) -> Book:
    place = venue_named(venue)
    return Book(place.checksum, place.rules.book_depth, apart=place.book_request(native) is not None)
