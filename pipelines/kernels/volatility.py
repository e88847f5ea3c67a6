"""Realised variance, bipower variation, and the test on jumps in a day of returns.

RV = sum r^2; BV = (pi / 2) n / (n - 1) sum |r_i| |r_(i-1)|, which jumps leave nearly as it is; RJ = (RV - BV) / RV
(Barndorff-Nielsen and Shephard, J. Fin. Econometrics 2, 2004). Z is the ratio form with the maximum of Huang and Tauchen
(J. Fin. Econometrics 3, 2005), standard normal without jumps: above 3.09 one day in a thousand.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

_MU = 2.0 ** (2.0 / 3.0) * math.gamma(7.0 / 6.0) / math.gamma(0.5)
_SPREAD = (math.pi / 2.0) ** 2 + math.pi - 5.0


@njit(cache=True)
def log_returns(closes):
    """Return ln(C_k / C_(k-1)) of closes in ticks (int64, (n + 1,)), to the last digit also where they are near 0."""
    out = np.empty(closes.size - 1)
    for k in range(out.size):
        out[k] = math.log1p((closes[k + 1] - closes[k]) / closes[k])
    return out


@njit(cache=True)
def realised_variance(returns):
    """Return sum r^2."""
    total = 0.0
    for r in returns:
        total += r * r
    return total


@njit(cache=True)
def bipower_variation(returns):
    """Return (pi / 2) n / (n - 1) sum |r_i| |r_(i-1)|."""
    n = returns.size
    total = 0.0
    for k in range(1, n):
        total += abs(returns[k]) * abs(returns[k - 1])
    return math.pi / 2.0 * n / (n - 1) * total


@njit(cache=True)
def jump_test(returns):
    """Return RV, BV, RJ and Z of returns (float64, (n,)). RJ is NaN where RV is 0, Z also where BV is 0.

    Z = RJ / sqrt(((pi / 2)^2 + pi - 5) / n max(1, TQ / BV^2)), with the tripower quarticity
    TQ = n mu^-3 n / (n - 2) sum |r_i r_(i-1) r_(i-2)|^(4/3), mu = 2^(2/3) Gamma(7/6) / Gamma(1/2).
    """
    n = returns.size
    rv, bv = realised_variance(returns), bipower_variation(returns)
    if rv <= 0.0:
        return rv, bv, math.nan, math.nan
    share = (rv - bv) / rv
    if bv <= 0.0:
        return rv, bv, share, math.nan
    total, scale = 0.0, math.sqrt(rv)
    for k in range(2, n):  # in units of sqrt(RV), or products of tiny returns would vanish
        total += abs(returns[k] / scale * (returns[k - 1] / scale) * (returns[k - 2] / scale)) ** (4.0 / 3.0)
    quarticity = n * _MU**-3.0 * n / (n - 2) * total
    ratio = quarticity / (bv / rv) ** 2
    return rv, bv, share, share / math.sqrt(_SPREAD / n * max(1.0, ratio))
