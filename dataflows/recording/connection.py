"""One socket that is kept open: it reconnects by itself, and tells what it receives, when it opened and when it was lost."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Final, NamedTuple, Protocol

import structlog
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.http11 import Response

from dataflows.recording import refusal
from dataflows.recording.books import Books
from dataflows.recording.liveness import PING_TICKS, TICK_S, Liveness
from dataflows.recording.tasks import spawn
from dataflows.recording.wire import Wire
from pipelines.feeds import QUIET, Feed
from pipelines.venues.venue import Route, Stream, Venue

FIRST_DELAY_S: Final = 0.5
LONGEST_DELAY_S: Final = 30.0
CLOSE_S: Final = 1.0
MAX_FRAME: Final = 1 << 25
"""Largest frame taken, in bytes; a venue's own are far below."""
log = structlog.get_logger(__name__)


class Owner(Protocol):
    """Whom a connection belongs to."""

    async def admitted(self) -> None:
        """Wait until one more connection may be opened."""

    def opened(self, connection: Connection) -> Callable[[bytes], None]:
        """Take note that it opened, set its `number`; return what takes its frames."""

    def lost(self, connection: Connection, reason: str) -> None:
        """Take note that it was lost."""

    def blind(self) -> bool:
        """Tell whether frames wait to be looked at, so that nobody knows which feeds are silent."""

    def unseen(self) -> Collection[Feed]:
        """Return the feeds of which nobody sees whether they come."""


class _End(NamedTuple):
    """Why a session ended, and how long to wait at least before the next."""

    reason: str
    wait_s: float = 0.0


class Connection:
    """A route of a venue, kept connected until it is retired.

    Attributes
    ----------
    number : int
        What its records bear in the journal; set by its owner at each opening.
    opened : asyncio.Event
        Set while it is open.
    subscribed_at : float or None
        When the last subscription was sent, in seconds of the loop; None: not all are, since it last opened.
    shown : Counter of Feed
        Data seen since it last opened, by feed.
    awaited : set of Stream
        What has shown no data since it last opened, and should.
    refusal : str
        What the venue refused last on this socket, or at the handshake; empty: nothing.
    books : Books
        Kept from what this socket has sent since it last opened.
    breaks : int
        How often one of them, or of those before, could no longer be trusted.
    shed : int
        Frames received since it last opened that were not journaled, and are not missing for another reason.
    """

    def __init__(self, venue: Venue, route: Route, owner: Owner) -> None:
        self.venue = venue
        self.route = route
        self.streams = frozenset(route.streams)
        self.number = 0
        self.opened = asyncio.Event()
        self.opened_at = 0.0
        self.subscribed_at: float | None = None
        self.reconnects = 0
        self.silences = 0
        self.shown: Counter[Feed] = Counter()
        self.awaited: set[Stream] = set()
        self.refusal = ""
        self.books = Books(venue, 0.0)
        self.shed = 0
        self._next: int | None = None
        self._fault = ""
        self._breaks = 0
        self._owner = owner
        self._retired = asyncio.Event()
        self._wire: Wire | None = None
        self._turn = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    @property
    def frames(self) -> int:
        """Frames received since it last opened."""
        return self._wire.frames if self._wire else 0

    @property
    def delivering(self) -> bool:
        """Whether it is open, subscribed, and has shown data of every feed whose silence means something."""
        feeds = set(self.route.feeds) - QUIET
        return self.subscribed_at is not None and feeds <= self.shown.keys()

    @property
    def breaks(self) -> int:
        """How often a book could no longer be trusted."""
        return self._breaks + self.books.breaks

    def note(self, counts: Counter[Stream]) -> None:
        """Take note of data that came."""
        for stream, n in counts.items():
            self.shown[stream.feed] += n
        self.awaited -= counts.keys()

    def follow(self, numbers: Sequence[int]) -> None:
        """Hold the numbers of messages against each other; where some were lost, what they bore is had by a new socket.

        Numbers of what we shed ourselves are missing, too. A book has lost its changes all the same.
        """
        for number in numbers:
            lost = 0 if self._next is None else number - self._next
            self._next = number + 1
            if 0 < lost <= self.shed and "book" not in self.route.feeds:
                self.shed -= lost
            elif lost > 0 and not self._fault and self._wire is not None:
                self._fault = f"{lost} messages before {number} were lost"
                self._wire.transport.abort()

    def start(self) -> None:
        """Begin to connect."""
        self._task = spawn(self._run(), f"{self.venue.name} {self.route.name}")

    async def retire(self) -> None:
        """Close it for good."""
        self._retired.set()
        if self._task is not None:
            await asyncio.wait((self._task,), timeout=2 * CLOSE_S)  # one that is still connecting does not look
            self._task.cancel()
            await asyncio.wait((self._task,))

    async def send(self, requests: Sequence[bytes]) -> None:
        """Send text frames, no faster than the venue allows; where the socket is lost meanwhile the rest is left."""
        async with self._turn:
            for request in requests:
                if (wire := self._wire) is None or not self.opened.is_set():
                    return
                with contextlib.suppress(OSError, WebSocketException):
                    await wire.send(request, text=True)
                    if request is not requests[-1]:
                        await asyncio.sleep(1 / self.venue.rules.messages_per_second)

    async def _run(self) -> None:
        delay = FIRST_DELAY_S
        while not self._retired.is_set():
            await self._owner.admitted()
            end = await self._session()
            if self.shown and not self._fault:  # a venue that takes a connection and sends nothing is spared
                delay = FIRST_DELAY_S
                self.silences = 0
            if self._retired.is_set():
                return
            wait = max(end.wait_s, delay * random.uniform(0.5, 1.0))  # spreads clients, protects nothing
            name = self.venue.name
            log.warning("connection_lost", venue=name, route=self.route.name, reason=end.reason, retry_s=round(wait, 2))
            self.reconnects += 1
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._retired.wait(), wait)
            delay = min(2 * delay, LONGEST_DELAY_S)

    async def _session(self) -> _End:
        """Connect, receive until the end; return why it ended."""
        self._wire = None
        self.shown.clear()
        try:
            async with connect(
                self.route.url,
                compression=None,
                max_size=MAX_FRAME,
                ping_interval=None,
                open_timeout=10,
                close_timeout=CLOSE_S,
                proxy=None if "//127.0.0.1" in self.route.url or "//localhost" in self.route.url else True,
                create_connection=Wire,
            ) as wire:
                assert isinstance(wire, Wire)
                self._wire = wire
                return _End(await self._receive(wire))
        except InvalidStatus as error:
            return self._turned_away(error.response)
        except (OSError, TimeoutError, WebSocketException) as error:
            return _End(str(error) or type(error).__name__)
        except Exception as error:  # whatever it was, the feed goes on with a new socket
            log.exception("connection_failed", venue=self.venue.name, route=self.route.name)
            return _End(repr(error))

    def _turned_away(self, answer: Response) -> _End:
        status, headers = answer.status_code, {name.title(): value for name, value in answer.headers.raw_items()}
        told = refusal.read(status, headers, bytes(answer.body or b""), self.venue.rules.too_many)
        if told is None:
            return _End(f"HTTP {status}")
        self.refusal = told.text
        return _End(told.text, told.wait_s)

    async def _receive(self, wire: Wire) -> str:
        self.refusal = self._fault = ""
        self.shed, self._next = 0, None
        self.subscribed_at = None
        self.awaited = {stream for stream in self.streams if stream.feed not in QUIET and stream.symbol}
        self.opened_at = asyncio.get_running_loop().time()
        self._breaks = self.breaks
        self.books = Books(self.venue, self.opened_at)
        self.books.expect(stream.symbol for stream in self.streams if stream.feed == "book")
        wire.begin(self._owner.opened(self))
        self.opened.set()
        subscribing = asyncio.ensure_future(self._subscribe())
        reason = "cancelled"
        try:
            reason = await self._watch(wire)
        except (OSError, WebSocketException) as error:
            reason = str(error) or type(error).__name__
        finally:
            subscribing.cancel()
            self.opened.clear()
            self._owner.lost(self, reason)
        return reason

    async def _subscribe(self) -> None:
        await self.send(self.route.subscribe)
        self.subscribed_at = asyncio.get_running_loop().time()

    async def _watch(self, wire: Wire) -> str:
        """Look at the socket again and again until it is closed, dead or retired; return which."""
        liveness = Liveness(self.route.feeds, patience=2 ** min(self.silences, 6))
        rules, tick = self.venue.rules, 0
        closed = asyncio.ensure_future(wire.wait_closed())
        retired = asyncio.ensure_future(self._retired.wait())
        try:
            while not retired.done():
                if tick % PING_TICKS == 0 and not closed.done():
                    asyncio.ensure_future(await wire.ping()).add_done_callback(wire.ponged)
                if rules.ping and tick and tick % max(1, int(rules.ping_s / TICK_S)) == 0 and not closed.done():
                    await wire.send(rules.ping, text=True)
                tick += 1
                await asyncio.wait((closed, retired), timeout=TICK_S, return_when=asyncio.FIRST_COMPLETED)
                if closed.done() and not retired.done():
                    return self._fault or f"closed by the venue (code {wire.close_code})"
                seeing = self.subscribed_at is not None and not self._owner.blind()
                fault = liveness.look(wire.frames, wire.pongs, self.shown if seeing else None, self._owner.unseen())
                if fault is not None and not retired.done():
                    self.silences += fault != "stalled"
                    wire.transport.abort()
                    return fault
            return "retired"
        finally:
            closed.cancel()
            retired.cancel()
