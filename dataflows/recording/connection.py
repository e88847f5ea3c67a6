"""One socket that is kept open: it reconnects by itself, and tells what it receives, when it opened and when it was lost."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable
from typing import Any, Final, Protocol

import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.frames import DATA_OPCODES, TEXT, Frame
from websockets.protocol import Event

from dataflows.recording.liveness import PING_TICKS, TICK_S, Liveness
from dataflows.recording.tasks import spawn
from pipelines.venues.venue import Route

FIRST_DELAY_S: Final = 0.5
LONGEST_DELAY_S: Final = 30.0
CLOSE_S: Final = 1.0
MAX_FRAME: Final = 1 << 25
"""Largest frame taken, in bytes; a venue's own are far below."""
log = structlog.get_logger(__name__)


class Owner(Protocol):
    """Whom a connection belongs to."""

    def opened(self, connection: Connection) -> Callable[[bytes], None]:
        """Take note that it opened, set its `number`; return what takes its frames."""

    def lost(self, connection: Connection, reason: str) -> None:
        """Take note that it was lost."""


class _Socket(ClientConnection):
    """Hands each message on as it is parsed: at full speed a queue and a coroutine per message cost more than parsing."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.frames = 0
        self.pongs = 0
        self._early: list[bytes] = []
        self._fragments: list[bytes] = []
        self._take: Callable[[bytes], None] = self._early.append

    def process_event(self, event: Event) -> None:
        if event.__class__ is Frame and event.opcode is TEXT and event.fin:
            self.frames += 1
            self._take(bytes(event.data))
        elif not isinstance(event, Frame) or event.opcode not in DATA_OPCODES:
            super().process_event(event)
        else:
            self._fragments.append(bytes(event.data))
            if event.fin:
                self.frames += 1
                self._take(b"".join(self._fragments))
                self._fragments.clear()

    def begin(self, take: Callable[[bytes], None]) -> None:
        """Hand on what came before anyone was told of this connection, and from now on everything."""
        for message in self._early:
            take(message)
        self._take = take

    def ponged(self, _: object) -> None:
        self.pongs += 1


class Connection:
    """A route of a venue, kept connected until it is retired.

    Attributes
    ----------
    number : int
        What its records bear in the journal; set by its owner at each opening.
    opened : asyncio.Event
        Set while it is open.
    """

    def __init__(self, venue: str, route: Route, owner: Owner) -> None:
        self.venue = venue
        self.route = route
        self.symbols = tuple(route.symbols)
        self.number = 0
        self.opened = asyncio.Event()
        self.opened_at = 0.0
        self.reconnects = 0
        self.silences = 0
        self._owner = owner
        self._retired = asyncio.Event()
        self._socket: _Socket | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def trades(self) -> bool:
        """Whether it carries trades."""
        return "trades" in self.route.feeds

    @property
    def frames(self) -> int:
        """Frames received since it last opened."""
        return self._socket.frames if self._socket else 0

    @property
    def data(self) -> int:
        """Frames received since it last opened, less the answers to what was sent."""
        return max(0, self.frames - len(self.route.subscribe))

    def start(self) -> None:
        """Begin to connect."""
        self._task = spawn(self._run(), f"{self.venue} {self.route.name}")

    async def retire(self) -> None:
        """Close it for good."""
        self._retired.set()
        if self._task is not None:
            await asyncio.wait((self._task,), timeout=2 * CLOSE_S)  # one that is still connecting does not look
            self._task.cancel()
            await asyncio.wait((self._task,))

    async def _run(self) -> None:
        delay = FIRST_DELAY_S
        while not self._retired.is_set():
            reason = await self._session()
            if self.data:  # a venue that takes a connection and sends nothing is spared
                delay = FIRST_DELAY_S
                self.silences = 0
            if self._retired.is_set():
                return
            wait = delay * random.uniform(0.5, 1.0)  # spreads clients, protects nothing
            log.warning("connection_lost", venue=self.venue, route=self.route.name, reason=reason, retry_s=round(wait, 2))
            self.reconnects += 1
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._retired.wait(), wait)
            delay = min(2 * delay, LONGEST_DELAY_S)

    async def _session(self) -> str:
        """Connect, receive until the end; return why it ended."""
        self._socket = None
        try:
            async with connect(
                self.route.url,
                compression=None,
                max_size=MAX_FRAME,
                ping_interval=None,
                open_timeout=10,
                close_timeout=CLOSE_S,
                proxy=None if "//127.0.0.1" in self.route.url or "//localhost" in self.route.url else True,
                create_connection=_Socket,
            ) as socket:
                assert isinstance(socket, _Socket)
                self._socket = socket
                return await self._receive(socket)
        except InvalidStatus as error:
            status = error.response.status_code
            hint = "; the venue does not serve this place or network" if status in (403, 451) else ""
            return f"HTTP {status}{hint}"
        except (OSError, TimeoutError, WebSocketException) as error:
            return str(error) or type(error).__name__
        except Exception as error:  # whatever it was, the feed goes on with a new socket
            log.exception("connection_failed", venue=self.venue, route=self.route.name)
            return repr(error)

    async def _receive(self, socket: _Socket) -> str:
        socket.begin(self._owner.opened(self))
        self.opened_at = asyncio.get_running_loop().time()
        self.opened.set()
        reason = "cancelled"
        try:
            for request in self.route.subscribe:
                await socket.send(request, text=True)
            reason = await self._watch(socket)
        except (OSError, WebSocketException) as error:
            reason = str(error) or type(error).__name__
        finally:
            self.opened.clear()
            self._owner.lost(self, reason)
        return reason

    async def _watch(self, socket: _Socket) -> str:
        """Look at the socket again and again until it is closed, dead or retired; return which."""
        liveness = Liveness(trades=self.trades, patience=2 ** min(self.silences, 6))
        tick = 0
        closed = asyncio.ensure_future(socket.wait_closed())
        retired = asyncio.ensure_future(self._retired.wait())
        try:
            while not retired.done():
                if tick % PING_TICKS == 0 and not closed.done():
                    asyncio.ensure_future(await socket.ping()).add_done_callback(socket.ponged)
                tick += 1
                await asyncio.wait((closed, retired), timeout=TICK_S, return_when=asyncio.FIRST_COMPLETED)
                if closed.done() and not retired.done():
                    return f"closed by the venue (code {socket.close_code})"
                fault = liveness.look(self.data, socket.pongs)
                if fault is not None and not retired.done():
                    self.silences += fault != "stalled"
                    socket.transport.abort()
                    return fault
            return "retired"
        finally:
            closed.cancel()
            retired.cancel()
