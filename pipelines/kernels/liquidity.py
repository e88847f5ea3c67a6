"""What trading costs, told from minutes alone: Kyle's lambda, Amihud's illiquidity, Roll's spread.

All over the last hour of minutes. They are noisy: read them beside the figures from quotes.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

HOUR = 60
LEAST = 20
"""Minutes with trades that a slope or a covariance needs."""


@njit(cache=True, inline="always")
def _traded(minute):
    return (minute.volume_hi | minute.volume_lo) != 0


@njit(cache=True)
def _size(hi, lo):
    return hi * 2.0**64 + lo


@njit(cache=True)
def kyle(minutes, tick_scale, lot_scale):
    """Return Kyle's lambda, its t value and the number of minutes (Kyle, Econometrica 53, 1985).

    Slope, with intercept, of the change of close (quote) on signed volume (buy - sell, base) over the minutes with
    trades of the last hour. minutes: CLOSED, (61,). NaN below 20 minutes or where the signed volumes are all the same; no t where
    nothing is left to explain.
    """
    x, y = np.empty(HOUR), np.empty(HOUR)
    n = 0
    for k in range(1, HOUR + 1):
        minute = minutes[k]
        if _traded(minute):
            y[n] = (minute.close - minutes[k - 1].close) / tick_scale
            x[n] = (2.0 * _size(minute.buy_hi, minute.buy_lo) - _size(minute.volume_hi, minute.volume_lo)) / lot_scale
            n += 1
    if n < LEAST or x[:n].max() == x[:n].min():
        return math.nan, math.nan, n
    mean_x, mean_y = x[:n].sum() / n, y[:n].sum() / n
    xx, xy = 0.0, 0.0
    for k in range(n):
        xx += (x[k] - mean_x) ** 2
        xy += (x[k] - mean_x) * (y[k] - mean_y)
    slope, left = xy / xx, 0.0
    for k in range(n):
        left += (y[k] - mean_y - slope * (x[k] - mean_x)) ** 2
    t = slope / math.sqrt(left / (n - 2) / xx) if left > 0.0 and y[:n].max() > y[:n].min() else math.nan
    return slope, t, n


@njit(cache=True)
def amihud(minutes, returns, notional_scale):
    """Return the mean of |log return| / notional over the minutes with trades of the last hour, per unit of quote.

    Amihud, Journal of Financial Markets 5, 2002. minutes: CLOSED, (61,). returns: their log returns, (60,).
    NaN: no trades.
    """
    total, n = 0.0, 0
    for k in range(1, HOUR + 1):
        minute = minutes[k]
        if _traded(minute):
            notional = _size(minute.notional_hi, minute.notional_lo) / notional_scale
            total += abs(returns[k - 1]) / notional
            n += 1
    return total / n if n > 0 else math.nan


@njit(cache=True)
def roll_bps(minutes):
    """Return Roll's spread over the last hour, 10,000 x 2 sqrt(-cov(dp_t, dp_(t-1))) / close, bps (Roll, JF 39, 1984).

    dp are changes between closes of successive minutes with trades; the covariance has ddof 1. minutes: CLOSED, (61,). NaN
    where it is not below 0, or below 20 pairs: the measure is not defined there.
    """
    change = np.empty(HOUR)
    n = 0
    for k in range(1, HOUR + 1):
        if _traded(minutes[k]):
            change[n] = minutes[k].close - minutes[k - 1].close
            n += 1
    pairs = n - 1
    if pairs < LEAST:
        return math.nan
    mean, mean_before = change[1:n].sum() / pairs, change[:pairs].sum() / pairs
    covariance = 0.0
    for k in range(pairs):
        covariance += (change[k + 1] - mean) * (change[k] - mean_before)
    covariance /= pairs - 1
    return 1e4 * 2.0 * math.sqrt(-covariance) / minutes[HOUR].close if covariance < 0.0 else math.nan
