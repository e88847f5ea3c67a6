"""Binance's frames, read in one pass, and the rows of its REST answers about trades.

A combined stream wraps each event in `{"stream", "data"}`, a raw one does not; captures hold both, and snapshots of
books between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, Final

import msgspec
import numpy as np
from msgspec import Raw, Struct, field

from pipelines.tape import Decoded
from pipelines.venues.binance_events import (
    Aggregate,
    AggTrade,
    BookTicker,
    DepthUpdate,
    ForceOrder,
    Id,
    MarkPrice,
    Snapshot,
    SpotTicker,
    Trade,
    raw,
    wrapped,
    wrapped_ticker,
)
from pipelines.venues.binance_feeds import Gathered
from pipelines.venues.binance_sights import glance, unwrap
from pipelines.venues.columns import UNREADABLE, Refused, Tape, Trades, build, malformed, quoted

_OTHER_EVENTS: Final = (
    *("blockTrade", "kline", "continuous_kline", "avgPrice", "24hrTicker", "24hrMiniTicker", "1hTicker", "4hTicker"),
    *("1dTicker", "serverShutdown", "tradingSession", "compositeIndex", "contractInfo", "assetIndexUpdate"),
)
"""Events that nothing is made of."""
_LISTED: Final = (*_OTHER_EVENTS, "markPriceUpdate")
"""Events of which the streams of all symbols, that nobody asks for, send lists."""
_TYPES: Final[dict[str, type[Struct]]] = {
    "aggTrade": AggTrade,
    "trade": Trade,
    "bookTicker": BookTicker,
    "depthUpdate": DepthUpdate,
    "forceOrder": ForceOrder,
    "markPriceUpdate": MarkPrice,
}
_QUOTES: Final = (BookTicker, SpotTicker)
_TRADE: Final[dict[Tape, str]] = {"agg": "aggTrade", "fill": "trade"}
_ANSWERS: Final = ({"result"}, {"code", "msg"}, {"error"})
"""Keys by which the server's answers are known."""
BLOCK: Final = 1024
"""Frames read before their columns are formed: as many as stay in the processor's cache."""


class _RestId(Struct, gc=False):
    trade_id: Id = field(name="a")


_aggregate = msgspec.json.Decoder(Aggregate)
_rest_id = msgspec.json.Decoder(_RestId)


def decode(frames: Sequence[bytes | memoryview], tape: Tape = "agg", section: int = 0) -> Decoded:
    """Read a batch of frames, wrapped or raw.

    Parameters
    ----------
    frames : sequence of bytes
        Whatever came over the socket; nothing raises.
    tape : {'agg', 'fill'}
        Take `aggTrade` or `trade` events; those of the other kind are ignored.
    section : int
        See `Gathered`.
    """
    refused: list[Refused] = []
    others = Gathered(section)
    blocks = [_read_block(frames, begin, tape, refused, others) for begin in range(0, len(frames), BLOCK)]
    columns = _join(blocks) if blocks else _columns([], [], [], tape)
    bearing = len(columns.symbol) + len(refused) + others.frames
    return others.joined(build(columns, refused, len(frames) - bearing))


def _read_block(frames: Sequence[bytes | memoryview], begin: int, tape: Tape, refused: list[Refused], others: Gathered) -> Trades:
    """Return the trades of up to `BLOCK` frames; append to `refused` and `others`."""
    wanted = _TYPES[_TRADE[tape]]
    of_raw, of_wrapped = raw.decode, wrapped.decode
    events: list[Any] = []
    at: list[int] = []
    quotes: list[BookTicker | SpotTicker] = []
    quotes_at: list[int] = []
    for i, frame in enumerate(frames[begin : begin + BLOCK], begin):
        try:
            event: Any = of_raw(frame) if frame[:5] == b'{"e":' else of_wrapped(frame).data
        except UNREADABLE:
            event = _look_closer(i, bytes(frame), tape)
        kind = type(event)
        if kind is wanted:
            events.append(event)
            at.append(i)
        elif kind in _QUOTES:
            quotes.append(event)
            quotes_at.append(i)
        elif kind is Refused:
            refused.append(event)
        else:
            others.take(i, event)
    others.take_quotes(quotes_at, quotes)
    return _columns(events, at, [e.symbol for e in events], tape)


def _join(blocks: Sequence[Trades]) -> Trades:
    if len(blocks) == 1:
        return blocks[0]

    def joined(parts: tuple[Any, ...]) -> Any:
        if parts[0] is None:
            return None
        return list(chain.from_iterable(parts)) if isinstance(parts[0], list) else np.concatenate(parts)

    return Trades(*map(joined, zip(*blocks, strict=True)))


def _look_closer(i: int, frame: bytes, tape: Tape) -> Struct | Refused | None:
    """Return the event in a frame of unusual form, None if nothing is to be made of it, or its fault."""
    try:
        return wrapped_ticker.decode(frame).data
    except UNREADABLE:
        pass
    try:
        event = unwrap(frame)
    except ValueError as error:
        return Refused(i, str(error))
    if not isinstance(event, dict):
        listed = event if isinstance(event, list) else []
        spare = bool(listed) and all(isinstance(e, dict) and e.get("e") in _LISTED for e in listed)
        return None if spare else Refused(i, "frame held no event")
    name = event.get("e")
    if name is None:
        return _nameless(i, event, is_wrapped=frame.startswith(b'{"stream"'))
    if not _is_known(name):
        return Refused(i, f"unknown event: {quoted(str(name))}")
    if name not in _TYPES or (name in _TRADE.values() and name != _TRADE[tape]):
        return None
    found = _converted(i, event, name, _TYPES[name])
    if isinstance(found, Refused) and name == _TRADE[tape] and (sight := glance(frame)):
        return found._replace(symbol=sight.symbol, trade_id=sight.last)
    return found


def _is_known(name: object) -> bool:
    return isinstance(name, str) and (name in _TYPES or name in _OTHER_EVENTS)


def _nameless(i: int, event: dict[str, Any], *, is_wrapped: bool) -> Struct | Refused | None:
    """Return what an event without a type is: spot's best quotes, a book that REST sent, or an answer.

    The 5, 10 or 20 best levels that a stream sends are no book that updates could follow.
    """
    if {"u", "s", "b", "a"} <= event.keys():
        return _converted(i, event, "bookTicker", SpotTicker)
    if "lastUpdateId" in event:
        return None if is_wrapped else _converted(i, event, "book", Snapshot)
    return None if any(keys <= event.keys() for keys in _ANSWERS) else Refused(i, "frame named no event type")


def _converted(i: int, event: dict[str, Any], name: str, wanted: type[Struct]) -> Struct | Refused:
    try:
        return msgspec.convert(event, wanted)
    except UNREADABLE as error:
        return Refused(i, malformed(name, error))


def _columns(events: list[Any], at: list[int], symbol: list[str], tape: Tape) -> Trades:
    """Return the events of a tape as columns."""
    n = len(events)
    agg = tape == "agg"
    return Trades(
        frame=np.array(at, np.int64),
        symbol=symbol,
        trade_id=np.fromiter([e.trade_id for e in events], np.int64, n),
        price=[e.price for e in events],
        size=[e.size for e in events],
        time=np.fromiter([e.time for e in events], np.int64, n),
        seller=np.fromiter([e.seller for e in events], np.bool_, n),
        first_fill=np.fromiter([e.first_fill for e in events], np.int64, n) if agg else None,
        last_fill=np.fromiter([e.last_fill for e in events], np.int64, n) if agg else None,
        off_book=None if agg else np.fromiter([e.origin not in (None, "MARKET") for e in events], np.bool_, n),
    )


def decode_rows(rows: Sequence[bytes | Raw], symbol: str) -> Decoded:
    """Read aggregates of one symbol, each a JSON object as REST sends it; `frame` is the place in the sequence."""
    events: list[Aggregate] = []
    at: list[int] = []
    refused: list[Refused] = []
    for i, row in enumerate(rows):
        try:
            events.append(_aggregate.decode(row))
            at.append(i)
        except UNREADABLE as error:
            refused.append(Refused(i, malformed("aggregate", error), symbol, _rest_row_id(row)))
    return build(_columns(events, at, [symbol] * len(events), "agg"), refused, 0)


def _rest_row_id(row: bytes | Raw) -> int:
    try:
        return _rest_id.decode(row).trade_id
    except UNREADABLE:
        return -1


def decode_rest(body: bytes, symbol: str) -> Decoded:
    """Read a REST answer with aggregates of one symbol; `Fault.part` is the place of a refused one in the answer."""
    try:
        rows = msgspec.json.decode(body, type=list[Raw])
    except UNREADABLE as error:
        return build(_columns([], [], [], "agg"), [Refused(0, f"REST answer was no list of aggregates: {error}", symbol)], 0)
    decoded = decode_rows(rows, symbol)
    decoded.rows["frame"] = 0
    return decoded._replace(faults=[f._replace(frame=0, part=f.frame) for f in decoded.faults])
