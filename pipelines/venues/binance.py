"""Binance spot and USD-M, and the demo exchange, which speaks USD-M's protocol.

USD-M serves its streams on two routes, `/market` (aggTrade) and `/public` (bookTicker); a socket on the wrong one is
acknowledged and stays silent, so every stream has its route here. An unknown symbol is acknowledged too: only its
first frame proves a stream.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import msgspec
import pyarrow as pa

from pipelines.feeds import Feed, Level
from pipelines.market import Instrument
from pipelines.tape import Decoded
from pipelines.venues import binance_archive, binance_frames, binance_names, binance_rest
from pipelines.venues.columns import Tape
from pipelines.venues.csv_trades import Layout
from pipelines.venues.venue import Answer, Request, Route, Rules, Seen, Sight, Stream

WEIGHT_HEADER: Final = "X-MBX-USED-WEIGHT-1M"
MAX_STREAMS: Final = 1024
"""Streams a connection may carry."""
MAX_PARAMS: Final = 200
"""Streams named in one SUBSCRIBE."""

_FEED_OF: Final[dict[str, Feed]] = {"aggTrade": "trades", "bookTicker": "quotes"}
_KLINE_WEIGHTS: Final = ((99, 1), (499, 2), (1000, 5), (1500, 10))
"""What candles weigh on USD-M, by the most of them that cost that."""


class _Market(NamedTuple):
    """Where a market is served, and what its requests weigh."""

    socket: str
    rest: str
    api: str
    routes: dict[str, str]
    weight_per_minute: int
    info_weight: int
    agg_weight: int


_MARKETS: Final = {
    "spot": _Market(
        "wss://stream.binance.com:9443",
        "https://api.binance.com",
        "/api/v3",
        {"aggTrade": "", "bookTicker": ""},
        weight_per_minute=6000,
        info_weight=20,
        agg_weight=4,
    ),
    "usdm": _Market(
        "wss://fstream.binance.com",
        "https://fapi.binance.com",
        "/fapi/v1",
        {"aggTrade": "/market", "bookTicker": "/public"},
        weight_per_minute=2400,
        info_weight=1,
        agg_weight=20,
    ),
}
_DEMO_REST: Final = "http://127.0.0.1:8765"


@dataclass(frozen=True)
class Binance:
    """A market of Binance: what to send it, and how to read what it sends.

    Attributes
    ----------
    name : str
        Ours: `binance-spot`, `binance-usdm`, `demo`.
    market : {'spot', 'usdm'}
        Whose protocol it speaks.
    """

    name: str
    market: Literal["spot", "usdm"]

    @property
    def rules(self) -> Rules:
        """What holds there."""
        market = _MARKETS[self.market]
        return Rules(
            rest=_DEMO_REST if self.name == "demo" else market.rest,
            weight_per_minute=market.weight_per_minute,
            tape="agg",
            contiguous=True,
            feeds=frozenset({"trades", "quotes"}),
            verified=frozenset({"trades", "quotes"}),
            weight_header=WEIGHT_HEADER,
        )

    @property
    def _perpetual(self) -> str:
        return "-PERP" if self.market == "usdm" and self.name != "demo" else ""

    # Sockets

    def routes(self, instruments: Sequence[Instrument], feeds: Collection[Feed], base: str | None = None) -> list[Route]:
        """See `Venue.routes`."""
        rest = base or (_DEMO_REST if self.name == "demo" else None)
        if rest is not None and not re.fullmatch(r"https?://[^/]+/?", rest):
            raise ValueError(f"{self.name}: endpoint was {rest!r}; use a URL like http://127.0.0.1:8765")
        socket = _MARKETS[self.market].socket if rest is None else rest.rstrip("/").replace("http", "ws", 1)
        by_path: dict[str, dict[str, Stream]] = {}
        for event, path in _MARKETS[self.market].routes.items():
            if (feed := _FEED_OF[event]) in feeds:
                streams = by_path.setdefault(path, {})
                streams.update((f"{i.native.lower()}@{event}", Stream(feed, i.native)) for i in instruments)
        return [
            self._route(path, socket, dict(list(streams.items())[k : k + MAX_STREAMS]), k // MAX_STREAMS)
            for path, streams in by_path.items()
            for k in range(0, len(streams), MAX_STREAMS)
        ]

    def _route(self, path: str, socket: str, streams: dict[str, Stream], number: int) -> Route:
        name = path.removeprefix("/") or "spot"
        return Route(
            f"{name}-{number + 1}" if number else name,
            f"{socket}{path}/stream",
            self.subscribe(list(streams)),
            list(streams.values()),
        )

    def subscribe(self, streams: Sequence[str], method: str = "SUBSCRIBE", first_id: int = 1) -> list[bytes]:
        """Return the frames that subscribe to streams, or with `UNSUBSCRIBE` give them up."""
        return [
            msgspec.json.encode({"method": method, "params": streams[k : k + MAX_PARAMS], "id": first_id + n})
            for n, k in enumerate(range(0, len(streams), MAX_PARAMS))
        ]

    def resubscribe(self, stream: Stream) -> list[bytes]:
        """Return nothing: a book's snapshot comes over REST."""
        del stream
        return []

    def look(self, frames: Sequence[bytes]) -> Seen:
        """See `Venue.look`."""
        ids = binance_frames.aggregate_ids(frames)
        if ids is not None:
            return Seen([Sight("trades", symbol, number, number) for symbol, number in ids], [])
        sights: list[Sight] = []
        answers: list[Answer] = []
        for frame in frames:
            if sight := binance_frames.glance(frame):
                sights.append(sight)
            elif answer := self.answer(frame):
                answers.append(answer)
        return Seen(sights, answers)

    def answer(self, frame: bytes) -> Answer | None:
        """Return what the server says about the connection, None if the frame is data."""
        if frame.startswith(b'{"stream":') and b"serverShutdown" not in frame[:80]:
            return None
        try:
            event = binance_frames.unwrap(frame)
        except ValueError:
            return None
        if not isinstance(event, dict):
            return None
        if event.get("e") == "serverShutdown":
            return Answer("shutdown", "the server is about to close")
        error = event.get("error", event)
        if isinstance(error, dict) and "code" in error and "msg" in error:
            return Answer("error", f"{error['msg']} (code {error['code']})")
        return Answer("ack") if "result" in event and "error" not in event else None

    # Reading

    def decode(self, frames: Sequence[bytes | memoryview], tape: Tape) -> Decoded:
        """See `Venue.decode`."""
        return binance_frames.decode(frames, tape)

    def checksum(self, bids: Sequence[Level], asks: Sequence[Level]) -> int:
        """Return 0: there is none."""
        del bids, asks
        return 0

    def decode_rest(self, body: bytes, native: str) -> Decoded:
        """See `Venue.decode_rest`."""
        return binance_frames.decode_rest(body, native)

    def decode_rows(self, rows: Sequence[bytes | msgspec.Raw], symbol: str) -> Decoded:
        """Read aggregates as REST sends them, one by one; see `binance_frames.decode_rows`."""
        return binance_frames.decode_rows(rows, symbol)

    # REST

    def time_request(self) -> Request:
        """See `Venue.time_request`."""
        return self._request("time", 1)

    def parse_time(self, body: bytes) -> int:
        """See `Venue.parse_time`."""
        return binance_rest.parse_time(body)

    def instruments_requests(self) -> list[Request]:
        """See `Venue.instruments_requests`."""
        market = _MARKETS[self.market]
        params = {"showPermissionSets": "false"} if self.market == "spot" else {}
        return [self._request("exchangeInfo", market.info_weight, **params)]

    def next_page(self, request: Request, body: bytes) -> None:
        """Return None: one answer holds all instruments."""
        del request, body

    def klines_request(self, native: str, interval: Literal["1d", "1m"]) -> Request:
        """See `Venue.klines_request`."""
        return self._klines_request(native, interval, 31 if interval == "1d" else 1000)

    def repair_request(self, native: str, first: int, last: int | None) -> Request:
        """Ask for aggregates from an id on, that id included."""
        limit = 1000 if last is None else min(1000, last - first + 1)
        weight = _MARKETS[self.market].agg_weight
        return self._request("aggTrades", weight, symbol=native, fromId=str(first), limit=str(limit))

    def book_request(self, native: str) -> None:
        """Not built yet."""
        del native

    def decode_book(self, body: bytes, native: str) -> Decoded:
        """Not built yet."""
        raise NotImplementedError

    def funding_request(self, native: str) -> None:
        """Not built yet."""
        del native

    def decode_funding(self, body: bytes, native: str) -> Decoded:
        """Not built yet."""
        raise NotImplementedError

    def _klines_request(self, native: str, interval: str, limit: int) -> Request:
        weight = 2 if self.market == "spot" else next(w for most, w in _KLINE_WEIGHTS if limit <= most)
        return self._request("klines", weight, symbol=native, interval=interval, limit=str(limit))

    def _request(self, name: str, weight: int, **params: str) -> Request:
        return Request(f"{_MARKETS[self.market].api}/{name}", params, weight)

    def parse_error(self, body: bytes) -> str | None:
        """Return what went wrong if a REST answer is an error, else None."""
        return binance_rest.parse_error(body)

    def parse_instruments(self, body: bytes) -> list[Instrument]:
        """Read the answer to `instruments_request`; see `binance_rest.parse_instruments`."""
        return binance_rest.parse_instruments(body, self.name, self._perpetual)

    def parse_klines(self, body: bytes) -> pa.Table:
        """Read the answer to a request for candles; see `binance_rest.parse_klines`."""
        return binance_rest.parse_klines(body)

    # Names

    def guess(self, text: str) -> Instrument:
        """Return the instrument called `text` where no instruments are at hand; see `binance_names.guess`."""
        return binance_names.guess(text, self.name, self._perpetual)

    # Archives

    def archive_layout(self, first_line: bytes) -> Layout | None:
        """Return how the lines of an archive are laid out, None if it is none of Binance's trades."""
        return binance_archive.layout_of(first_line)
