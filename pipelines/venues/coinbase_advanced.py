"""Coinbase Advanced Trade, the other door to the books of the Exchange.

One channel a message. Where heartbeats are not subscribed, quiet channels are closed after a minute. A first message must
come within 5 s of the handshake, and no more than eight may be sent in a second. Products with an alias (BTC-USDC) trade
in the book of another (BTC-USD), under whose name all that concerns them is sent: they are left out, and so are the
futures of Coinbase Derivatives, which are counted in contracts. REST shows the newest trades alone. All messages of a
connection are counted together, whatever their channel (so other clients say; no recording of ours holds two in a row): a
hole in the numbers is all that shows lost updates of a book.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Collection, Sequence
from typing import Any, Final, Literal

import msgspec
import pyarrow as pa
from msgspec import Struct

from pipelines.feeds import Feed, Level
from pipelines.market import Instrument
from pipelines.tape import Decoded
from pipelines.venues import candles, coinbase_advanced_frames, coinbase_advanced_sights, endpoint
from pipelines.venues.coinbase import guess
from pipelines.venues.coinbase_advanced_sights import Name
from pipelines.venues.columns import UNREADABLE, Tape
from pipelines.venues.sheet import refusal
from pipelines.venues.venue import GARBLED, ArchiveFile, Failure, Request, Route, Rules, Seen, Stream

CHANNELS: Final[dict[Feed, str]] = {"trades": "market_trades", "quotes": "ticker", "book": "level2"}
BATCH: Final = 50
"""Products named in one message."""
PRODUCTS: Final = 100
"""Products on one connection."""
CANDLES: Final = 350
"""Candles of one answer."""
_ROUTES: Final[dict[str, tuple[Feed, ...]]] = {"market": ("trades", "quotes"), "book": ("book",)}
_API: Final = "/api/v3/brokerage"
_WIDTHS: Final = {"1m": ("ONE_MINUTE", 60), "1d": ("ONE_DAY", 86_400)}


class _Product(Struct):
    product_id: Name
    base_currency_id: str
    quote_currency_id: str
    product_type: str
    price_increment: str = ""
    base_increment: str = ""
    status: str = ""
    alias: str = ""


class _Pagination(Struct):
    next_cursor: str = ""
    has_next: bool = False


class _Products(Struct):
    products: list[_Product]
    pagination: _Pagination | None = None


class _Page(Struct):
    pagination: _Pagination | None = None


class _Time(Struct):
    epochMillis: str  # noqa: N815  the venue's spelling


class _Candle(Struct):
    start: str
    low: str
    high: str
    open: str
    close: str
    volume: str


class _Candles(Struct):
    candles: list[_Candle]


class _Told(Struct):
    error: Any = None
    message: Any = None


class CoinbaseAdvanced:
    """Coinbase Advanced Trade: what to send it, and how to read what it sends."""

    name = "coinbase-advanced"
    rules = Rules(
        rest="https://api.coinbase.com",
        weight_window=(10, 1.0),
        tape="fill",
        contiguous=True,
        feeds=frozenset(CHANNELS),
        verified=frozenset(CHANNELS),
        messages_per_second=4.0,
        connects=(4, 1.0),
        page=1000,
    )

    # Sockets

    def routes(self, instruments: Sequence[Instrument], feeds: Collection[Feed], base: str | None = None) -> list[Route]:
        """See `Venue.routes`."""
        url = endpoint.socket(self.name, "wss://advanced-trade-ws.coinbase.com", base)
        return endpoint.routes(url, _ROUTES, feeds, [i.native for i in instruments], PRODUCTS, _subscribe)

    def resubscribe(self, stream: Stream) -> list[bytes]:
        """Return the frames after which the venue sends a book anew."""
        return [_ask(deed, CHANNELS[stream.feed], [stream.symbol]) for deed in ("unsubscribe", "subscribe")]

    def look(self, frames: Sequence[bytes]) -> Seen:
        """See `Venue.look`."""
        return coinbase_advanced_sights.look(frames)

    # Reading

    def decode(self, frames: Sequence[bytes | memoryview], tape: Tape) -> Decoded:
        """See `Venue.decode`; all trades are single fills, so that `tape` leaves no choice."""
        del tape
        return coinbase_advanced_frames.decode(frames)

    def checksum(self, bids: Sequence[Level], asks: Sequence[Level]) -> int:
        """Return 0: there is none."""
        del bids, asks
        return 0

    def decode_rest(self, body: bytes, native: str) -> Decoded:
        """See `Venue.decode_rest`; the answer is newest first, the rows are not."""
        return coinbase_advanced_frames.decode_rest(body, native)

    # REST

    def time_request(self) -> Request:
        """See `Venue.time_request`."""
        return Request(f"{_API}/time", {}, 1)

    def parse_time(self, body: bytes) -> int:
        """See `Venue.parse_time`."""
        try:
            return int(msgspec.json.decode(body, type=_Time).epochMillis)
        except UNREADABLE as error:
            raise ValueError(f"the answer about the time was malformed: {error}") from None

    def instruments_requests(self) -> list[Request]:
        """See `Venue.instruments_requests`."""
        return [Request(f"{_API}/market/products", {"product_type": "SPOT"}, 1)]

    def next_page(self, request: Request, body: bytes) -> Request | None:
        """See `Venue.next_page`."""
        try:
            page = msgspec.json.decode(body, type=_Page).pagination
        except UNREADABLE:
            return None
        if page is None or not page.has_next or page.next_cursor in ("", request.params.get("cursor")):
            return None
        return request._replace(params=request.params | {"cursor": page.next_cursor})

    def parse_instruments(self, body: bytes) -> list[Instrument]:
        """See `Venue.parse_instruments`."""
        try:
            products = msgspec.json.decode(body, type=_Products).products
        except UNREADABLE as error:
            raise ValueError(f"{self.name}: products were malformed: {error}") from None
        return [self._instrument(p) for p in products if p.product_type == "SPOT" and not p.alias]

    def _instrument(self, p: _Product) -> Instrument:
        base, quote = p.base_currency_id, p.quote_currency_id
        return Instrument(self.name, f"{base}-{quote}", p.product_id, base, quote, p.price_increment, p.base_increment, p.status)

    def klines_request(self, native: str, interval: Literal["1d", "1m"]) -> Request:
        """Ask for the newest candles; the venue wants to be told the time, so that this alone reads the clock."""
        granularity, width = _WIDTHS[interval]
        end = int(time.time())
        params = {"start": str(end - (CANDLES - 1) * width), "end": str(end), "granularity": granularity}
        return Request(f"{_API}/market/products/{native}/candles", params, 1)

    def parse_klines(self, body: bytes) -> pa.Table:
        """See `Venue.parse_klines`."""
        try:
            rows = msgspec.json.decode(body, type=_Candles).candles
            read = [
                candles.Candle(int(c.start), float(c.open), float(c.high), float(c.low), float(c.close), float(c.volume))
                for c in rows
            ]
        except UNREADABLE as error:
            raise ValueError(f"klines were malformed: {error}") from None
        return candles.table(read)

    def repair_request(self, native: str, first: int, last: int | None) -> Request:
        """Ask for the newest trades: there are no pages by id."""
        del first, last
        return Request(f"{_API}/market/products/{native}/ticker", {"limit": str(self.rules.page)}, 1)

    def book_request(self, native: str) -> None:
        """Return None: the snapshot comes over the socket."""
        del native

    def decode_book(self, body: bytes, native: str) -> Decoded:
        """Refuse: nothing was asked for."""
        del body
        return refusal("an answer that was not asked for", native)

    def funding_request(self, native: str) -> None:
        """Return None: perpetual contracts are left out."""
        del native

    def decode_funding(self, body: bytes, native: str) -> Decoded:
        """Refuse: nothing was asked for."""
        del body
        return refusal("an answer that was not asked for", native)

    def parse_error(self, body: bytes) -> Failure | None:
        """See `Venue.parse_error`; too many requests are told by the status."""
        try:
            told = msgspec.json.decode(body, type=_Told)
        except msgspec.ValidationError:
            return None
        except UNREADABLE:
            return GARBLED
        if told.error is None and told.message is None:
            return None
        return Failure("error", ": ".join(str(text) for text in (told.error, told.message) if text))

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
    batches = endpoint.batches(natives, BATCH)
    return [_ask("subscribe", "heartbeats"), *(_ask("subscribe", CHANNELS[feed], some) for feed in feeds for some in batches)]


def _ask(deed: str, channel: str, products: Sequence[str] = ()) -> bytes:
    of = {"product_ids": list(products)} if products else {}
    return msgspec.json.encode({"type": deed, "channel": channel} | of)
