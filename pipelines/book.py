"""An order book kept from a venue's snapshots and updates, and held against the venue's own rules after each."""

from __future__ import annotations

import re
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from pipelines.feeds import Depth, Level

WAITING: Final = 10_000
"""Updates kept while there is no snapshot to apply them to."""
CHECKED: Final = 25
"""Levels of a side that a checksum is made of at most, at any venue."""
_DECIMAL: Final = re.compile(r"[0-9]{1,30}(?:\.[0-9]{1,30})?")

Checksum = Callable[[Sequence[Level], Sequence[Level]], int]
"""As `Venue.checksum`."""


class _Side:
    """One side of a book: `prices` ascending, and the level at each as the venue wrote it."""

    def __init__(self) -> None:
        self.prices: list[float] = []
        self.levels: dict[float, Level] = {}

    def put(self, level: Level) -> bool:
        """Set or take out a level; return whether it could be read."""
        if not (_DECIMAL.fullmatch(level[0]) and _DECIMAL.fullmatch(level[1])):
            return False
        price = float(level[0])
        if float(level[1]) == 0.0:
            if self.levels.pop(price, None) is not None:
                del self.prices[bisect_left(self.prices, price)]
        else:
            if price not in self.levels:
                insort(self.prices, price)
            self.levels[price] = level
        return price > 0.0

    def cut(self, out: slice) -> None:
        """Forget a range of the prices."""
        for price in self.prices[out]:
            del self.levels[price]
        del self.prices[out]


class Book:
    """The book of one instrument on one connection; two sockets of a venue cut the same changes differently.

    Parameters
    ----------
    checksum : callable
        The venue's, as `Venue.checksum`.
    depth : int
        Levels of a side beyond which it is cut after each update, as `Rules.book_depth`; 0: none.
    apart : bool
        Snapshots come apart from the updates, over REST: updates received before one may belong behind it.

    Attributes
    ----------
    synced : bool
        It holds a snapshot and every update since.
    last : int
        Id of the last update in it; -1: none, or the venue numbers none.
    ts : int
        The venue's time of that update, us since 1970; 0: it sends none.
    """

    def __init__(self, checksum: Checksum, depth: int = 0, *, apart: bool = True) -> None:
        self.checksum = checksum
        self.depth = depth
        self.apart = apart
        self.synced = False
        self.last = -1
        self.ts = 0
        self._bids, self._asks = _Side(), _Side()
        self._builds = 0
        self._fresh = False
        self._waiting: deque[Depth] = deque(maxlen=WAITING)

    @property
    def resyncs(self) -> int:
        """How often it was built anew after it was lost."""
        return max(self._builds - 1, 0)

    def best(self) -> tuple[Level | None, Level | None]:
        """Return the best bid and the best ask; None: no order on that side."""
        bids, asks = self.top(1)
        return (bids[0] if bids else None), (asks[0] if asks else None)

    def top(self, n: int) -> tuple[list[Level], list[Level]]:
        """Return the `n` best levels of bids and of asks, best first."""
        bids, asks = self._bids, self._asks
        return [bids.levels[p] for p in reversed(bids.prices[-n:])], [asks.levels[p] for p in asks.prices[:n]]

    def apply(self, depth: Depth) -> str | None:
        """Take a snapshot or an update, in order of receipt.

        Returns
        -------
        str or None
            None: it was applied, kept until there is a snapshot, or skipped as known. Else why the book can no longer
            be trusted (`sequence`, `crossed`, `checksum`, or `unreadable` for a level that is no decimal): it is empty
            then, and waits for a snapshot.
        """
        if depth.snapshot:
            return self._begin(depth)
        if self.synced:
            return self._follow(depth)
        if _link(depth) >= 0:
            self._waiting.append(depth)
        return None

    def _begin(self, snapshot: Depth) -> str | None:
        """Replace the book by a snapshot, and apply the updates that waited for it."""
        if self.apart and self.synced and 0 <= snapshot.last <= self.last:
            return None  # an answer that was overtaken by the updates
        waiting = deque(self._waiting if self.apart else ())
        lost = not self.synced
        self.clear()
        self.synced = self._fresh = True
        reason = self._put(snapshot)
        while waiting and reason is None:
            reason = self._follow(waiting.popleft())
        self._waiting.extend(waiting)  # what is left a later snapshot may still reach
        self._builds += lost and self.synced
        return reason

    def _follow(self, update: Depth) -> str | None:
        """Apply an update if it is the next one.

        The first behind a snapshot may hold changes that the snapshot has too; each later one begins where the one
        before ended. OKX counts anew at times (`last` below `previous`), and repeats `last` to show that it lives.
        """
        link = _link(update)
        if link >= 0 and self.last >= 0 and link != self.last:
            if update.last <= self.last:
                return None
            if not (self._fresh and link < self.last):
                return self._lose("sequence", update)
        self._fresh = False
        return self._put(update)

    def _put(self, depth: Depth) -> str | None:
        """Write the levels, and see whether the book is sound."""
        bids, asks = self._bids, self._asks
        read = [bids.put(level) for level in depth.bids] + [asks.put(level) for level in depth.asks]
        if not all(read):
            return self._lose("unreadable", depth)
        if self.depth:
            bids.cut(slice(0, -self.depth))
            asks.cut(slice(self.depth, None))
        if bids.prices and asks.prices and bids.prices[-1] >= asks.prices[0]:
            return self._lose("crossed", depth)
        if depth.checksum is not None and self.checksum(*self.top(CHECKED)) != depth.checksum:
            return self._lose("checksum", depth)
        self.last, self.ts = depth.last, depth.ts
        return None

    def _lose(self, reason: str, at: Depth) -> str:
        self.clear()
        if not at.snapshot and _link(at) >= 0:
            self._waiting.append(at)
        return reason

    def clear(self) -> None:
        """Forget everything, and wait for a snapshot."""
        self.synced = self._fresh = False
        self.last, self.ts = -1, 0
        self._bids, self._asks = _Side(), _Side()
        self._waiting.clear()


def _link(depth: Depth) -> int:
    """Return the id of the update that comes before this one; -1: the venue numbers none."""
    return depth.previous if depth.previous >= 0 else max(depth.first - 1, -1)
