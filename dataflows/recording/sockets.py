"""The sockets of a venue: opened within its budget, renewed with overlap, and which of its streams any of them carries."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import Final, Protocol

import msgspec
import structlog

from dataflows.recording.budget import Budget
from dataflows.recording.connection import Connection
from dataflows.recording.delivery import Delivery
from dataflows.recording.tasks import spawn
from pipelines.feeds import Feed
from pipelines.records import Connect, Disconnect, Kind
from pipelines.venues.venue import Route, Stream, Venue

STAGGER_S: Final = 1.0
"""How long after the first the second of two redundant sockets is opened: what ends one must not end the other."""
OVERLAP_S: Final = 5.0
"""How long new sockets, once all are subscribed, may take to show data until the old ones are closed all the same."""
log = structlog.get_logger(__name__)


class Reader(Protocol):
    """Whoever reads what sockets bring once it is in the journal."""

    def routes(self) -> list[Route]:
        """Return the connections that there should be."""

    def redundancy(self) -> int:
        """Return how many sockets each should have."""

    def resumed(self, stream: Stream) -> None:
        """Take note that data of a stream may come."""

    def interrupted(self, stream: Stream) -> None:
        """Take note that no socket carries a stream any more."""

    def saw(self, connection: Connection, frames: Sequence[bytes], recv_ns: int, *, current: bool) -> None:
        """Read frames that are in the journal; not `current`: the connection has opened anew since they came."""

    def saw_book(self, connection: Connection, payload: bytes) -> None:
        """Read a `Kind.BOOK` record that is in the journal."""


class Journal(Protocol):
    """Where sockets record."""

    def clock(self) -> float:
        """Return monotonic seconds."""

    def put(self, kind: Kind, payload: bytes, connection: int = 0) -> None:
        """Journal a record."""

    def taker(self, number: int) -> Callable[[bytes], None]:
        """Return what journals the frames of a connection."""

    def join(self, connection: Connection, reader: Reader) -> int:
        """Return a number for a connection that opened, whose frames in the journal are then handed to `reader`."""

    def leave(self, connection: Connection) -> None:
        """Take note that a connection was lost."""

    def behind(self) -> bool:
        """Tell whether frames wait to be written, or are shed."""

    def unseen(self) -> Collection[Feed]:
        """Return the feeds whose frames are shed: of them nobody sees whether they come."""


class Sockets:
    """The sockets of one venue.

    Attributes
    ----------
    lines : list of Connection
    delivery : Delivery
    """

    def __init__(self, venue: Venue, journal: Journal, reader: Reader) -> None:
        self.venue = venue
        self.lines: list[Connection] = []
        self.delivery = Delivery()
        self._journal = journal
        self._reader = reader
        self._connects = Budget(*venue.rules.connects, journal.clock())
        self._reconnects = 0
        self._breaks = 0
        self._renewal: asyncio.Task[None] | None = None
        self._closing = False

    @property
    def reconnects(self) -> int:
        """How often sockets were lost and opened again."""
        return self._reconnects + sum(line.reconnects for line in self.lines)

    @property
    def breaks(self) -> int:
        """How often a book could no longer be trusted."""
        return self._breaks + sum(line.breaks for line in self.lines)

    @property
    def refusals(self) -> list[str]:
        """What the venue refuses at present, each once."""
        return list(dict.fromkeys(line.refusal for line in self.lines if line.refusal))

    # Renewal

    def renew(self, reason: str) -> None:
        """Open sockets for what is recorded now; close the present ones once the new ones deliver."""
        log.info("renew_sockets", venue=self.venue.name, reason=reason)
        before, self._renewal = self._renewal, None
        self._renewal = spawn(self._renew(before), f"renew {self.venue.name}")

    @property
    def renewing(self) -> bool:
        """Whether sockets are being renewed."""
        return self._renewal is not None and not self._renewal.done()

    def look(self) -> None:
        """Renew the sockets before the venue closes them, and where streams do not come."""
        now, age = self._journal.clock(), self.venue.rules.rotate_s
        silent = self.delivery.look(self.lines, now, self._journal.unseen())
        if self.renewing:
            return
        if any(line.opened.is_set() and now - line.opened_at > age for line in self.lines):
            self.renew("age")
        elif silent:
            self.renew("silent streams")

    async def _renew(self, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            before.cancel()
            await asyncio.wait((before,))
        old = self.lines
        routes = self._reader.routes()
        waves = [[Connection(self.venue, route, self) for route in routes] for _ in range(self._reader.redundancy())]
        new = [line for wave in waves for line in wave]
        self.lines = old + new
        for k, wave in enumerate(waves):
            if k and wave:
                await asyncio.sleep(STAGGER_S)
            for line in wave:
                line.start()
        for line in new:
            await line.opened.wait()
        until = self._journal.clock() + OVERLAP_S
        while old and not all(line.delivering for line in new):
            now = self._journal.clock()
            if any(line.subscribed_at is None for line in new):  # subscribing is paced; what is not asked for cannot come
                until = now + OVERLAP_S
            elif now >= until:
                break
            await asyncio.sleep(0.02)
        await asyncio.gather(*(line.retire() for line in old))
        self._reconnects += sum(line.reconnects for line in old)
        self._breaks += sum(line.breaks for line in old)
        self.lines = new

    # What connections tell

    async def admitted(self) -> None:
        """Wait until the venue allows one more connection."""
        while wait := self._connects.take(1, self._journal.clock()):
            await asyncio.sleep(wait)

    def blind(self) -> bool:
        """Tell whether frames wait to be looked at."""
        return self._journal.behind()

    def unseen(self) -> Collection[Feed]:
        """Return the feeds of which nobody sees whether they come."""
        return self._journal.unseen()

    def opened(self, connection: Connection) -> Callable[[bytes], None]:
        """Take note of a connection that opened."""
        number = connection.number = self._journal.join(connection, self._reader)
        route = connection.route
        connect = Connect(self.venue.name, route.name, [*route.feeds], route.symbols)
        self._journal.put(Kind.CONNECT, msgspec.json.encode(connect), number)
        for stream in connection.streams:
            self._reader.resumed(stream)
        log.info("connected", venue=self.venue.name, route=route.name, connection=number)
        return self._journal.taker(number)

    def lost(self, connection: Connection, reason: str) -> None:
        """Take note of a connection that was lost; what no other carries is interrupted."""
        self._journal.leave(connection)
        self._journal.put(Kind.DISCONNECT, msgspec.json.encode(Disconnect(self.venue.name, reason)), connection.number)
        if self._closing:  # whoever starts again finds in the journal where to go on
            return
        others = [line.streams for line in self.lines if line is not connection and line.opened.is_set()]
        for stream in connection.route.streams:
            if not any(stream in streams for streams in others):
                self._reader.interrupted(stream)

    async def close(self) -> None:
        """Close everything."""
        self._closing = True
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.wait((self._renewal,))
        await asyncio.gather(*(line.retire() for line in self.lines))
