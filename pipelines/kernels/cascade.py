"""Minutes that look like a cascade of liquidations, told from trades alone."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from pipelines.kernels import alarm
from pipelines.kernels.ranks import median_and_high

MINUTE = 60_000_000

STATE = np.dtype([("end", np.int64), ("close", np.float64), ("count", np.int64)], align=True)
"""Per instrument: end of the last minute (us; 0: none), its close, and how many minutes are in the rings."""

CASCADE = np.dtype(
    [
        ("bar", np.int64),  # index into those fed
        ("move", np.float64),  # log return / root mean square of those before
        ("change", np.float64),  # log return
        ("volume", np.float64),  # volume / median volume
        ("one_sided", np.float64),  # (buy - sell) / volume
        ("level", np.float64),  # of |move|, on its date
    ],
    align=True,
)


@njit(cache=True)
def _add(state, ring, change, volume):
    """Add a minute to the baseline."""
    at = state.count % ring.shape[1]
    ring[0, at] = change * change
    ring[1, at] = volume
    state.count += 1


@njit(cache=True)
def cascades(bars, close, volume, buy, states, ring, held, wanted, least_volume, least_side, out):
    """Find one-minute bars with a jump on high, one-sided volume; return how many.

    bars: BAR, (m,), in order per instrument. close: float64, (m,), quote per base. volume, buy: float64, (m,), base.
    states: STATE, (instruments,). ring: float64, (instruments, 2, W), squared log returns and volumes of the minutes
    before; a minute without trades has zeros. held: alarm.HELD, (instruments,). wanted: alarm.Wanted. out: CASCADE, (m,).

    r = ln(C_t / C_(t-1)); |r| / sqrt(mean r^2) is held against the level; V >= least_volume median(V), |2 B - V| / V >=
    least_side, of the sign of r. Undefined (not found) until W minutes are known, and where mean r^2 or the median is 0.
    """
    w = ring.shape[2]
    found = 0
    for k in range(bars.size):
        i = bars[k].instrument
        state = states[i]
        if state.end > 0:
            for _ in range(min((bars[k].ts - state.end) // MINUTE, w)):
                _add(state, ring[i], 0.0, 0.0)
                alarm.calm(held[i])
            change = math.log(close[k] / state.close)
            if state.count >= w:
                side = (2.0 * buy[k] - volume[k]) / volume[k]
                total = 0.0
                for j in range(w):
                    total += ring[i, 0, (state.count + j) % w]
                usual = math.sqrt(total / w)
                move = change / usual if usual > 0.0 else 0.0
                fits, median = False, 0.0
                if abs(move) >= wanted.least and change * side > 0.0 and abs(side) >= least_side:
                    median, _ = median_and_high(ring[i, 1])
                    fits = median > 0.0 and volume[k] >= least_volume * median
                if alarm.judge(held[i], bars[k].ts, abs(move), fits, wanted):
                    out[found].bar = k
                    out[found].move = move
                    out[found].change = change
                    out[found].volume = volume[k] / median
                    out[found].one_sided = side
                    out[found].level = held[i].level
                    found += 1
            _add(state, ring[i], change, volume[k])
        state.end = bars[k].end
        state.close = close[k]
    return found
