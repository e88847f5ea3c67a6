"""VPIN from aggressor flags (Easley, Lopez de Prado, O'Hara, RFS 25(5), 2012).

A bucket closes when its volume is exactly V; a trade that overshoots is split, the rest opens the next bucket.
VPIN_k = sum over the last n complete buckets of |buy - sell| / sum of V. With true flags this is the absolute order
imbalance in volume time; it is not to be held against thresholds of the bulk-classified form.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from pipelines.kernels.wide import add, quotient
from pipelines.market import Flag
from pipelines.tape import TRADE

BUCKET = np.dtype(
    [
        ("instrument", np.int64),
        ("bucket", np.int64),  # number in its date
        ("ts", np.int64),  # event time of the first trade, us
        ("end", np.int64),  # event time of the closing trade, us
        ("last_id", np.int64),
        ("target", np.int64),  # V, lots
        ("volume", np.int64),  # lots so far; V when complete
        ("buy", np.int64),  # lots where the buyer was the taker
        ("squares", np.float64),  # sum of piece x size of its trade, base units squared
        ("partial", np.bool_),
        ("gap", np.bool_),
    ]
)

MOST = 100_000
"""Buckets of a date, more than one a second; a V so small that more would close gives no more of them on that date."""

_AFTER_GAP = int(Flag.AFTER_GAP)
_ZERO = np.uint64(0)


@njit(cache=True)
def count_buckets(rows, open_buckets, targets):
    """Return how many buckets `rows` will close; arguments as of `buckets`."""
    filled, left = open_buckets["volume"].copy(), MOST - open_buckets["bucket"]
    count = 0
    for k in range(rows.size):
        i = rows[k].instrument
        if rows[k].kind != TRADE or not rows[k].counted or targets[i] == 0:
            continue
        filled[i] += rows[k].lots
        if filled[i] >= targets[i]:
            closing = min(filled[i] // targets[i], left[i])
            count += closing
            left[i] -= closing
            filled[i] %= targets[i]
    return count


@njit(cache=True)
def buckets(rows, open_buckets, targets, scales, out):
    """Fill buckets from rows; return how many closed.

    rows: ROW, (n,), in tape order. open_buckets: BUCKET, (instruments,), the state. targets: int64, (instruments,),
    V in lots, 0: none. scales: float64, (instruments,), lots in a unit of base. out: BUCKET, (count_buckets,).
    """
    closed = 0
    for k in range(rows.size):
        row = rows[k]
        target = targets[row.instrument]
        bucket = open_buckets[row.instrument]
        if row.kind != TRADE or not row.counted or target == 0 or bucket.bucket == MOST:
            continue
        scale = scales[row.instrument]
        bucket.gap |= (row.flags & _AFTER_GAP) != 0
        rest = row.lots
        while rest > 0 and bucket.bucket < MOST:
            if bucket.volume == 0:
                bucket.instrument = row.instrument
                bucket.ts = row.eff
                bucket.target = target
            piece = min(rest, target - bucket.volume)
            rest -= piece
            bucket.volume += piece
            bucket.buy += piece if row.side > 0 else 0
            bucket.squares += (piece / scale) * (row.lots / scale)
            bucket.end = row.eff
            bucket.last_id = row.trade_id
            if bucket.volume == target:
                out[closed] = bucket
                closed += 1
                bucket.bucket += 1
                bucket.volume = 0
                bucket.buy = 0
                bucket.squares = 0.0
                bucket.gap = False
    return closed


@njit(cache=True)
def windows(closed, ring, ring_count, past, past_count, least, scales, out):
    """Read VPIN, its trailing percentile and its null band off closed buckets.

    closed: BUCKET, (m,), in order per instrument. ring: BUCKET, (instruments, n), the last complete buckets;
    ring_count: int64, (instruments,), how many have entered it. past: float64, (instruments, W), the last VPIN
    values; past_count likewise. least: past values needed for a percentile. out: float64, (m, 5): vpin, pct,
    null_low, null_high, gap (0 or 1); NaN where undefined.

    pct_k = #{past VPIN <= VPIN_k} / #past over the W values strictly before k. The band is m -/+ 1.96 s with
    m = sqrt(2 u / (pi V)), s = sqrt((1 - 2 / pi) u / (V n)), u = sum q^2 / sum q over the window: VPIN under
    independent signs and trade sizes as they were.
    """
    n = ring.shape[1]
    for k in range(closed.size):
        bucket = closed[k]
        i = bucket.instrument
        out[k, 0], out[k, 1], out[k, 2], out[k, 3] = np.nan, np.nan, np.nan, np.nan
        if not bucket.partial:
            ring[i, ring_count[i] % n] = bucket
            ring_count[i] += 1
        imbalance_hi, imbalance_lo, volume_hi, volume_lo = _ZERO, _ZERO, _ZERO, _ZERO
        squares, gap = 0.0, bucket.gap
        size = min(ring_count[i], n)
        for j in range(ring_count[i] - size, ring_count[i]):
            old = ring[i, j % n]
            imbalance_hi, imbalance_lo = add(imbalance_hi, imbalance_lo, _ZERO, np.uint64(abs(2 * old.buy - old.volume)))
            volume_hi, volume_lo = add(volume_hi, volume_lo, _ZERO, np.uint64(old.volume))
            squares += old.squares
            gap |= old.gap
        out[k, 4] = 1.0 if gap else 0.0
        if bucket.partial or size < n:
            continue
        vpin = quotient(imbalance_hi, imbalance_lo, volume_hi, volume_lo)
        known = min(past_count[i], past.shape[1])
        if known >= least:
            below = 0
            for j in range(known):
                below += past[i, j] <= vpin
            out[k, 1] = below / known
        past[i, past_count[i] % past.shape[1]] = vpin
        past_count[i] += 1
        base = (volume_hi * 2.0**64 + volume_lo) / scales[i]
        u = squares / base
        v = base / n
        mean = math.sqrt(2.0 * u / (math.pi * v))
        deviation = math.sqrt((1.0 - 2.0 / math.pi) * u / (v * n))
        out[k, 0] = vpin
        out[k, 2] = mean - 1.96 * deviation
        out[k, 3] = mean + 1.96 * deviation
