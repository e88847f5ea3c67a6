"""Coinbase Advanced Trade's messages: an envelope of channel, time and events around what the Exchange would send.

Quirks: the `side` of a trade is the maker's, so that the taker is on the other (a recorded answer shows a trade at the ask
whose side was SELL). Trades are newest first, and the first event of a subscription replays what was before it. `level2` is
answered on `l2_data`; its updates bear no number of their own: `sequence_num` counts the messages of a socket over all
channels. Times have as many digits as they need.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, Final, Literal

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Raw, Struct

from pipelines.tape import Decoded
from pipelines.venues.coinbase_advanced_sights import Form, Name, events_of_trades, number_of, product_of, sight_of
from pipelines.venues.columns import UNREADABLE, Refused, Trades, quoted
from pipelines.venues.sheet import Quote, Sheet, malformed, refusal, update
from pipelines.venues.times import all_rfc3339_us, rfc3339_us

_OTHER: Final = frozenset(("heartbeats", "subscriptions", "candles", "status", "user", "futures_balance_summary"))
"""Channels that bear none of our feeds."""


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
    type: Form
    trades: list[_Trade]


class _Trades(Struct, gc=False, tag_field="channel", tag="market_trades"):
    events: list[_TradesEvent]


class _Level(Struct, gc=False):
    side: Literal["bid", "offer"]
    price_level: str
    new_quantity: str
    event_time: str = ""


class _BookEvent(Struct):
    type: Form
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


class _LooseBook(Struct):
    events: list[Raw]
    timestamp: str = ""


class _Answer(Struct):
    trades: list[Raw]


_message = msgspec.json.Decoder(_Trades | _Book | _Ticker)
_trade = msgspec.json.Decoder(_Trade)
_book_event = msgspec.json.Decoder(_BookEvent)
_loose_book = msgspec.json.Decoder(_LooseBook)


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
            sight = sight_of(row)
            known = (sight.product_id, number_of(sight.trade_id)) if sight else ("", -1)
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
        events = events_of_trades(frame, refused)
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
            sheet.lose(i, product_of(raw), malformed("l2_data", error), part)


def _numbers(texts: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return what `number_of` does of each of many texts; faster where all are plain."""
    if "".join(texts).encode(errors="replace").isdigit() and max(map(len, texts)) < 19:
        numbers = np.fromstring(" ".join(texts), np.int64, sep=" ")
        if numbers.size == len(texts):
            return numbers
    return np.fromiter(map(number_of, texts), np.int64, len(texts))
