"""Silence and delay: instruments that stop trading, and venues whose trades come late."""

from __future__ import annotations

import numpy as np
from numba import njit

from pipelines.kernels.clock import UNKNOWN, WINDOW_S
from pipelines.market import Flag
from pipelines.tape import CLOCK, TRADE

MINUTE = 60_000_000
_NOT_LIVE = int(Flag.REPAIRED | Flag.HISTORY)

TRADED = np.dtype(
    [
        ("last", np.int64),  # event time of the last trade, us; 0: none
        ("until", np.int64),  # end of its minute, us
        ("slot", np.int64),  # where that minute is counted
        ("first", np.int64),  # minute of the first trade
        ("told", np.bool_),  # this silence was told
    ],
    align=True,
)
"""Per instrument: when it traded."""

STALE = np.dtype(
    [("instrument", np.int64), ("last", np.int64), ("now", np.int64), ("gap", np.float64), ("trades", np.int64)], align=True
)
"""A silence: last trade and venue time now (us), mean time between trades before (us), trades in the window."""

DELAY = np.dtype([("second", np.int64), ("least", np.int64), ("run", np.int64), ("slots", np.int64, (WINDOW_S,))], align=True)
"""Per venue: open second of journal time (-1: none), its least receipt - match time (us), late seconds in a row, history."""

BEHIND = np.dtype([("venue", np.int64), ("second", np.int64), ("lag", np.int64), ("usual", np.int64)], align=True)
"""A run of late seconds: the last one (journal time, s), its delay beyond the usual one, and that (us)."""


@njit(cache=True)
def silences(rows, traded, minutes, times, floor, least, out):
    """Find instruments silent for long against their trades of the W minutes before; return how many.

    rows: ROW, (n,), in tape order. traded: TRADED, (instruments,). minutes: int64, (instruments, W + 1), trades a minute.
    times: multiple of the mean time between trades. floor: us. least: trades in W minutes from which it is tested.
    out: STALE, (n,).

    The window is the W whole minutes before that of the last trade. Told once until the next trade.
    """
    w = minutes.shape[1] - 1
    found = 0
    for k in range(rows.size):
        row = rows[k]
        i = row.instrument
        state = traded[i]
        if row.kind == TRADE and row.counted:
            if row.eff >= state.until:
                minute = row.eff // MINUTE
                if state.last == 0:
                    state.first = minute
                for m in range(max(state.last // MINUTE + 1, minute - w), minute + 1):
                    minutes[i, m % (w + 1)] = 0
                state.until = (minute + 1) * MINUTE
                state.slot = minute % (w + 1)
            minutes[i, state.slot] += 1
            state.last = row.eff
            state.told = False
        elif row.kind == CLOCK and state.last > 0 and not state.told and row.ts - state.last >= floor:
            minute = state.last // MINUTE
            if minute - w <= state.first:
                continue
            count = 0
            for m in range(minute - w, minute):
                count += minutes[i, m % (w + 1)]
            if count >= least and row.ts - state.last >= times * (w * MINUTE / count):
                out[found].instrument = i
                out[found].last = state.last
                out[found].now = row.ts
                out[found].gap = w * MINUTE / count
                out[found].trades = count
                state.told = True
                found += 1
    return found


@njit(cache=True)
def delays(rows, venue_of, venues, threshold, run, out):
    """Find venues whose trades come later than usual for `run` seconds with trades in a row; return how many.

    rows: ROW, (n,), in order of receipt. venue_of: int64, (instruments,). venues: DELAY, (venues,). threshold: us.
    out: BEHIND, (n,).

    A second's delay is its least receipt - match time; the usual one is the least of the 600 s before it, as the clock
    offset is. Told once a run.
    """
    found = 0
    for k in range(rows.size):
        row = rows[k]
        if row.kind != TRADE or row.recv_ns == 0 or (row.flags & _NOT_LIVE) != 0:
            continue
        v = venue_of[row.instrument]
        venue = venues[v]
        second = row.recv_ns // 1_000_000_000
        lag = row.recv_ns // 1000 - row.ts
        if second > venue.second:
            if venue.second >= 0:
                usual = UNKNOWN
                for s in range(WINDOW_S):
                    usual = min(usual, venue.slots[s])
                late = usual != UNKNOWN and venue.least - usual >= threshold
                venue.run = venue.run + 1 if late else 0
                if venue.run == run:
                    out[found].venue = v
                    out[found].second = venue.second
                    out[found].lag = venue.least - usual
                    out[found].usual = usual
                    found += 1
                venue.slots[venue.second % WINDOW_S] = venue.least
                for s in range(venue.second + 1, min(second, venue.second + WINDOW_S) + 1):
                    venue.slots[s % WINDOW_S] = UNKNOWN
            venue.second = second
            venue.least = lag
        else:
            venue.least = min(venue.least, lag)
    return found
