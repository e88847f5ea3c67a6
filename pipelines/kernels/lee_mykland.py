"""Jumps in single returns (Lee and Mykland, Review of Financial Studies 21, 2008).

L_i = r_i / sigma_i, sigma_i^2 = sum over j = i - K + 2 .. i - 1 of |r_j| |r_(j-1)| / (K - 2): all of it before the
return that is tested. Returns of five minutes, K = 325 = ceil(sqrt(105,120)). A return is a jump where
(|L_i| - C_n) / S_n > -ln(-ln(0.99)), n = 288, the returns of a day: one day in a hundred has a false one.
"""

from __future__ import annotations

import math

from numba import njit

K = 325
DAILY = 288
_C = math.sqrt(2.0 / math.pi)
_ROOT = math.sqrt(2.0 * math.log(DAILY))
S = 1.0 / (_C * _ROOT)
C = _ROOT / _C - (math.log(math.pi) + math.log(math.log(DAILY))) / (2.0 * _C * _ROOT)
LIMIT = C - S * math.log(-math.log(0.99))
"""|L| above which a return is a jump."""


@njit(cache=True)
def lee_mykland(returns):
    """Return L of the last of K returns (float64, (K,)); NaN where none before it moved."""
    total = 0.0
    for j in range(1, K - 1):
        total += abs(returns[j]) * abs(returns[j - 1])
    return returns[K - 1] / math.sqrt(total / (K - 2)) if total > 0.0 else math.nan
