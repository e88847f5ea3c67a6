"""Detectors: what stands out against a baseline that lies strictly before it; flagged points stay in the baseline."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from pipelines.kernels import alarm
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
        ("level", np.float64),  # of z, on its date
    ]
)
"""Trades of equal (ts, side) that follow each other: as good as one taker order walking the book."""

SURGE = np.dtype([("bar", np.int64), *((name, np.float64) for name in ("z", "rvol", "mean", "level"))])
"""A bar (index into those fed) that surged: z of ln(1 + volume), volume / mean volume, mean volume (base), level of z."""


@njit(cache=True)
def _moments(ring, count):
    """Return mean and standard deviation (ddof 1) of the values of a full ring, added up from the oldest on."""
    n = ring.size
    oldest = count % n
    total = 0.0
    for j in range(oldest, n):
        total += ring[j]
    for j in range(oldest):
        total += ring[j]
    mean = total / n
    squares = 0.0
    for j in range(oldest, n):
        squares += (ring[j] - mean) ** 2
    for j in range(oldest):
        squares += (ring[j] - mean) ** 2
    return mean, math.sqrt(squares / (n - 1))


@njit(cache=True)
def _may_reach(ring, value, least_z):
    """Whether the z of `value` against a full ring can be `least_z`: quicker than `_moments`, and never wrongly no.

    With d the differences to `value`: z >= least_z where mean(d) < 0 and (n - 1) mean(d)^2 >= least_z^2 (sum d^2 - n
    mean(d)^2). The sums run in four lanes, so that no addition waits for the one before; 1 in 1,000 covers their rounding.
    """
    n = ring.size
    a = b = c = d = aa = bb = cc = dd = 0.0
    for j in range(0, n - n % 4, 4):
        p, q, r, s = ring[j] - value, ring[j + 1] - value, ring[j + 2] - value, ring[j + 3] - value
        a, b, c, d = a + p, b + q, c + r, d + s
        aa, bb, cc, dd = aa + p * p, bb + q * q, cc + r * r, dd + s * s
    for j in range(n - n % 4, n):
        a += ring[j] - value
        aa += (ring[j] - value) ** 2
    mean = (a + b + c + d) / n
    return mean < 0.0 and 1.001 * (n - 1) * mean * mean >= least_z * least_z * (aa + bb + cc + dd - n * mean * mean)


@njit(cache=True)
def big_trades(rows, sweeps, ring, count, held, wanted, floor, out):
    """Find sweeps whose z of ln(notional) against the W sweeps before alerts; return how many.

    rows: ROW, (n,), in tape order. sweeps: SWEEP, (instruments,), the open ones. ring: float64, (instruments, W),
    ln(notional) of the last sweeps; count: int64, (instruments,). held: alarm.HELD, (instruments,). wanted: alarm.Wanted.
    floor: least notional, quote currency. out: SWEEP, (n,). A sweep ends with the next trade of another time or side, or
    when the clock is past it by the grace. Below the least z or the floor its score is 0.
    """
    n = ring.shape[1]
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
            log = math.log(sweep.notional)
            if count[i] >= n:
                mean, deviation, z = 0.0, 0.0, 0.0
                if sweep.notional >= floor and _may_reach(ring[i], log, wanted.least):
                    mean, deviation = _moments(ring[i], count[i])
                    z = (log - mean) / deviation if deviation > 0.0 else 0.0
                if alarm.judge(held[i], sweep.ts, z if z >= wanted.least else 0.0, True, wanted):
                    out[found] = sweep
                    out[found].z = z
                    out[found].mean = mean
                    out[found].deviation = deviation
                    out[found].level = held[i].level
                    found += 1
            ring[i, count[i] % n] = log
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
def volume_surges(bars, volume, width, ring, count, last, held, wanted, least_rvol, out):
    """Find closed time bars whose volume stands out against the W bars before; return how many.

    bars: BAR, (m,), in order per instrument. volume: float64, (m,), base. width: us. ring: float64, (instruments,
    2, W), volumes V of the last bars and ln(1 + V), with a zero for each bar without trades; count: int64,
    (instruments,). last: int64, (instruments,), end of the last bar, us; 0: none. held: alarm.HELD, (instruments,). wanted:
    alarm.Wanted. out: SURGE, (m,).

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
                alarm.calm(held[i])
        log = math.log1p(volume[k])
        if count[i] >= w:
            mean, deviation = _moments(ring[i, 1], count[i])
            z = (log - mean) / deviation if deviation > 0.0 else 0.0
            total, rvol = 0.0, 0.0
            if z >= wanted.least:
                for j in range(w):
                    total += ring[i, 0, (count[i] + j) % w]
                rvol = volume[k] / (total / w)
            if alarm.judge(held[i], bars[k].ts, z, rvol >= least_rvol, wanted):
                out[found].bar = k
                out[found].z = z
                out[found].rvol = rvol
                out[found].mean = total / w
                out[found].level = held[i].level
                found += 1
        ring[i, 0, count[i] % w] = volume[k]
        ring[i, 1, count[i] % w] = log
        count[i] += 1
        last[i] = bars[k].end
    return found
