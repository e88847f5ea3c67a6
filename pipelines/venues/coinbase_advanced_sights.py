"""What Coinbase Advanced Trade's messages are about, read off them without their figures.

What is damaged is looked at piece by piece: a frame of which one trade cannot be read still tells of the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from pipelines.venues.columns import MAX_ID, UNREADABLE
from pipelines.venues.sheet import malformed
from pipelines.venues.venue import Answer, Seen, Sight

Name = Annotated[str, Meta(min_length=1, max_length=40)]
Form = Literal["snapshot", "update"]


class TradeSight(Struct, gc=False):
    """A trade, as far as it is to be told from others."""

    trade_id: str
    product_id: Name


class _TradesEventSight(Struct):
    type: Form
    trades: list[TradeSight]


class _TradesSight(Struct, tag_field="channel", tag="market_trades"):
    events: list[_TradesEventSight]
    sequence_num: Any = None


class _Product(Struct, gc=False):
    product_id: Name


class _BookSight(Struct, tag_field="channel", tag="l2_data"):
    events: list[_Product]
    sequence_num: Any = None


class _TickerEventSight(Struct):
    tickers: list[_Product]


class _TickerSight(Struct, tag_field="channel", tag="ticker"):
    events: list[_TickerEventSight]
    sequence_num: Any = None


class _Heartbeat(Struct, tag_field="channel", tag="heartbeats"):
    sequence_num: Any = None


class _Subscriptions(Struct, tag_field="channel", tag="subscriptions"):
    sequence_num: Any = None


class _Numbered(Struct):
    sequence_num: Any = None


class _Error(Struct):
    type: Literal["error"]
    message: str = ""


class _LooseEvents(Struct):
    events: list[Raw]


class LooseTrades(Struct):
    """An event of trades, these not yet read."""

    type: Form
    trades: list[Raw]


_sight = msgspec.json.Decoder(_TradesSight | _BookSight | _TickerSight | _Heartbeat | _Subscriptions)
_numbered = msgspec.json.Decoder(_Numbered)
_error = msgspec.json.Decoder(_Error)
_trade_sight = msgspec.json.Decoder(TradeSight)
_product = msgspec.json.Decoder(_Product)
_loose_events = msgspec.json.Decoder(_LooseEvents)
_loose_trades = msgspec.json.Decoder(LooseTrades)


def look(frames: Sequence[bytes]) -> Seen:
    """See `Venue.look`."""
    numbers: list[int] = []
    seen = Seen([], [], numbers)
    for frame in frames:
        try:
            message = _sight.decode(frame)
        except UNREADABLE:
            _look_closer_at(frame, seen, numbers)
            continue
        if type(message.sequence_num) is int:
            numbers.append(message.sequence_num)
        match message:
            case _TradesSight(events=events):
                for event in events:
                    seen.sights.extend(_sights(event.trades, history=event.type == "snapshot"))
            case _BookSight(events=books):
                seen.sights.extend(Sight("book", book.product_id) for book in books)
            case _TickerSight(events=tickers):
                seen.sights.extend(Sight("quotes", best.product_id) for event in tickers for best in event.tickers)
            case _Subscriptions():
                seen.answers.append(Answer("ack"))
    return seen


def _sights(trades: Sequence[TradeSight], *, history: bool) -> list[Sight]:
    known = sorted((number_of(trade.trade_id), trade.product_id) for trade in trades)
    return [Sight("trades", product, number, number, "fill", history) for number, product in known if number >= 0]


def _look_closer_at(frame: bytes, seen: Seen, numbers: list[int]) -> None:
    """Note what a frame of unusual form bears all the same: its number, an error, or trades of which one is damaged."""
    with suppress(*UNREADABLE):
        if type(number := _numbered.decode(frame).sequence_num) is int:
            numbers.append(number)
    try:
        seen.answers.append(Answer("error", _error.decode(frame).message))
    except UNREADABLE:
        if b'"market_trades"' not in frame or not _is_trades(frame):
            return
        for event in events_of_trades(frame, []):
            sights = [sight for trade in event.trades if (sight := sight_of(trade)) is not None]
            seen.sights.extend(_sights(sights, history=event.type == "snapshot"))


def events_of_trades(frame: bytes, refused: list[str]) -> list[LooseTrades]:
    """Return the events of a frame of trades; append what is wrong with the others to `refused`."""
    found: list[LooseTrades] = []
    try:
        events = _loose_events.decode(frame).events
    except UNREADABLE as error:
        refused.append(malformed("market_trades", error))
        return found
    for event in events:
        try:
            found.append(_loose_trades.decode(event))
        except UNREADABLE as error:
            refused.append(malformed("market_trades", error))
    return found


def _is_trades(frame: bytes) -> bool:
    try:
        message = msgspec.json.decode(frame)
    except UNREADABLE:
        return False
    return isinstance(message, dict) and message.get("channel") == "market_trades"


def sight_of(row: bytes | Raw) -> TradeSight | None:
    """Return which trade a row is; None where it does not say."""
    try:
        return _trade_sight.decode(row)
    except UNREADABLE:
        return None


def product_of(event: bytes | Raw) -> str:
    """Return what an event is about; empty where it does not say."""
    try:
        return _product.decode(event).product_id
    except UNREADABLE:
        return ""


def number_of(text: str) -> int:
    """Return the id that a text of digits is, -1 if it is none."""
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        return -1
    number = int(text)
    return number if number <= MAX_ID else -1
