"""Binance's quotes, books, liquidations and funding: from its events to what every venue's are read into.

All-market streams carry USD-M and COIN-M together since 2026-06-30; `st` tells which (1: USD-M, 2: COIN-M).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
import numpy as np

from pipelines.feeds import NO_QUOTES, QUOTE, Depth, Funding, Liquidation, QuoteRows
from pipelines.tape import Decoded, Fault, empty, joined
from pipelines.venues.binance_events import (
    BookTicker,
    DepthUpdate,
    ForceOrder,
    MarkPrice,
    OpenInterest,
    Snapshot,
    SpotTicker,
)
from pipelines.venues.columns import (
    EARLIEST_US,
    LATEST_US,
    UNREADABLE,
    check_levels,
    decimals,
    microseconds,
    moment,
    number,
)


class Gathered:
    """What a batch of frames bears besides trades.

    Parameters
    ----------
    section : int
        The market whose events are taken, as `st` tells it; 0: it is never told.
    """

    def __init__(self, section: int) -> None:
        self._section = section
        self._names: dict[str, int] = {}
        self._quotes: list[QuoteRows] = []
        self._quoted = 0
        self._wrong_quotes: list[Fault] = []
        self._depths: list[Depth] = []
        self._liquidations: list[Liquidation] = []
        self._fundings: list[Funding] = []
        self._faults: list[Fault] = []

    @property
    def frames(self) -> int:
        """How many frames bore something, a fault included."""
        return self._quoted + len(self._depths) + len(self._liquidations) + len(self._fundings) + len(self._faults)

    def take(self, i: int, event: Any) -> None:
        """Take the event in a frame, if it is neither of a trade nor of quotes."""
        if reader := _READERS.get(type(event)):
            reader(self, i, event)

    def take_quotes(self, at: list[int], best: list[BookTicker | SpotTicker]) -> None:
        """Take the best quotes of some frames."""
        told = (0, self._section)
        if not {q.section for q in best}.issubset(told):
            at, best = [i for i, q in zip(at, best, strict=True) if q.section in told], [q for q in best if q.section in told]
        if best:
            self._quoted += len(best)
            rows, faults = _rows(at, best, self._names)
            self._quotes.append(rows)
            self._wrong_quotes += faults

    def _depth(self, i: int, event: DepthUpdate | Snapshot) -> None:
        try:
            self._depths.append(_update(i, event) if isinstance(event, DepthUpdate) else _snapshot(i, event))
        except ValueError as error:
            self._faults.append(Fault(i, str(error), event.symbol))

    def _force(self, i: int, event: ForceOrder) -> None:
        if event.section not in (0, self._section):
            return
        try:
            if number(event.order.filled, "filled size", zero=True):
                self._liquidations.append(_liquidation(i, event))
        except ValueError as error:
            self._faults.append(Fault(i, str(error), event.order.symbol))

    def _mark(self, i: int, event: MarkPrice) -> None:
        try:
            self._fundings.append(_funding(i, event))
        except ValueError as error:
            self._faults.append(Fault(i, str(error), event.symbol))

    def joined(self, decoded: Decoded) -> Decoded:
        """Return `decoded`, which holds the trades of the batch, with all this."""
        if not self.frames:
            return decoded
        symbols = list(dict.fromkeys([*decoded.symbols, *self._names]))
        quotes = joined(self._quotes) if self._quotes else NO_QUOTES
        if quotes.size:
            quotes["instrument"] = np.array([symbols.index(name) for name in self._names])[quotes["instrument"]]
        return decoded._replace(
            symbols=symbols,
            faults=sorted([*decoded.faults, *self._faults, *self._wrong_quotes]),
            quotes=quotes,
            depths=self._depths,
            liquidations=self._liquidations,
            fundings=self._fundings,
        )


_READERS: Final[dict[type, Callable[[Gathered, int, Any], None]]] = {
    DepthUpdate: Gathered._depth,  # noqa: SLF001
    Snapshot: Gathered._depth,  # noqa: SLF001
    ForceOrder: Gathered._force,  # noqa: SLF001
    MarkPrice: Gathered._mark,  # noqa: SLF001
}


def _rows(at: list[int], best: list[BookTicker | SpotTicker], names: dict[str, int]) -> tuple[QuoteRows, list[Fault]]:
    """Return quotes as rows, and faults of those that cannot be kept; `instrument` is that of `names`, which grows."""
    rows = np.zeros(len(best), QUOTE)
    symbols = [q.symbol for q in best]
    for name in dict.fromkeys(symbols):
        names.setdefault(name, len(names))
    rows["frame"] = at
    rows["instrument"] = 0 if len(names) == 1 else [names[symbol] for symbol in symbols]
    rows["update_id"] = [q.update_id for q in best]
    times = np.array([q.time for q in best], np.int64)
    rows["ts"] = ts = microseconds(times)
    reasons: dict[int, str] = {}
    for name in ("ask_size", "ask", "bid_size", "bid"):
        rows[name], wrong = decimals([getattr(q, name) for q in best], name.replace("_", " "), zero=True)
        reasons |= wrong
    for k in np.flatnonzero((times != 0) & ((ts < EARLIEST_US) | (ts >= LATEST_US))).tolist():
        reasons[k] = f"time was not between 2010 and 2100: {times[k]}"
    faults = [Fault(at[k], reason, symbols[k]) for k, reason in reasons.items()]
    return (np.delete(rows, list(reasons)) if reasons else rows), faults


def _update(i: int, event: DepthUpdate) -> Depth:
    if event.last < event.first:
        raise ValueError(f"updates were not a range of ids: {event.first} to {event.last}")
    check_levels(event.bids, event.asks)
    previous = event.first - 1 if event.previous is None else event.previous
    return Depth(
        i, event.symbol, moment(event.time or event.sent), False, event.first, event.last, previous, event.bids, event.asks
    )


def _snapshot(i: int, event: Snapshot) -> Depth:
    check_levels(event.bids, event.asks)
    ts = moment(event.time) if event.time else 0
    return Depth(i, event.symbol, ts, True, -1, event.last, -1, event.bids, event.asks)


def _liquidation(i: int, event: ForceOrder) -> Liquidation:
    order = event.order
    price, size = number(order.average, "average price"), number(order.filled, "filled size")
    return Liquidation(i, order.symbol, moment(order.time), 1 if order.side == "BUY" else -1, price, size, sampled=True)


def _funding(i: int, event: MarkPrice) -> Funding:
    return Funding(
        i,
        event.symbol,
        moment(event.sent),
        rate=number(event.rate, "rate", signed=True) if event.rate else None,
        next_ts=moment(event.next_time) if event.next_time else None,
        mark_price=number(event.mark, "mark price"),
        index_price=number(event.index, "index price") if event.index else None,
    )


def decode_book(body: bytes, native: str) -> Decoded:
    """Read the answer to a request for a book."""
    try:
        snapshot = msgspec.json.decode(body, type=Snapshot)
        return _nothing()._replace(depths=[_snapshot(0, snapshot)._replace(symbol=native)])
    except UNREADABLE as error:
        return _nothing()._replace(faults=[Fault(0, f"REST answer was no book: {error}", native)])


def decode_funding(body: bytes, native: str) -> Decoded:
    """Read the answer to a request for open interest."""
    try:
        answer = msgspec.json.decode(body, type=OpenInterest)
        interest = number(answer.interest, "open interest", zero=True)
        return _nothing()._replace(fundings=[Funding(0, native, moment(answer.time), open_interest=interest)])
    except UNREADABLE as error:
        return _nothing()._replace(faults=[Fault(0, f"REST answer was no open interest: {error}", native)])


def _nothing() -> Decoded:
    return Decoded(empty(0), [], [], 0)
