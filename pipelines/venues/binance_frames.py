"""Binance's trades as JSON: WebSocket frames and the rows of REST answers, read and checked.

Quirks: a combined stream wraps each event in `{"stream", "data"}`, a raw one does not. Spot's `bookTicker` and depth
snapshots name no event type. On USD-M a `trade` whose `X` is not MARKET did not come from the book, but uses up an id
all the same. `m` says that the buyer was the maker, so that the seller was the taker.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Annotated, Any, Final, Literal

import msgspec
import numpy as np
from msgspec import Meta, Raw, Struct, field

from pipelines.tape import Decoded
from pipelines.venues.columns import MAX_ID, UNREADABLE, Refused, Tape, Trades, build, quoted
from pipelines.venues.venue import Sight

_OTHER_EVENTS: Final = (
    *("aggTrade", "trade", "blockTrade", "bookTicker", "depthUpdate", "kline", "continuous_kline", "avgPrice"),
    *("24hrTicker", "24hrMiniTicker", "1hTicker", "4hTicker", "1dTicker", "serverShutdown", "tradingSession"),
    *("markPriceUpdate", "forceOrder", "compositeIndex", "contractInfo", "assetIndexUpdate"),
)
"""Events that a tape is not made of; `aggTrade` and `trade` are among them, as a tape takes only one of the two."""
_NAMELESS: Final = ({"result"}, {"code", "msg"}, {"error"}, {"lastUpdateId"}, {"u", "s", "b", "a"})
"""Keys by which messages without an event type are known: acks, errors, depth snapshots, spot's best quotes."""
BLOCK: Final = 8192
"""Frames read before their columns are formed: as many as stay in the processor's cache."""

_Id = Annotated[int, Meta(ge=0, le=MAX_ID)]
_Int = Annotated[int, Meta(ge=-MAX_ID, le=MAX_ID)]
Name = Annotated[str, Meta(min_length=1, max_length=40)]


class _Fill(Struct, gc=False, kw_only=True):
    price: str = field(name="p")
    size: str = field(name="q")
    time: _Int = field(name="T")
    seller: bool = field(name="m")


class _Aggregate(_Fill, gc=False, kw_only=True):
    trade_id: _Id = field(name="a")
    first_fill: _Int = field(name="f")
    last_fill: _Int = field(name="l")


class _AggTrade(_Aggregate, gc=False, kw_only=True, tag_field="e", tag="aggTrade"):
    symbol: Name = field(name="s")


class _Trade(_Fill, gc=False, kw_only=True, tag_field="e", tag="trade"):
    symbol: Name = field(name="s")
    trade_id: _Id = field(name="t")
    origin: Literal["MARKET", "INSURANCE_FUND", "ADL", "NA"] | None = field(name="X", default=None)


class _BookTicker(Struct, gc=False, tag_field="e", tag="bookTicker"):
    pass


class _DepthUpdate(Struct, gc=False, tag_field="e", tag="depthUpdate"):
    pass


_Event = _AggTrade | _Trade | _BookTicker | _DepthUpdate


class _Frame(Struct, gc=False):
    data: _Event


class _AggSight(Struct, gc=False, tag_field="e", tag="aggTrade"):
    symbol: Name = field(name="s")
    trade_id: _Id = field(name="a")


class _TradeSight(Struct, gc=False, tag_field="e", tag="trade"):
    symbol: Name = field(name="s")
    trade_id: _Id = field(name="t")


class _FrameSight(Struct, gc=False):
    data: _AggSight | _TradeSight


class _AggFrameSight(Struct, gc=False):
    data: _AggSight


class _RestId(Struct, gc=False):
    trade_id: _Id = field(name="a")


_TYPES: Final[dict[Tape, type[_AggTrade | _Trade]]] = {"agg": _AggTrade, "fill": _Trade}
_EVENTS: Final[dict[Tape, str]] = {"agg": "aggTrade", "fill": "trade"}
_frame = msgspec.json.Decoder(_Frame)
_raw = msgspec.json.Decoder(_Event)
_frame_sight = msgspec.json.Decoder(_FrameSight)
_agg_frame_sights = msgspec.json.Decoder(list[_AggFrameSight])
_raw_sight = msgspec.json.Decoder(_AggSight | _TradeSight)
_aggregate = msgspec.json.Decoder(_Aggregate)
_rest_id = msgspec.json.Decoder(_RestId)


def glance(frame: bytes) -> Sight | None:
    """Return which trade a frame bears, or None; nothing but its id and symbol is checked."""
    if b'rade"' not in frame:
        return None
    try:
        event = _frame_sight.decode(frame).data
    except UNREADABLE:
        try:
            event = _raw_sight.decode(frame)
        except UNREADABLE:
            return None
    tape: Tape = "agg" if isinstance(event, _AggSight) else "fill"
    return Sight("trades", event.symbol, event.trade_id, event.trade_id, tape)


def aggregate_ids(frames: Sequence[bytes]) -> list[tuple[str, int]] | None:
    """Return the venue's own name and id of each aggregate, if frames hold nothing else; three times as fast as `glance`."""
    try:
        events = _agg_frame_sights.decode(b"[" + b",".join(frames) + b"]")
    except UNREADABLE:
        return None
    return [(e.data.symbol, e.data.trade_id) for e in events] if len(events) == len(frames) else None


def decode(frames: Sequence[bytes | memoryview], tape: Tape = "agg") -> Decoded:
    """Read the trades in a batch of frames, wrapped or raw.

    Parameters
    ----------
    frames : sequence of bytes
        Whatever came over the socket; nothing raises.
    tape : {'agg', 'fill'}
        Take `aggTrade` or `trade` events; those of the other kind are ignored.
    """
    refused: list[Refused] = []
    blocks = [_read_block(frames, begin, tape, refused) for begin in range(0, len(frames), BLOCK)]
    columns = _join(blocks) if blocks else _columns([], [], [], tape)
    return build(columns, refused, len(frames) - len(columns.symbol) - len(refused))


def _read_block(frames: Sequence[bytes | memoryview], begin: int, tape: Tape, refused: list[Refused]) -> Trades:
    """Return the trades of up to `BLOCK` frames; append to `refused`."""
    wanted = _TYPES[tape]
    events: list[Any] = []
    at: list[int] = []
    for i, frame in enumerate(frames[begin : begin + BLOCK], begin):
        try:
            event: Any = _raw.decode(frame) if frame[:5] == b'{"e":' else _frame.decode(frame).data
        except UNREADABLE:
            event = _look_closer(i, bytes(frame), tape)
        if type(event) is wanted:
            events.append(event)
            at.append(i)
        elif type(event) is Refused:
            refused.append(event)
    return _columns(events, at, [e.symbol for e in events], tape)


def _join(blocks: Sequence[Trades]) -> Trades:
    def joined(parts: tuple[Any, ...]) -> Any:
        if parts[0] is None:
            return None
        return list(chain.from_iterable(parts)) if isinstance(parts[0], list) else np.concatenate(parts)

    return Trades(*map(joined, zip(*blocks, strict=True)))


def unwrap(frame: bytes) -> Any:
    """Return the event in a frame as plain Python objects.

    Raises
    ------
    ValueError
        If the frame is no valid JSON.
    """
    try:
        message = msgspec.json.decode(frame)
    except RecursionError:
        raise ValueError("frame was nested too deep") from None
    except UNREADABLE as error:
        raise ValueError(f"frame was no valid JSON: {error}") from None
    return message.get("data", message) if isinstance(message, dict) else message


def _look_closer(i: int, frame: bytes, tape: Tape) -> _AggTrade | _Trade | Refused | None:
    """Return the trade in a frame of unusual form, None if the frame is known to bear none, or its fault."""
    try:
        event = unwrap(frame)
    except ValueError as error:
        return Refused(i, str(error))
    if not isinstance(event, dict):
        listed = event if isinstance(event, list) else []
        known = bool(listed) and all(isinstance(e, dict) and e.get("e") in _OTHER_EVENTS for e in listed)
        return None if known else Refused(i, "frame held no event")
    name = event.get("e")
    if name == _EVENTS[tape]:
        try:
            return msgspec.convert(event, _TYPES[tape])
        except UNREADABLE as error:
            sight = glance(frame)
            reason = f"{name} was malformed: {error}"
            return Refused(i, reason, sight.symbol, sight.last) if sight else Refused(i, reason)
    if name is None:
        known = any(keys <= event.keys() for keys in _NAMELESS)
        return None if known else Refused(i, "frame named no event type")
    return None if name in _OTHER_EVENTS else Refused(i, f"unknown event: {quoted(str(name))}")


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
    events: list[_Aggregate] = []
    at: list[int] = []
    refused: list[Refused] = []
    for i, row in enumerate(rows):
        try:
            events.append(_aggregate.decode(row))
            at.append(i)
        except UNREADABLE as error:
            refused.append(Refused(i, f"aggregate was malformed: {error}", symbol, _rest_row_id(row)))
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
