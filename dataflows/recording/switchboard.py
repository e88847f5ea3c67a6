"""Which connection has which number, and who reads what is journaled of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from dataflows.recording.connection import Connection
from dataflows.recording.head import Head
from dataflows.recording.intake import FRAME, Item
from dataflows.recording.sockets import Reader
from pipelines.feeds import Feed
from pipelines.records import Kind

BOOK: Final = int(Kind.BOOK)
_SHED_FIRST: Final[tuple[Feed, ...]] = ("book", "quotes")


class Switchboard:
    """Hands what is in the journal to those it concerns.

    Attributes
    ----------
    head : Head
        What each later segment restates.
    """

    def __init__(self) -> None:
        self.head = Head()
        self._numbers = 0
        self._open: set[int] = set()
        self._read: dict[int, tuple[Connection, Reader]] = {}

    def join(self, connection: Connection, reader: Reader) -> int:
        """Return a number for a connection that opened: one that none has had for long."""
        self._numbers = self._numbers % 65535 + 1
        while self._numbers in self._open:
            self._numbers = self._numbers % 65535 + 1
        self._open.add(self._numbers)
        self._read[self._numbers] = connection, reader
        return self._numbers

    def leave(self, connection: Connection) -> None:
        """Take note that a connection was lost; what it brought may still be on its way into the journal."""
        self._open.discard(connection.number)

    def written(self, group: Sequence[Item]) -> None:
        """Hand on records that are in the journal, those of a connection in their order."""
        waiting: dict[int, list[bytes]] = defaultdict(list)
        for recv_ns, number, kind, payload in group:
            if kind == FRAME:
                waiting[number].append(payload)
                continue
            self.head.note(kind, payload, number)
            if kind == BOOK and number in self._read:
                self._hand(number, waiting.pop(number, []), recv_ns)
                connection, reader = self._read[number]
                if connection.number == number:
                    reader.saw_book(connection, payload)
        for number, frames in waiting.items():
            self._hand(number, frames, group[-1][0])

    def _hand(self, number: int, frames: list[bytes], recv_ns: int) -> None:
        if frames and (found := self._read.get(number)) is not None:
            connection, reader = found
            reader.saw(connection, frames, recv_ns, current=connection.number == number)

    def dropped(self, number: int) -> None:
        """Tell a connection that a frame of it was shed."""
        connection, _ = self._read.get(number, (None, None))
        if connection is not None and connection.number == number:
            connection.shed += 1

    def feed_of(self, number: int, frame: bytes) -> Feed:
        """Tell which feed a frame is shed with; what cannot be told is shed last, with trades."""
        if number not in self._read:
            return "trades"
        connection, _ = self._read[number]
        feeds = connection.route.feeds
        if len(feeds) != 1:
            feeds = [sight.feed for sight in connection.venue.look([frame]).sights]
        return next((feed for feed in _SHED_FIRST if feed in feeds and "trades" not in feeds), "trades")
