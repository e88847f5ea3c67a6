"""The generated market's order book: a function of its mid price and the time, so that any moment can be asked for again.

It changes in steps of `STEP_MS`. Each step is an update, numbered by it; a snapshot is the book as of the last step.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np

from dataflows.demo.path import Floats
from dataflows.demo.tape import Ints, Listing

STEP_MS: Final = 200
LEVELS: Final = 25
IDS: Final = 10
"""Updates that a step stands for."""
_MIXERS: Final = np.array([0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB], np.uint64)

Levels = dict[int, int]
"""Size by price, in the units of the listing."""


class Shown(NamedTuple):
    """The book at a step."""

    time: int
    last: int
    bids: Levels
    asks: Levels


class Change(NamedTuple):
    """What a step changed; size 0 takes a level out."""

    time: int
    first: int
    last: int
    previous: int
    bids: Levels
    asks: Levels


class Depth:
    """The book of one instrument.

    Parameters
    ----------
    listing : Listing
    key : int
        Tells its sizes from those of other instruments.
    begin_ms : int
        Time of step 0.
    mid : callable
        The price between bid and ask at ascending times (ms since 1970), in quote currency.
    mean : float
        Size of a level, in the units of the listing.
    """

    def __init__(self, listing: Listing, key: int, begin_ms: int, mid: Callable[[Floats], Floats], mean: float) -> None:
        self._listing, self._key, self._begin_ms, self._mid, self._mean = listing, key, begin_ms, mid, mean

    def shown(self, now_ms: int) -> Shown:
        """Return the book as of the last step."""
        return self._at((now_ms - self._begin_ms) // STEP_MS)

    def changes(self, after_ms: int, upto_ms: int) -> list[Change]:
        """Return what the steps after `after_ms` up to and including `upto_ms` changed."""
        first, last = ((ms - self._begin_ms) // STEP_MS for ms in (after_ms, upto_ms))
        books = [self._at(step) for step in range(max(0, first), last + 1)]
        return [_change(before, now) for before, now in pairwise(books)]

    def _at(self, step: int) -> Shown:
        time = self._begin_ms + step * STEP_MS
        tick = self._listing.tick
        price = float(self._mid(np.array([float(time)]))[0]) * 10.0**self._listing.price_decimals / tick
        bid = int(price)
        rung = max(1, round(3e-5 * price))
        below = (bid // rung - np.arange(LEVELS)) * rung
        above = (bid // rung + 1 + np.arange(LEVELS)) * rung
        bids = np.append(bid, below[below < bid])
        asks = np.append(bid + 1, above[above > bid + 1])
        return Shown(time, step * IDS, self._sized(bids, step), self._sized(asks, step))

    def _sized(self, prices: Ints, step: int) -> Levels:
        """Give each price a size that it keeps for some steps."""
        keeps = 3 + prices % 17
        since = (step + prices) // keeps
        draw = prices.astype(np.uint64) * _MIXERS[0] + since.astype(np.uint64) * _MIXERS[1] + np.uint64(self._key)
        draw = (draw ^ (draw >> np.uint64(29))) * _MIXERS[2]
        share = (draw >> np.uint64(40)).astype(np.float64) / 2**24
        sizes = np.ceil(self._mean * -np.log1p(-share)).astype(np.int64) + 1
        return dict(zip((prices * self._listing.tick).tolist(), sizes.tolist(), strict=True))


def _change(before: Shown, now: Shown) -> Change:
    bids, asks = _changed(before.bids, now.bids), _changed(before.asks, now.asks)
    return Change(now.time, before.last + 1, now.last, before.last, bids, asks)


def _changed(before: Levels, now: Levels) -> Levels:
    gone = dict.fromkeys(before.keys() - now.keys(), 0)
    return gone | {price: size for price, size in now.items() if before.get(price) != size}
