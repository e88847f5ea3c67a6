"""Slopes between all pairs of points, for the line of Theil and Sen."""

from __future__ import annotations

from numba import njit


@njit("UniTuple(i8, 3)(f8[::1], f8[::1], f8, f8, f8[::1])", cache=True, error_model="numpy")
def slopes_between(y, x, low, high, out):
    """Collect the slopes from `low` to `high`; return how many are below, are collected, and are there at all.

    y, x: float64, (n,). out: float64, (n (n - 1) / 2,). Pairs of equal x have no slope.
    """
    below = 0
    inside = 0
    every = 0
    for i in range(y.size - 1):
        for j in range(i + 1, y.size):
            run = x[j] - x[i]
            if run != 0:
                slope = (y[j] - y[i]) / run
                every += 1
                if slope < low:
                    below += 1
                elif slope <= high:
                    out[inside] = slope
                    inside += 1
    return below, inside, every
