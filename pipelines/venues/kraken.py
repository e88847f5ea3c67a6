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
from operator import attrgetter
from typing import Annotated, Any, Final, Literal

import msgspec
import pyarrow as pa
from msgspec import Meta, Raw, Struct

from pipelines.feeds import Feed, Level
from pipelines.market import Instrument
from pipelines.tape import Decoded
from pipelines.venues import candles, endpoint
from pipelines.venues.columns import MAX_ID, UNREADABLE, Refused, Tape, quoted
from pipelines.venues.sheet import Quote, Sheet, Trade, malformed, refusal, update
from pipelines.venues.times import rfc3339_us, seconds_us
from pipelines.venues.venue import GARBLED, Answer, ArchiveFile, Failure, Request, Route, Rules, Seen, Sight, Stream

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
_FEEDS: Final[dict[str, Feed]] = {"trade": "trades", "ticker": "quotes", "book": "book"}
_ROUTES: Final[dict[str, tuple[Feed, ...]]] = {"market": ("trades", "quotes"), "book": ("book",)}
_OTHER: Final = frozenset(("status", "heartbeat", "ohlc", "instrument", "level3"))
"""Channels that bear none of our feeds."""
_METHODS: Final = frozenset(("subscribe", "unsubscribe", "ping", "pong"))
_BUSY: Final = ("EAPI:Rate limit", "EGeneral:Too many requests", "EGeneral:Temporary lockout", "EService:")
"""How errors begin that pass."""
_REST_NAMES: Final = {"BTC": "XBT", "DOGE": "XDG"}
_NAMES: Final = {rest: name for name, rest in _REST_NAMES.items()}
_EXPONENT = re.compile(r"[0-9]+(?:\.[0-9]+)?[eE][-+]?[0-9]{1,2}")

_Id = Annotated[int, Meta(ge=0, le=MAX_ID)]
_Name = Annotated[str, Meta(min_length=1, max_length=40)]


class _Message(Struct):
    channel: str = ""
    type: str = ""
    data: list[Raw] | None = None
    method: str = ""
    success: bool | None = None
    error: str = ""


class _Symbol(Struct, gc=False):
    symbol: _Name


class _TradeSight(_Symbol, gc=False):
    trade_id: _Id


class _Trade(_TradeSight, gc=False):
    side: Literal["buy", "sell"]
    price: Raw
    qty: Raw
    timestamp: str


class _Level(Struct, gc=False):
    price: Raw
    qty: Raw


class _Book(_Symbol):
    bids: list[_Level]
    asks: list[_Level]
    checksum: Annotated[int, Meta(ge=0, lt=2**32)]
    timestamp: str = ""


class _Ticker(_Symbol):
    bid: Raw
    bid_qty: Raw
    ask: Raw
    ask_qty: Raw
    timestamp: str = ""


class _Result(Struct):
    result: dict[str, Raw]


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


_message = msgspec.json.Decoder(_Message)
_told = msgspec.json.Decoder(_Told)
_sight = msgspec.json.Decoder(_TradeSight)
_symbol = msgspec.json.Decoder(_Symbol)
_trade = msgspec.json.Decoder(_Trade)
_book = msgspec.json.Decoder(_Book)
_ticker = msgspec.json.Decoder(_Ticker)
_result = msgspec.json.Decoder(_Result)
_candle = msgspec.json.Decoder(tuple[int, str, str, str, str, str, str, int])
_rest_trade = msgspec.json.Decoder(tuple[str, str, Raw, Literal["b", "s"], str, str, _Id])
_rest_id = msgspec.json.Decoder(tuple[Any, Any, Any, Any, Any, Any, _Id])


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
        seen = Seen([], [])
        for frame in frames:
            try:
                message = _message.decode(frame)
            except UNREADABLE:
                continue
            if message.channel in _FEEDS and message.type in ("snapshot", "update"):
                history = message.type == "snapshot" and message.channel == "trade"
                found = [s for item in message.data or () for s in _sights(_FEEDS[message.channel], item, history=history)]
                seen.sights.extend(sorted(found, key=attrgetter("first")))
            elif message.success is False:
                seen.answers.append(Answer("error", message.error))
            elif message.method == "pong":
                seen.answers.append(Answer("pong"))
            elif message.success:
                seen.answers.append(Answer("ack"))
        return seen

    # Reading

    def decode(self, frames: Sequence[bytes | memoryview], tape: Tape) -> Decoded:
        """See `Venue.decode`; all trades are single fills, so that `tape` leaves no choice."""
        del tape
        sheet = Sheet()
        for i, frame in enumerate(frames):
            try:
                message = _message.decode(frame)
            except UNREADABLE as error:
                sheet.refused.append(Refused(i, malformed("frame", error)))
                continue
            if message.channel in _FEEDS and message.type not in ("snapshot", "update"):
                sheet.refused.append(Refused(i, f"unknown type: {quoted(message.type)}"))
            elif message.channel in _FEEDS and message.data is None:
                sheet.refused.append(Refused(i, "message held no data"))
            elif message.channel in _FEEDS:
                before, snapshot = len(sheet.trades), message.type == "snapshot"
                for part, item in enumerate(message.data or ()):
                    _READERS[message.channel](i, part, item, sheet, snapshot=snapshot)
                sheet.trades[before:] = sorted(sheet.trades[before:], key=attrgetter("trade_id"))
            elif message.channel not in _OTHER and message.method not in _METHODS and message.success is None:
                sheet.refused.append(Refused(i, f"unknown message: {quoted(message.channel or message.method)}"))
        return sheet.decoded(len(frames))

    def checksum(self, bids: Sequence[Level], asks: Sequence[Level]) -> int:
        """Return the CRC32 of the digits of the ten best levels, asks first."""
        levels = [*asks[:10], *bids[:10]]
        digits = "".join(text.replace(".", "").lstrip("0") for level in levels for text in level)
        return zlib.crc32(digits.encode())

    def decode_rest(self, body: bytes, native: str) -> Decoded:
        """See `Venue.decode_rest`."""
        try:
            rows = _rows(body)
        except UNREADABLE as error:
            return refusal(malformed("REST answer", error), native)
        sheet = Sheet()
        for part, row in enumerate(rows):
            try:
                price, size, time, side, _, _, number = _rest_trade.decode(row)
            except UNREADABLE as error:
                sheet.refused.append(Refused(0, malformed("trade", error), native, _rest_id_of(row), part))
            else:
                sheet.trades.append(Trade(0, part, native, number, price, size, seconds_us(_text(time)), side == "s"))
        return sheet.decoded(1)

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
            rows = [_candle.decode(row) for row in _rows(body)]
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


def _rows(body: bytes) -> list[Raw]:
    """Return the rows of an answer: they stand under the pair's old name, beside a cursor."""
    found = [rows for name, rows in _result.decode(body).result.items() if name != "last"]
    return [row for rows in found for row in msgspec.json.decode(rows, type=list[Raw])]


def _pair(native: str) -> str:
    """Return how REST calls a pair."""
    return "".join(_REST_NAMES.get(asset, asset) for asset in native.split("/"))


def _sights(feed: Feed, item: Raw, *, history: bool = False) -> list[Sight]:
    try:
        if feed != "trades":
            return [Sight(feed, _symbol.decode(item).symbol)]
        trade = _sight.decode(item)
    except UNREADABLE:
        return []
    return [Sight("trades", trade.symbol, trade.trade_id, trade.trade_id, "fill", history)]


def _read_trade(i: int, part: int, item: Raw, sheet: Sheet, *, snapshot: bool) -> None:
    try:
        t = _trade.decode(item)
    except UNREADABLE as error:
        known = [(s.symbol, s.first) for s in _sights("trades", item)] or [("", -1)]
        sheet.refused.append(Refused(i, malformed("trade", error), *known[0], part))
    else:
        time, seller = rfc3339_us(t.timestamp), t.side == "sell"
        sheet.trades.append(Trade(i, part, t.symbol, t.trade_id, _text(t.price), _text(t.qty), time, seller, snapshot))


def _read_book(i: int, part: int, item: Raw, sheet: Sheet, *, snapshot: bool) -> None:
    try:
        b = _book.decode(item)
    except UNREADABLE as error:
        known = [s.symbol for s in _sights("book", item)] or [""]
        sheet.lose(i, known[0], malformed("book", error), part)
    else:
        bids, asks = ([(_text(level.price), _text(level.qty)) for level in side] for side in (b.bids, b.asks))
        ts = rfc3339_us(b.timestamp) if b.timestamp else 0
        sheet.depth(update(i, b.symbol, ts, bids, asks, snapshot=snapshot, checksum=b.checksum), part)


def _read_ticker(i: int, part: int, item: Raw, sheet: Sheet, *, snapshot: bool) -> None:
    del snapshot
    try:
        t = _ticker.decode(item)
    except UNREADABLE as error:
        sheet.refused.append(Refused(i, malformed("ticker", error), part=part))
    else:
        bid, bid_size, ask, ask_size = (_text(value).replace("null", "0") for value in (t.bid, t.bid_qty, t.ask, t.ask_qty))
        ts = rfc3339_us(t.timestamp) if t.timestamp else 0
        sheet.quotes.append(Quote(i, part, t.symbol, ts, -1, bid, bid_size, ask, ask_size))


_READERS: Final = {"trade": _read_trade, "book": _read_book, "ticker": _read_ticker}


def _text(number: Raw) -> str:
    """Return a JSON number digit by digit, without an exponent; anything else as it stands, to be refused."""
    text = bytes(number).decode("ascii", "replace")
    return f"{Decimal(text):f}" if _EXPONENT.fullmatch(text) else text


def _rest_id_of(row: Raw) -> int:
    try:
        return int(_rest_id.decode(row)[6])
    except UNREADABLE:
        return -1
