"""OKX v5's frames at a glance: which trades and books they bear, and what the server says about the connection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Raw

from pipelines.venues import okx_messages
from pipelines.venues.columns import UNREADABLE, Tape
from pipelines.venues.venue import Answer, Seen, Sight

_UPGRADE: Final = "64008"
"""Code of the notice that the server closes in a minute."""


def look(frames: Sequence[bytes]) -> Seen:
    """See `Venue.look`. Nothing tells what is sent again after subscribing, so no sight says that it is history."""
    sights: list[Sight] = []
    answers: list[Answer] = []
    for frame in frames:
        try:
            if frame[:27] == okx_messages.BEGINS_TRADES:
                sights += [_seen(trade, "agg") for trade in okx_messages.sights.decode(frame).data]
                continue
            glance = okx_messages.glance.decode(frame)
        except UNREADABLE:
            if frame == b"pong":
                answers.append(Answer("pong"))
            elif frame[:27] == okx_messages.BEGINS_TRADES:
                sights += _sound_sights(frame, "agg")
            continue
        if glance.event:
            answers += _answers(glance)
        elif glance.arg is None:
            continue
        elif glance.arg.channel in {"trades", "trades-all"}:
            sights += _sound_sights(frame, "agg" if glance.arg.channel == "trades" else "fill")
        elif feed := okx_messages.FEED_OF.get(glance.arg.channel):
            sights.append(Sight(feed, glance.arg.symbol))
    return Seen(sights, answers)


def _seen(trade: okx_messages.TradeSight, tape: Tape) -> Sight:
    return Sight("trades", trade.symbol, max(trade.trade_id - trade.count + 1, 0), trade.trade_id, tape)


def _sound_sights(frame: bytes, tape: Tape) -> list[Sight]:
    """Return the trades of a frame, some of which cannot be read."""
    try:
        items = okx_messages.message.decode(frame).data
    except UNREADABLE:
        return []
    return [_seen(sight, tape) for item in items if (sight := _sight_of(item))]


def _answers(glance: okx_messages.Glance) -> list[Answer]:
    """Return what the server says about the connection: by its codes, never by its words."""
    text = f"{glance.msg} (code {glance.code})"
    match glance.event:
        case "error" | "channel-conn-count-error":
            return [Answer("error", text)]
        case "notice" if str(glance.code) == _UPGRADE:
            return [Answer("shutdown", text)]
        case "subscribe" | "unsubscribe" | "login" | "notice" | "channel-conn-count":
            return [Answer("ack")]
        case _:
            return []


def _sight_of(item: Raw) -> okx_messages.TradeSight | None:
    try:
        return okx_messages.sight.decode(item)
    except UNREADABLE:
        return None
