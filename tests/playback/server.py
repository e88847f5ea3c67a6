"""Plays frames as a venue would send them: real WebSocket and REST on one port, behind that venue's own handshake."""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from typing import Any, NamedTuple, Protocol, Self
from urllib.parse import parse_qsl, urlsplit

from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

PACE_S = 0.002
"""Between two frames: quick, and yet not all in one read. What a busy machine sends late is made up for."""


NUMBER = '"@number@"'
"""Stands in a text for how many messages its socket was sent before."""


class Frame(NamedTuple):
    """A frame to send, the subscription that it belongs to, and when it happened, ms since 1970.

    One that is `lost` counts as sent, and never is; what comes behind the next one waits until its socket was given up.
    """

    key: str
    text: str
    ms: int = 0
    lost: bool = False


class Script(Protocol):
    """What one venue sends and answers.

    Attributes
    ----------
    venue : str
    symbols : list of str
        To be recorded, as a user writes them.
    frames : list of Frame
        In the order they are sent; each once, on the sockets that have subscribed to its key.
    now_ms : int
        How far the venue has come: REST and snapshots show nothing later.
    """

    venue: str
    symbols: list[str]
    frames: list[Frame]
    now_ms: int

    def opens(self, path: str) -> bool:
        """Whether the venue has sockets at a path."""

    def control(self, message: str, keys: set[str]) -> list[str]:
        """Carry out a client's message on its subscriptions `keys`; return what is answered."""

    def rest(self, path: str, query: dict[str, str]) -> Any:
        """Return the answer to a REST request, JSON-able; None: there is no such path."""


class Playback:
    """Serves one script on a port of its own, in a thread of its own.

    Parameters
    ----------
    script : Script
    cut : (int, int), optional
        Before this frame all sockets break, and so many frames are sent to nobody.

    Attributes
    ----------
    url : str
    played : threading.Event
        Set once every frame was sent.
    asked : list of str
        REST requests.
    """

    def __init__(self, script: Script, cut: tuple[int, int] | None = None) -> None:
        self.script = script
        self.cut = cut
        self.played = threading.Event()
        self.asked: list[str] = []
        self.url = ""
        self._sessions: dict[ServerConnection, set[str]] = {}
        self._sent: Counter[ServerConnection] = Counter()
        self._ready = threading.Event()
        self._stop: Callable[[], None] = lambda: None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(60)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        self._thread.join(10)

    async def _serve(self) -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        self._stop = partial(_call, loop, stop)
        async with serve(
            self._client, "127.0.0.1", 0, process_request=self._request, compression=None, close_timeout=1
        ) as server:
            self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            self._ready.set()
            playing = asyncio.create_task(self._play(self.script.frames))
            await stop.wait()
            playing.cancel()

    async def _play(self, frames: Sequence[Frame]) -> None:
        """Send each frame once somebody has subscribed to all that is to be sent."""
        keys = {frame.key for frame in frames}
        at, lost = self.cut or (len(frames), 0)
        await self._subscribed(keys)
        clock = asyncio.get_running_loop().time
        due = clock()
        robbed: set[ServerConnection] = set()
        for number, frame in enumerate(frames):
            self.script.now_ms = max(self.script.now_ms, frame.ms)
            if number == at:
                for connection in list(self._sessions):
                    connection.transport.abort()
                    del self._sessions[connection]
            if at <= number < at + lost:
                continue
            if await self._subscribed({frame.key}):  # a socket that the recorder gave up is open again soon
                due = clock()
            for connection, subscribed in list(self._sessions.items()):
                if frame.key in subscribed:
                    with suppress(ConnectionClosed):
                        await self._send(connection, frame.text, lost=frame.lost)
                    if frame.lost:
                        robbed.add(connection)
                    elif connection in robbed:
                        await self._gone(connection)
            due += PACE_S
            await asyncio.sleep(max(0.0, due - clock()))
        for connection in list(self._sessions):
            with suppress(ConnectionClosed):
                await (await connection.ping())  # the answer comes once all before it was taken
        self.played.set()

    async def _send(self, connection: ServerConnection, text: str, *, lost: bool = False) -> None:
        number = self._sent[connection]
        self._sent[connection] += 1
        if not lost:
            await connection.send(text.replace(NUMBER, str(number)))

    async def _gone(self, connection: ServerConnection) -> None:
        while connection in self._sessions:
            await asyncio.sleep(0.01)

    async def _subscribed(self, keys: set[str]) -> bool:
        """Wait until there are subscriptions to all of them; return whether some were not there yet."""
        waited = False
        while not keys <= set().union(*self._sessions.values()):
            waited = True
            await asyncio.sleep(0.01)
        return waited

    async def _client(self, connection: ServerConnection) -> None:
        keys: set[str] = set()
        self._sessions[connection] = keys
        try:
            async for message in connection:
                text = message if isinstance(message, str) else message.decode()
                wanted = set(keys)
                answers = self.script.control(text, wanted)
                for answer in answers:
                    await self._send(connection, answer)
                keys.clear()
                keys.update(wanted)  # only now: an acknowledgement comes before data
        except ConnectionClosed:
            pass
        finally:
            self._sessions.pop(connection, None)

    def _request(self, connection: ServerConnection, request: Request) -> Response | None:
        url = urlsplit(request.path)
        if "Upgrade" in request.headers:
            return None if self.script.opens(url.path) else connection.respond(HTTPStatus.NOT_FOUND, "no such path\n")
        self.asked.append(request.path)
        body = self.script.rest(url.path, dict(parse_qsl(url.query)))
        status = 200 if body is not None else 404
        content = json.dumps(body if body is not None else {"error": f"no such path: {url.path}"}).encode()
        headers = Headers({"Content-Type": "application/json", "Content-Length": str(len(content)), "Connection": "close"})
        return Response(status, HTTPStatus(status).phrase, headers, content)


def _call(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    loop.call_soon_threadsafe(stop.set)
