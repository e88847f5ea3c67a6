"""Coinbase Exchange: matches, ticker, and the book as `level2_batch`, which needs no key.

One unknown product refuses the whole message that asks for it. A first message must come within 5 s of the handshake. REST
allows about ten requests a second, and wants a User-Agent. `coinbase_frames` tells what its messages are like.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Collection, Sequence
from typing import Any, Final, Literal

import msgspec
import pyarrow as pa
from msgspec import Struct

from pipelines.feeds import Feed, Level
from pipelines.market import Instrument
from pipelines.tape import Decoded
from pipelines.venues import candles, coinbase_frames, endpoint
from pipelines.venues.coinbase_frames import Name
from pipelines.venues.columns import UNREADABLE, Tape
from pipelines.venues.sheet import refusal
from pipelines.venues.venue import GARBLED, ArchiveFile, Failure, Request, Route, Rules, Seen, Stream

CHANNELS: Final[dict[Feed, tuple[str, ...]]] = {
    "trades": ("matches", "heartbeat"),
    "quotes": ("ticker",),
    "book": ("level2_batch",),
}
BATCH: Final = 50
"""Products named in one message."""
PRODUCTS: Final = 100
"""Products on one connection."""
_ROUTES: Final[dict[str, tuple[Feed, ...]]] = {"market": ("trades", "quotes"), "book": ("book",)}


class _Product(Struct):
    id: Name
    base_currency: Name
    quote_currency: Name
    quote_increment: str = ""
    base_increment: str = ""
    status: str = ""


class _Time(Struct):
    epoch: float


class _Told(Struct):
    message: Any = None


class Coinbase:
    """Coinbase Exchange: what to send it, and how to read what it sends."""

    name = "coinbase"
    rules = Rules(
        rest="https://api.exchange.coinbase.com",
        weight_window=(10, 1.0),
        tape="fill",
        contiguous=True,
        feeds=frozenset(CHANNELS),
        verified=frozenset(),
        messages_per_second=4.0,
        connects=(4, 1.0),
        page=1000,
    )

    # Sockets

    def routes(self, instruments: Sequence[Instrument], feeds: Collection[Feed], base: str | None = None) -> list[Route]:
        """See `Venue.routes`."""
        url = endpoint.socket(self.name, "wss://ws-feed.exchange.coinbase.com", base)
        return endpoint.routes(url, _ROUTES, feeds, [i.native for i in instruments], PRODUCTS, _subscribe)

    def resubscribe(self, stream: Stream) -> list[bytes]:
        """Return the frames after which the venue sends a book anew."""
        channels = list(CHANNELS[stream.feed])
        return [_ask(deed, [stream.symbol], channels) for deed in ("unsubscribe", "subscribe")]

    def look(self, frames: Sequence[bytes]) -> Seen:
        """See `Venue.look`."""
        return coinbase_frames.look(frames)

    # Reading

    def decode(self, frames: Sequence[bytes | memoryview], tape: Tape) -> Decoded:
        """See `Venue.decode`; all trades are single fills, so that `tape` leaves no choice."""
        del tape
        return coinbase_frames.decode(frames)

    def checksum(self, bids: Sequence[Level], asks: Sequence[Level]) -> int:
        """Return 0: there is none."""
        del bids, asks
        return 0

    def decode_rest(self, body: bytes, native: str) -> Decoded:
        """See `Venue.decode_rest`; the answer is newest first, the rows are not."""
        return coinbase_frames.decode_rest(body, native)

    # REST

    def time_request(self) -> Request:
        """See `Venue.time_request`."""
        return Request("/time", {}, 1)

    def parse_time(self, body: bytes) -> int:
        """See `Venue.parse_time`."""
        try:
            epoch = msgspec.json.decode(body, type=_Time).epoch
        except UNREADABLE as error:
            raise ValueError(f"the answer about the time was malformed: {error}") from None
        if not math.isfinite(epoch):
            raise ValueError("the answer about the time was malformed: it was not finite")
        return round(epoch * 1000)

    def instruments_requests(self) -> list[Request]:
        """See `Venue.instruments_requests`."""
        return [Request("/products", {}, 1)]

    def next_page(self, request: Request, body: bytes) -> None:
        """Return None: one answer holds all products."""
        del request, body

    def parse_instruments(self, body: bytes) -> list[Instrument]:
        """See `Venue.parse_instruments`."""
        try:
            products = msgspec.json.decode(body, type=list[_Product])
        except UNREADABLE as error:
            raise ValueError(f"{self.name}: products were malformed: {error}") from None
        return [self._instrument(p) for p in products]

    def _instrument(self, p: _Product) -> Instrument:
        base, quote = p.base_currency, p.quote_currency
        return Instrument(self.name, f"{base}-{quote}", p.id, base, quote, p.quote_increment, p.base_increment, p.status)

    def klines_request(self, native: str, interval: Literal["1d", "1m"]) -> Request:
        """Ask for the newest 300 candles."""
        return Request(f"/products/{native}/candles", {"granularity": "86400" if interval == "1d" else "60"}, 1)

    def parse_klines(self, body: bytes) -> pa.Table:
        """See `Venue.parse_klines`; minutes without trades are left out by the venue."""
        try:
            rows = msgspec.json.decode(body, type=list[tuple[int, float, float, float, float, float]])
        except UNREADABLE as error:
            raise ValueError(f"klines were malformed: {error}") from None
        return candles.table([candles.Candle(start, o, high, low, c, volume) for start, low, high, o, c, volume in rows])

    def repair_request(self, native: str, first: int, last: int | None) -> Request:
        """Ask for the page that ends with `last`, or for the newest: pages are had only by what they are older than."""
        del first
        params = {"limit": str(self.rules.page)} | ({} if last is None else {"after": str(last + 1)})
        return Request(f"/products/{native}/trades", params, 1)

    def book_request(self, native: str) -> None:
        """Return None: the snapshot comes over the socket."""
        del native

    def decode_book(self, body: bytes, native: str) -> Decoded:
        """Refuse: nothing was asked for."""
        del body
        return refusal("an answer that was not asked for", native)

    def funding_request(self, native: str) -> None:
        """Return None: there are no perpetual contracts."""
        del native

    def decode_funding(self, body: bytes, native: str) -> Decoded:
        """Refuse: nothing was asked for."""
        del body
        return refusal("an answer that was not asked for", native)

    def parse_error(self, body: bytes) -> Failure | None:
        """See `Venue.parse_error`; too many requests are told by the status."""
        try:
            message = msgspec.json.decode(body, type=_Told).message
        except msgspec.ValidationError:
            return None
        except UNREADABLE:
            return GARBLED
        return None if message is None else Failure("error", str(message))

    # Names

    def guess(self, text: str) -> Instrument:
        """Return the instrument called `text` where no instruments are at hand."""
        return guess(text, self.name)

    # Archives

    def archive_layout(self, first_line: bytes) -> None:
        """Return None: the venue publishes no archives."""
        del first_line

    def archive_files(self, native: str, date: dt.date, tape: Tape) -> list[ArchiveFile]:
        """Return none: the venue publishes none."""
        del native, date, tape
        return []

    def archive_klines(self, native: str, date: dt.date) -> None:
        """Return none: what is known of the archive holds no candles."""
        del native, date


def _subscribe(feeds: Sequence[Feed], natives: Sequence[str]) -> list[bytes]:
    channels = [channel for feed in feeds for channel in CHANNELS[feed]]
    return [_ask("subscribe", batch, channels) for batch in endpoint.batches(natives, BATCH)]


def _ask(deed: str, products: Sequence[str], channels: Sequence[str]) -> bytes:
    return msgspec.json.encode({"type": deed, "product_ids": products, "channels": channels})


def guess(text: str, venue: str) -> Instrument:
    """Return the instrument called `text`, like BTC-USD; ValueError if it is no such name."""
    name = text.strip().upper()
    base, dash, quote = name.partition("-")
    if not (base and dash and quote) or "-" in quote:
        raise ValueError(f"cannot tell base from quote asset in {text!r}; write it like BTC-USD")
    return Instrument(venue, name, name, base, quote)
