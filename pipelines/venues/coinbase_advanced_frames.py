"""Coinbase Advanced Trade's messages: an envelope of channel, time and events around what the Exchange would send.

Quirks: the `side` of a trade is the maker's, so that the taker is on the other (a recorded answer shows a trade at the ask
whose side was SELL). Trades are newest first, and the first event of a subscription replays what was before it. `level2` is
answered on `l2_data`; its updates bear no number of their own: `sequence_num` counts the messages of a socket over all
channels. Times have as many digits as they need.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from pipelines.tape import Decoded
from pipelines.venues.columns import MAX_ID, UNREADABLE, Refused, quoted
from pipelines.venues.sheet import Quote, Sheet, Trade, malformed, refusal, update
from pipelines.venues.times import rfc3339_us
from pipelines.venues.venue import Answer, Seen, Sight

_OTHER: Final = frozenset(("heartbeats", "subscriptions", "candles", "status", "user", "futures_balance_summary"))
"""Channels that bear none of our feeds."""

Name = Annotated[str, Meta(min_length=1, max_length=40)]
_Form = Literal["snapshot", "update"]


class _Trade(Struct, gc=False):
    trade_id: str
    product_id: Name
    price: str
    size: str
    side: Literal["BUY", "SELL"]
    time: str


class _TradesEvent(Struct):
    type: _Form
    trades: list[_Trade]


class _Trades(Struct, tag_field="channel", tag="market_trades"):
    events: list[_TradesEvent]


class _Level(Struct, gc=False):
    side: Literal["bid", "offer"]
    price_level: str
    new_quantity: str
    event_time: str = ""


class _BookEvent(Struct):
    type: _Form
    product_id: Name
    updates: list[_Level]


class _Book(Struct, tag_field="channel", tag="l2_data"):
    events: list[_BookEvent]
    timestamp: str = ""


class _Best(Struct, gc=False):
    product_id: Name
    best_bid: str = ""
    best_bid_quantity: str = ""
    best_ask: str = ""
    best_ask_quantity: str = ""


class _TickerEvent(Struct):
    tickers: list[_Best]


class _Ticker(Struct, tag_field="channel", tag="ticker"):
    events: list[_TickerEvent]
    timestamp: str = ""


class _TradeSight(Struct, gc=False):
    trade_id: str
    product_id: Name


class _TradesEventSight(Struct):
    type: _Form
    trades: list[_TradeSight]


class _TradesSight(Struct, tag_field="channel", tag="market_trades"):
    events: list[_TradesEventSight]


class _Product(Struct, gc=False):
    product_id: Name


class _BookSight(Struct, tag_field="channel", tag="l2_data"):
    events: list[_Product]


class _TickerEventSight(Struct):
    tickers: list[_Product]


class _TickerSight(Struct, tag_field="channel", tag="ticker"):
    events: list[_TickerEventSight]


class _Heartbeat(Struct, tag_field="channel", tag="heartbeats"):
    pass


class _Subscriptions(Struct, tag_field="channel", tag="subscriptions"):
    pass


class _Error(Struct):
    type: Literal["error"]
    message: str = ""


class _LooseEvents(Struct):
    events: list[Raw]


class _LooseTrades(Struct):
    type: _Form
    trades: list[Raw]


class _LooseBook(Struct):
    events: list[Raw]
    timestamp: str = ""


class _Answer(Struct):
    trades: list[Raw]


_message = msgspec.json.Decoder(_Trades | _Book | _Ticker)
_sight = msgspec.json.Decoder(_TradesSight | _BookSight | _TickerSight | _Heartbeat | _Subscriptions)
_error = msgspec.json.Decoder(_Error)
_trade = msgspec.json.Decoder(_Trade)
_trade_sight = msgspec.json.Decoder(_TradeSight)
_book_event = msgspec.json.Decoder(_BookEvent)
_product = msgspec.json.Decoder(_Product)
_loose_events = msgspec.json.Decoder(_LooseEvents)
_loose_trades = msgspec.json.Decoder(_LooseTrades)
_loose_book = msgspec.json.Decoder(_LooseBook)


def look(frames: Sequence[bytes]) -> Seen:
    """See `Venue.look`."""
    seen = Seen([], [])
    for frame in frames:
        try:
            message = _sight.decode(frame)
        except UNREADABLE:
            _look_closer_at(frame, seen)
            continue
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


def _sights(trades: Sequence[_TradeSight], *, history: bool) -> list[Sight]:
    known = sorted((_number(trade.trade_id), trade.product_id) for trade in trades)
    return [Sight("trades", product, number, number, "fill", history) for number, product in known if number >= 0]


def _look_closer_at(frame: bytes, seen: Seen) -> None:
    """Note what a frame of unusual form bears all the same: an error, or trades of which one is damaged."""
    try:
        seen.answers.append(Answer("error", _error.decode(frame).message))
    except UNREADABLE:
        if b'"market_trades"' not in frame or not _is_trades(frame):
            return
        for event in _of_trades(frame, []):
            sights = [sight for trade in event.trades if (sight := _sight_of(trade)) is not None]
            seen.sights.extend(_sights(sights, history=event.type == "snapshot"))


def decode(frames: Sequence[bytes | memoryview]) -> Decoded:
    """See `Venue.decode`; the trades of a frame are put into the order of their ids."""
    sheet = Sheet()
    for i, frame in enumerate(frames):
        try:
            message = _message.decode(frame)
        except UNREADABLE as error:
            _look_closer(i, bytes(frame), error, sheet)
            continue
        match message:
            case _Trades(events=events):
                found: list[tuple[_Trade, bool]] = [(t, event.type == "snapshot") for event in events for t in event.trades]
                _note_trades(i, list(enumerate(found)), sheet)
            case _Book(events=books, timestamp=time):
                for part, book in enumerate(books):
                    _note_book(i, part, book, time, sheet)
            case _Ticker(events=tickers, timestamp=time):
                ts = rfc3339_us(time) if time else 0
                best = [best for event in tickers for best in event.tickers]
                sheet.quotes.extend(_quote(i, part, ts, b) for part, b in enumerate(best) if b.best_bid or b.best_ask)
    return sheet.decoded(len(frames))


def decode_rest(body: bytes, native: str) -> Decoded:
    """Read an answer with trades; it is newest first, the rows are not."""
    try:
        rows = msgspec.json.decode(body, type=_Answer).trades
    except UNREADABLE as error:
        return refusal(malformed("REST answer", error), native)
    sheet = Sheet()
    _note_raw(0, list(enumerate((row, False) for row in rows)), sheet)
    return sheet.decoded(1)


def _note_trades(i: int, trades: Sequence[tuple[int, tuple[_Trade, bool]]], sheet: Sheet) -> None:
    """Note trades, each with its place and whether it is history, in the order of their ids."""
    noted: list[Trade] = []
    for part, (t, history) in trades:
        number = _number(t.trade_id)
        if number < 0:
            sheet.refused.append(Refused(i, f"trade id was no number: {quoted(t.trade_id)}", t.product_id, part=part))
        else:
            seller = t.side == "BUY"  # a buying maker meets a selling taker
            noted.append(Trade(i, part, t.product_id, number, t.price, t.size, rfc3339_us(t.time), seller, history))
    if len(noted) > 1:
        noted.sort(key=attrgetter("trade_id"))
    sheet.trades.extend(noted)


def _note_raw(i: int, rows: Sequence[tuple[int, tuple[Raw, bool]]], sheet: Sheet) -> None:
    """Note trades one by one; one that is damaged leaves the others."""
    good: list[tuple[int, tuple[_Trade, bool]]] = []
    for part, (row, history) in rows:
        try:
            good.append((part, (_trade.decode(row), history)))
        except UNREADABLE as error:
            sight = _sight_of(row)
            known = (sight.product_id, _number(sight.trade_id)) if sight else ("", -1)
            sheet.refused.append(Refused(i, malformed("trade", error), *known, part=part))
    _note_trades(i, good, sheet)


def _note_book(i: int, part: int, book: _BookEvent, time: str, sheet: Sheet) -> None:
    """Note a snapshot or update; its time is that of its last level, else the envelope's."""
    bids = [(level.price_level, level.new_quantity) for level in book.updates if level.side == "bid"]
    asks = [(level.price_level, level.new_quantity) for level in book.updates if level.side == "offer"]
    matched = rfc3339_us(book.updates[-1].event_time) if book.updates else 0
    ts = matched if matched > 0 or not time else rfc3339_us(time)
    sheet.depth(update(i, book.product_id, ts, bids, asks, snapshot=book.type == "snapshot"), part)


def _quote(i: int, part: int, ts: int, b: _Best) -> Quote:
    sizes = b.best_bid_quantity or "0", b.best_ask_quantity or "0"
    return Quote(i, part, b.product_id, ts, -1, b.best_bid or "0", sizes[0], b.best_ask or "0", sizes[1])


def _look_closer(i: int, frame: bytes, error: BaseException, sheet: Sheet) -> None:
    """Note what is wrong with a frame of unusual form, nothing if it is known to bear none of our feeds."""
    try:
        message: Any = msgspec.json.decode(frame)
    except UNREADABLE as why:
        sheet.refused.append(Refused(i, malformed("frame", why)))
        return
    message = message if isinstance(message, dict) else {}
    channel = message.get("channel")
    if channel == "market_trades":
        refused: list[str] = []
        events = _of_trades(frame, refused)
        rows = [(row, event.type == "snapshot") for event in events for row in event.trades]
        _note_raw(i, list(enumerate(rows)), sheet)
        sheet.refused.extend(Refused(i, reason, part=len(rows) + k) for k, reason in enumerate(refused))
    elif channel == "l2_data":
        _look_closer_at_books(i, frame, sheet)
    elif channel == "ticker":
        sheet.refused.append(Refused(i, malformed("ticker", error)))
    elif not isinstance(channel, str):
        if message.get("type") != "error":
            sheet.refused.append(Refused(i, "frame named no channel"))
    elif channel not in _OTHER:
        sheet.refused.append(Refused(i, f"unknown channel: {quoted(channel)}"))


def _look_closer_at_books(i: int, frame: bytes, sheet: Sheet) -> None:
    """Note the books of a frame one by one."""
    try:
        loose = _loose_book.decode(frame)
    except UNREADABLE as error:
        sheet.refused.append(Refused(i, malformed("l2_data", error)))
        return
    for part, raw in enumerate(loose.events):
        try:
            _note_book(i, part, _book_event.decode(raw), loose.timestamp, sheet)
        except UNREADABLE as error:
            sheet.lose(i, _product_of(raw), malformed("l2_data", error), part)


def _of_trades(frame: bytes, refused: list[str]) -> list[_LooseTrades]:
    """Return the events of a frame of trades; append what is wrong with the others to `refused`."""
    found: list[_LooseTrades] = []
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


def _sight_of(row: bytes | Raw) -> _TradeSight | None:
    try:
        return _trade_sight.decode(row)
    except UNREADABLE:
        return None


def _product_of(event: bytes | Raw) -> str:
    try:
        return _product.decode(event).product_id
    except UNREADABLE:
        return ""


def _number(text: str) -> int:
    """Return the id that a text of digits is, -1 if it is none."""
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        return -1
    number = int(text)
    return number if number <= MAX_ID else -1
