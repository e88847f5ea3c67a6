"""The trend score: a sum of bounded terms with fixed, published weights.

Each term is weight x clip(z / 3, -1, 1); the weights were set by hand before any outcome was looked at. p = 1 / (1 +
exp(-sum)) is a score between 0 and 1: how often the price rose after it has to be measured apart.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

TERMS = ("mom_5m", "mom_15m", "vwap_5m", "imbalance_15m", "rvol_5m")
"""Terms that need trades only."""
QUOTE_TERMS = ("ofi_1m", "microprice")
WEIGHTS = (1.0, 1.0, 0.5, 0.5, 0.5)
QUOTE_WEIGHTS = (0.5, 0.5)


@njit(cache=True)
def _clip(z):
    return min(max(z / 3.0, -1.0), 1.0) if not math.isnan(z) else math.nan


@njit(cache=True)
def _ratio(a, b):
    """Return a / b; NaN where b is not above 0."""
    return a / b if b > 0.0 else math.nan


@njit(cache=True)
def _sign(x):
    return math.nan if math.isnan(x) else float((x > 0.0) - (x < 0.0))


@njit(cache=True)
def terms(row, out):
    """Write the terms of a minute: those of trades, then those of quotes; NaN: not known.

    row: standing.MINUTE. out: float64, (7,). z of each: momentum of h minutes by ATR sqrt(h), ATR that of one minute in
    bps; distance from VWAP by the ATR of the same 5 minutes; 3 x the share of buying less selling (a share is bounded as it
    is); relative volume with the sign of the move; OFI by the minute's volume; distance of the micro-price by ATR.
    """
    one, five = 1e4 * row.atr_1m / row.close, 1e4 * row.atr_5m / row.close
    out[0] = WEIGHTS[0] * _clip(_ratio(row.mom_bps_5m, one * math.sqrt(5.0)))
    out[1] = WEIGHTS[1] * _clip(_ratio(row.mom_bps_15m, one * math.sqrt(15.0)))
    out[2] = WEIGHTS[2] * _clip(_ratio(row.px_vs_vwap_bps_5m, five))
    out[3] = WEIGHTS[3] * _clip(3.0 * row.trade_imbalance_15m)
    out[4] = WEIGHTS[4] * _clip(row.rvol_5m * _sign(row.mom_bps_5m))
    out[5] = QUOTE_WEIGHTS[0] * _clip(_ratio(row.ofi_1m, row.volume))
    out[6] = QUOTE_WEIGHTS[1] * _clip(_ratio(1e4 * ((row.microprice - row.close) / row.close), one))


@njit(cache=True)
def total(terms):
    """Return the sum of terms; NaN where one is not known."""
    added = 0.0
    for k in range(terms.size):
        added += terms[k]
    return added


@njit(cache=True)
def agreement(terms):
    """Return |sum| / sum of |term|: 1 where all terms point one way, 0 where they cancel; NaN: they say nothing."""
    added, size = 0.0, 0.0
    for k in range(terms.size):
        added += terms[k]
        size += abs(terms[k])
    return abs(added) / size if size > 0.0 else math.nan


@njit(cache=True)
def p_up(total):
    """Return 1 / (1 + exp(-total))."""
    return 1.0 / (1.0 + math.exp(-total))


@njit(cache=True)
def p_ups(totals):
    """Return p_up of each total; totals: float64, (n,)."""
    out = np.empty(totals.size)
    for k in range(totals.size):
        out[k] = p_up(totals[k])
    return out
