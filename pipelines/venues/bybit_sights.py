"""What Bybit's frames bear, at a glance, and what the server says about the connection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct, field

from pipelines.feeds import Feed
from pipelines.venues import trade_ids
from pipelines.venues.columns import UNREADABLE
from pipelines.venues.venue import Answer, Seen, Sight

_TOPIC: Final = b'{"topic":"'
_TRADES: Final = b'{"topic":"publicTrade.'
_FEEDS: Final[dict[str, Feed]] = {"orderbook": "book", "allLiquidation": "liquidations", "tickers": "funding"}


class _Trade(Struct, gc=False):
    symbol: str = field(name="s")
    trade_id: str = field(name="i")


class _Trades(Struct, gc=False):
    data: list[_Trade]


_trades = msgspec.json.Decoder(_Trades)
_many_trades = msgspec.json.Decoder(list[_Trades])


def look(frames: Sequence[bytes]) -> Seen:
    """See `Venue.look`; of trades each has its own sight."""
    if all(frame.startswith(_TRADES) for frame in frames):
        try:
            return Seen([sight for each in _many_trades.decode(b"[" + b",".join(frames) + b"]") for sight in _of(each)], [])
        except UNREADABLE:
            pass
    seen = Seen([], [])
    for frame in frames:
        _look_at(frame, seen)
    return seen


def _look_at(frame: bytes, seen: Seen) -> None:
    if frame.startswith(_TOPIC):
        topic = frame[len(_TOPIC) : frame.find(b'"', len(_TOPIC))].decode("utf-8", "replace")
        message: Any = None
    else:
        try:
            message = msgspec.json.decode(frame)
        except UNREADABLE:
            return
        if not isinstance(message, dict):
            return
        topic = message.get("topic", "")
    if not isinstance(topic, str) or not topic:
        if message and (answer := _answer(message)):
            seen.answers.append(answer)
        return
    if topic.startswith(("publicTrade.", "trade.")):
        try:
            seen.sights.extend(_of(_trades.decode(frame)))
        except UNREADABLE:
            return
    elif sight := _sight(topic):
        seen.sights.append(sight)


def _of(trades: _Trades) -> list[Sight]:
    ids = [(trade.symbol, trade_ids.of_text(trade.trade_id)) for trade in trades.data]
    return [Sight("trades", symbol, number, number, "fill") for symbol, number in ids if number >= 0]


def _sight(topic: str) -> Sight | None:
    """Return what the messages of a topic bear, None if nobody records it."""
    channel, _, rest = topic.partition(".")
    depth, _, native = rest.rpartition(".")
    feed = _FEEDS.get(channel)
    if feed is None or not native or (feed == "book") != depth.isdecimal():
        return None
    return Sight("quotes" if depth == "1" else feed, native)


def _answer(message: dict[str, Any]) -> Answer | None:
    """Return what a message says about the connection; a ping is answered by one that names `ping`, or `pong` on options."""
    if message.get("op") in ("ping", "pong"):
        return Answer("pong")
    if message.get("success") is True or message.get("retCode") == 0:
        return Answer("ack")
    if "success" not in message and "retCode" not in message:
        return None
    words = (message.get("ret_msg") or message.get("retMsg"), message.get("req_id"), message.get("retCode"))
    return Answer("error", " ".join(" ".join(str(word) for word in words if word).split())[:200] or "refused")
