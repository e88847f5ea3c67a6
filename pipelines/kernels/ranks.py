"""Order statistics of a full ring, the baseline of detectors whose values are too skewed for a mean."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True)
def median_and_high(ring):
    """Return the median and the 99 % order statistic (the value of rank ceil(0.99 n)) of all values of a ring."""
    n = ring.size
    ordered = np.sort(ring)
    median = ordered[n // 2] if n % 2 else 0.5 * (ordered[n // 2 - 1] + ordered[n // 2])
    return median, ordered[(99 * n + 99) // 100 - 1]
