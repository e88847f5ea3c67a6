"""The measures of a closed minute that need nothing but minutes: one row a minute with trades.

What a row says depends on the minutes up to its own alone. A minute without trades is one of no volume at the same price.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from pipelines.kernels import atr, lee_mykland, liquidity, minutes, momentum, rvol, volatility
from pipelines.kernels.minutes import FAR, MINUTE
from pipelines.market import DAY_US

WIDTHS = (1, 5, 15)
"""Windows in minutes."""
EACH = ("mom_bps", "px_vs_vwap_bps", "rvol", "atr", "trade_imbalance")
"""Measures of every window."""
COLUMNS = (
    *(f"{name}_{w}m" for w in WIDTHS for name in EACH),
    "rv_15m",
    "rv_1h",
    "kyle_lambda_1h",
    "kyle_t_1h",
    "kyle_n_1h",
    "amihud_1h",
    "roll_bps_1h",
    "rv_1d",
    "bv_1d",
    "jump_share_1d",
    "jump_z_1d",
    "lee_mykland_5m",
    "gap",
)
CLOSES = lee_mykland.K + 1
"""Closes of five minutes that are looked back on."""

DAILY = np.dtype(
    [
        ("closes", np.int64),  # closes of five minutes seen
        ("stale", np.bool_),  # one has come since the figures were worked out
        ("figures", np.float64, (5,)),  # the last five measures of COLUMNS
    ],
    align=True,
)
"""Per instrument: measures that change every five minutes."""

_HOUR = liquidity.HOUR + 1
_FIVE = 5 * MINUTE


@njit(cache=True)
def _close(state, atrs, ranges, closes, daily, ticks, scale):
    """End the last minute, and whatever ends with it, at the price `ticks`."""
    end = state.last + MINUTE
    for j in range(3):
        if end % (WIDTHS[j] * MINUTE) == 0:
            atr.close(atrs[j], ranges[j], ticks, scale)
    if end % _FIVE == 0:
        closes[daily.closes % CLOSES] = ticks
        daily.closes += 1
        daily.stale = True


@njit(cache=True)
def _next(state, buffer, atrs, ranges, start):
    """Begin the minute at `start`; return its place in the buffer."""
    if start // DAY_US > state.last // DAY_US:
        for j in range(3):
            atr.restart(atrs[j], ranges[j])
    state.last = start
    return minutes.push(state, buffer)


@njit(cache=True)
def _look_back(closes, daily):
    """Work out what follows from closes of five minutes."""
    daily.stale = False
    daily.figures[:] = math.nan
    count = min(daily.closes, CLOSES)
    if count <= lee_mykland.DAILY:
        return
    ordered = np.empty(count, np.int64)
    for j in range(count):
        ordered[j] = closes[(daily.closes - count + j) % CLOSES]
    returns = volatility.log_returns(ordered)
    rv, bv, share, z = volatility.jump_test(returns[returns.size - lee_mykland.DAILY :])
    daily.figures[0], daily.figures[1], daily.figures[2], daily.figures[3] = rv, bv, share, z
    if count == CLOSES:
        daily.figures[4] = lee_mykland.lee_mykland(returns)


@njit(cache=True)
def _measure(buffer, known, atrs, tick_scale, lot_scale, out):
    """Write the measures of the last minute in `buffer` (CLOSED); `known`: minutes since the first."""
    n = buffer.size
    at = 0
    for j in range(3):
        w = WIDTHS[j]
        if known > w:
            out[at] = momentum.momentum_bps(buffer, w)
        if known >= w:
            out[at + 1] = momentum.from_vwap_bps(buffer, w)
            out[at + 4] = rvol.trade_imbalance(buffer, w)
        if known >= (rvol.BEFORE + 1) * w:
            out[at + 2] = rvol.relative_volume(buffer, w)
        out[at + 3] = atr.value(atrs[j])
        at += 5
    hour = buffer[n - min(known, _HOUR) :]
    returns = volatility.log_returns(hour.close)
    if known > 15:
        out[at] = volatility.realised_variance(returns[returns.size - 15 :])
    if known >= _HOUR:
        out[at + 1] = volatility.realised_variance(returns)
        out[at + 2], out[at + 3], out[at + 4] = liquidity.kyle(hour, tick_scale, lot_scale)
        out[at + 5] = liquidity.amihud(hour, returns, tick_scale * lot_scale)
        out[at + 6] = liquidity.roll_bps(hour)


@njit(cache=True)
def features(bars, states, buffers, atrs, ranges, closes, daily, price_places, size_places, out):
    """Take closed one-minute bars; write the measures of each.

    bars: BAR, (m,), in time order per instrument. The state, first index the instrument: states: minutes.STATE; buffers:
    minutes.CLOSED, (ROOM,); atrs: atr.ATR, (widths,); ranges: float64, (widths, atr.BARS, 2); closes: int64, (CLOSES,),
    ticks; daily: DAILY. price_places, size_places: int64, (instruments,). out: float64, (m, COLUMNS), NaN: null.
    """
    for k in range(bars.size):
        bar = bars[k]
        i = bar.instrument
        state, buffer = states[i], buffers[i]
        tick_scale, lot_scale = 10.0 ** price_places[i], 10.0 ** size_places[i]
        if state.known == 0 or bar.ts - state.last > (FAR + 1) * MINUTE:
            state.last = bar.ts - MINUTE * (1 if state.known == 0 else FAR + 1)
        while state.last + MINUTE < bar.ts:
            at = _next(state, buffer, atrs[i], ranges[i], state.last + MINUTE)
            _close(state, atrs[i], ranges[i], closes[i], daily[i], buffer[at].close, tick_scale)
        at = _next(state, buffer, atrs[i], ranges[i], bar.ts)
        minute = buffer[at]
        minute.close = bar.close
        minute.volume_hi, minute.volume_lo = bar.volume_hi, bar.volume_lo
        minute.buy_hi, minute.buy_lo = bar.buy_hi, bar.buy_lo
        minute.notional_hi, minute.notional_lo = bar.notional_hi, bar.notional_lo
        minute.gap = bar.gap
        for j in range(3):
            atr.extend(atrs[i, j], bar.high, bar.low)
        _close(state, atrs[i], ranges[i], closes[i], daily[i], bar.close, tick_scale)
        if daily[i].stale:
            _look_back(closes[i], daily[i])
        out[k] = math.nan
        _measure(buffer[: state.filled], state.known, atrs[i], tick_scale, lot_scale, out[k])
        for j in range(5):
            out[k, len(COLUMNS) - 6 + j] = daily[i].figures[j]
        out[k, len(COLUMNS) - 1] = 1.0 if minutes.has_gap(buffer[max(0, state.filled - 15) : state.filled]) else 0.0
