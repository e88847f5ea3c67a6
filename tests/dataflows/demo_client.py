"""A client of the demo exchange, on real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import pairwise
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect

from dataflows.demo.clock import Clock
from dataflows.demo.faults import parse
from dataflows.demo.market import GENESIS_MS, Market
from dataflows.demo.server import Exchange
from dataflows.demo.tape import DAY_MS

BTC = "btcusdt@aggTrade"
DEADLINE_S = 200.0

SHIFT = (GENESIS_MS + 1000.5 * DAY_MS) / 1000 - time.time()
"""Tests begin at the same exchange time whenever they run: the market is the same, and busy."""


def now() -> float:
    """Return exchange time in seconds, at speed 1."""
    return time.time() + SHIFT


def an_exchange(
    speed: float = 1.0, rate: float = 600.0, faults: tuple[str, ...] = (), wall: Callable[[], float] = now
) -> Exchange:
    market = Market(7, ("BTC-USDT", "ETH-USDT"), rate)
    return Exchange(market, Clock(speed, wall=wall), [parse(text) for text in faults])


class Hand:
    """A clock that a test moves: what is sent hangs on nothing else."""

    def __init__(self) -> None:
        self.time = now()

    def __call__(self) -> float:
        return self.time


class Peer:
    """A plain client of one exchange."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=DEADLINE_S)

    async def get(self, target: str) -> Any:
        answer = await self.http.get(target)
        assert answer.status_code == 200, answer.text
        return answer.json()

    @contextlib.asynccontextmanager
    async def socket(self, path: str = "/market/stream", *streams: str, **options: Any) -> AsyncIterator[ClientConnection]:
        url, patient = f"ws://127.0.0.1:{self.port}{path}", {"open_timeout": DEADLINE_S, "ping_timeout": DEADLINE_S, **options}
        async with connect(url, compression=None, max_size=None, max_queue=None, close_timeout=1, proxy=None, **patient) as ws:
            if streams:
                await ws.send(json.dumps({"method": "SUBSCRIBE", "params": streams, "id": 1}))
                assert json.loads(await ws.recv()) == {"result": None, "id": 1}
            yield ws


def serving(test: Callable[[Peer], Awaitable[None]], served: Exchange | None = None, **options: Any) -> None:
    """Run a test against an exchange, for at most DEADLINE_S."""

    async def running() -> None:
        async with asyncio.timeout(DEADLINE_S), (served or an_exchange()).serving(0, **options) as port:
            peer = Peer(port)
            async with peer.http:
                await test(peer)

    asyncio.run(running())


async def trades(ws: ClientConnection, count: int) -> list[dict[str, Any]]:
    """Return the data of the next frames."""
    return [json.loads(await ws.recv())["data"] for _ in range(count)]


async def ids(ws: ClientConnection, count: int) -> list[int]:
    return [data["a"] for data in await trades(ws, count)]


def odd_steps(sent: list[int]) -> list[int]:
    """Return the steps between ids that are not 1."""
    return [b - a for a, b in pairwise(sent) if b != a + 1]
