"""A Kalman filter of a line whose intercept and slope walk at random."""

from __future__ import annotations

from math import sqrt

from numba import njit


@njit("void(f8[::1], f8[::1], i8, f8[:, ::1])", cache=True)
def follow(v, u, window, out):
    """Filter v = a + b u + noise of variance 1, from a = b = 0; u has mean 0 and variance 1 over the training window.

    v, u: float64, (n,). window: points of training. out: float64, (3, n): a, b with the point, innovation / sqrt(S).
    """
    a = b = 0.0
    paa = pbb = 1 / window
    pab = 0.0
    q = 1 / window**2
    for i in range(v.size):
        at = u[i]
        paa += q
        pbb += q
        e = v[i] - a - b * at
        ha, hb = paa + at * pab, pab + at * pbb
        s = ha + at * hb + 1
        ka, kb = ha / s, hb / s
        a += ka * e
        b += kb * e
        paa -= ka * ha
        pab -= ka * hb
        pbb -= kb * hb
        out[0, i] = a
        out[1, i] = b
        out[2, i] = e / sqrt(s)
