"""The gap rule: where ids are contiguous, every id that does not come is noticed, and remembered until it does.

Nothing here reads a clock or a socket.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

TAIL_S: Final = 2.0
"""How long after a venue told of a trade it may still come."""
STRAY: Final = 1_000_000
"""An id this far ahead of its tape opens no hole until the next id confirms it: alone it is a fault of the venue."""


@dataclass(eq=False)
class Hole:
    """Ids that are missing.

    Attributes
    ----------
    first, last : int, int or None
        Inclusive; `last` is None while it is not known, after a connection was lost.
    reason : str
    since : float
        When it was noticed, in the seconds of whoever asks.
    left : list of (int, int)
        Ranges that are still missing.
    told : bool
        Its opening was journaled.
    came : list of (int, int)
        What is not missing, as was seen while `last` was not known.
    """

    first: int
    last: int | None
    reason: str
    since: float
    left: list[tuple[int, int]] = field(default_factory=list)
    told: bool = False
    came: list[tuple[int, int]] = field(default_factory=list)

    def end(self, last: int) -> None:
        """Learn which id is the last that is missing."""
        self.last = last
        self.left = [(self.first, last)] if self.first <= last else []
        for ids in self.came:
            self.fill(*ids)

    def fill(self, first: int, last: int) -> int:
        """Take ids that came off what is missing; return how many were."""
        before = self.missing
        pieces = [piece for a, b in self.left for piece in ((a, min(b, first - 1)), (max(a, last + 1), b))]
        self.left = sorted({(a, b) for a, b in pieces if a <= b})
        return before - self.missing

    @property
    def missing(self) -> int:
        """How many ids are missing, as far as is known."""
        return sum(b - a + 1 for a, b in self.left)


class Tape:
    """The ids of one instrument as they come in.

    Attributes
    ----------
    next_id : int or None
        The id behind the greatest that came; None before the first.
    holes : list of Hole
        What is missing, in the order it was noticed.
    """

    def __init__(self, next_id: int | None = None) -> None:
        self.next_id = next_id
        self.holes: list[Hole] = []
        self._stray: int | None = None
        self._tail: tuple[int, float] | None = None
        self._unknown = ""

    def see(self, first: int, last: int, now: float, *, history: bool = False, late: bool = False) -> Hole | None:
        """Take the ids `first` to `last` of a frame; return the hole that they leave, or that they end.

        What a venue sends again opens no hole: with two sockets its trades may yet come on the other. What came on a
        connection that is lost by now, `late`, ends none: what is missing comes behind it.
        """
        if late and self._before_the_loss(first, last):
            return None
        if self.next_id == first:
            self.next_id = last + 1
            return None if not self.holes else self._ended(first)
        if self.next_id is None:
            self.next_id = last + 1
            unknown, self._unknown = self._unknown, ""
            return self.lost(unknown, now) if unknown and late else None
        if first < self.next_id:
            for hole in self.holes:
                hole.fill(first, last)
            self.next_id = max(self.next_id, last + 1)
            return None
        if history and not any(hole.last is None for hole in self.holes):
            return None
        return self._jump(first, last, now)

    def told(self, last: int, now: float) -> Hole | None:
        """Take the venue's word that ids up to `last` exist; return the hole that this opens or ends."""
        if self.next_id is None:
            return None
        if self.next_id <= last and (hole := self._ended(last + 1)) is not None:
            self.next_id = last + 1
            return hole
        if self._tail is None or self._tail[0] < self.next_id:
            self._tail = (last, now) if last >= self.next_id else None
            return None
        end, since = self._tail
        if now - since < TAIL_S:
            return None
        self._tail = None
        hole = Hole(self.next_id, end, "missing_ids", now, [(self.next_id, end)])
        self.holes.append(hole)
        self.next_id = end + 1
        return hole

    def _before_the_loss(self, first: int, last: int) -> bool:
        """Take ids that came before what a lost connection misses; return False where nothing is lost, or they are behind."""
        hole = next((hole for hole in self.holes if hole.last is None), None)
        if hole is None or self.next_id is None or not 0 <= first - self.next_id <= STRAY:
            return False
        if hole.told:
            hole.came.append((first, last))
        else:
            hole.first = last + 1
        self.next_id = last + 1
        return True

    def _jump(self, first: int, last: int, now: float) -> Hole | None:
        assert self.next_id is not None
        if first - self.next_id > STRAY and first != self._stray:
            self._stray = last + 1
            return None
        hole = self._ended(first)
        if hole is None:
            hole = Hole(self.next_id, first - 1, "missing_ids", now, [(self.next_id, first - 1)])
            self.holes.append(hole)
        self.next_id = last + 1
        self._stray = None
        return hole

    def _ended(self, first: int) -> Hole | None:
        """Tell the hole whose end was not known that it ends before `first`."""
        for hole in self.holes:
            if hole.last is None:
                hole.end(first - 1)
                return hole
        return None

    def lost(self, reason: str, now: float) -> Hole | None:
        """Note that from here on anything may be missing; None where nothing ever came, or this is known.

        What a socket brought is seen once it is in the journal, and it may be lost by then: where that was the very first,
        a hole begins behind it after all.
        """
        if self.next_id is None:
            self._unknown = reason
            return None
        if any(hole.last is None for hole in self.holes):
            return None
        hole = Hole(self.next_id, None, reason, now)
        self.holes.append(hole)
        return hole
