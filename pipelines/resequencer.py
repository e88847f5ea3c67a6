"""Tape order of all instruments: what goes on as it came, and what is put into order one by one.

How that is done depends on the venue: by id where ids are contiguous (`by_id`), else by arrival (`arrival`).
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from pipelines.arrival import ByArrival
from pipelines.by_id import ById
from pipelines.market import Flag
from pipelines.tape import CLOCK, VOID, Rows, joined
from pipelines.tape_order import GapRow, Notes, as_rows

_AGAIN = int(Flag.REPAIRED | Flag.HISTORY)


class Resequencer:
    """Puts rows into tape order; its state is plain and picklable."""

    def __init__(self) -> None:
        self.lines: list[ById | ByArrival] = []
        self.notes = Notes()

    @property
    def duplicates(self) -> int:
        """Trades dropped because their id had been seen."""
        return self.notes.duplicates

    def add(self, *, contiguous: bool) -> None:
        """Add an instrument, whose ids follow each other or do not."""
        self.lines.append((ById if contiguous else ByArrival)(len(self.lines), self.notes))

    def take_ledger(self) -> list[GapRow]:
        """Return the ledger lines written since the last call."""
        ledger, self.notes.ledger = self.notes.ledger, []
        return ledger

    def take_strays(self) -> list[Rows]:
        """Return the trades refused since the last call because their id was absurd."""
        strays, self.notes.strays = self.notes.strays, []
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
        """Return the instruments that need the slow walk; the others have taken their trades."""
        slow = {i for i, line in enumerate(self.lines) if not line.calm}
        trades = rows.compress(~clock) if clock.any() else rows
        if not trades.size:
            return sorted(slow)
        flags, kind, instrument, ids, spans = (trades[name] for name in ("flags", "kind", "instrument", "trade_id", "span"))
        if flags.any() or kind.any():
            slow |= set(np.unique(instrument[(flags & _AGAIN != 0) | (kind == VOID)]).tolist())
        firsts = ids if (spans == 1).all() else ids - spans + 1
        ts = trades["ts"]
        if (instrument != instrument[0]).any():
            order = np.argsort(instrument, kind="stable")
            instrument, ids, firsts, ts = instrument[order], ids[order], firsts[order], ts[order]
        edges = [0, *(np.flatnonzero(np.diff(instrument)) + 1).tolist(), ids.size]
        for begin, end in pairwise(edges):
            i = int(instrument[begin])
            if i not in slow and not self.lines[i].passes(ids[begin:end], firsts[begin:end], int(ts[end - 1])):
                slow.add(i)
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
                line.tick(row, released)
            else:
                line.take(row, released)
            where += [place] * (len(released) - before)
        return as_rows(released), np.array(where, np.int64)

    def gap_opened(self, i: int, reason: str, first: int | None, last: int | None, now_ns: int) -> None:
        """Note that trades of instrument `i` are, or may be, missing."""
        self.lines[i].gap_opened(reason, first, last, now_ns)

    def connection_lost(self, i: int, now_ns: int) -> None:
        """Note that no connection carries instrument `i` any more."""
        self.lines[i].connection_lost(now_ns)

    def gap_closed(self, i: int, status: str, first: int | None, last: int | None, now_ns: int) -> Rows:
        """Note what became of a gap of instrument `i`; return the rows let go."""
        return self.lines[i].gap_closed(status, first, last, now_ns)

    def finish(self) -> Rows:
        """At the end of a bounded tape, go on without whatever is missing; return the rows let go."""
        return joined([as_rows([]), *(line.finish() for line in self.lines)])
