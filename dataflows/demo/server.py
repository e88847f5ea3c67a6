"""The demo exchange's sockets: streams and REST on one port, as USD-M serves them, with faults on request."""

from __future__ import annotations

import asyncio
import contextlib
import http
import os
import signal
import time
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import msgspec
import structlog
from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from dataflows.demo import faults as trouble
from dataflows.demo import wire
from dataflows.demo.archive import ROOT, Archive
from dataflows.demo.clock import Clock
from dataflows.demo.faults import Fault, Faults
from dataflows.demo.market import Market
from dataflows.demo.playback import Recording
from dataflows.demo.rest import Answer, Rest, turned_away
from dataflows.demo.subscriptions import Session, control, session
from dataflows.demo.tape import MINUTE_MS, Frame, Tape
from pipelines.settings import SettingsError

HOST = "127.0.0.1"
TICK_S = 0.005
"""How often due frames are sent."""
MOST_UNREAD = 64 * 2**20
"""Bytes a client may leave unread before it is cut off."""
OPEN_S = 120.0
"""Within which a connection is answered: on a busy machine a day of the archive takes its time to be made."""
MESSAGES_A_SECOND = 10
"""Control messages a client may send; one that sends more is cut off."""

log = structlog.get_logger(__name__)


class Exchange:
    """A tape, served.

    Parameters
    ----------
    tape : Tape
    clock : Clock
        Exchange time; started by the first subscription if it waits for one.
    scheduled : list of Fault
        Their times count from the start of `serving`.

    Attributes
    ----------
    publishing : asyncio.Task
        Sends what is due, while serving; it ends only by a fault of its own.
    """

    publishing: asyncio.Task[None]

    def __init__(self, tape: Tape, clock: Clock, scheduled: list[Fault]) -> None:
        self._tape, self._clock = tape, clock
        self._faults = Faults(scheduled)
        self._rest = Rest(tape, clock, self._faults)
        self._archive = Archive(tape, clock)
        self._clients: dict[ServerConnection, Session] = {}
        self._stalled: set[ServerConnection] = set()
        self._asked = {"rest": 0, "handshakes": 0}
        self._began = time.monotonic()

    @contextlib.asynccontextmanager
    async def serving(self, port: int, ping_interval: float | None = 180.0) -> AsyncIterator[int]:
        """Serve while the context lasts, which is given the port (chosen by the system if 0).

        `ping_interval` is in seconds; None sends no pings.

        Raises
        ------
        OSError
            If the port is in use.
        """
        self._began = time.monotonic()
        async with serve(
            self._client,
            HOST,
            port,
            process_request=self._request,
            compression=None,
            ping_interval=ping_interval,
            ping_timeout=600,
            max_size=2**16,
            open_timeout=OPEN_S,
            close_timeout=1,
        ) as server:
            self.publishing = asyncio.create_task(self._publish())
            try:
                yield server.sockets[0].getsockname()[1]
            finally:
                self.publishing.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await self.publishing

    async def _request(self, connection: ServerConnection, request: Request) -> Response | None:
        """Answer a request over HTTP, or return None to go on as a WebSocket."""
        path = urlsplit(request.path).path
        rest = path.startswith("/fapi/")
        if rest or session(request.path) is not None:
            self._asked["rest" if rest else "handshakes"] += 1
            if (refused := self._faults.turned_away(self._now())) is not None:
                return _response(turned_away(*refused))
        if rest:
            return _response(await asyncio.to_thread(self._rest.answer, request.path))
        if path.startswith(ROOT):
            return _response(await asyncio.to_thread(self._archive.answer, path))
        if path == "/demo/fault":
            return _response(self._requested(dict(parse_qsl(urlsplit(request.path).query))))
        if path == "/demo/status":
            return _response(self._status())
        if session(request.path) is None:
            return connection.respond(http.HTTPStatus.NOT_FOUND, f"no such path: {path}\n")
        if self._faults.lasts("cut", self._now()):
            return connection.respond(http.HTTPStatus.SERVICE_UNAVAILABLE, "cut off on request\n")
        return None

    def _requested(self, query: dict[str, str]) -> Answer:
        """Begin the fault that `/demo/fault?kind=...` asks for: its value under the name of its unit, `symbol` if wanted."""
        try:
            kind = query.get("kind", "")
            unit = trouble.unit(kind)
            fault = trouble.fault(kind, float(query[unit]) if unit in query else None, symbol=query.get("symbol", ""))
            _known(fault, self._tape)
        except ValueError as error:
            return Answer(400, msgspec.json.encode({"error": str(error)}), {})
        self._begin(fault)
        return Answer(200, msgspec.json.encode(fault._asdict()), {})

    def _status(self) -> Answer:
        now = self._clock.now_ms()
        last = {native: self._tape.unpublished(native, now) - 1 for native in self._tape.listings}
        return Answer(200, msgspec.json.encode({"time": now, "last": last, "clients": len(self._clients), **self._asked}), {})

    async def _client(self, connection: ServerConnection) -> None:
        """Take a client's control messages until it leaves."""
        assert connection.request is not None
        asked = session(connection.request.path)
        assert asked is not None, "_request lets no other path through"
        self._clients[connection] = asked
        second, count = 0, 0
        try:
            while count <= MESSAGES_A_SECOND:
                if asked.streams:
                    self._clock.start()
                message = await connection.recv()
                now = int(time.monotonic())
                second, count = now, count + 1 if now == second else 1
                before = set(asked.streams)
                await connection.send(control(message, asked.streams, refusing=self._faults.lasts("refuse", self._now())))
                for past in self._past(asked, asked.streams - before):
                    await connection.send(past)
            await connection.close(1008, "Too many requests")
        except ConnectionClosed:
            pass
        finally:
            del self._clients[connection]
            self._stalled.discard(connection)

    def _past(self, asked: Session, fresh: set[str]) -> list[str]:
        """Return the trades of the past that a client is sent on subscribing: by default none."""
        streams = sorted(name for name in fresh if name.endswith("@aggTrade") and asked.carries(name))
        count, self._faults.resent = (self._faults.resent, 0) if streams else (0, self._faults.resent)
        sent: list[str] = []
        for stream in streams if count else ():
            listing = self._tape.listings.get(stream.partition("@")[0].upper())
            if listing is not None:
                stop = self._tape.unpublished(listing.native, self._clock.now_ms())
                past = wire.agg_trades(listing, self._tape.trades(listing.native, stop - count, stop))
                sent += [_wrapped(stream, frame) if asked.combined else str(frame.data) for frame in past]
        return sent

    async def _publish(self) -> None:
        """Send what is due, tick by tick; draw ahead off the event loop."""
        loop = asyncio.get_running_loop()
        last = self._clock.now_ms()
        while True:
            await asyncio.sleep(TICK_S)
            for fault in self._faults.due(self._now()):
                self._begin(fault)
            now = self._clock.now_ms()
            if now <= last:
                continue
            if now // (MINUTE_MS // 2) != last // (MINUTE_MS // 2):
                loop.run_in_executor(None, self._tape.prepare, now + MINUTE_MS // 2)
            for stream in sorted({name for asked in self._clients.values() for name in asked.streams}):
                frames = self._tape.frames(stream, last, now)
                self._send(stream, self._faults.alter(stream, frames, self._now()))
            last = now
            for connection in [c for c in self._clients if c.transport.get_write_buffer_size() > MOST_UNREAD]:
                log.warning("client cut off", reason=f"it left {MOST_UNREAD} bytes unread")
                connection.transport.abort()

    def _send(self, stream: str, frames: list[Frame]) -> None:
        if not frames:
            return
        carried = [(c, asked) for c, asked in self._clients.items() if asked.carries(stream) and c not in self._stalled]
        combined = [c for c, asked in carried if asked.combined]
        raw = [c for c, asked in carried if not asked.combined]
        for frame in frames if carried else ():
            broadcast(raw, frame.data)
            broadcast(combined, frame.data if frame.bare else _wrapped(stream, frame))

    def _now(self) -> float:
        return time.monotonic() - self._began

    def _begin(self, fault: Fault) -> None:
        log.info("fault", kind=fault.kind, value=fault.value, symbol=fault.symbol)
        match fault.kind:
            case "cut":
                self._faults.until["cut"] = self._now() + fault.value
                for connection in self._clients:
                    connection.transport.abort()
            case "stall":
                self._stall(list(self._clients), fault.value)
            case "skew":
                self._clock.step(fault.value)
            case "refuse" | "limit" | "ban" | "forbid":
                self._faults.until[fault.kind] = self._now() + fault.value
            case "resent":
                self._faults.resent = int(fault.value)
            case "cascade":
                assert isinstance(self._tape, Market), "_known lets no other through"
                native = fault.symbol or next(iter(self._tape.listings))
                self._tape.cascade(native, fault.value / 10_000, self._clock.now_ms())
            case _:
                self._faults.strike(fault)

    def _stall(self, connections: Iterable[ServerConnection], seconds: float) -> None:
        """Neither send to clients nor read from them, so that not even their pings are answered."""
        for connection in connections:
            self._stalled.add(connection)
            connection.transport.pause_reading()
            asyncio.get_running_loop().call_later(seconds, self._resume, connection)

    def _resume(self, connection: ServerConnection) -> None:
        if connection in self._stalled:
            self._stalled.discard(connection)
            connection.transport.resume_reading()


def _wrapped(stream: str, frame: Frame) -> str:
    return f'{{"stream":"{stream}","data":{frame.data!s}}}'


def _known(fault: Fault, tape: Tape) -> None:
    if fault.symbol and fault.symbol not in tape.listings:
        raise ValueError(f"fault {fault.kind}: unknown symbol {fault.symbol!r}; use {', '.join(tape.listings)}")
    if fault.kind == "cascade" and not isinstance(tape, Market):
        raise ValueError("fault cascade: only a generated market has one; a recording is played as it is")


def _response(answer: Answer) -> Response:
    headers = Headers({**answer.headers, "Content-Length": str(len(answer.body)), "Connection": "close"})
    headers.setdefault("Content-Type", "application/json")
    return Response(answer.status, http.HTTPStatus(answer.status).phrase, headers, answer.body)


def _paths(recording: Path) -> list[Path]:
    return [Path(part) for part in str(recording).split(os.pathsep)]


def exchange(
    *, seed: int, symbols: Iterable[str], rate: float, recording: Path | None, speed: float, faults: Iterable[str]
) -> Exchange:
    """Make an exchange: of a generated market, or of a recording if one is given.

    Raises
    ------
    SettingsError
        With every fault found in the arguments.
    """
    wrong: list[str] = []
    scheduled: list[Fault] = []
    tape: Market | Recording | None = None
    try:
        tape = Recording(_paths(recording)) if recording else Market(seed, symbols, rate)
    except ValueError as error:
        wrong.append(str(error))
    for text in faults:
        try:
            scheduled.append(trouble.parse(text))
            if tape is not None:
                _known(scheduled[-1], tape)
        except ValueError as error:
            wrong.append(str(error))
    if wrong or tape is None:
        raise SettingsError(wrong)
    origin = tape.begin_ms - 1 if isinstance(tape, Recording) else None
    return Exchange(tape, Clock(speed, origin), scheduled)


def run(
    *,
    port: int = 8765,
    seed: int = 7,
    symbols: Iterable[str] = ("BTC-USDT", "ETH-USDT", "SOL-USDT"),
    rate: float = 20.0,
    recording: Path | None = None,
    speed: float = 1.0,
    faults: Iterable[str] = (),
    ping_interval: float | None = 180.0,
) -> int:
    """Serve the demo exchange on 127.0.0.1 until SIGINT or SIGTERM; return 0.

    Parameters
    ----------
    port : int
    seed, symbols, rate
        As `Market`; ignored where a recording is played.
    recording : Path, optional
        A capture to play, from the first subscription on, or several joined by the system's path separator (`:`).
        At the end the exchange idles.
    speed : float
        Exchange seconds per second. Only at 1, where exchange time is the wall clock's, does a restart go on where it was.
    faults : iterable of str
        `kind@seconds[:value[:symbol]]`, seconds from the start; kinds as in `faults`.
    ping_interval : float, optional
        Seconds between the server's pings.

    Raises
    ------
    SettingsError
        With every fault found: in the arguments, or the port is in use.
    """
    served = exchange(seed=seed, symbols=symbols, rate=rate, recording=recording, speed=speed, faults=faults)
    return asyncio.run(_serve(served, port, ping_interval))


async def _serve(served: Exchange, port: int, ping_interval: float | None) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        async with served.serving(port, ping_interval) as bound:
            log.info("demo exchange serves", url=f"ws://{HOST}:{bound}/market/stream", rest=f"http://{HOST}:{bound}/fapi/v1/")
            stopping = asyncio.create_task(stop.wait())
            await asyncio.wait((stopping, served.publishing), return_when=asyncio.FIRST_COMPLETED)
    except OSError as error:
        raise SettingsError([f"ports.demo: cannot listen on {HOST}:{port} ({error.strerror}); choose another port"]) from None
    return 0
