"""What a batch of frames held, noted entry by entry, and made into columns once at the end.

For venues whose frames hold several trades, or many kinds of message.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pipelines.feeds import NO_QUOTES, QUOTE, Depth, Level, QuoteRows
from pipelines.tape import Decoded, Fault
from pipelines.venues.columns import EARLIEST_US, LATEST_US, Refused, Trades, build, check_levels, decimals


class Trade(NamedTuple):
    """A trade as sent; `part` is its place in a frame that holds several, `time` us since 1970."""

    frame: int
    part: int
    symbol: str
    trade_id: int
    price: str
    size: str
    time: int
    seller: bool
    history: bool = False


class Quote(NamedTuple):
    """Best bid and ask as sent, sizes in base; `time` us since 1970, 0 for none; `update_id` -1 for none."""

    frame: int
    part: int
    symbol: str
    time: int
    update_id: int
    bid: str
    bid_size: str
    ask: str
    ask_size: str


class Sheet:
    """Collects what decoding finds.

    Attributes
    ----------
    trades : list of Trade
    quotes : list of Quote
    refused : list of Refused
    depths : list of Depth
    """

    def __init__(self) -> None:
        self.trades: list[Trade] = []
        self.quotes: list[Quote] = []
        self.refused: list[Refused] = []
        self.depths: list[Depth] = []

    def depth(self, depth: Depth, part: int = 0) -> None:
        """Note a snapshot or an update of a book if its time and levels can be read; else refuse it.

        Where the venue numbers no updates, nothing would tell the book that one is missing: the checksum -1, which no
        book has, does.
        """
        if depth.ts != 0 and not EARLIEST_US <= depth.ts < LATEST_US:
            self.lose(depth.frame, depth.symbol, f"time was not between 2010 and 2100: {depth.ts}", part)
            return
        try:
            check_levels(depth.bids, depth.asks)
        except ValueError as error:
            self.lose(depth.frame, depth.symbol, str(error), part)
        else:
            self.depths.append(depth)

    def lose(self, frame: int, symbol: str, reason: str, part: int = 0) -> None:
        """Refuse an update of the book of `symbol`, which has lost its thread by it."""
        self.refused.append(Refused(frame, reason, symbol, part=part))
        if symbol:
            self.depths.append(
                Depth(frame, symbol, 0, snapshot=False, first=-1, last=-1, previous=-1, bids=[], asks=[], checksum=-1)
            )

    def decoded(self, frames: int, trades: Trades | None = None) -> Decoded:
        """Return what was noted of a batch of so many frames; those of which nothing was noted are ignored.

        `trades`, of a venue that forms the columns itself, stand in the place of those noted one by one.
        """
        trades = _columns(self.trades) if trades is None else trades
        told = {entry[0] for kind in (self.quotes, self.refused, self.depths) for entry in kind}
        decoded = build(trades, self.refused, frames - len(told.union(trades.frame.tolist())))
        if not self.quotes:
            return decoded._replace(depths=self.depths)
        symbols = list(dict.fromkeys([*decoded.symbols, *(q.symbol for q in self.quotes)]))
        quotes, faults = _quotes(self.quotes, symbols)
        return decoded._replace(symbols=symbols, quotes=quotes, faults=sorted(decoded.faults + faults), depths=self.depths)


def update(
    frame: int, symbol: str, ts: int, bids: list[Level], asks: list[Level], *, snapshot: bool = False, checksum: int | None = None
) -> Depth:
    """Return a snapshot or an update of a book whose updates the venue does not number."""
    return Depth(frame, symbol, ts, snapshot, -1, -1, -1, bids, asks, checksum)


def refusal(reason: str, symbol: str) -> Decoded:
    """Return what a REST answer gives of which nothing can be read."""
    sheet = Sheet()
    sheet.refused.append(Refused(0, reason, symbol))
    return sheet.decoded(1)


def malformed(what: str, error: BaseException) -> str:
    """Return why something could not be read, on one line and bounded."""
    return f"{what} was malformed: {' '.join(str(error).split())[:200]}"


def _columns(trades: Sequence[Trade]) -> Trades:
    frame, part, symbol, trade_id, price, size, time, seller, history = zip(*trades, strict=True) if trades else [()] * 9
    return Trades(
        frame=np.array(frame, np.int64),
        symbol=list(symbol),
        trade_id=np.array(trade_id, np.int64),
        price=list(price),
        size=list(size),
        time=np.array(time, np.int64),
        seller=np.array(seller, np.bool_),
        history=np.array(history, np.bool_),
        part=np.array(part, np.int64),
    )


def _quotes(quotes: Sequence[Quote], symbols: Sequence[str]) -> tuple[QuoteRows, list[Fault]]:
    """Return the quotes that can be kept as rows, and the faults of the others; prices and sizes may be 0."""
    index = {name: k for k, name in enumerate(symbols)}
    frame, part, symbol, time, update_id, *_ = columns = list(zip(*quotes, strict=True))
    rows = np.zeros(len(quotes), QUOTE)
    rows["frame"] = frame
    rows["instrument"] = [index[name] for name in symbol]
    rows["update_id"] = update_id
    rows["ts"] = time
    wrong_times = np.flatnonzero((rows["ts"] != 0) & ((rows["ts"] < EARLIEST_US) | (rows["ts"] >= LATEST_US)))
    reasons = {k: f"time was not between 2010 and 2100: {time[k]}" for k in wrong_times.tolist()}
    for name, texts in zip(("bid", "bid_size", "ask", "ask_size"), columns[5:], strict=True):
        rows[name], wrong = decimals(texts, name.replace("_", " "), zero=True)
        reasons |= {k: reason for k, reason in wrong.items() if k not in reasons}
    faults = [Fault(frame[k], reason, symbol[k], part[k]) for k, reason in reasons.items()]
    return (np.delete(rows, list(reasons)) if reasons else rows) if rows.size else NO_QUOTES, faults
