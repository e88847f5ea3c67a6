"""What stands out in a closed minute against the minutes before it, and which way the tape leans.

Every score is a function of stored rows of table `features`, with the close and volume of the minute's bar.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from pipelines.kernels import alarm, cusum, posture, trend

COLUMNS = (
    "mom_bps_1m",
    "mom_bps_5m",
    "mom_bps_15m",
    "px_vs_vwap_bps_5m",
    "rvol_5m",
    "atr_1m",
    "atr_5m",
    "trade_imbalance_15m",
    "rv_15m",
    "rv_1h",
    "amihud_1h",
    "spread_bps",
    "microprice",
    "ofi_1m",
)
"""Columns of table `features` that are read."""
MINUTE = np.dtype([("ts", np.int64), *((name, np.float64) for name in COLUMNS), ("close", np.float64), ("volume", np.float64)])
"""A minute that is over: its start (us), what `features` says of it, and its bar in quote and base; NaN: null."""

SCORES = ("rvol_spike", "volatility_jump", "liquidity_drain", "cusum_break", "trend")
ALARMS = SCORES[:-1]
"""Scores that alert by themselves; that of the trend does by way of the posture."""
CALM = 120
"""Minutes with quotes that a spread is held against."""

RING = np.dtype([("count", np.int64), ("spread", np.float64, (CALM,)), ("impact", np.float64, (CALM,))], align=True)
"""Per instrument: spreads (bps) and Amihud's measure of the last minutes in which both were known."""

FOUND = np.dtype(
    [
        ("scores", np.float64, (len(SCORES),)),  # NaN: not known; that of the trend has the sign of its side
        ("alerts", np.int64, (len(ALARMS),)),  # 1: it alerts
        ("up", np.bool_),  # the higher cumulative sum is that of rises
        ("terms", np.float64, (len(trend.TERMS) + len(trend.QUOTE_TERMS),)),
        ("total", np.float64),
        ("total_quotes", np.float64),
        ("agreement", np.float64),
        ("state", np.int64),
        ("since", np.int64),
        ("action", np.int64),
    ],
    align=True,
)
"""What was found in a minute."""

_LEAST = 1e-9
_TRADES = len(trend.TERMS)


@njit(cache=True)
def volatility_jump(rv_15m, rv_1h):
    """Return the realised volatility of 15 minutes by that of the 45 minutes before; NaN: these did not move."""
    before = rv_1h - rv_15m
    if not before > _LEAST * rv_1h:
        return math.nan
    return math.sqrt(3.0 * rv_15m / before)


@njit(cache=True)
def liquidity_drain(ring, spread, impact):
    """Return the geometric mean of spread and Amihud's measure, each by its median of the 120 minutes before; then add them.

    NaN: without quotes, or until there were as many minutes, or where a median is 0.
    """
    if math.isnan(spread) or math.isnan(impact):
        return math.nan
    score = math.nan
    if ring.count >= CALM:
        usual = np.median(ring.spread) * np.median(ring.impact)
        if usual > 0.0:
            score = math.sqrt(spread * impact / usual)
    ring.spread[ring.count % CALM] = spread
    ring.impact[ring.count % CALM] = impact
    ring.count += 1
    return score


@njit(cache=True)
def begin(rings, all_sums, alarms, leans, ts):
    """Begin with nothing seen, at `ts` (us); the arguments are those of `follow`."""
    sums = all_sums[0]
    rings[0].count = 0
    sums.up, sums.down, sums.free_up, sums.free_down = 0.0, 0.0, 0.0, 0.0
    for k in range(alarms.size):
        alarms[k].last = 0
        alarms[k].fired = False
    posture.begin(leans[0], ts)


@njit(cache=True)
def follow(rows, rings, all_sums, alarms, leans, levels, rearm, cooldown, leave, free, out):
    """Take minutes of one instrument, one after another.

    rows: MINUTE, (n,). rings: RING, all_sums: cusum.CUSUM, leans: posture.POSTURE, each (1,); alarms: alarm.ALARM, (ALARMS,).
    levels, rearm, cooldown: float64 (SCORES,), float64 (ALARMS,), int64 (SCORES,), us; levels[-1] is that of entering a
    posture, leave that of leaving it. free: float64, (n, SCORES), scores as if no level had ever been reached. out: FOUND, (n,).
    """
    ring, sums, lean = rings[0], all_sums[0], leans[0]
    for k in range(rows.size):
        row, found = rows[k], out[k]
        quiet = (row.ts - lean.last) // alarm.MINUTE - 1 if lean.last > 0 else 0
        found.scores[0] = row.rvol_5m
        found.scores[1] = volatility_jump(row.rv_15m, row.rv_1h)
        found.scores[2] = liquidity_drain(ring, row.spread_bps, row.amihud_1h)
        x = cusum.standardised(row.mom_bps_1m, row.rv_1h)
        found.up = cusum.add(sums, x, quiet)
        found.scores[3] = math.nan if math.isnan(x) else max(sums.up, sums.down)
        free[k] = found.scores
        free[k, 3] = math.nan if math.isnan(x) else max(sums.free_up, sums.free_down)
        for j in range(len(ALARMS)):
            found.alerts[j] = alarm.alerts(alarms[j], row.ts, found.scores[j], levels[j], rearm[j], cooldown[j])
        cusum.reset(sums, levels[3])
        trend.terms(row, found.terms)
        found.total = trend.total(found.terms[:_TRADES])
        found.total_quotes = trend.total(found.terms)
        found.agreement = trend.agreement(found.terms[:_TRADES])
        found.action = posture.step(lean, row.ts, found.total, levels[4], leave, cooldown[4])
        found.state, found.since = lean.state, lean.since
        found.scores[4] = posture.held(lean.totals)
        free[k, 4] = abs(found.scores[4])
