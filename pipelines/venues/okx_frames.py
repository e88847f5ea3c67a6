"""OKX v5's frames: trades, books, best quotes, liquidations, funding.

Quirks: numbers are decimal text. A trade of channel `trades` merges matches: `tradeId` is the last of `count` ids (absent
until 2022: one). Sizes of swaps and futures are contracts. A book's frames are linked by `prevSeqId` and `seqId`; frames
recorded before they existed carry a checksum instead, which has been 0 ever since 2026-06-23. The text `pong` is no JSON.
Subscribing pushes an instrument's last trade and the newest liquidations once more, and nothing in them says so: trades
are known by their ids, liquidations by what they say.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple
from zlib import crc32

import numpy as np
from msgspec import Raw

from pipelines.feeds import QUOTE, Depth, Feed, Funding, Level, Liquidation, QuoteRows
from pipelines.tape import Decoded
from pipelines.venues import okx_messages
from pipelines.venues.columns import (
    EARLIEST_US,
    UNREADABLE,
    Refused,
    Tape,
    Trades,
    build,
    check_levels,
    decimals,
    number,
    quoted,
)

_OTHER_CHANNELS = re.compile(
    r"tickers|books5|books-elp|(?:mark-price-|index-)?candle\w+|index-tickers|instruments|status|option-trades|opt-summary"
    r"|price-limit|estimated-price|adl-warning|economic-calendar|(?:public-)?(?:struc-)?block-(?:trades|tickers)|sprd-[\w-]+"
)
"""Public channels that nobody records."""
_EVENTS: Final = ("subscribe", "unsubscribe", "login", "error", "notice", "channel-conn-count", "channel-conn-count-error")
_CHECKED: Final = 25
"""Levels of a side that a checksum covers."""


class _Quote(NamedTuple):
    """Best bid and ask as sent."""

    frame: int
    part: int
    symbol: str
    time: int
    update_id: int
    bid: str
    bid_size: str
    ask: str
    ask_size: str


def checksum(bids: Sequence[Level], asks: Sequence[Level]) -> int:
    """Return the CRC32, signed, of the 25 best levels of each side, bid and ask in turn, as texts `price:size`."""
    parts: list[str] = []
    for k in range(min(_CHECKED, max(len(bids), len(asks)))):
        parts += bids[k][:2] if k < len(bids) else ()
        parts += asks[k][:2] if k < len(asks) else ()
    value = crc32(":".join(parts).encode())
    return value - 2**32 if value >= 2**31 else value


class _Found:
    """What a batch of frames held; `at` and `part` say where each trade stood."""

    def __init__(self) -> None:
        self.trades: list[okx_messages.Trade] = []
        self.at: list[int] = []
        self.part: list[int] = []
        self.refused: list[Refused] = []
        self.quotes: list[_Quote] = []
        self.depths: list[Depth] = []
        self.liquidations: list[Liquidation] = []
        self.fundings: list[Funding] = []

    def refuse(self, frame: int, reason: str, symbol: str = "", part: int = 0, trade_id: int = -1) -> None:
        """Note what was refused."""
        self.refused.append(Refused(frame, " ".join(reason.split())[:300], symbol, trade_id, part))

    def decoded(self, frames: int, tape: Tape) -> Decoded:
        """Return it as rows; a frame of which nothing was noted is ignored."""
        others = (self.refused, self.quotes, self.depths, self.liquidations, self.fundings)
        told = {*self.at, *(noted.frame for kind in others for noted in kind)}
        rows, quoted_symbols = self._quote_rows()
        decoded = build(columns(self.trades, self.at, self.part, tape), self.refused, frames - len(told))
        symbols = list(dict.fromkeys([*decoded.symbols, *quoted_symbols]))
        index = {name: k for k, name in enumerate(symbols)}
        rows["instrument"] = [index[name] for name in quoted_symbols]
        return Decoded(
            decoded.rows, symbols, decoded.faults, decoded.ignored, rows, self.depths, self.liquidations, self.fundings
        )

    def _quote_rows(self) -> tuple[QuoteRows, list[str]]:
        """Return the quotes that can be kept and the symbol of each; refuse the others."""
        rows = np.zeros(len(self.quotes), QUOTE)
        if not rows.size:
            return rows, []
        frame, part, symbol, time, update_id, *texts = zip(*self.quotes, strict=True)
        rows["frame"], rows["ts"], rows["update_id"] = frame, time, update_id
        reasons: dict[int, str] = {}
        for name, column in zip(("ask_size", "ask", "bid_size", "bid"), reversed(texts), strict=True):
            rows[name], wrong = decimals(column, name.replace("_", " "), zero=True)
            reasons |= wrong
        for k, reason in reasons.items():
            self.refuse(frame[k], reason, symbol[k], part[k])
        return np.delete(rows, list(reasons)), [name for k, name in enumerate(symbol) if k not in reasons]


def columns(trades: Sequence[okx_messages.Trade], at: Sequence[int], part: Sequence[int], tape: Tape) -> Trades:
    """Return trades as columns; of a merged one, the ids of its matches are its fills."""
    n = len(trades)
    ids = np.fromiter([t.trade_id for t in trades], np.int64, n)
    count = np.fromiter([t.count for t in trades], np.int64, n)
    merged = tape == "agg"
    return Trades(
        frame=np.array(at, np.int64),
        symbol=[t.symbol for t in trades],
        trade_id=ids,
        price=[t.price for t in trades],
        size=[t.size for t in trades],
        time=np.fromiter([t.time for t in trades], np.int64, n),
        seller=np.fromiter([t.side == "sell" for t in trades], np.bool_, n),
        first_fill=ids - count + 1 if merged else None,
        last_fill=ids if merged else None,
        span=np.minimum(count, ids + 1) if merged else None,
        part=np.array(part, np.int64),
    )


def decode(frames: Sequence[bytes | memoryview], tape: Tape = "agg") -> Decoded:
    """Read a batch of frames, whatever came over the socket; nothing raises.

    Parameters
    ----------
    frames : sequence of bytes
    tape : {'agg', 'fill'}
        Take trades from channel `trades` or `trades-all`; those of the other are ignored.
    """
    found = _Found()
    wanted = tape == "agg"
    for i, frame in enumerate(frames):
        if wanted and frame[:27] == okx_messages.BEGINS_TRADES:
            try:
                trades = okx_messages.trades.decode(frame).data
            except UNREADABLE:
                _look_closer(found, i, bytes(frame), tape)
            else:
                found.trades += trades
                found.at += [i] * len(trades)
                found.part += range(len(trades))
        else:
            _look_closer(found, i, bytes(frame), tape)
    return found.decoded(len(frames), tape)


class _Item(NamedTuple):
    """One of the things that a message bears: which frame, its place in it, what the message says, and the thing itself."""

    frame: int
    part: int
    symbol: str
    action: str
    raw: Raw

    @property
    def named(self) -> str:
        """The instrument that the message names."""
        if not self.symbol:
            raise ValueError("no instrument was named")
        return self.symbol


def _look_closer(found: _Found, i: int, frame: bytes, tape: Tape) -> None:
    """Take a frame of any form."""
    try:
        message = okx_messages.message.decode(frame)
    except UNREADABLE as error:
        if not _is_control(frame):
            found.refuse(i, f"frame was no message of a channel: {error}")
        return
    channel, symbol = message.arg.channel, message.arg.symbol
    if channel == ("trades-all" if tape == "agg" else "trades"):
        return
    take = _TAKERS.get(channel)
    if take is None:
        if not _OTHER_CHANNELS.fullmatch(channel):
            found.refuse(i, f"unknown channel: {quoted(channel)}", symbol)
        return
    for part, raw in enumerate(message.data):
        _attempt(take, found, _Item(i, part, symbol, message.action, raw), channel)


def _attempt(take: _Take, found: _Found, item: _Item, what: str) -> None:
    try:
        take(found, item)
    except UNREADABLE as error:
        found.refuse(item.frame, f"{what} was malformed: {error}", item.symbol, item.part)


def decode_matches(rows: Sequence[Raw], native: str) -> Decoded:
    """Read single matches of one instrument as REST sends them, newest first, into rows in order of their ids.

    `Fault.part` is the place of a refused one among `rows`.
    """
    found = _Found()
    for part, raw in reversed([*enumerate(rows)]):
        _attempt(_take_trade, found, _Item(0, part, native, "", raw), "trade")
    return found.decoded(0, "agg")._replace(ignored=0)


def _is_control(frame: bytes) -> bool:
    if frame == b"pong":
        return True
    try:
        return okx_messages.glance.decode(frame).event in _EVENTS
    except UNREADABLE:
        return False


def _take_trade(found: _Found, item: _Item) -> None:
    try:
        trade = okx_messages.trade.decode(item.raw)
    except UNREADABLE as error:
        try:
            sight = okx_messages.sight.decode(item.raw)
        except UNREADABLE:
            raise error from None
        found.refuse(item.frame, f"trade was malformed: {error}", sight.symbol, item.part, sight.trade_id)
    else:
        found.trades.append(trade)
        found.at.append(item.frame)
        found.part.append(item.part)


def _take_quote(found: _Found, item: _Item) -> None:
    update = okx_messages.update.decode(item.raw)
    bid, ask = _best(update.bids), _best(update.asks)
    found.quotes.append(_Quote(item.frame, item.part, item.named, _us(update.time), update.last, *bid, *ask))


def _best(side: Sequence[okx_messages.Level]) -> Level:
    """Return the level of one side of a quote, zeros where there is no order: several ways to say that are in use."""
    return (side[0].price or "0", side[0].size or "0") if side else ("0", "0")


def _take_depth(found: _Found, item: _Item) -> None:
    if item.action not in {"snapshot", "update"}:
        raise ValueError(f"action was {quoted(item.action)}")
    update = okx_messages.update.decode(item.raw)
    bids = [(level.price, level.size) for level in update.bids]
    asks = [(level.price, level.size) for level in update.asks]
    check_levels(bids, asks)
    found.depths.append(
        Depth(
            item.frame,
            item.named,
            _us(update.time),
            snapshot=item.action == "snapshot",
            first=update.last,
            last=update.last,
            previous=-1 if item.action == "snapshot" else update.previous,
            bids=bids,
            asks=asks,
            checksum=update.checksum or None,
        )
    )


def _take_forced(found: _Found, item: _Item) -> None:
    """Take the liquidations of one instrument: all of them, or none if one is unsound."""
    forcings = okx_messages.forcings.decode(item.raw)
    found.liquidations += [
        Liquidation(
            item.frame,
            forcings.symbol,
            f.time * 1000,
            side=1 if f.side == "buy" else -1,
            price=number(f.price, "price"),
            size=number(f.size, "size"),
            sampled=True,
        )
        for f in forcings.details
    ]


def _take_status(found: _Found, item: _Item) -> None:
    """Take what one of three channels says: each says something else."""
    status = okx_messages.status.decode(item.raw)
    found.fundings.append(
        Funding(
            item.frame,
            status.symbol,
            status.time * 1000,
            rate=number(status.rate, "funding rate", signed=True) if status.rate else None,
            next_ts=status.next_time * 1000 if status.next_time != "" else None,
            mark_price=number(status.mark, "mark price") if status.mark else None,
            open_interest=number(status.interest, "open interest", zero=True) if status.interest else None,
        )
    )


def _us(ms: int) -> int:
    """Return a time in us, 0 where it is none: books carry 0 now and then."""
    return ms * 1000 if ms * 1000 >= EARLIEST_US else 0


_Take = Callable[[_Found, _Item], None]
_OF_FEED: Final[dict[Feed, _Take]] = {
    "trades": _take_trade,
    "quotes": _take_quote,
    "book": _take_depth,
    "liquidations": _take_forced,
    "funding": _take_status,
}
_TAKERS: Final[dict[str, _Take]] = {channel: _OF_FEED[feed] for channel, feed in okx_messages.FEED_OF.items()}
