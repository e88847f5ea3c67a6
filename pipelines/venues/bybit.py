"""Bybit v5: the markets spot, linear and inverse, each with its own socket.

A message that subscribes is refused whole if one of its topics is bad: each holds those of one instrument. Ids of trades
are not contiguous (UUIDs, on spot numbers with holes), and REST shows only the newest (1,000; spot 60): after a
reconnect the two overlap or trades are lost, until the archive of the day is there.

Only what is in the recorded frames counts as verified. None of those is of spot or inverse, nor of the deep book; and
the frame of trades names the topic `trade.linear.BTCUSDT`, not `publicTrade.BTCUSDT` as documented: both are read.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import unquote

import msgspec
import pyarrow as pa

from pipelines.feeds import Feed, Level
from pipelines.market import Instrument
from pipelines.tape import Decoded, Fault, empty
from pipelines.venues import bybit_archive, bybit_frames, bybit_names, bybit_rest, bybit_sights, endpoint
from pipelines.venues.bybit_rest import Market
from pipelines.venues.columns import Tape
from pipelines.venues.csv_trades import Layout
from pipelines.venues.venue import ArchiveFile, Failure, Request, Route, Rules, Seen, Stream

MAX_ARGS: Final = 21_000
"""Characters that the topics of a connection may take together."""
_QUOTES: Final = 3
"""Characters that a topic takes besides its own: two quotes and a comma."""
_TOPICS: Final[dict[Feed, str]] = {
    "trades": "publicTrade.",
    "quotes": "orderbook.1.",
    "book": "orderbook.200.",
    "liquidations": "allLiquidation.",
    "funding": "tickers.",
}
_FEEDS: Final[dict[Market, frozenset[Feed]]] = {
    "spot": frozenset({"trades", "quotes", "book"}),
    "linear": frozenset(_TOPICS),
    "inverse": frozenset(_TOPICS),
}
_VERIFIED: Final[dict[Market, frozenset[Feed]]] = {
    "spot": frozenset(),
    "linear": frozenset({"trades", "quotes", "funding"}),
    "inverse": frozenset(),
}
_INTERVALS: Final = {"1d": "D", "1m": "1"}


@dataclass(frozen=True)
class Bybit:
    """A market of Bybit.

    Attributes
    ----------
    name : str
        Ours: `bybit-spot`, `bybit-linear`, `bybit-inverse`.
    market : {'spot', 'linear', 'inverse'}
    """

    name: str
    market: Market

    @property
    def rules(self) -> Rules:
        """What holds there.

        REST allows an address 600 requests in 5 s, and answers more with 403, for 10 minutes; a region that it does not
        serve gets 403, too. The three markets have one host: each takes a third.
        """
        return Rules(
            rest="https://api.bybit.com",
            weight_window=(200, 5.0),
            tape="fill",
            contiguous=False,
            feeds=_FEEDS[self.market],
            verified=_VERIFIED[self.market],
            messages_per_second=10.0,
            connects=(500, 300.0),
            ping=b'{"op":"ping"}',
            ping_s=20.0,
            page=self._page,
            too_many=(403, 418, 429),
            archive=bybit_archive.BASE,
        )

    @property
    def _page(self) -> int:
        return 60 if self.market == "spot" else 1000

    # Sockets

    def routes(self, instruments: Sequence[Instrument], feeds: Collection[Feed], base: str | None = None) -> list[Route]:
        """See `Venue.routes`."""
        path = f"/v5/public/{self.market}"
        url = endpoint.socket(self.name, f"wss://stream.bybit.com{path}", base, path)
        wanted = [feed for feed in _TOPICS if feed in feeds and feed in _FEEDS[self.market]]
        shares: list[list[list[Stream]]] = []
        room = 0
        for instrument in instruments if wanted else ():
            streams = [Stream(feed, instrument.native) for feed in wanted]
            taken = sum(len(_topic(stream)) + _QUOTES for stream in streams)
            if taken > room:
                shares.append([])
                room = MAX_ARGS
            room -= taken
            shares[-1].append(streams)
        return [
            Route(
                f"{self.market}-{k}" if k > 1 else self.market,
                url,
                [_message("subscribe", streams) for streams in share],
                [stream for streams in share for stream in streams],
            )
            for k, share in enumerate(shares, 1)
        ]

    def resubscribe(self, stream: Stream) -> list[bytes]:
        """See `Venue.resubscribe`."""
        return [_message("unsubscribe", [stream]), _message("subscribe", [stream])]

    def look(self, frames: Sequence[bytes]) -> Seen:
        """See `Venue.look`."""
        return bybit_sights.look(frames)

    # Reading

    def decode(self, frames: Sequence[bytes | memoryview], tape: Tape) -> Decoded:
        """See `Venue.decode`."""
        return bybit_frames.decode(frames, tape)

    def checksum(self, bids: Sequence[Level], asks: Sequence[Level]) -> int:
        """Return 0: there is none."""
        del bids, asks
        return 0

    # REST

    def time_request(self) -> Request:
        """See `Venue.time_request`."""
        return Request("/v5/market/time", {}, 1)

    def parse_time(self, body: bytes) -> int:
        """See `Venue.parse_time`."""
        return bybit_rest.parse_time(body)

    def instruments_requests(self) -> list[Request]:
        """See `Venue.instruments_requests`."""
        return [self._request("instruments-info") if self.market == "spot" else self._request("instruments-info", limit="1000")]

    def next_page(self, request: Request, body: bytes) -> Request | None:
        """See `Venue.next_page`."""
        cursor = bybit_rest.cursor(body)
        if not cursor or self.market == "spot":
            return None
        return request._replace(params=request.params | {"cursor": unquote(cursor)})  # it comes as a URL needs it

    def parse_instruments(self, body: bytes) -> list[Instrument]:
        """See `Venue.parse_instruments`."""
        return bybit_rest.parse_instruments(body, self.name)

    def klines_request(self, native: str, interval: Literal["1d", "1m"]) -> Request:
        """See `Venue.klines_request`."""
        limit = "31" if interval == "1d" else "1000"
        return self._request("kline", symbol=native, interval=_INTERVALS[interval], limit=limit)

    def parse_klines(self, body: bytes) -> pa.Table:
        """See `Venue.parse_klines`."""
        return bybit_rest.parse_klines(body, self.market)

    def repair_request(self, native: str, first: int, last: int | None) -> Request:
        """Ask for the newest trades, whatever the ids: there is no other request."""
        del first, last
        return self._request("recent-trade", symbol=native, limit=str(self._page))

    def decode_rest(self, body: bytes, native: str) -> Decoded:
        """See `Venue.decode_rest`."""
        return bybit_frames.decode_rest(body, native)

    def book_request(self, native: str) -> None:
        """Return None: snapshots come over the socket."""
        del native

    def decode_book(self, body: bytes, native: str) -> Decoded:
        """Return a fault: it is not asked for."""
        del body
        return _unasked(native)

    def funding_request(self, native: str) -> None:
        """Return None: tickers tell open interest."""
        del native

    def decode_funding(self, body: bytes, native: str) -> Decoded:
        """Return a fault: it is not asked for."""
        del body
        return _unasked(native)

    def parse_error(self, body: bytes) -> Failure | None:
        """See `Venue.parse_error`."""
        return bybit_rest.parse_error(body)

    def _request(self, name: str, **params: str) -> Request:
        return Request(f"/v5/market/{name}", {"category": self.market, **params}, 1)

    # Names

    def guess(self, text: str) -> Instrument:
        """See `Venue.guess`."""
        return bybit_names.guess(text, self.name, self.market)

    # Archives

    def archive_layout(self, first_line: bytes) -> Layout | None:
        """See `Venue.archive_layout`."""
        return bybit_archive.layout_of(first_line, self.market)

    def archive_files(self, native: str, date: dt.date, tape: Tape) -> list[ArchiveFile]:
        """See `Venue.archive_files`."""
        return bybit_archive.files(self.market, native, date) if tape == "fill" else []

    def archive_klines(self, native: str, date: dt.date) -> None:
        """Return none: what is known of the archive holds no candles."""
        del native, date


def _topic(stream: Stream) -> str:
    return _TOPICS[stream.feed] + stream.symbol


def _message(op: str, streams: Sequence[Stream]) -> bytes:
    """Return a message about streams of one instrument, which the answer to it names."""
    message: dict[str, Any] = {"req_id": streams[0].symbol, "op": op, "args": [_topic(stream) for stream in streams]}
    return msgspec.json.encode(message)


def _unasked(native: str) -> Decoded:
    return Decoded(empty(0), [], [Fault(0, "no such answer is asked for", native)], 0)
