"""Detectors: what stands out against a baseline that lies strictly before it; flagged points stay in the baseline."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from pipelines.market import GRACE_US
from pipelines.tape import CLOCK, TRADE

SWEEP = np.dtype(
    [
        ("instrument", np.int64),
        ("ts", np.int64),  # us
        ("first_id", np.int64),
        ("last_id", np.int64),
        ("side", np.int64),
        ("trades", np.int64),  # 0: none is open
        ("notional", np.float64),  # quote currency
        ("size", np.float64),  # base
        ("z", np.float64),
        ("mean", np.float64),  # of ln(notional) over the baseline
        ("deviation", np.float64),
    ]
)
"""Trades of equal (ts, side) that follow each other: as good as one taker order walking the book."""

SURGE = np.dtype([("bar", np.int64), ("z", np.float64), ("rvol", np.float64), ("mean", np.float64)])
"""A bar (index into those fed) that surged: z of ln(1 + volume), volume / mean volume, mean volume (base)."""


@njit(cache=True)
def _moments(values, count):
    """Return mean and standard deviation (ddof 1) of the values of a full ring, oldest first."""
    n = values.size
    total = 0.0
    for j in range(count - n, count):
        total += values[j % n]
    mean = total / n
    squares = 0.0
    for j in range(count - n, count):
        squares += (values[j % n] - mean) ** 2
    return mean, math.sqrt(squares / (n - 1))


@njit(cache=True)
def _judge(sweep, ring, count, least_z, floor, out, found):
    """Test a finished sweep, then let it enter the baseline; return how many were found."""
    n = ring.size
    if count >= n and sweep.notional >= floor:
        logs = np.empty(n, np.float64)
        for j in range(n):
            logs[j] = math.log(ring[(count + j) % n])
        mean, deviation = _moments(logs, n)
        if deviation > 0.0:
            z = (math.log(sweep.notional) - mean) / deviation
            if z >= least_z:
                out[found] = sweep
                out[found].z = z
                out[found].mean = mean
                out[found].deviation = deviation
                found += 1
    ring[count % n] = sweep.notional
    return found


@njit(cache=True)
def big_trades(rows, sweeps, ring, count, least_z, floor, out):
    """Find sweeps whose z of ln(notional) against the W sweeps before is at least `least_z`; return how many.

    rows: ROW, (n,), in tape order. sweeps: SWEEP, (instruments,), the open ones. ring: float64, (instruments, W),
    notional of the last sweeps; count: int64, (instruments,). floor: least notional, quote currency. out: SWEEP,
    (n,). A sweep ends with the next trade of another time or side, or when the clock is past it by the grace.
    """
    found = 0
    for k in range(rows.size):
        row = rows[k]
        i = row.instrument
        sweep = sweeps[i]
        if row.kind == CLOCK:
            over = row.ts - GRACE_US >= sweep.ts
        elif row.kind == TRADE and row.counted:
            over = row.ts != sweep.ts or row.side != sweep.side
        else:
            continue
        if sweep.trades > 0 and over:
            found = _judge(sweep, ring[i], count[i], least_z, floor, out, found)
            count[i] += 1
            sweep.trades = 0
        if row.kind == CLOCK:
            continue
        if sweep.trades == 0:
            sweep.instrument = i
            sweep.ts = row.ts
            sweep.side = row.side
            sweep.first_id = row.trade_id
            sweep.notional = 0.0
            sweep.size = 0.0
        sweep.trades += 1
        sweep.last_id = row.trade_id
        sweep.notional += row.price * row.size
        sweep.size += row.size
    return found


@njit(cache=True)
def volume_surges(bars, volume, width, ring, count, last, least_z, least_rvol, out):
    """Find closed time bars whose volume stands out against the W bars before; return how many.

    bars: BAR, (m,), in order per instrument. volume: float64, (m,), base. width: us. ring: float64, (instruments,
    2, W), volumes V of the last bars and ln(1 + V), with a zero for each bar without trades; count: int64,
    (instruments,). last: int64, (instruments,), end of the last bar, us; 0: none. out: SURGE, (m,).

    z = (ln(1 + V) - mean) / sd of ln(1 + V) over the W bars before; RVOL = V / mean V of the same. Undefined (no
    alert) until W bars are known, and where sd is 0.
    """
    w = ring.shape[2]
    found = 0
    for k in range(bars.size):
        i = bars[k].instrument
        if last[i] > 0:
            for _ in range(min((bars[k].ts - last[i]) // width, w)):
                ring[i, :, count[i] % w] = 0.0
                count[i] += 1
        log = math.log1p(volume[k])
        if count[i] >= w:
            mean, deviation = _moments(ring[i, 1], count[i])
            z = (log - mean) / deviation if deviation > 0.0 else 0.0
            if z >= least_z:
                total = 0.0
                for j in range(w):
                    total += ring[i, 0, (count[i] + j) % w]
                rvol = volume[k] / (total / w)
                if rvol >= least_rvol:
                    out[found].bar = k
                    out[found].z = z
                    out[found].rvol = rvol
                    out[found].mean = total / w
                    found += 1
        ring[i, 0, count[i] % w] = volume[k]
        ring[i, 1, count[i] % w] = log
        count[i] += 1
        last[i] = bars[k].end
    return found
