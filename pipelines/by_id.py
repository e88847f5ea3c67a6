"""Tape order where ids are contiguous: by id, each once, with every hole accounted for.

A trade waits until all ids before it have come, or the gap is declared unfillable, or the limits have passed; then the
tape goes on and the hole is remembered, so that what comes later is kept as late and what never comes stays in the ledger.

A row uses up the ids `trade_id - span + 1` to `trade_id`: where a venue merges fills live and gives them singly over
REST, one row stands for several. Of two rows that overlap the one that comes first in tape order is kept. What is left
of the other is a hole like any other, filled if its ids come singly: to keep both would count trades twice.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pipelines.market import Flag
from pipelines.tape import TRADE, Rows
from pipelines.tape_order import WAIT_NS, WAIT_ROWS, GapRow, Ids, Notes, as_rows

STRAY = 1_000_000
"""An id this far ahead, while the ids at hand go on, is taken for a fault of the venue, not for a hole."""
HOLES = 1_000
"""Holes remembered per instrument."""
_AGAIN = int(Flag.REPAIRED | Flag.HISTORY)


@dataclass
class _Hole:
    """Ids the tape went on without; `left` are the ranges still missing."""

    first: int
    last: int
    ts: int
    end: int
    reason: str
    left: list[tuple[int, int]]

    def fill(self, first: int, last: int) -> bool:
        """Take ids off what is missing; return whether they all were."""
        for k, (a, b) in enumerate(self.left):
            if a <= first and last <= b:
                pieces = [(a, first - 1), (last + 1, b)]
                self.left[k : k + 1] = [(x, y) for x, y in pieces if x <= y]
                return True
        return False


@dataclass
class _Gap:
    """What the recorder, or a lost connection, says may be missing, until it is said what became of it.

    Attributes
    ----------
    first, last : int, int or None
        Ids; `last` is None while it is not known.
    ts, end : int
        Time of the last trade before and of the first one after; `end` is 0 before it came.
    since_ns : int
        Journal time at which it began.
    reason : str
    told : bool
        The recorder said so, and will say how it ended; else it follows from a lost connection.
    quiet : bool
        No trade from behind it has come.
    """

    first: int
    last: int | None
    ts: int
    since_ns: int
    reason: str
    told: bool
    quiet: bool = True
    end: int = 0

    def see(self, first: int, last: int, ts: int, *, again: bool) -> None:
        """Take a trade that goes on; `again`: the venue sent it once more."""
        if last < self.first:
            self.ts = ts
            return
        if self.end == 0 and (not again if self.last is None else first > self.last):
            self.end = ts
        self.quiet &= again


@dataclass
class ById:
    """Where instrument `i` stands; plain and picklable.

    Attributes
    ----------
    next_id : int
        The id that goes on next; -1 before the first.
    begun : bool
        A trade has come that the venue did not send as history.
    last_ts : int
        Time of the last trade that went on.
    held : dict
        Later trades that wait, by the first id each uses up.
    gaps : list of _Gap
        What is open now, in the order of ids.
    cut : bool
        The next counted trade is the first after a hole.
    """

    i: int
    notes: Notes
    next_id: int = -1
    begun: bool = False
    last_ts: int = 0
    held: dict[int, Rows] = field(default_factory=dict)
    held_since: int = 0
    held_at: int = -1
    gaps: list[_Gap] = field(default_factory=list)
    cut: bool = False
    holes: list[_Hole] = field(default_factory=list)

    @property
    def calm(self) -> bool:
        """Whether nothing is missing, as far as is known."""
        return not self.held and not self.gaps and not self.cut

    def passes(self, ids: Ids, firsts: Ids, last_ts: int) -> bool:
        """Take live trades whole if they go on as they are; return whether they do."""
        if not self.calm or self.next_id not in (-1, firsts[0]) or not (firsts[1:] == ids[:-1] + 1).all():
            return False
        self.next_id, self.last_ts, self.begun = int(ids[-1]) + 1, last_ts, True
        return True

    def tick(self, row: Rows, released: list[Rows]) -> None:
        """Take a clock row: it closes nothing while something is missing, until the limit has passed."""
        now = int(row["recv_ns"][0])
        self._expire(now, released)
        if not self.held and (not self.gaps or any(now - gap.since_ns >= WAIT_NS for gap in self.gaps)):
            if self.cut or any(gap.quiet for gap in self.gaps):
                row["flags"] |= int(Flag.AFTER_GAP)
            released.append(row)

    def take(self, row: Rows, released: list[Rows]) -> None:
        """Take a trade or a void."""
        if row["flags"][0] & int(Flag.HISTORY):
            if self.begun:
                row["flags"] |= int(Flag.REPAIRED)
            else:
                row["counted"] = False
        else:
            self.begun = True
        first, last = _ids(row)
        if self.next_id in (-1, first):
            self._release(row, released)
            self._follow(released)
        elif first > self.next_id:
            self._hold(row, first)
        elif last < self.next_id:
            self._look_back(row, first, last, released)
        else:
            self.notes.duplicates += 1
        self._expire(int(row["recv_ns"][0]), released)

    def _hold(self, row: Rows, first: int) -> None:
        if not self.held:
            self.held_since = int(row["recv_ns"][0])
            self.held_at = self.next_id
        known = self.held.get(first)
        self.notes.duplicates += known is not None
        if known is None or row["span"][0] > known["span"][0]:
            self.held[first] = row.copy()

    def _look_back(self, row: Rows, first: int, last: int, released: list[Rows]) -> None:
        """Keep a trade that fills a hole the tape went on without; drop any other as a duplicate."""
        for hole in self.holes:
            if not hole.fill(first, last):
                continue
            if row["kind"][0] == TRADE:
                row["flags"] |= int(Flag.LATE)
                row["counted"] = False
                released.append(row)
            if not hole.left:
                self._note(hole, "repaired", int(row["recv_ns"][0]))
                self.holes.remove(hole)
            return
        self.notes.duplicates += 1

    def _release(self, row: Rows, released: list[Rows]) -> None:
        first, last = _ids(row)
        self.next_id = last + 1
        if last > first and self.held:
            self._forget(first + 1, last)
        if row["kind"][0] == TRADE:
            self.last_ts = int(row["ts"][0])
            if self.cut and row["counted"][0]:
                row["flags"] |= int(Flag.AFTER_GAP)
                self.cut = False
            for gap in self.gaps:
                gap.see(first, last, self.last_ts, again=bool(row["flags"][0] & _AGAIN))
            self.gaps = [gap for gap in self.gaps if gap.told or gap.quiet]
        released.append(row)

    def _forget(self, first: int, last: int) -> None:
        """Drop what is held and begins with an id that has been used up."""
        known = range(first, last + 1) if last - first < len(self.held) else [k for k in self.held if first <= k <= last]
        for k in known:
            self.notes.duplicates += self.held.pop(k, None) is not None

    def _follow(self, released: list[Rows]) -> None:
        """Release what waited for the id that has just come."""
        while self.held and self.next_id in self.held:
            self._release(self.held.pop(self.next_id), released)
        if not self.held:
            self.held_since = 0

    def _expire(self, now_ns: int, released: list[Rows]) -> None:
        """Go on without what is missing, once it has been waited for long enough."""
        while self.held:
            timed_out = self.held_since > 0 and now_ns - self.held_since >= WAIT_NS
            if not timed_out and len(self.held) < WAIT_ROWS:
                return
            first = min(self.held)
            if self.next_id > self.held_at and first - self.next_id > STRAY:
                self.notes.strays.append(self.held.pop(first))
            else:
                self._pass_over(first, now_ns, "open", released)

    def _pass_over(self, first: int, now_ns: int, status: str, released: list[Rows]) -> None:
        """Go on with the held trade whose first id is `first`, the least, and remember the hole before it."""
        row = self.held.pop(first)
        self._leave(first - 1, int(row["ts"][0]), status, now_ns)
        self._release(row, released)
        self._follow(released)
        if self.held:
            self.held_since = int(self.held[min(self.held)]["recv_ns"][0])
            self.held_at = self.next_id

    def _leave(self, last: int, end: int, status: str, now_ns: int) -> None:
        """Go on without the ids up to `last`."""
        reasons = [gap.reason for gap in self.gaps if gap.first <= self.next_id]
        reason = reasons[-1] if reasons else "missing_ids"
        hole = _Hole(self.next_id, last, self.last_ts, end, reason, [(self.next_id, last)])
        self._note(hole, status, now_ns)
        self.holes = [*self.holes[-HOLES + 1 :], hole]
        self.next_id = last + 1
        self.cut = True

    def _note(self, hole: _Hole, status: str, now_ns: int) -> None:
        self.notes.ledger.append(GapRow(self.i, hole.ts, hole.end, hole.first, hole.last, hole.reason, status, now_ns))

    def gap_opened(self, reason: str, first: int | None, last: int | None, now_ns: int) -> None:
        """Note that the recorder found, or must assume, that trades are missing."""
        first = self.next_id if first is None else first
        for gap in self.gaps:
            if gap.first == first or (not gap.told and last is None):  # a recorder that begins again opens what was open
                gap.reason = gap.reason if gap.told else reason
                gap.told, gap.first, gap.last = True, first, last
                return
        self.gaps.append(_Gap(first, last, self.last_ts, now_ns, reason, told=True))
        self.gaps.sort(key=lambda gap: gap.first)

    def connection_lost(self, now_ns: int) -> None:
        """Note that no connection carries the instrument: until the next id comes, nothing is known."""
        if self.next_id >= 0 and all(gap.last is not None for gap in self.gaps):
            first = max([self.next_id, *(int(row["trade_id"][0]) + 1 for row in self.held.values())])
            self.gaps.append(_Gap(first, None, self.last_ts, now_ns, "reconnect", told=False))

    def gap_closed(self, status: str, first: int | None, last: int | None, now_ns: int) -> Rows:
        """Note what became of a gap; return the rows that an unfillable one lets go.

        Gaps are closed in the order of ids: what was opened before it is over, too.
        """
        released: list[Rows] = []
        if status == "unfillable":
            self._let_go(first, last, now_ns, released)
        reach = None if first is None else max(first, last or first)
        over = [gap for gap in self.gaps if reach is None or gap.first <= reach]
        if status == "repaired" and over and first is not None and last is not None and self.next_id > last:
            gap = next((gap for gap in over if gap.first == first), over[0])
            end = gap.end or self.last_ts
            self.notes.ledger.append(GapRow(self.i, gap.ts, end, first, last, gap.reason, status, now_ns))
        self.gaps = [gap for gap in self.gaps if gap not in over]
        return as_rows(released)

    def _let_go(self, first: int | None, last: int | None, now_ns: int, released: list[Rows]) -> None:
        """Go on without ids that will never come."""
        known = list(self.holes)
        while self.held and (last is None or self.next_id <= last):
            self._pass_over(min(self.held), now_ns, "unfillable", released)
        if first is not None and last is not None:
            if 0 <= first <= self.next_id <= last:
                self._leave(last, self.last_ts, "unfillable", now_ns)
            for hole in known:
                if hole.first <= last and hole.last >= first:
                    self._note(hole, "unfillable", now_ns)

    def finish(self) -> Rows:
        """At the end of a bounded tape, go on without whatever is missing; return the rows let go."""
        released: list[Rows] = []
        while self.held:
            last = max(int(r["recv_ns"][0]) or int(r["ts"][0]) * 1000 for r in self.held.values())
            self._pass_over(min(self.held), last, "open", released)
        return as_rows(released)


def _ids(row: Rows) -> tuple[int, int]:
    """Return the first and the last id that a row uses up."""
    last = int(row["trade_id"][0])
    return last - int(row["span"][0]) + 1, last
