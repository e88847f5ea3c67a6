"""Tape order: trades in the order of their ids, each once, with every hole accounted for.

Where ids are contiguous a trade waits until all ids before it have come, or the gap is declared unfillable, or
10 s of journal time or 50,000 rows have passed; then the tape goes on and the hole is remembered, so that what comes
later is kept as late and what never comes stays in the ledger.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from pipelines.market import Flag
from pipelines.tape import CLOCK, ROW, TRADE, VOID, Rows, joined

WAIT_NS = 10_000_000_000
WAIT_ROWS = 50_000
STRAY = 1_000_000
"""An id this far ahead, while the ids at hand go on, is taken for a fault of the venue, not for a hole."""
HOLES = 1_000
"""Holes remembered per instrument."""


class GapRow(NamedTuple):
    """A line of the gap ledger: ids `first` to `last` of an instrument, and what became of them."""

    instrument: int
    ts: int
    end: int
    first: int | None
    last: int | None
    reason: str
    status: str
    as_of_ns: int


@dataclass
class _Hole:
    """Ids the tape went on without; `left` are the ranges still missing."""

    first: int
    last: int
    ts: int
    end: int
    reason: str
    left: list[tuple[int, int]]

    def fill(self, trade_id: int) -> bool:
        """Take an id off what is missing; return whether it was."""
        for k, (first, last) in enumerate(self.left):
            if first <= trade_id <= last:
                pieces = [(first, trade_id - 1), (trade_id + 1, last)]
                self.left[k : k + 1] = [(a, b) for a, b in pieces if a <= b]
                return True
        return False


@dataclass
class _Line:
    """Where one instrument stands. `held` are later trades that wait, by id."""

    next_id: int = -1
    last_ts: int = 0
    held: dict[int, Rows] = field(default_factory=dict)
    held_since: int = 0
    held_at: int = -1
    gap_since: int = 0
    gap_ts: int = 0
    gap_reason: str = "missing_ids"
    holes: list[_Hole] = field(default_factory=list)

    def blocked(self, now_ns: int) -> bool:
        """Whether heartbeats may close nothing: something is missing, and the limit has not passed."""
        since = [t for t in (self.held_since if self.held else 0, self.gap_since) if t]
        return bool(since) and now_ns - min(since) < WAIT_NS


class Resequencer:
    """Puts rows into tape order; its state is plain and picklable.

    Attributes
    ----------
    duplicates : int
        Trades dropped because their id had been seen.
    """

    def __init__(self) -> None:
        self.lines: list[_Line] = []
        self.ledger: list[GapRow] = []
        self.strays: list[Rows] = []
        self.duplicates = 0

    def grow(self, instruments: int) -> None:
        """Make room for more instruments."""
        self.lines += [_Line() for _ in range(instruments - len(self.lines))]

    def take_ledger(self) -> list[GapRow]:
        """Return the ledger lines written since the last call."""
        ledger, self.ledger = self.ledger, []
        return ledger

    def take_strays(self) -> list[Rows]:
        """Return the trades refused since the last call because their id was absurd."""
        strays, self.strays = self.strays, []
        return strays

    def push(self, rows: Rows, venue_of: np.ndarray) -> Rows:
        """Return the rows that may go on, in tape order per instrument, clock rows given to each instrument.

        Parameters
        ----------
        rows : Rows
            In order of receipt; `instrument` of a clock row is -1 - venue.
        venue_of : int64, (instruments,)
            Venue of each instrument.
        """
        if rows.size == 0:
            return rows
        clock = rows["kind"] == CLOCK
        slow = self._irregular(rows, clock)
        if not slow and not clock.any():
            return rows
        of_venue = [np.flatnonzero(venue_of == v) for v in range(int(venue_of.max()) + 1 if venue_of.size else 0)]
        counts = np.ones(rows.size, np.int64)
        for k in np.flatnonzero(clock):
            counts[k] = of_venue[-1 - rows["instrument"][k]].size
        out = np.repeat(rows, counts)
        at = np.repeat(np.arange(rows.size), counts)
        starts = np.cumsum(counts) - counts
        for k in np.flatnonzero(clock):
            out["instrument"][starts[k] : starts[k] + counts[k]] = of_venue[-1 - rows["instrument"][k]]
        if not slow:
            return out
        parts, places = [out], [at]
        keep = np.ones(out.size, np.bool_)
        for i in slow:
            mine = np.flatnonzero(out["instrument"] == i)
            keep[mine] = False
            released, where = self._walk(i, out.take(mine), at[mine])
            parts.append(released)
            places.append(where)
        parts[0], places[0] = out.compress(keep), at[keep]
        return joined(parts).take(np.argsort(np.concatenate(places), kind="stable"))

    def _irregular(self, rows: Rows, clock: np.ndarray) -> list[int]:
        """Return the instruments that need the slow walk; move the high-water marks of the others."""
        slow = {i for i, line in enumerate(self.lines) if line.held or line.gap_since}
        trades = rows.compress(~clock) if clock.any() else rows
        order = np.argsort(trades["instrument"], kind="stable")
        instrument, ids = trades["instrument"][order], trades["trade_id"][order]
        edges = np.flatnonzero(np.diff(instrument)) + 1
        broken = np.diff(ids) != 1
        broken[edges - 1] = False
        slow |= set(instrument[1:][broken].tolist())
        for begin, end in zip([0, *edges], [*edges, ids.size], strict=True):
            if begin == end:
                continue
            i = int(instrument[begin])
            line = self.lines[i]
            if line.next_id not in (-1, ids[begin]):
                slow.add(i)
            if i not in slow:
                line.next_id = int(ids[end - 1]) + 1
                line.last_ts = int(trades["ts"][order[end - 1]])
        return sorted(slow)

    def _walk(self, i: int, rows: Rows, places: np.ndarray) -> tuple[Rows, np.ndarray]:
        """Take one instrument's rows one by one; return what is released and at which place of the batch."""
        line = self.lines[i]
        released: list[Rows] = []
        where: list[int] = []
        for k, place in enumerate(places):
            row = rows[k : k + 1]
            before = len(released)
            if row["kind"][0] == CLOCK:
                self._expire(i, line, int(row["recv_ns"][0]), released)
                if not line.blocked(int(row["recv_ns"][0])):
                    if line.gap_since:
                        row["flags"] |= int(Flag.AFTER_GAP)
                    released.append(row)
            else:
                self._take(i, line, row, released)
                self._expire(i, line, int(row["recv_ns"][0]), released)
            where += [place] * (len(released) - before)
        return _joined(released), np.array(where, np.int64)

    def _take(self, i: int, line: _Line, row: Rows, released: list[Rows]) -> None:
        trade_id = int(row["trade_id"][0])
        if line.next_id in (-1, trade_id):
            self._release(line, row, released)
            self._follow(line, released)
        elif trade_id > line.next_id:
            if not line.held:
                line.held_since = int(row["recv_ns"][0])
                line.held_at = line.next_id
            line.held.setdefault(trade_id, row.copy())
        else:
            self._look_back(i, line, row, released)

    def _look_back(self, i: int, line: _Line, row: Rows, released: list[Rows]) -> None:
        """Keep a trade that fills a hole the tape went on without; drop any other as a duplicate."""
        trade_id = int(row["trade_id"][0])
        for hole in line.holes:
            if not hole.fill(trade_id):
                continue
            if row["kind"][0] == TRADE:
                row["flags"] |= int(Flag.LATE)
                row["counted"] = False
                released.append(row)
            if not hole.left:
                self._note(i, hole, "repaired", int(row["recv_ns"][0]))
                line.holes.remove(hole)
            return
        self.duplicates += 1

    def _release(self, line: _Line, row: Rows, released: list[Rows]) -> None:
        line.next_id = int(row["trade_id"][0]) + 1
        line.last_ts = int(row["ts"][0]) if row["kind"][0] != VOID else line.last_ts
        released.append(row)

    def _follow(self, line: _Line, released: list[Rows]) -> None:
        """Release what waited for the id that has just come."""
        while line.held and line.next_id in line.held:
            self._release(line, line.held.pop(line.next_id), released)
        if not line.held:
            line.held_since = 0

    def _expire(self, i: int, line: _Line, now_ns: int, released: list[Rows]) -> None:
        """Go on without what is missing, once it has been waited for long enough."""
        while line.held:
            timed_out = line.held_since > 0 and now_ns - line.held_since >= WAIT_NS
            if not timed_out and len(line.held) < WAIT_ROWS:
                return
            first = min(line.held)
            if line.next_id > line.held_at and first - line.next_id > STRAY:
                self.strays.append(line.held.pop(first))
            else:
                self._pass_over(i, line, first, now_ns, "open", released)

    def _pass_over(self, i: int, line: _Line, first: int, now_ns: int, status: str, released: list[Rows]) -> None:
        """Go on with the held trade of id `first`, the least, and remember the hole before it."""
        row = line.held.pop(first)
        row["flags"] |= int(Flag.AFTER_GAP)
        hole = _Hole(line.next_id, first - 1, line.last_ts, int(row["ts"][0]), line.gap_reason, [(line.next_id, first - 1)])
        self._note(i, hole, status, now_ns)
        line.holes = [*line.holes[-HOLES + 1 :], hole]
        self._release(line, row, released)
        self._follow(line, released)
        if line.held:
            line.held_since = int(line.held[min(line.held)]["recv_ns"][0])
            line.held_at = line.next_id

    def _note(self, i: int, hole: _Hole, status: str, now_ns: int) -> None:
        self.ledger.append(GapRow(i, hole.ts, hole.end, hole.first, hole.last, hole.reason, status, now_ns))

    def gap_opened(self, i: int, reason: str, now_ns: int) -> None:
        """Note that the recorder found, or must assume, that trades of instrument `i` are missing."""
        line = self.lines[i]
        if not line.gap_since:
            line.gap_since, line.gap_ts, line.gap_reason = now_ns, line.last_ts, reason

    def gap_closed(self, i: int, status: str, first: int | None, last: int | None, now_ns: int) -> Rows:
        """Note what became of a gap; return the rows that an unfillable one lets go."""
        line = self.lines[i]
        released: list[Rows] = []
        if status == "unfillable":
            known = list(line.holes)
            while line.held and (last is None or line.next_id <= last):
                self._pass_over(i, line, min(line.held), now_ns, status, released)
            for hole in known:
                if first is not None and last is not None and hole.first <= last and hole.last >= first:
                    self._note(i, hole, status, now_ns)
        elif status == "repaired" and first is not None and last is not None and line.next_id > last:
            self.ledger.append(GapRow(i, line.gap_ts, line.last_ts, first, last, line.gap_reason, status, now_ns))
        line.gap_since = 0
        line.gap_reason = "missing_ids"
        return _joined(released)

    def finish(self) -> Rows:
        """At the end of a bounded tape, go on without whatever is missing; return the rows let go."""
        released: list[Rows] = []
        for i, line in enumerate(self.lines):
            while line.held:
                last = max(int(r["recv_ns"][0]) or int(r["ts"][0]) * 1000 for r in line.held.values())
                self._pass_over(i, line, min(line.held), last, "open", released)
        return _joined(released)


def _joined(released: list[Rows]) -> Rows:
    return joined([np.zeros(0, ROW), *released])
