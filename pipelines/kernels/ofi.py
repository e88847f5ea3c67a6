"""Best quotes, minute by minute: order flow imbalance, and what stands at each minute's end.

Cont, Kukanov and Stoikov (J. Fin. Econometrics 12(1), 2014): of consecutive best quotes n - 1 and n
e_n = [Pb_n >= Pb_(n-1)] qb_n - [Pb_n <= Pb_(n-1)] qb_(n-1) - [Pa_n <= Pa_(n-1)] qa_n + [Pa_n >= Pa_(n-1)] qa_(n-1), and
OFI is the sum of e_n, in units of base. A side without orders has size 0 at a bid of 0 or an ask beyond all prices.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from pipelines.kernels.microprice import microprice, middle, spread_bps
from pipelines.kernels.minutes import MINUTE
from pipelines.market import DAY_US, GRACE_US
from pipelines.tape import CLOCK, TRADE

BEST = np.dtype(
    [
        ("bid", np.float64),  # 0: no order on that side
        ("bid_size", np.float64),
        ("ask", np.float64),
        ("ask_size", np.float64),
        ("mid", np.float64),  # NaN: none
        ("now", np.int64),  # event time, never falls, us
        ("minute", np.int64),  # start of the open minute, us; 0: none is open
        ("ofi", np.float64),  # of the open minute
        ("known", np.bool_),  # a quote stands
        ("whole", np.bool_),  # one has stood since the open minute began
        ("quoted", np.bool_),  # the venue sends quotes: those of books are not needed
    ],
    align=True,
)
"""Per instrument: the best quote that stands."""

QUOTED = np.dtype(
    [
        ("instrument", np.int64),
        ("ts", np.int64),  # start of the first minute, us
        ("until", np.int64),  # end of the last: nothing changed in the others
        ("ofi", np.float64),  # of the first minute, base; NaN: no quote stood at its beginning, or was lost in it
        ("rest", np.float64),  # of each of the others
        ("spread_bps", np.float64),
        ("microprice", np.float64),
    ],
    align=True,
)
"""Minutes that are over."""

MID = np.dtype([("instrument", np.int64), ("ts", np.int64), ("mid", np.float64)], align=True)
"""The middle from `ts` (us) on; NaN: none."""

_FOREVER = np.iinfo(np.int64).max


@njit(cache=True)
def order_flow(bid, bid_size, ask, ask_size, next_bid, next_bid_size, next_ask, next_ask_size):
    """Return e_n of two consecutive best quotes, base; a price of 0: no order on that side."""
    before = ask if ask > 0.0 else math.inf
    after = next_ask if next_ask > 0.0 else math.inf
    flow = 0.0
    if next_bid >= bid:
        flow += next_bid_size
    if next_bid <= bid:
        flow -= bid_size
    if after <= before:
        flow -= next_ask_size
    if after >= before:
        flow += ask_size
    return flow


@njit(cache=True)
def _pass(state, i, until, out, closed):
    """End the open minute and those up to `until`; return how many records there are."""
    record = out[closed]
    record.instrument, record.ts, record.until = i, state.minute, until
    record.ofi = state.ofi if state.known and state.whole else math.nan
    record.rest = 0.0 if state.known else math.nan
    record.spread_bps = spread_bps(state.bid, state.ask) if state.known else math.nan
    record.microprice = microprice(state.bid, state.bid_size, state.ask, state.ask_size) if state.known else math.nan
    state.minute = until if state.known else 0
    state.whole = state.known
    state.ofi = 0.0
    return closed + 1


@njit(cache=True)
def _set(state, i, ts, mid, mids, changes):
    """Note the middle; return how many changes there are."""
    if state.mid == mid or (math.isnan(state.mid) and math.isnan(mid)):
        return changes
    state.mid = mid
    mids[changes].instrument, mids[changes].ts, mids[changes].mid = i, ts, mid
    return changes + 1


@njit(cache=True)
def _until(state, i, ts, out, closed, mids, changes):
    """Go on to the time `ts`; at midnight all begins anew. Return how many records and changes there are."""
    state.now = max(state.now, ts)
    if state.minute == 0 or state.now < state.minute + MINUTE:
        return closed, changes
    midnight = state.minute // DAY_US * DAY_US + DAY_US
    closed = _pass(state, i, min(state.now // MINUTE * MINUTE, midnight), out, closed)
    if state.now >= midnight:
        state.known, state.whole, state.quoted, state.minute = False, False, False, 0
        changes = _set(state, i, midnight, math.nan, mids, changes)
    return closed, changes


@njit(cache=True)
def _take(state, top, out, closed, mids, changes):
    """Take a best quote; return how many records and changes there are."""
    i = top.instrument
    if (top.of_book and state.quoted) or top.ts <= 0:
        return closed, changes
    closed, changes = _until(state, i, top.ts, out, closed, mids, changes)
    if not (top.of_book or state.quoted):
        state.quoted, state.known, state.whole = True, False, False
    if state.known:
        before = (state.bid, state.bid_size, state.ask, state.ask_size)
        state.ofi += order_flow(*before, top.bid, top.bid_size, top.ask, top.ask_size)
    if state.minute == 0:
        state.minute = state.now // MINUTE * MINUTE
    state.known = True
    state.bid, state.bid_size, state.ask, state.ask_size = top.bid, top.bid_size, top.ask, top.ask_size
    return closed, _set(state, i, state.now, middle(top.bid, top.ask), mids, changes)


@njit(cache=True)
def best_quotes(tops, rows, venue_of, states, out, mids):
    """Follow the best quotes, and set which trades are `quoted`; return numbers of records and changes.

    tops: spread.TOP, (n,), rows: ROW, (m,), both in order of receipt by `frame`; a clock row's instrument is -1 - venue. A
    trade is quoted where a quote of its own date stood when it was received. venue_of: int64,
    (instruments,). states: BEST, (instruments,). out: QUOTED, mids: MID, (2 n + instruments x clock rows,).
    """
    closed, changes, at = 0, 0, 0
    for k in range(rows.size + 1):
        frame = rows[k].frame if k < rows.size else _FOREVER
        while at < tops.size and tops[at].frame < frame:
            closed, changes = _take(states[tops[at].instrument], tops[at], out, closed, mids, changes)
            at += 1
        if k == rows.size:
            break
        row = rows[k]
        if row.kind == CLOCK:
            passed = (row.ts - GRACE_US) // 1_000_000 * 1_000_000
            for i in range(states.size):
                if venue_of[i] == -1 - row.instrument:
                    closed, changes = _until(states[i], i, passed, out, closed, mids, changes)
        elif row.kind == TRADE:
            state = states[row.instrument]
            row.quoted = state.known and row.ts // DAY_US == state.minute // DAY_US
    return closed, changes
