"""Coinbase Advanced Trade's messages: an envelope of channel, time and events around what the Exchange would send.

Quirks: the `side` of a trade is the maker's, so that the taker is on the other (a recorded answer shows a trade at the ask
whose side was SELL). Trades are newest first, and the first event of a subscription replays what was before it. `level2` is
answered on `l2_data`; its updates bear no number of their own: `sequence_num` counts the messages of a socket over all
channels. Times have as many digits as they need.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from itertools import chain
from typing import Annotated, Any, Final, Literal

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Meta, Raw, Struct

from pipelines.tape import Decoded
from pipelines.venues.columns import MAX_ID, UNREADABLE, Refused, Trades, quoted
from pipelines.venues.sheet import Quote, Sheet, malformed, refusal, update
from pipelines.venues.times import all_rfc3339_us, rfc3339_us
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


_Run = tuple[int, int, bool, list[_Trade]]
"""Trades that follow each other: their frame, the place in it of the first, whether they are history, and they."""


class _TradesEvent(Struct, gc=False):
    type: _Form
    trades: list[_Trade]


class _Trades(Struct, gc=False, tag_field="channel", tag="market_trades"):
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
_numbered = msgspec.json.Decoder(_Numbered)
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


def _sights(trades: Sequence[_TradeSight], *, history: bool) -> list[Sight]:
    known = sorted((_number(trade.trade_id), trade.product_id) for trade in trades)
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
        for event in _of_trades(frame, []):
            sights = [sight for trade in event.trades if (sight := _sight_of(trade)) is not None]
            seen.sights.extend(_sights(sights, history=event.type == "snapshot"))


def decode(frames: Sequence[bytes | memoryview]) -> Decoded:
    """See `Venue.decode`; the trades of a frame are put into the order of their ids."""
    sheet = Sheet()
    runs: list[_Run] = []
    for i, frame in enumerate(frames):
        try:
            message = _message.decode(frame)
        except UNREADABLE as error:
            _look_closer(i, bytes(frame), error, sheet, runs)
            continue
        if type(message) is _Trades:
            place = 0
            for event in message.events:
                runs.append((i, place, event.type == "snapshot", event.trades))
                place += len(event.trades)
        else:
            _note(i, message, sheet)
    return sheet.decoded(len(frames), _columns(runs, sheet.refused))


def decode_rest(body: bytes, native: str) -> Decoded:
    """Read an answer with trades; it is newest first, the rows are not."""
    try:
        rows = msgspec.json.decode(body, type=_Answer).trades
    except UNREADABLE as error:
        return refusal(malformed("REST answer", error), native)
    sheet = Sheet()
    runs = _singly(0, [(row, False) for row in rows], sheet.refused)
    return sheet.decoded(1, _columns(runs, sheet.refused))


def _columns(runs: Sequence[_Run], refused: list[Refused]) -> Trades:
    """Return trades as columns, those of a frame in the order of their ids; append those that have none to `refused`."""
    frame, place, history, lists = zip(*runs, strict=True) if runs else ((), (), (), ())
    trades = list(chain.from_iterable(lists))
    counts = np.fromiter(map(len, lists), np.int64, len(lists))
    part = np.arange(len(trades)) + np.repeat(np.array(place, np.int64) - np.cumsum(counts) + counts, counts)
    at = np.repeat(np.array(frame, np.int64), counts)
    ids = _numbers([t.trade_id for t in trades])
    for k in np.flatnonzero(ids < 0).tolist():
        reason = f"trade id was no number: {quoted(trades[k].trade_id)}"
        refused.append(Refused(int(at[k]), reason, trades[k].product_id, part=int(part[k])))
    order = np.lexsort((ids, at))
    order = order[ids[order] >= 0]
    trades = [trades[k] for k in order.tolist()]
    return Trades(
        frame=at[order],
        symbol=[t.product_id for t in trades],
        trade_id=ids[order],
        price=[t.price for t in trades],
        size=[t.size for t in trades],
        time=all_rfc3339_us([t.time for t in trades]),
        seller=np.fromiter([t.side == "BUY" for t in trades], np.bool_, len(trades)),  # a buying maker meets a selling taker
        history=np.repeat(np.array(history, np.bool_), counts)[order],
        part=part[order],
    )


def _singly(i: int, rows: Sequence[tuple[Raw, bool]], refused: list[Refused]) -> list[_Run]:
    """Return trades one by one; one that is damaged leaves the others."""
    runs: list[_Run] = []
    for part, (row, history) in enumerate(rows):
        try:
            runs.append((i, part, history, [_trade.decode(row)]))
        except UNREADABLE as error:
            sight = _sight_of(row)
            known = (sight.product_id, _number(sight.trade_id)) if sight else ("", -1)
            refused.append(Refused(i, malformed("trade", error), *known, part=part))
    return runs


def _note(i: int, message: _Book | _Ticker, sheet: Sheet) -> None:
    match message:
        case _Book(events=books, timestamp=time):
            for part, book in enumerate(books):
                _note_book(i, part, book, time, sheet)
        case _Ticker(events=tickers, timestamp=time):
            ts = rfc3339_us(time) if time else 0
            best = [best for event in tickers for best in event.tickers]
            sheet.quotes.extend(_quote(i, part, ts, b) for part, b in enumerate(best) if b.best_bid or b.best_ask)


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


def _look_closer(i: int, frame: bytes, error: BaseException, sheet: Sheet, runs: list[_Run]) -> None:
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
        runs += _singly(i, rows, sheet.refused)
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


def _numbers(texts: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return what `_number` does of each of many texts; faster where all are plain."""
    if "".join(texts).encode(errors="replace").isdigit() and max(map(len, texts)) < 19:
        numbers = np.fromstring(" ".join(texts), np.int64, sep=" ")
        if numbers.size == len(texts):
            return numbers
    return np.fromiter(map(_number, texts), np.int64, len(texts))
