"""Kraken's messages, and its answers with trades.

Prices and sizes are JSON numbers whose digits count, so that they are kept as text. A subscription begins with the last 50
trades, which are history; those of a frame are put into the order of their ids.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from operator import attrgetter
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from pipelines.feeds import Feed
from pipelines.tape import Decoded
from pipelines.venues.columns import MAX_ID, UNREADABLE, Refused, quoted
from pipelines.venues.sheet import Quote, Sheet, Trade, malformed, refusal, update
from pipelines.venues.times import rfc3339_us, seconds_us
from pipelines.venues.venue import Answer, Seen, Sight

_FEEDS: Final[dict[str, Feed]] = {"trade": "trades", "ticker": "quotes", "book": "book"}
_OTHER: Final = frozenset(("status", "heartbeat", "ohlc", "instrument", "level3"))
"""Channels that bear none of our feeds."""
_METHODS: Final = frozenset(("subscribe", "unsubscribe", "ping", "pong"))
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


_message = msgspec.json.Decoder(_Message)
_sight = msgspec.json.Decoder(_TradeSight)
_symbol = msgspec.json.Decoder(_Symbol)
_trade = msgspec.json.Decoder(_Trade)
_book = msgspec.json.Decoder(_Book)
_ticker = msgspec.json.Decoder(_Ticker)
_result = msgspec.json.Decoder(_Result)
_rest_trade = msgspec.json.Decoder(tuple[str, str, Raw, Literal["b", "s"], str, str, _Id])
_rest_id = msgspec.json.Decoder(tuple[Any, Any, Any, Any, Any, Any, _Id])


def look(frames: Sequence[bytes]) -> Seen:
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


def decode(frames: Sequence[bytes | memoryview]) -> Decoded:
    """See `Venue.decode`."""
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


def decode_rest(body: bytes, native: str) -> Decoded:
    """See `Venue.decode_rest`."""
    try:
        found = rows(body)
    except UNREADABLE as error:
        return refusal(malformed("REST answer", error), native)
    sheet = Sheet()
    for part, row in enumerate(found):
        try:
            price, size, time, side, _, _, number = _rest_trade.decode(row)
        except UNREADABLE as error:
            sheet.refused.append(Refused(0, malformed("trade", error), native, _rest_id_of(row), part))
        else:
            sheet.trades.append(Trade(0, part, native, number, price, size, seconds_us(_text(time)), side == "s"))
    return sheet.decoded(1)


def rows(body: bytes) -> list[Raw]:
    """Return the rows of an answer: they stand under the pair's old name, beside a cursor."""
    found = [rows for name, rows in _result.decode(body).result.items() if name != "last"]
    return [row for rows in found for row in msgspec.json.decode(rows, type=list[Raw])]


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
