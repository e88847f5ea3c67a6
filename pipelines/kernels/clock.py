"""Time on the tape: the venue's clock offset, and the event time under which each row is counted."""

from __future__ import annotations

import numpy as np
from numba import njit

from pipelines.market import BAR_WIDTHS_US, DAY_US, GRACE_US, Flag
from pipelines.tape import CLOCK, TRADE, VOID

AHEAD_US = 10_000_000
"""A trade stamped further ahead of its receipt than this is refused."""
WINDOW_S = 600
"""The clock offset is the least receipt - match time of this many seconds of journal time."""
UNKNOWN = np.iinfo(np.int64).max
LATE_SEQ = 1 << 40
"""`seq` of trades stored after their date was closed begins here; sealing numbers anew."""

VENUE = np.dtype([("second", np.int64), ("least", np.int64), ("slots", np.int64, (WINDOW_S,))])
"""Per venue: last second of journal time seen, least offset of the window, and the least of each second (us)."""

INSTRUMENT = np.dtype(
    [
        ("day", np.int64),  # start of the open UTC date, us; -1: none yet
        ("now", np.int64),  # greatest event time counted, us
        ("closed", np.int64),  # the clock has closed all bars that end at or before this, us
        ("seq", np.int64),
        ("late_seq", np.int64),
    ]
)
"""Per instrument: where it stands in time."""

_WIDTHS = np.array(list(BAR_WIDTHS_US.values()), np.int64)
_LATE = int(Flag.LATE)
_NOT_LIVE = int(Flag.REPAIRED | Flag.HISTORY)


@njit(cache=True)
def _advance(venue, second):
    """Move the window to `second`, forgetting what left it."""
    if second <= venue.second:
        return
    for s in range(max(venue.second + 1, second - WINDOW_S + 1), second + 1):
        venue.slots[s % WINDOW_S] = UNKNOWN
    venue.second = second
    venue.least = UNKNOWN
    for s in range(WINDOW_S):
        venue.least = min(venue.least, venue.slots[s])


@njit(cache=True)
def screen(rows, venue_of, venues, refused):
    """Set the venue time of heartbeats and marks, refuse trades from the future, learn the clock offset.

    Return how many were refused.

    rows: ROW, (n,), in order of receipt; `instrument` of a clock row or mark is -1 - venue. venue_of: int64, (instruments,).
    venues: VENUE, (venues,), the state. refused: bool, (n,), set where refused (the row becomes a void).

    offset = least recv - ts of accepted live trades of the last 600 s of journal time, in slots of one second; 0
    before the first. A trade is refused when ts > recv - min(offset, 0) + 10 s: a stale first trade makes the offset
    too large, and must not make every later trade look early.
    """
    count = 0
    for k in range(rows.size):
        row = rows[k]
        if row.recv_ns == 0 or row.kind == VOID:
            continue
        timed = row.kind != TRADE
        venue = venues[-1 - row.instrument if timed else venue_of[row.instrument]]
        _advance(venue, row.recv_ns // 1_000_000_000)
        recv = row.recv_ns // 1000
        offset = 0 if venue.least == UNKNOWN else venue.least
        if timed:
            row.ts = recv - offset
        elif row.ts > recv - min(offset, 0) + AHEAD_US:
            row.kind = VOID
            refused[k] = True
            count += 1
        elif (row.flags & _NOT_LIVE) == 0:
            slot = venue.second % WINDOW_S
            venue.slots[slot] = min(venue.slots[slot], recv - row.ts)
            venue.least = min(venue.least, recv - row.ts)
    return count


@njit(cache=True)
def admit(rows, instruments):
    """Set `eff`, `seq`, `late` and `counted` of rows in tape order; return how many were admitted.

    rows: ROW, (n,). instruments: INSTRUMENT, (instruments,), the state. Stops before the first row that begins a
    new UTC date of its instrument (its `eff` says which): the caller closes the date and calls again.

    A trade's eff is the greatest of its ts, of every earlier eff and of the end of what the clock has closed, so
    that it never falls. A trade of a closed date is marked late and not counted.
    """
    for k in range(rows.size):
        row = rows[k]
        at = instruments[row.instrument]
        if row.kind == CLOCK:
            row.eff = (row.ts - GRACE_US) // 1_000_000 * 1_000_000
            if at.day < 0 or row.eff <= at.closed:
                continue
            if row.eff >= at.day + DAY_US:
                return k
            at.closed = row.eff
        elif row.kind == TRADE:
            other_day = at.day >= 0 and (row.ts < at.day or (not row.counted and row.ts >= at.day + DAY_US))
            if other_day:
                if row.counted:
                    row.flags |= _LATE
                    row.counted = False
                row.eff = row.ts
                row.seq = LATE_SEQ + at.late_seq
                at.late_seq += 1
                continue
            row.eff = max(row.ts, at.now, at.closed)
            if not row.counted:
                if at.day < 0:
                    row.eff = row.ts
                row.seq = at.seq
                at.seq += 1
                continue
            if at.day < 0 or row.eff >= at.day + DAY_US:
                return k
            row.late = 0
            if row.ts < at.closed:
                for w in range(_WIDTHS.size):
                    if row.ts // _WIDTHS[w] * _WIDTHS[w] + _WIDTHS[w] <= at.closed:
                        row.late |= 1 << w
            at.now = row.eff
            row.seq = at.seq
            at.seq += 1
    return rows.size
