"""A small made-up market that every venue's script tells in its own words: a book, quotes, trades, forced orders."""

from __future__ import annotations

import random
from typing import Literal, NamedTuple

START_MS = 1_795_204_800_000
"""2026-11-20 20:00 UTC."""
TICK = 10
"""Ticks in one unit of quote currency."""
LEVELS = 30


class Trade(NamedTuple):
    """A trade; `lots` are thousandths of base, or contracts."""

    id: int
    ms: int
    ticks: int
    lots: int
    buy: bool


class Update(NamedTuple):
    """Levels of the book that changed, in ticks and lots (0: gone); `number` counts from 1; a snapshot names all."""

    number: int
    ms: int
    bids: dict[int, int]
    asks: dict[int, int]


class Quote(NamedTuple):
    """The best level of each side."""

    number: int
    ms: int
    bid: int
    bid_lots: int
    ask: int
    ask_lots: int


class Forced(NamedTuple):
    """A forced order; `long`: it sells what was bought."""

    ms: int
    ticks: int
    lots: int
    long: bool


class Funding(NamedTuple):
    """Funding rate in millionths, and mark price in ticks."""

    ms: int
    rate: int
    mark: int


Event = Trade | Update | Quote | Forced | Funding
Kind = Literal["trades", "book", "quotes", "liquidations", "funding"]


class Market:
    """What happened, in order.

    Attributes
    ----------
    snapshot : Update
        The book before everything else.
    before : list of Trade
        Trades from before the recording, which some venues send again.
    events : list of Event
    """

    def __init__(self, seed: int = 1, trades: int = 60, first_id: int = 1000) -> None:
        rng = random.Random(seed)
        self.updates: list[Update] = []
        self._bids = {999 - k: rng.randint(1, 400) for k in range(LEVELS)}
        self._asks = {1000 + k: rng.randint(1, 400) for k in range(LEVELS)}
        self.snapshot = Update(1, START_MS, dict(self._bids), dict(self._asks))
        self.before = [Trade(first_id - 3 + k, START_MS - 900 + 300 * k, 999, 7 + k, buy=False) for k in range(3)]
        self.events: list[Event] = []
        ms = START_MS
        for k in range(trades):
            ms += rng.randint(40, 400)
            self.events += [self._update(rng, k + 2, ms), self._quote(k, ms), self._trade(rng, first_id + k, ms)]
            if k % 20 == 7:
                self.events.append(Forced(ms + 5, min(self._asks), rng.randint(1, 90), long=k % 40 == 7))
            if k % 20 == 11:
                self.events.append(Funding(ms + 6, 100 + k, max(self._bids)))

    def _update(self, rng: random.Random, number: int, ms: int) -> Update:
        """Move a level or two; the best of one side now and then goes and comes again."""
        bids = {max(self._bids) - rng.randint(0, 5): rng.randint(1, 400)}
        asks = {min(self._asks) + rng.randint(0, 5): rng.randint(1, 400)}
        if rng.random() < 0.3:
            best = max(self._bids) if rng.random() < 0.5 else min(self._asks)
            (bids if best in self._bids else asks)[best] = 0
        for side, changed in ((self._bids, bids), (self._asks, asks)):
            side.update(changed)
            for price in [p for p, lots in side.items() if lots == 0]:
                del side[price]
        self.updates.append(Update(number, ms, bids, asks))
        return self.updates[-1]

    def book(self, ms: int) -> Update:
        """Return the whole book at a time."""
        bids, asks, number, then = dict(self.snapshot.bids), dict(self.snapshot.asks), 1, START_MS
        for update in self.updates:
            if update.ms <= ms:
                bids |= update.bids
                asks |= update.asks
                number, then = update.number, update.ms
        return Update(number, then, {p: q for p, q in bids.items() if q}, {p: q for p, q in asks.items() if q})

    def _quote(self, k: int, ms: int) -> Quote:
        bid, ask = max(self._bids), min(self._asks)
        return Quote(k + 1, ms, bid, self._bids[bid], ask, self._asks[ask])

    def _trade(self, rng: random.Random, number: int, ms: int) -> Trade:
        buy = rng.random() < 0.5
        return Trade(number, ms, min(self._asks) if buy else max(self._bids), rng.randint(1, 50), buy)

    def trades(self) -> list[Trade]:
        """Return the trades of the recording."""
        return [event for event in self.events if isinstance(event, Trade)]

    def past(self, ms: int) -> list[Trade]:
        """Return the trades up to a time, those before the recording too."""
        return [trade for trade in [*self.before, *self.trades()] if trade.ms <= ms]

    def count(self, kind: type[Event]) -> int:
        """Return how many events of a kind there are."""
        return sum(isinstance(event, kind) for event in self.events)


def price(ticks: int) -> str:
    """Return a price as text."""
    return f"{ticks // TICK}.{ticks % TICK}"


def size(lots: int) -> str:
    """Return a size in base as text."""
    return f"{lots // 1000}.{lots % 1000:03d}"
