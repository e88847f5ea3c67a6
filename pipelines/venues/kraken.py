"""Kraken's spot market, WebSocket v2: trades, best quotes, and a book of 25 levels with a checksum.

Quirks: prices and sizes are JSON numbers whose digits count (the checksum is made of them), so that they are kept as text.
A subscription begins with the last 50 trades, which are history. The book is cut to its depth after each update without a
word. REST names Bitcoin XBT and Dogecoin XDG, and answers an error with HTTP 200. Trade ids follow each other, but several
trades of one moment have been seen to lack some on the socket: REST, which has them all, repairs that. REST pages by time,
not by id, so that only the newest page can be asked for. There are no liquidations here, and no futures.
"""

from __future__ import annotations

import datetime as dt
import re
import zlib
from collections.abc import Collection, Sequence
from decimal import Decimal
from typing import Annotated, Any, Final, Literal

import msgspec
import pyarrow as pa
from msgspec import Meta, Struct

from pipelines.feeds import Feed, Level
from pipelines.market import Instrument
from pipelines.tape import Decoded
from pipelines.venues import candles, endpoint, kraken_frames
from pipelines.venues.columns import UNREADABLE, Tape
from pipelines.venues.sheet import refusal
from pipelines.venues.venue import GARBLED, ArchiveFile, Failure, Request, Route, Rules, Seen, Stream

DEPTH: Final = 25
BATCH: Final = 50
"""Symbols named in one message."""
SYMBOLS: Final = 200
"""Symbols on one connection."""
_CHANNELS: Final[dict[Feed, dict[str, Any]]] = {
    "trades": {"channel": "trade"},
    "quotes": {"channel": "ticker", "event_trigger": "bbo"},
    "book": {"channel": "book", "depth": DEPTH},
}
_ROUTES: Final[dict[str, tuple[Feed, ...]]] = {"market": ("trades", "quotes"), "book": ("book",)}
_BUSY: Final = ("EAPI:Rate limit", "EGeneral:Too many requests", "EGeneral:Temporary lockout", "EService:")
"""How errors begin that pass."""
_REST_NAMES: Final = {"BTC": "XBT", "DOGE": "XDG"}
_NAMES: Final = {rest: name for name, rest in _REST_NAMES.items()}


class _Pair(Struct):
    wsname: str = ""
    tick_size: str = ""
    lot_decimals: Annotated[int, Meta(ge=0, le=18)] | None = None
    status: str = ""


class _Pairs(Struct):
    result: dict[str, _Pair]


class _Unix(Struct):
    unixtime: int


class _Time(Struct):
    result: _Unix


class _Told(Struct):
    error: Any = None


_told = msgspec.json.Decoder(_Told)
_candle = msgspec.json.Decoder(tuple[int, str, str, str, str, str, str, int])


class Kraken:
    """Kraken spot: what to send it, and how to read what it sends."""

    name = "kraken"
    rules = Rules(
        rest="https://api.kraken.com",
        weight_window=(15, 15.0),
        tape="fill",
        contiguous=True,
        feeds=frozenset(_CHANNELS),
        verified=frozenset({"trades", "quotes"}),
        connects=(100, 600.0),
        ping=b'{"method":"ping"}',
        ping_s=30.0,
        page=1000,
        book_depth=DEPTH,
    )

    # Sockets

    def routes(self, instruments: Sequence[Instrument], feeds: Collection[Feed], base: str | None = None) -> list[Route]:
        """See `Venue.routes`."""
        url = endpoint.socket(self.name, "wss://ws.kraken.com/v2", base, "/v2")
        return endpoint.routes(url, _ROUTES, feeds, [i.native for i in instruments], SYMBOLS, _subscribe)

    def resubscribe(self, stream: Stream) -> list[bytes]:
        """Return the frames after which the venue sends a book anew."""
        return [_ask(method, stream.feed, [stream.symbol]) for method in ("unsubscribe", "subscribe")]

    def look(self, frames: Sequence[bytes]) -> Seen:
        """See `Venue.look`."""
        return kraken_frames.look(frames)

    # Reading

    def decode(self, frames: Sequence[bytes | memoryview], tape: Tape) -> Decoded:
        """See `Venue.decode`; all trades are single fills, so that `tape` leaves no choice."""
        del tape
        return kraken_frames.decode(frames)

    def checksum(self, bids: Sequence[Level], asks: Sequence[Level]) -> int:
        """Return the CRC32 of the digits of the ten best levels, asks first."""
        levels = [*asks[:10], *bids[:10]]
        digits = "".join(text.replace(".", "").lstrip("0") for level in levels for text in level)
        return zlib.crc32(digits.encode())

    def decode_rest(self, body: bytes, native: str) -> Decoded:
        """See `Venue.decode_rest`."""
        return kraken_frames.decode_rest(body, native)

    # REST

    def time_request(self) -> Request:
        """See `Venue.time_request`."""
        return Request("/0/public/Time", {}, 1)

    def parse_time(self, body: bytes) -> int:
        """See `Venue.parse_time`; the venue tells whole seconds."""
        try:
            return msgspec.json.decode(body, type=_Time).result.unixtime * 1000
        except UNREADABLE as error:
            raise ValueError(f"the answer about the time was malformed: {error}") from None

    def instruments_requests(self) -> list[Request]:
        """See `Venue.instruments_requests`."""
        return [Request("/0/public/AssetPairs", {}, 1)]

    def next_page(self, request: Request, body: bytes) -> None:
        """Return None: one answer holds all pairs."""
        del request, body

    def parse_instruments(self, body: bytes) -> list[Instrument]:
        """See `Venue.parse_instruments`; pairs without a name on the socket are left out."""
        try:
            pairs = msgspec.json.decode(body, type=_Pairs).result.values()
        except UNREADABLE as error:
            raise ValueError(f"{self.name}: AssetPairs was malformed: {error}") from None
        return [self._instrument(pair) for pair in pairs if pair.wsname.count("/") == 1]

    def _instrument(self, pair: _Pair) -> Instrument:
        base, quote = (_NAMES.get(asset, asset) for asset in pair.wsname.split("/"))
        lot = "" if pair.lot_decimals is None else f"{Decimal(1).scaleb(-pair.lot_decimals):f}"
        return Instrument(self.name, f"{base}-{quote}", f"{base}/{quote}", base, quote, pair.tick_size, lot, pair.status)

    def klines_request(self, native: str, interval: Literal["1d", "1m"]) -> Request:
        """Ask for the newest 720 candles."""
        return Request("/0/public/OHLC", {"pair": _pair(native), "interval": "1440" if interval == "1d" else "1"}, 1)

    def parse_klines(self, body: bytes) -> pa.Table:
        """See `Venue.parse_klines`."""
        try:
            rows = [_candle.decode(row) for row in kraken_frames.rows(body)]
            read = [candles.Candle(t, float(o), float(h), float(low), float(c), float(v), n) for t, o, h, low, c, _, v, n in rows]
        except UNREADABLE as error:
            raise ValueError(f"klines were malformed: {error}") from None
        return candles.table(read)

    def repair_request(self, native: str, first: int, last: int | None) -> Request:
        """Ask for the newest trades: pages are had by time alone."""
        del first, last
        return Request("/0/public/Trades", {"pair": _pair(native), "count": str(self.rules.page)}, 1)

    def book_request(self, native: str) -> None:
        """Return None: the snapshot comes over the socket."""
        del native

    def decode_book(self, body: bytes, native: str) -> Decoded:
        """Refuse: nothing was asked for."""
        return refusal(f"an answer of {len(body)} bytes was not asked for", native)

    def funding_request(self, native: str) -> None:
        """Return None: there are no perpetual contracts."""
        del native

    def decode_funding(self, body: bytes, native: str) -> Decoded:
        """Refuse: nothing was asked for."""
        return refusal(f"an answer of {len(body)} bytes was not asked for", native)

    def parse_error(self, body: bytes) -> Failure | None:
        """See `Venue.parse_error`."""
        try:
            errors = _told.decode(body).error
        except msgspec.ValidationError:
            return None
        except UNREADABLE:
            return GARBLED
        if not errors:
            return None
        texts = [str(error) for error in (errors if isinstance(errors, list) else [errors])]
        return Failure("busy" if any(text.startswith(_BUSY) for text in texts) else "error", ", ".join(texts))

    # Names

    def guess(self, text: str) -> Instrument:
        """Return the instrument called `text` where no instruments are at hand."""
        assets = re.split(r"[-/]", text.strip().upper())
        if len(assets) != 2 or not all(assets):
            raise ValueError(f"cannot tell base from quote asset in {text!r}; write it like BTC-USD")
        base, quote = (_NAMES.get(asset, asset) for asset in assets)
        return Instrument(self.name, f"{base}-{quote}", f"{base}/{quote}", base, quote)

    # Archives

    def archive_layout(self, first_line: bytes) -> None:
        """Return None: the venue's archives name no side."""
        del first_line

    def archive_files(self, native: str, date: dt.date, tape: Tape) -> list[ArchiveFile]:
        """Return none: the venue's archives name no side."""
        del native, date, tape
        return []

    def archive_klines(self, native: str, date: dt.date) -> None:
        """Return none: what is known of the archive holds no candles."""
        del native, date


def _subscribe(feeds: Sequence[Feed], natives: Sequence[str]) -> list[bytes]:
    return [_ask("subscribe", feed, batch) for feed in feeds for batch in endpoint.batches(natives, BATCH)]


def _ask(method: str, feed: Feed, symbols: Sequence[str]) -> bytes:
    snapshot = {"snapshot": True} if method == "subscribe" else {}
    return msgspec.json.encode({"method": method, "params": _CHANNELS[feed] | {"symbol": list(symbols)} | snapshot})


def _pair(native: str) -> str:
    """Return how REST calls a pair."""
    return "".join(_REST_NAMES.get(asset, asset) for asset in native.split("/"))
