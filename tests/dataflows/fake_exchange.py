"""A small exchange that speaks Binance USD-M's protocol, and does wrong what it is told to."""

from __future__ import annotations

import asyncio
import json
import time
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.protocol import State

from tests.ports import free_ports

DAY_MS = 86_400_000
AHEAD_NS = DAY_MS * 10**6 * 3 // 2 - time.time_ns() % (DAY_MS * 10**6)


def now_ns() -> int:
    """Return the time, moved to begin at noon tomorrow: no test runs over midnight, or in a day's last hour."""
    return time.time_ns() + AHEAD_NS


class FakeExchange:
    """Serves sockets and REST on one port. Trades happen when `trade` is called; REST remembers them all.

    Attributes
    ----------
    refusing : bool
        New sockets are refused with 503; REST stays.
    rest_status : int
        What REST answers instead of 200.
    lacking : set of (str, int)
        Ids that REST does not have.
    asked : list of str
        Paths and queries of REST requests.
    """

    def __init__(self, *symbols: str) -> None:
        self.symbols = list(symbols)
        self.trades: dict[str, list[dict[str, Any]]] = {symbol: [] for symbol in symbols}
        self.refusing = False
        self.rest_status = 200
        self.lacking: set[tuple[str, int]] = set()
        self.asked: list[str] = []
        self.subscribed: list[set[str]] = []
        self._sockets: dict[ServerConnection, set[str]] = {}
        self._server: Server | None = None
        self._feeding: asyncio.Task[None] | None = None
        (self.port,) = free_ports(1)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        self._server = await serve(
            self._serve, "127.0.0.1", self.port, process_request=self._request, ping_interval=None, compression=None
        )

    async def close(self) -> None:
        self.pause()
        for socket in list(self._sockets):
            socket.transport.abort()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    def list(self, symbol: str) -> None:
        """List one more instrument."""
        self.symbols.append(symbol)
        self.trades[symbol] = []

    # Sockets

    async def _serve(self, socket: ServerConnection) -> None:
        streams: set[str] = set()
        self._sockets[socket] = streams
        try:
            async for message in socket:
                request = json.loads(message)
                if request["method"] == "SUBSCRIBE":
                    if not streams:
                        self.subscribed.append(streams)
                    streams |= set(request["params"])
                await socket.send(json.dumps({"result": None, "id": request["id"]}))
        except ConnectionClosed:
            pass
        finally:
            del self._sockets[socket]

    def trade(self, symbol: str, n: int = 1, *, sockets: slice = slice(None), copies: int = 1) -> None:
        """Let `n` trades happen and send each to the sockets that subscribed, `copies` times; none where `sockets` is empty."""
        for _ in range(n):
            made = self.trades[symbol]
            now = now_ns() // 10**6
            made.append({"a": len(made) + 1, "p": "100.5", "q": "0.25", "f": len(made), "l": len(made), "T": now, "m": False})
            for _ in range(copies):
                self.send(symbol, made[-1], sockets=sockets)

    def send(self, symbol: str, trade: dict[str, Any], *, sockets: slice = slice(None)) -> None:
        stream = f"{symbol.lower()}@aggTrade"
        data = {"e": "aggTrade", "E": trade["T"], "s": symbol, **trade}
        self.send_raw(json.dumps({"stream": stream, "data": data}, separators=(",", ":")), stream, sockets=sockets)

    def send_raw(self, text: str | bytes, stream: str, *, sockets: slice = slice(None)) -> None:
        subscribed = [s for s, streams in self._sockets.items() if stream in streams and s.protocol.state is State.OPEN]
        for socket in subscribed[sockets]:
            socket.protocol.send_text(text.encode() if isinstance(text, str) else text)
            socket.send_data()

    def feed(self, *symbols: str, per_second: float = 100) -> None:
        """Let trades happen all the time."""

        async def feed() -> None:
            while True:
                for symbol in symbols:
                    self.trade(symbol)
                await asyncio.sleep(1 / per_second)

        self._feeding = asyncio.create_task(feed())

    def pause(self) -> None:
        """Let no more trades happen by themselves."""
        if self._feeding is not None:
            self._feeding.cancel()

    def cut(self) -> None:
        """Break all sockets."""
        for socket in list(self._sockets):
            socket.transport.abort()

    def stall(self) -> None:
        """Leave all sockets open, and neither send nor answer on them any more."""
        for socket in list(self._sockets):
            socket.transport.pause_reading()
            self._sockets[socket].clear()

    # REST

    def _request(self, connection: ServerConnection, request: Request) -> Response | None:
        url = urlsplit(request.path)
        if not url.path.startswith("/fapi"):
            return self._answer(503, {}) if self.refusing else None
        self.asked.append(request.path)
        if self.rest_status != 200:
            return self._answer(self.rest_status, {"code": -1003, "msg": "as told"})
        return self._answer(200, self._rest(url.path.rpartition("/")[2], dict(parse_qsl(url.query))))

    def _rest(self, name: str, query: dict[str, str]) -> Any:
        now = now_ns() // 10**6
        if name == "time":
            return {"serverTime": now}
        if name == "exchangeInfo":
            return {"symbols": [_listing(symbol) for symbol in self.symbols]}
        if name == "klines":
            width = {"1m": 60_000, "1d": DAY_MS}[query["interval"]]
            last = now // width * width
            starts = range(last - width * (int(query["limit"]) - 1), last + 1, width)
            return [_kline(start, width, number) for number, start in enumerate(starts)]
        first, limit = int(query["fromId"]), int(query["limit"])
        there = [t for t in self.trades[query["symbol"]] if (query["symbol"], t["a"]) not in self.lacking]
        return [t for t in there if t["a"] >= first][:limit]

    @staticmethod
    def _answer(status: int, body: Any) -> Response:
        content = json.dumps(body).encode()
        headers = Headers({"Content-Type": "application/json", "Content-Length": str(len(content)), "X-MBX-USED-WEIGHT-1M": "1"})
        return Response(status, HTTPStatus(status).phrase, headers, content)


def _listing(symbol: str) -> dict[str, Any]:
    return {
        "symbol": symbol,
        "baseAsset": symbol.removesuffix("USDT"),
        "quoteAsset": "USDT",
        "marginAsset": "USDT",
        "contractType": "PERPETUAL",
        "status": "TRADING",
        "filters": [{"filterType": "PRICE_FILTER", "tickSize": "0.10"}, {"filterType": "LOT_SIZE", "stepSize": "0.001"}],
    }


def _kline(start: int, width: int, number: int) -> list[Any]:
    """Return a candle whose volume is its number from 0 in the answer, at price 2."""
    return [start, "2", "2", "2", "2", str(number), start + width - 1, str(2 * number), 1, "0", "0", "0"]
