"""What stands out in a closed minute against the minutes before it, and which way the tape leans.

Every score is a function of stored rows of table `features`, with the close and volume of the minute's bar.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from pipelines.kernels import alarm, cusum, posture, trend
from pipelines.market import DAY_US

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
MINUTE = np.dtype(
    [
        ("instrument", np.int64),
        ("ts", np.int64),
        *((name, np.float64) for name in COLUMNS),
        ("close", np.float64),
        ("volume", np.float64),
    ]
)
"""A minute that is over: its start (us), what `features` says of it, and its bar in quote and base; NaN: null."""

SCORES = ("rvol_spike", "volatility_jump", "liquidity_drain", "cusum_break", "trend")
ALARMS = SCORES[:-1]
"""Scores that alert by themselves; that of the trend does by way of the posture."""
CALM = 120
"""Minutes with quotes that a spread is held against."""
WARM = 240
"""Minutes before midnight that a date begins with."""

RING = np.dtype([("count", np.int64), ("spread", np.float64, (CALM,)), ("impact", np.float64, (CALM,))], align=True)
"""Per instrument: spreads (bps) and Amihud's measure of the last minutes in which both were known."""

FOUND = np.dtype(
    [
        ("instrument", np.int64),
        ("ts", np.int64),
        ("levels", np.float64, (len(SCORES),)),  # those of its date
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
def _take(row, ring, sums, alarms, lean, levels, rearm, cooldown, leave, free, found):
    """Take a minute of an instrument; the arguments are those of `follow`, for this instrument and minute alone."""
    quiet = (row.ts - lean.last) // alarm.MINUTE - 1 if lean.last > 0 else 0
    found.instrument, found.ts = row.instrument, row.ts
    found.levels[:] = levels
    found.scores[0] = row.rvol_5m
    found.scores[1] = volatility_jump(row.rv_15m, row.rv_1h)
    found.scores[2] = liquidity_drain(ring, row.spread_bps, row.amihud_1h)
    x = cusum.standardised(row.mom_bps_1m, row.rv_1h)
    found.up = cusum.add(sums, x, quiet)
    found.scores[3] = math.nan if math.isnan(x) else max(sums.up, sums.down)
    free[:] = found.scores
    free[3] = math.nan if math.isnan(x) else max(sums.free_up, sums.free_down)
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
    free[4] = abs(found.scores[4])


@njit(cache=True)
def begin(i, day, out, days, counts, warm, today, rings, sums, alarms, leans, levels, rearm, cooldown, leave):
    """Begin the date `day` (us) of instrument `i` with the minutes before midnight; the arguments are those of `follow`.

    out: FOUND, (1,), is written over. levels are those of the new date.
    """
    days[i] = day
    today[i] = math.nan
    rings[i].count = 0
    sums[i].up, sums[i].down, sums[i].free_up, sums[i].free_down = 0.0, 0.0, 0.0, 0.0
    for j in range(len(ALARMS)):
        alarms[i, j].last = 0
        alarms[i, j].fired = False
    at = max(0, counts[i] - WARM)
    while at < counts[i] and warm[i, at % WARM].ts < day - WARM * alarm.MINUTE:
        at += 1
    posture.begin(leans[i], warm[i, at % WARM].ts if at < counts[i] else day)
    free = np.empty(len(SCORES))
    for k in range(at, counts[i]):
        row = warm[i, k % WARM]
        _take(row, rings[i], sums[i], alarms[i], leans[i], levels[i], rearm, cooldown, leave, free, out[0])


@njit(cache=True)
def follow(rows, out, days, counts, warm, today, rings, sums, alarms, leans, levels, rearm, cooldown, leave):
    """Take minutes up to the first of a date that its instrument has not begun; return how many.

    rows: MINUTE, (n,), in time order per instrument. out: FOUND, (n,). The state, first index the instrument: days: int64,
    the date it is at, us; warm: MINUTE, (WARM,), its last minutes, of which it had `counts`; today: float64, (SCORES, 1440),
    scores as if no level had ever been reached, by minute of the date; rings: RING, sums: cusum.CUSUM, alarms: alarm.ALARM,
    (ALARMS,); leans: posture.POSTURE. levels: float64, (instruments, SCORES), the last that of entering a posture; rearm:
    float64, (ALARMS,); cooldown: int64, (SCORES,), us; leave: the score of leaving a posture.
    """
    free = np.empty(len(SCORES))
    for k in range(rows.size):
        row = rows[k]
        i = row.instrument
        if row.ts // DAY_US * DAY_US != days[i]:
            return k
        _take(row, rings[i], sums[i], alarms[i], leans[i], levels[i], rearm, cooldown, leave, free, out[k])
        today[i, :, row.ts // alarm.MINUTE % alarm.DAY_MINUTES] = free
        warm[i, counts[i] % WARM] = row
        counts[i] += 1
    return rows.size
