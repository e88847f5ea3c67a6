"""Tape order where ids do not follow each other: as received, each id once, with every interruption accounted for.

What is missing cannot be seen in the ids, so it is the recorder, or a lost connection, that opens a gap. Later live
trades then wait as they do elsewhere; what a repair brings goes on by time and id, each row before the first of those
that wait and are not older. Ids are known again among the last 8,192 of the instrument.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipelines.market import Flag
from pipelines.tape import TRADE, Rows
from pipelines.tape_order import WAIT_NS, WAIT_ROWS, GapRow, Ids, Notes, as_rows

KNOWN = 8_192


class Recent:
    """The last `KNOWN` ids."""

    def __init__(self) -> None:
        self._ring = np.full(KNOWN, -1, np.int64)
        self._count = 0
        self._known: set[int] = set()

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the set, which the ring tells."""
        return {"_ring": self._ring, "_count": self._count}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ = state
        self._known = set(self._ring.tolist()) - {-1}

    def add(self, trade_id: int) -> bool:
        """Add an id if it is new; return whether it was."""
        if trade_id in self._known:
            return False
        at = self._count % KNOWN
        self._known.discard(int(self._ring[at]))
        self._known.add(trade_id)
        self._ring[at] = trade_id
        self._count += 1
        return True

    def add_all(self, ids: Ids) -> bool:
        """Add ids if all are new; return whether they were."""
        listed = ids.tolist()
        fresh = set(listed)
        if len(fresh) < len(listed) or not fresh.isdisjoint(self._known):
            return False
        ids = ids[-KNOWN:]
        at = (self._count + len(listed) - ids.size + np.arange(ids.size)) % KNOWN
        self._known.difference_update(self._ring[at].tolist())
        self._known.update(ids.tolist())
        self._ring[at] = ids
        self._count += len(listed)
        return True


@dataclass
class Interruption:
    """From here on trades may be missing.

    Attributes
    ----------
    since_ns : int
        Journal time at which it began.
    ts : int
        Time of the last trade before.
    reason : str
    told : bool
        The recorder said so, and will say how it ended; else it follows from a lost connection.
    """

    since_ns: int
    ts: int
    reason: str
    told: bool


@dataclass
class ByArrival:
    """Where instrument `i` stands; plain and picklable.

    Attributes
    ----------
    recent : Recent
    begin_ts : int
        Time of the first live trade; -1 before it.
    last_ts : int
        Time of the last trade that went on.
    waiting, repaired : list of Rows
        While a gap is open: live trades, and what fills the gap.
    gap : Interruption or None
    cut : bool
        The next counted trade is the first after a gap that was not filled.
    unended : GapRow or None
        A line of the ledger whose `end` is not known yet.
    given_up : GapRow or None
        The last gap that was left open, of which the recorder has still to say what became.
    """

    i: int
    notes: Notes
    recent: Recent = field(default_factory=Recent)
    begin_ts: int = -1
    last_ts: int = 0
    waiting: list[Rows] = field(default_factory=list)
    waiting_since: int = 0
    repaired: list[Rows] = field(default_factory=list)
    gap: Interruption | None = None
    cut: bool = False
    unended: GapRow | None = None
    given_up: GapRow | None = None

    @property
    def calm(self) -> bool:
        """Whether nothing is missing, as far as is known."""
        return self.gap is None and not self.cut and self.unended is None

    def passes(self, ids: Ids, firsts: Ids, last_ts: int) -> bool:
        """Take live trades whole if they go on as they are; return whether they do."""
        del firsts
        if not self.calm or self.begin_ts < 0 or not self.recent.add_all(ids):
            return False
        self.last_ts = last_ts
        return True

    def tick(self, row: Rows, released: list[Rows]) -> None:
        """Take a clock row: it closes nothing while a gap is open or trades wait, until the limit has passed."""
        now = int(row["recv_ns"][0])
        self._expire(now, released)
        if not self.waiting and (self.gap is None or now - self.gap.since_ns >= WAIT_NS):
            if self.cut or self.gap is not None:
                row["flags"] |= int(Flag.AFTER_GAP)
            released.append(row)

    def take(self, row: Rows, released: list[Rows]) -> None:
        """Take a trade or a void."""
        if not self.recent.add(int(row["trade_id"][0])):
            self.notes.duplicates += 1
            return
        flags = int(row["flags"][0])
        if flags & Flag.HISTORY or flags & Flag.REPAIRED:
            self._take_again(row, released)
        elif self.gap is not None:
            self.waiting_since = self.waiting_since or int(row["recv_ns"][0])
            self.waiting.append(row.copy())
        else:
            self._release(row, released)
        self._expire(int(row["recv_ns"][0]), released)

    def _take_again(self, row: Rows, released: list[Rows]) -> None:
        """Take what the venue sends once more, and nobody knows yet: it fills the open gap, or else is not counted."""
        before = row["ts"][0] < self.begin_ts or self.begin_ts < 0
        if self.gap is not None:
            row["flags"] |= int(Flag.REPAIRED)
            if before:
                row["counted"] = False
            self.repaired.append(row.copy())
            return
        if row["flags"][0] & int(Flag.REPAIRED) and not before:
            row["flags"] |= int(Flag.LATE)
        row["counted"] = False
        released.append(row)

    def _release(self, row: Rows, released: list[Rows]) -> None:
        if row["kind"][0] == TRADE:
            ts = int(row["ts"][0])
            self.begin_ts = ts if self.begin_ts < 0 else self.begin_ts
            if self.unended is not None:
                self.notes.ledger.append(self.unended._replace(end=ts, as_of_ns=int(row["recv_ns"][0])))
                self.unended = None
            if self.cut and row["counted"][0]:
                row["flags"] |= int(Flag.AFTER_GAP)
                self.cut = False
            self.last_ts = ts
        released.append(row)

    def _expire(self, now_ns: int, released: list[Rows]) -> None:
        """Go on without what is missing, once it has been waited for long enough."""
        if self.waiting and (now_ns - self.waiting_since >= WAIT_NS or len(self.waiting) >= WAIT_ROWS):
            self.given_up = self._go_on("open", now_ns, released)

    def _go_on(self, status: str, now_ns: int, released: list[Rows]) -> GapRow | None:
        """End the gap: what filled it and what waited go on; return its line of the ledger, if it has one."""
        assert self.gap is not None
        gap, self.gap = self.gap, None
        waiting, self.waiting, self.waiting_since = self.waiting, [], 0
        repaired, self.repaired = sorted(self.repaired, key=_time_and_id), []
        line = None
        if status != "none":
            after = [r for r in (*waiting, *repaired[-1:]) if r["kind"][0] == TRADE]
            end = int(after[0]["ts"][0]) if after else gap.ts
            line = GapRow(self.i, gap.ts, end, None, None, gap.reason, status, now_ns)
            self.notes.ledger.append(line)
            self.cut = status != "repaired"
            self.unended = None if after or status == "repaired" else line
        released += [row for row in repaired if not row["counted"][0]]
        filling = [row for row in repaired if row["counted"][0]]
        for row in heapq.merge(filling, waiting, key=_time):  # REST may be ahead of the socket
            self._release(row, released)
        return line

    def gap_opened(self, reason: str, first: int | None, last: int | None, now_ns: int) -> None:
        """Note that the recorder found, or must assume, that trades are missing."""
        del first, last
        if self.gap is None and self.begin_ts >= 0:
            self.gap = Interruption(now_ns, self.last_ts, reason, told=True)
        elif self.gap is not None and not self.gap.told:
            self.gap.told, self.gap.reason = True, reason

    def connection_lost(self, now_ns: int) -> None:
        """Note that no connection carries the instrument: what is traded meanwhile is missing."""
        if self.gap is None and self.begin_ts >= 0:
            self.gap = Interruption(now_ns, self.last_ts, "reconnect", told=False)

    def gap_closed(self, status: str, first: int | None, last: int | None, now_ns: int) -> Rows:
        """Note what became of a gap; return the rows let go."""
        del first, last
        released: list[Rows] = []
        if self.gap is not None:
            self._go_on(status, now_ns, released)
        elif self.given_up is not None:
            became = "unfillable" if status == "unfillable" else "repaired"
            self.notes.ledger.append(self.given_up._replace(status=became, as_of_ns=now_ns))
        self.given_up = None
        return as_rows(released)

    def finish(self) -> Rows:
        """At the end of a bounded tape, go on without whatever is missing; return the rows let go."""
        released: list[Rows] = []
        held = [*self.repaired, *self.waiting]
        if held:
            self._go_on("open", max(int(r["recv_ns"][0]) or int(r["ts"][0]) * 1000 for r in held), released)
        return as_rows(released)


def _time(row: Rows) -> int:
    return int(row["ts"][0])


def _time_and_id(row: Rows) -> tuple[int, int]:
    return int(row["ts"][0]), int(row["trade_id"][0])
