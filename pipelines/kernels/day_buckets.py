"""Volume buckets of a whole day at any size and any start, from cumulative volumes: what `vpin.buckets` fills trade by trade.

Bucket k of a day ends where its cumulative volume reaches first + k V. The trade that completes it is found by search, and
what it gave to the next bucket is taken off, so a size costs a search a bucket and no pass over the trades.
"""

from __future__ import annotations

import numpy as np
from numba import njit

CUMULATIVE = np.dtype([("volume", np.int64), ("buy", np.int64), ("squares", np.float64)])
"""After each trade: lots, lots where the buyer was the taker, sum of size^2 (base units squared)."""


@njit(cache=True)
def cumulate(lots, sides, scale, out):
    """Fill `out`, CUMULATIVE (n,), from lots, int64, sides, int8, and `scale`, lots in a unit of base."""
    volume, buy, squares = 0, 0, 0.0
    for k in range(lots.size):
        size = lots[k] / scale
        volume += lots[k]
        buy += lots[k] if sides[k] > 0 else 0
        squares += size * size
        out[k].volume, out[k].buy, out[k].squares = volume, buy, squares


@njit(cache=True)
def reached(upto, at):
    """Return the place of the trade at which the cumulative volume reaches `at`."""
    low, high = 0, upto.size - 1
    while low < high:
        middle = (low + high) // 2
        if upto[middle].volume < at:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True)
def buckets(upto, times, lots, sides, gaps, scale, first, target, out):
    """Write the whole buckets of a day; return how many there are.

    upto: CUMULATIVE, (n,). times: int64, event time (us); lots, sides: as in `cumulate`. gaps: int64, places of trades
    after a hole. scale: lots in a unit of base. first: lots of the day's first bucket, 1 to `target`; a shorter one is not
    written, as no window may hold it. target: V, lots. out: vpin.BUCKET, large enough for total volume / V.
    """
    if upto.size == 0:
        return 0
    total = upto[upto.size - 1].volume
    closed, edge = 0, first
    begun_at, begun_buy, begun_squares, begun_trade = 0, 0, 0.0, 0
    while edge <= total:
        k = reached(upto, edge)
        over = upto[k].volume - edge
        buy = upto[k].buy - (over if sides[k] > 0 else 0)
        squares = upto[k].squares - (over / scale) * (lots[k] / scale)
        if edge - begun_at == target:
            out[closed].instrument = 0
            out[closed].bucket = closed
            out[closed].ts = times[begun_trade]
            out[closed].end = times[k]
            out[closed].target = target
            out[closed].volume = target
            out[closed].buy = buy - begun_buy
            out[closed].squares = squares - begun_squares
            out[closed].partial = False
            out[closed].gap = False
            for j in range(gaps.size):
                before = upto[gaps[j]].volume - lots[gaps[j]]
                out[closed].gap |= begun_at <= before < edge
            closed += 1
        begun_at, begun_buy, begun_squares = edge, buy, squares
        begun_trade = k if over > 0 else k + 1
        edge += target
    return closed
