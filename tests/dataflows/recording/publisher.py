"""A publisher of headlines on a local port: answers by path as told, and remembers what it was asked."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

Answer = tuple[int, dict[str, str], bytes]
"""Status, headers, body."""


class Publisher:
    """Serves `pages`: by path an answer, or what makes one of the request's headers."""

    def __init__(self) -> None:
        self.pages: dict[str, Answer | Callable[[dict[str, str]], Answer]] = {}
        self.asked: dict[str, list[dict[str, str]]] = defaultdict(list)
        self.targets: list[str] = []
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        target = head[0].split(" ")[1]
        headers = {name.lower(): value for name, _, value in (row.partition(": ") for row in head[1:] if row)}
        path = target.partition("?")[0]
        self.targets.append(target)
        self.asked[path].append(headers)
        page = self.pages.get(path, (404, {}, b""))
        status, told, body = page(headers) if callable(page) else page
        fields = {"Content-Length": str(len(body)), "Connection": "close", **told}
        writer.write(f"HTTP/1.1 {status} X\r\n".encode() + "".join(f"{k}: {v}\r\n" for k, v in fields.items()).encode() + b"\r\n")
        if status >= 0:
            writer.write(body)
        with suppress(ConnectionError):
            await writer.drain()
        writer.close()


@asynccontextmanager
async def publisher() -> AsyncIterator[Publisher]:
    """Open a publisher."""
    made = Publisher()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        server.close()
        await server.wait_closed()
