"""Coinbase Exchange's messages: WebSocket frames and the rows of REST answers, read and checked.

Quirks: the `side` of a match is the maker's, so that the taker is on the other. The first frame of a subscription to
matches is the last match before it. Heartbeats name the last match, and so tell of a lost tail. Updates of the book bear
no number: what is lost is only told by a crossed book. Rarely a time is of the year 1. A ticker may stand for several
matches.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
import numpy as np
from msgspec import Meta, Raw, Struct

from pipelines.feeds import Level
from pipelines.tape import Decoded
from pipelines.venues.columns import MAX_ID, UNREADABLE, Refused, Trades, quoted
from pipelines.venues.sheet import Quote, Sheet, Trade, malformed, refusal, update
from pipelines.venues.times import all_rfc3339_us, rfc3339_us
from pipelines.venues.venue import Answer, Seen, Sight

_OTHER: Final = frozenset(
    ("heartbeat", "subscriptions", "error", "status", "auction", "received", "open", "done", "change", "activate", "rfq_match")
)
"""Types of message that bear none of our feeds."""
_BOOK: Final = frozenset(("snapshot", "l2update"))

_Id = Annotated[int, Meta(ge=0, le=MAX_ID - 1)]
Name = Annotated[str, Meta(min_length=1, max_length=40)]
_Side = Literal["buy", "sell"]


class _Fill(Struct, gc=False):
    trade_id: _Id
    side: _Side
    size: str
    price: str
    time: str


class _Match(_Fill, gc=False, tag_field="type", tag="match", kw_only=True):
    product_id: Name


class _LastMatch(_Match, gc=False, tag="last_match"):
    pass


class _Ticker(Struct, gc=False, tag_field="type", tag="ticker"):
    product_id: Name
    sequence: _Id
    best_bid: str
    best_ask: str
    time: str = ""
    best_bid_size: str = "0"
    best_ask_size: str = "0"


class _Snapshot(Struct, gc=False, tag_field="type", tag="snapshot"):
    product_id: Name
    bids: list[Level]
    asks: list[Level]
    time: str = ""


class _Update(Struct, gc=False, tag_field="type", tag="l2update"):
    product_id: Name
    changes: list[tuple[_Side, str, str]]
    time: str = ""


class _MatchSight(Struct, gc=False, tag_field="type", tag="match"):
    product_id: Name
    trade_id: _Id


class _LastMatchSight(_MatchSight, gc=False, tag="last_match"):
    pass


class _TickerSight(Struct, gc=False, tag_field="type", tag="ticker"):
    product_id: Name


class _SnapshotSight(Struct, gc=False, tag_field="type", tag="snapshot"):
    product_id: Name


class _UpdateSight(Struct, gc=False, tag_field="type", tag="l2update"):
    product_id: Name


class _Heartbeat(Struct, gc=False, tag_field="type", tag="heartbeat"):
    product_id: Name
    last_trade_id: _Id


class _Subscriptions(Struct, gc=False, tag_field="type", tag="subscriptions"):
    pass


class _Error(Struct, gc=False, tag_field="type", tag="error"):
    message: str = ""
    reason: str = ""


class _FillId(Struct, gc=False):
    trade_id: _Id


_message = msgspec.json.Decoder(_Match | _LastMatch | _Ticker | _Snapshot | _Update)
_MATCHES: Final = _MatchSight | _LastMatchSight
_sight = msgspec.json.Decoder(
    _MATCHES | _TickerSight | _SnapshotSight | _UpdateSight | _Heartbeat | _Subscriptions | _Error,
)
_match_sight = msgspec.json.Decoder(_MATCHES)
_fill = msgspec.json.Decoder(_Fill)
_fill_id = msgspec.json.Decoder(_FillId)


def look(frames: Sequence[bytes]) -> Seen:
    """See `Venue.look`."""
    seen = Seen([], [])
    for frame in frames:
        try:
            message = _sight.decode(frame)
        except UNREADABLE:
            continue
        match message:
            case _LastMatchSight(product_id=product, trade_id=number):
                seen.sights.append(Sight("trades", product, number, number, "fill", history=True))
            case _MatchSight(product_id=product, trade_id=number):
                seen.sights.append(Sight("trades", product, number, number, "fill"))
            case _Heartbeat(product_id=product, last_trade_id=last):
                seen.sights.append(Sight("trades", product, last + 1, last, "fill"))
            case _TickerSight(product_id=product):
                seen.sights.append(Sight("quotes", product))
            case _SnapshotSight(product_id=product) | _UpdateSight(product_id=product):
                seen.sights.append(Sight("book", product))
            case _Subscriptions():
                seen.answers.append(Answer("ack"))
            case _Error(message=text, reason=reason):
                seen.answers.append(Answer("error", ": ".join(filter(None, (text, reason)))))
    return seen


def decode(frames: Sequence[bytes | memoryview]) -> Decoded:
    """See `Venue.decode`."""
    sheet = Sheet()
    matches: list[_Match] = []
    at: list[int] = []
    for i, frame in enumerate(frames):
        try:
            message = _message.decode(frame)
        except UNREADABLE as error:
            _look_closer(i, bytes(frame), error, sheet)
            continue
        if isinstance(message, _Match):
            matches.append(message)
            at.append(i)
        else:
            _note(i, message, sheet)
    return sheet.decoded(len(frames), _columns(at, matches))


def _columns(at: Sequence[int], matches: Sequence[_Match]) -> Trades:
    n = len(matches)
    return Trades(
        frame=np.array(at, np.int64),
        symbol=[m.product_id for m in matches],
        trade_id=np.fromiter([m.trade_id for m in matches], np.int64, n),
        price=[m.price for m in matches],
        size=[m.size for m in matches],
        time=all_rfc3339_us([m.time for m in matches]),
        seller=np.fromiter([m.side == "buy" for m in matches], np.bool_, n),  # a buying maker meets a selling taker
        history=np.fromiter([type(m) is _LastMatch for m in matches], np.bool_, n),
    )


def _note(i: int, message: _Ticker | _Snapshot | _Update, sheet: Sheet) -> None:
    match message:
        case _Ticker():
            sheet.quotes.append(_quote(i, message))
        case _Snapshot(product_id=product):
            sheet.depth(update(i, product, _time(message.time), message.bids, message.asks, snapshot=True))
        case _Update(product_id=product, changes=changes):
            bids = [(price, size) for side, price, size in changes if side == "buy"]
            asks = [(price, size) for side, price, size in changes if side == "sell"]
            sheet.depth(update(i, product, _time(message.time), bids, asks))


def decode_rest(body: bytes, native: str) -> Decoded:
    """Read an answer with trades; it is newest first, the rows are not."""
    sheet = Sheet()
    try:
        rows = msgspec.json.decode(body, type=list[Raw])
    except UNREADABLE as error:
        return refusal(malformed("REST answer", error), native)
    for part, row in enumerate(rows):
        try:
            sheet.trades.append(_trade(part, native, _fill.decode(row)))
        except UNREADABLE as error:
            sheet.refused.append(Refused(0, malformed("trade", error), native, _id_of(row), part))
    sheet.trades.sort(key=lambda trade: trade.trade_id)
    return sheet.decoded(1)


def _time(text: str) -> int:
    return rfc3339_us(text) if text else 0


def _trade(part: int, product: str, fill: _Fill) -> Trade:
    return Trade(0, part, product, fill.trade_id, fill.price, fill.size, rfc3339_us(fill.time), seller=fill.side == "buy")


def _quote(frame: int, t: _Ticker) -> Quote:
    bid, ask = t.best_bid or "0", t.best_ask or "0"
    return Quote(frame, 0, t.product_id, _time(t.time), t.sequence, bid, t.best_bid_size or "0", ask, t.best_ask_size or "0")


def _look_closer(i: int, frame: bytes, error: BaseException, sheet: Sheet) -> None:
    """Note what is wrong with a frame of unusual form, nothing if it is known to bear none of our feeds."""
    try:
        message: Any = msgspec.json.decode(frame)
    except UNREADABLE as why:
        sheet.refused.append(Refused(i, malformed("frame", why)))
        return
    kind = message.get("type") if isinstance(message, dict) else None
    if not isinstance(kind, str):
        sheet.refused.append(Refused(i, "frame named no type"))
    elif kind in ("match", "last_match"):
        try:
            sight = _match_sight.decode(frame)
        except UNREADABLE:
            sheet.refused.append(Refused(i, malformed(kind, error)))
        else:
            sheet.refused.append(Refused(i, malformed(kind, error), sight.product_id, sight.trade_id))
    elif kind in _BOOK:
        product = message.get("product_id")
        sheet.lose(i, product if isinstance(product, str) and 0 < len(product) <= 40 else "", malformed(kind, error))
    elif kind == "ticker":
        sheet.refused.append(Refused(i, malformed(kind, error)))
    elif kind not in _OTHER:
        sheet.refused.append(Refused(i, f"unknown type: {quoted(kind)}"))


def _id_of(row: bytes | Raw) -> int:
    try:
        return _fill_id.decode(row).trade_id
    except UNREADABLE:
        return -1
