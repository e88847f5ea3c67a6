"""Binance spot, USD-M and COIN-M, and the demo exchange, which speaks USD-M's protocol.

USD-M serves its streams on two routes, `/market` (aggTrade, forceOrder, markPrice) and `/public` (bookTicker, depth); a
socket on the wrong one is acknowledged and stays silent, so every stream has its route here. An unknown symbol is
acknowledged too: only its first frame proves a stream.

Of COIN-M the sources do not agree: since its merge into USD-M it may have the same two routes, or still the root for
all. Both are opened. The one that delivers is used, and if both do, they are as two redundant sockets.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Final, Literal, NamedTuple

import msgspec
import pyarrow as pa

from pipelines.feeds import FEEDS, Feed, Level
from pipelines.market import Instrument
from pipelines.tape import Decoded
from pipelines.venues import binance_archive, binance_feeds, binance_frames, binance_names, binance_rest, binance_sights
from pipelines.venues.columns import Tape
from pipelines.venues.csv_trades import Layout
from pipelines.venues.venue import ArchiveFile, Failure, KlineArchive, Request, Route, Rules, Seen, Stream

WEIGHT_HEADER: Final = "X-MBX-USED-WEIGHT-1M"
MAX_STREAMS: Final = 1024
"""Streams a connection may carry."""
MAX_PARAMS: Final = 200
"""Streams named in one SUBSCRIBE."""

_EVENT_OF: Final[dict[Feed, str]] = {
    "trades": "aggTrade",
    "quotes": "bookTicker",
    "book": "depth@100ms",
    "liquidations": "forceOrder",
    "funding": "markPrice",
}
_KLINE_WEIGHTS: Final = ((99, 1), (499, 2), (1000, 5), (1500, 10))
"""What candles weigh on USD-M, by the most of them that cost that."""


class _Market(NamedTuple):
    """Where a market is served, and what its requests weigh.

    `routes` are the paths of the sockets and what each carries; `section` is what events say with `st`.
    """

    socket: str
    rest: str
    api: str
    routes: dict[str, tuple[Feed, ...]]
    verified: frozenset[Feed]
    weight_a_minute: int
    info_weight: int
    agg_weight: int
    book_weight: int
    messages_per_second: float
    section: int = 0


_ROUTES: Final[dict[str, tuple[Feed, ...]]] = {
    "/market": ("trades", "liquidations", "funding"),
    "/public": ("quotes", "book"),
}
_MARKETS: Final = {
    "spot": _Market(
        "wss://stream.binance.com:9443",
        "https://api.binance.com",
        "/api/v3",
        {"": ("trades", "quotes", "book")},
        frozenset({"trades", "quotes", "book"}),
        weight_a_minute=6000,
        info_weight=20,
        agg_weight=4,
        book_weight=50,
        messages_per_second=4.0,  # 5 are allowed, pongs among them
    ),
    "usdm": _Market(
        "wss://fstream.binance.com",
        "https://fapi.binance.com",
        "/fapi/v1",
        _ROUTES,
        frozenset(FEEDS),
        weight_a_minute=2400,
        info_weight=1,
        agg_weight=20,
        book_weight=20,
        messages_per_second=8.0,  # of 10
        section=1,
    ),
    "coinm": _Market(
        "wss://dstream.binance.com",
        "https://dapi.binance.com",
        "/dapi/v1",
        {**_ROUTES, "": FEEDS},
        frozenset({"quotes", "book"}),  # of trades, only single fills have been recorded
        weight_a_minute=2400,
        info_weight=1,
        agg_weight=20,
        book_weight=20,
        messages_per_second=8.0,
        section=2,
    ),
}
_DEMO_REST: Final = "http://127.0.0.1:8765"


@dataclass(frozen=True)
class Binance:
    """A market of Binance: what to send it, and how to read what it sends.

    Attributes
    ----------
    name : str
        Ours: `binance-spot`, `binance-usdm`, `binance-coinm`, `demo`.
    market : {'spot', 'usdm', 'coinm'}
        Whose protocol it speaks.
    """

    name: str
    market: Literal["spot", "usdm", "coinm"]

    @property
    def rules(self) -> Rules:
        """What holds there."""
        market = _MARKETS[self.market]
        return Rules(
            rest=_DEMO_REST if self.name == "demo" else market.rest,
            weight_window=(market.weight_a_minute, 60.0),
            tape="agg",
            contiguous=True,
            feeds=frozenset(chain.from_iterable(market.routes.values())),
            verified=market.verified,
            weight_header=WEIGHT_HEADER,
            messages_per_second=market.messages_per_second,
            archive=_DEMO_REST if self.name == "demo" else binance_archive.BASE,
        )

    @property
    def _perpetual(self) -> str:
        return "-PERP" if self.market != "spot" and self.name != "demo" else ""

    # Sockets

    def routes(self, instruments: Sequence[Instrument], feeds: Collection[Feed], base: str | None = None) -> list[Route]:
        """See `Venue.routes`."""
        rest = base or (_DEMO_REST if self.name == "demo" else None)
        if rest is not None and not re.fullmatch(r"https?://[^/]+/?", rest):
            raise ValueError(f"{self.name}: endpoint was {rest!r}; use a URL like http://127.0.0.1:8765")
        socket = _MARKETS[self.market].socket if rest is None else rest.rstrip("/").replace("http", "ws", 1)
        routes: list[Route] = []
        for path, carried in _MARKETS[self.market].routes.items():
            streams = {
                f"{i.native.lower()}@{_EVENT_OF[feed]}": Stream(feed, i.native)
                for feed in carried
                if feed in feeds
                for i in instruments
            }
            routes += [
                self._route(path, socket, dict(list(streams.items())[k : k + MAX_STREAMS]), k // MAX_STREAMS)
                for k in range(0, len(streams), MAX_STREAMS)
            ]
        return routes

    def _route(self, path: str, socket: str, streams: dict[str, Stream], number: int) -> Route:
        name = path.removeprefix("/") or ("spot" if self.market == "spot" else "root")
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
        return binance_sights.look(frames)

    # Reading

    def decode(self, frames: Sequence[bytes | memoryview], tape: Tape) -> Decoded:
        """See `Venue.decode`."""
        return binance_frames.decode(frames, tape, _MARKETS[self.market].section)

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

    def book_request(self, native: str) -> Request:
        """See `Venue.book_request`; 1000 levels, of which spot has up to 5000 at five times the weight."""
        return self._request("depth", _MARKETS[self.market].book_weight, symbol=native, limit="1000")

    def decode_book(self, body: bytes, native: str) -> Decoded:
        """See `Venue.decode_book`."""
        return binance_feeds.decode_book(body, native)

    def funding_request(self, native: str) -> Request | None:
        """Ask for the open interest of a contract; of funding the socket tells."""
        return None if self.market == "spot" else self._request("openInterest", 1, symbol=native)

    def decode_funding(self, body: bytes, native: str) -> Decoded:
        """See `Venue.decode_funding`."""
        return binance_feeds.decode_funding(body, native)

    def _klines_request(self, native: str, interval: str, limit: int) -> Request:
        weight = 2 if self.market == "spot" else next(w for most, w in _KLINE_WEIGHTS if limit <= most)
        return self._request("klines", weight, symbol=native, interval=interval, limit=str(limit))

    def _request(self, name: str, weight: int, **params: str) -> Request:
        return Request(f"{_MARKETS[self.market].api}/{name}", params, weight)

    def parse_error(self, body: bytes) -> Failure | None:
        """See `Venue.parse_error`."""
        return binance_rest.parse_error(body)

    def parse_instruments(self, body: bytes) -> list[Instrument]:
        """Read the answer to `instruments_request`; see `binance_rest.parse_instruments`."""
        return binance_rest.parse_instruments(body, self.name, self._perpetual, inverse=self.market == "coinm")

    def parse_klines(self, body: bytes) -> pa.Table:
        """Read the answer to a request for candles; see `binance_rest.parse_klines`."""
        return binance_rest.parse_klines(body, inverse=self.market == "coinm")

    # Names

    def guess(self, text: str) -> Instrument:
        """Return the instrument called `text` where no instruments are at hand; see `binance_names.guess`."""
        if self.market == "coinm":
            return binance_names.guess_inverse(text, self.name)
        return binance_names.guess(text, self.name, self._perpetual)

    # Archives

    def archive_layout(self, first_line: bytes) -> Layout | None:
        """Return how the lines of an archive are laid out, None if it is none of Binance's trades."""
        return binance_archive.layout_of(first_line)

    def archive_files(self, native: str, date: dt.date, tape: Tape) -> list[ArchiveFile]:
        """See `Venue.archive_files`."""
        return binance_archive.files(self.market, native, date, tape)

    def archive_klines(self, native: str, date: dt.date) -> KlineArchive:
        """See `Venue.archive_klines`."""
        parse = partial(binance_rest.parse_klines_file, inverse=self.market == "coinm")
        return KlineArchive(binance_archive.kline_files(self.market, native, date), parse)
