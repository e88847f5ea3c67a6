"""A venue of our own and its exchange: it does as any of the real ones does, one thing at a time."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

import pyarrow as pa
import pytest
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request as Asked
from websockets.http11 import Response
from websockets.protocol import State

from dataflows.recording import status
from dataflows.recording.repair import Mender
from pipelines.feeds import Depth, Feed, Funding
from pipelines.market import Instrument
from pipelines.settings import Settings, Venue
from pipelines.tape import Decoded, empty
from pipelines.venues import VENUES
from pipelines.venues.columns import Tape
from pipelines.venues.venue import Answer, ArchiveFile, Failure, Request, Route, Rules, Seen, Sight, Stream
from tests.dataflows.recording.desk import Written

ALL: frozenset[Feed] = frozenset({"trades", "quotes", "book", "liquidations", "funding"})
RULES = Rules("", (60_000, 60.0), "fill", contiguous=True, feeds=ALL, verified=ALL, messages_per_second=1000.0, page=10)


@dataclass(frozen=True)
class Toy:
    """A venue. Frames are JSON with the feed in `f`, the symbol in `s` and the id in `i`.

    Attributes
    ----------
    rules : Rules
    pages : {'forward', 'backward', 'newest'}
        What its REST shows of past trades: from an id on, up to an id, or its newest.
    books : {'rest', 'socket', 'none'}
        Where a book is asked for again; none: only a new socket brings it.
    apart : bool
        Every feed has a socket of its own.
    """

    rules: Rules = RULES
    pages: Literal["forward", "backward", "newest"] = "forward"
    books: Literal["rest", "socket", "none"] = "socket"
    apart: bool = False
    name: str = "demo"

    def routes(self, instruments: Sequence[Instrument], feeds: Collection[Feed], base: str | None = None) -> list[Route]:
        streams = [Stream(feed, i.native) for feed in feeds for i in instruments]
        groups = [[s for s in streams if s.feed == feed] for feed in feeds] if self.apart else [streams]
        url = (base or "").replace("http", "ws", 1)
        return [Route("+".join(dict.fromkeys(s.feed for s in g)), url, [subscribe(s) for s in g], g) for g in groups if g]

    def resubscribe(self, stream: Stream) -> list[bytes]:
        return [b'{"op":"unsub"}', subscribe(stream)] if self.books == "socket" else []

    def look(self, frames: Sequence[bytes]) -> Seen:
        sights: list[Sight] = []
        answers: list[Answer] = []
        for frame in frames:
            told: dict[str, Any] = json.loads(frame) if frame != b"pong" else {"f": "pong"}
            match told["f"]:
                case "trades":
                    sights.append(Sight("trades", told["s"], told["i"], told["i"], "fill", told.get("h", False)))
                case "tail":
                    sights.append(Sight("trades", told["s"], told["i"] + 1, told["i"]))
                case "ack" | "error" | "shutdown" | "pong" as kind:
                    answers.append(Answer(kind, told.get("text", "")))
                case feed:
                    sights.append(Sight(feed, told["s"]))
        return Seen(sights, answers)

    def decode(self, frames: Sequence[bytes | memoryview], tape: Tape) -> Decoded:
        told = [json.loads(bytes(frame)) for frame in frames if bytes(frame) != b"pong"]
        trades = [t for t in told if t["f"] == "trades"]
        depths = [_depth(t["s"], t) for t in told if t["f"] == "book"]
        return _decoded([t["i"] for t in trades])._replace(depths=depths)

    def checksum(self, bids: Sequence[tuple[str, str]], asks: Sequence[tuple[str, str]]) -> int:
        return 0

    def time_request(self) -> Request:
        return Request("/time", {}, 1)

    def parse_time(self, body: bytes) -> int:
        return 0

    def instruments_requests(self) -> list[Request]:
        return [Request("/instruments", {}, 1)]

    def next_page(self, request: Request, body: bytes) -> Request | None:
        return None

    def parse_instruments(self, body: bytes) -> list[Instrument]:
        return [Instrument(self.name, f"{native}-USD", native, native, "USD") for native in json.loads(body)]

    def klines_request(self, native: str, interval: Literal["1d", "1m"]) -> Request | None:
        return None

    def parse_klines(self, body: bytes) -> pa.Table:
        raise ValueError

    def repair_request(self, native: str, first: int, last: int | None) -> Request:
        return Request("/trades", {"s": native, "pages": self.pages, "first": str(first), "last": str(last or "")}, 1)

    def decode_rest(self, body: bytes, native: str) -> Decoded:
        return _decoded(json.loads(body))

    def book_request(self, native: str) -> Request | None:
        return Request("/book", {"s": native}, 1) if self.books == "rest" else None

    def decode_book(self, body: bytes, native: str) -> Decoded:
        return _decoded([])._replace(depths=[_depth("", json.loads(body))])

    def funding_request(self, native: str) -> Request | None:
        return Request("/funding", {"s": native}, 1)

    def decode_funding(self, body: bytes, native: str) -> Decoded:
        return _decoded([])._replace(fundings=[Funding(0, native, 0, open_interest=1.0)])

    def parse_error(self, body: bytes) -> Failure | None:
        return None

    def guess(self, text: str) -> Instrument:
        raise ValueError

    def archive_layout(self, first_line: bytes) -> None:
        return None

    def archive_files(self, native: str, date: dt.date, tape: Tape) -> list[ArchiveFile]:
        return []

    def archive_klines(self, native: str, date: dt.date) -> None:
        return None


def subscribe(stream: Stream) -> bytes:
    """Return the frame that subscribes to a stream."""
    return json.dumps({"op": "sub", "feed": stream.feed, "s": stream.symbol}).encode()


def _decoded(ids: list[int]) -> Decoded:
    rows = empty(len(ids))
    rows["trade_id"] = ids
    return Decoded(rows, [], [], 0)


def _depth(symbol: str, told: dict[str, Any]) -> Depth:
    last, previous = told["i"], told.get("p", -1)
    return Depth(0, symbol, 0, told.get("snap", False), previous + 1, last, previous, [("99", str(last))], [("101", "1")])


@dataclass
class ToyExchange:
    """Serves the toy venue on one port.

    Attributes
    ----------
    trades : dict of str to list of int
        What happened, by symbol.
    handshake : (int, dict)
        Status and headers that new sockets are turned away with; 0: they are let in.
    handshakes : list of float
        When sockets were asked for.
    received : list of str
        What clients sent.
    asked : list of (str, dict)
        REST requests.
    subscribed : callable, optional
        Told of each subscription: socket, feed, symbol.
    """

    symbols: list[str]
    trades: dict[str, list[int]] = field(default_factory=dict)
    handshake: tuple[int, dict[str, str]] = (0, {})
    handshakes: list[float] = field(default_factory=list)
    received: list[str] = field(default_factory=list)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    sockets: list[ServerConnection] = field(default_factory=list)
    subscribed: Callable[[ServerConnection, str, str], None] | None = None
    book: dict[str, Any] = field(default_factory=lambda: {"i": 0, "snap": True})
    page: int = 10
    port: int = 0

    async def serve(self, socket: ServerConnection) -> None:
        """Answer one client."""
        self.sockets.append(socket)
        with suppress(ConnectionClosed):
            async for message in socket:
                text = str(message)
                self.received.append(text)
                if text == "ping":
                    await socket.send("pong")
                    continue
                told = json.loads(text)
                await socket.send('{"f":"ack"}')
                if told["op"] == "sub" and self.subscribed is not None:
                    self.subscribed(socket, told["feed"], told["s"])
        self.sockets.remove(socket)

    def send(self, feed: str, symbol: str = "BTC", *, to: ServerConnection | None = None, **more: Any) -> None:
        """Send a frame to all sockets, or to one."""
        for socket in [s for s in ([to] if to else self.sockets) if s.protocol.state is State.OPEN]:
            socket.protocol.send_text(json.dumps({"f": feed, "s": symbol, **more}).encode())
            socket.send_data()

    def happen(self, *ids: int, symbol: str = "BTC", silently: bool = False) -> None:
        """Let trades happen."""
        for i in ids:
            self.trades.setdefault(symbol, []).append(i)
            if not silently:
                self.send("trades", symbol, i=i)

    def cut(self) -> None:
        """Break all sockets."""
        for socket in self.sockets:
            socket.transport.abort()

    def request(self, connection: ServerConnection, request: Asked) -> Response | None:
        """Answer REST, and turn sockets away."""
        url = urlsplit(request.path)
        if url.path == "/":
            self.handshakes.append(asyncio.get_running_loop().time())
            status, headers = self.handshake
            return _answer(status, {}, headers) if status else None
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        self.asked.append((url.path, query))
        return _answer(200, self.rest(url.path, query), {})

    def rest(self, path: str, query: dict[str, str]) -> Any:
        """Return what REST answers."""
        if path == "/instruments":
            return self.symbols
        if path == "/book":
            return self.book
        if path != "/trades":
            return {}
        ids = self.trades.get(query["s"], [])
        if query["pages"] == "forward":
            return [i for i in ids if i >= int(query["first"])][: self.page]
        if query["pages"] == "backward" and query["last"]:
            ids = [i for i in ids if i <= int(query["last"])]
        return ids[-self.page :][::-1]


def _answer(status: int, body: Any, headers: dict[str, str]) -> Response:
    content = json.dumps(body).encode()
    return Response(status, HTTPStatus(status).phrase, Headers({"Content-Length": str(len(content)), **headers}), content)


@asynccontextmanager
async def toy_exchange(*symbols: str) -> AsyncIterator[ToyExchange]:
    """Open an exchange."""
    made = ToyExchange(list(symbols))
    server: Server = await serve(made.serve, "127.0.0.1", 0, process_request=made.request, ping_interval=None)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        made.cut()
        server.close()
        await server.wait_closed()


def play(
    monkeypatch: pytest.MonkeyPatch,
    toy: Toy,
    data: Path,
    made: ToyExchange,
    *feeds: str,
    symbols: tuple[str, ...] = ("BTC",),
    **more: Any,
) -> Settings:
    """Return settings to record the toy venue."""
    monkeypatch.setitem(VENUES, "demo", toy)
    venue = Venue.model_validate({"symbols": symbols, "feeds": feeds or ("trades",), **more})
    return Settings(data=data, venues={"demo": venue}, endpoints={"demo": f"http://127.0.0.1:{made.port}"})


def station(recorder: Any) -> Any:
    return recorder.stations["demo"]


def told(recorder: Any) -> dict[str, Any]:
    """Return what the status file says of the venue."""
    state = status.snapshot(recorder.intake, recorder.stations, recorder.now_ns(), recorder.clock())
    return dict(state["feeds"]["demo"])


def next_id(recorder: Any, symbol: str = "BTC") -> int:
    mender = station(recorder).menders[symbol]
    assert isinstance(mender, Mender)
    return mender.tape.next_id or 0


def ids(written: Written) -> set[int]:
    """Return the trades that the journal holds, live or fetched."""
    live = {p["i"] for p in written.payloads("frame") if isinstance(p, dict) and p["f"] == "trades"}
    return live.union(*(e["body"] for e in written.entries if e["kind"] == "repair"))
