"""A hedge ratio that moves: the line y = alpha + beta x as a random walk, followed by a Kalman filter.

The first W points are for training alone. They give the line to begin with and its covariance P (least squares), the
noise R of a point (variance of residuals), and the step Q of the walk: the information of a single point over W squared,
so that the filter remembers about W points. All of this scales with the legs, whatever their unit.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from pipelines.research.hedge import is_noise, moments
from pipelines.research.legs import Floats
from pipelines.research.undefined import Undefined


class Filtered(NamedTuple):
    """A row a point; NaN over the training points.

    Attributes
    ----------
    alpha, beta : array of float
        The line as known at the point, the point included.
    z : array of float
        What the point had to say that the line before did not know, in standard deviations (innovation / sqrt S). The
        residual against `alpha`, `beta` of the same point is already shrunk: it is no signal.
    """

    alpha: Floats
    beta: Floats
    z: Floats


def kalman(y: Floats, x: Floats, window: int) -> Filtered:
    """Follow the line; W is both the number of training points and the memory of the filter.

    Raises
    ------
    Undefined
        If there are no points after training, or the training points have no noise.
    """
    if y.size <= window:
        raise Undefined(f"{y.size} points, needs more than the {window} of the training window")
    from pipelines.kernels.kalman import follow  # noqa: PLC0415 - brings numba

    m = moments(y[:window], x[:window])
    if is_noise(m.xx, window, x[:window]):
        raise Undefined("x is constant over the training window")
    slope = m.yx / m.xx
    rest = m.y - slope * m.x
    squares = float((rest * rest).sum())
    if is_noise(squares, window, y[:window], x[:window]):
        raise Undefined("y follows from x but for rounding over the training window")
    noise, wide = math.sqrt(squares / (window - 2)), math.sqrt(m.xx / window)
    v = ((y - m.y0) - slope * (x - m.x0)) / noise
    u = (x - m.x0) / wide
    level, tilt, surprise = out = np.empty((3, y.size - window))
    follow(np.ascontiguousarray(v[window:]), np.ascontiguousarray(u[window:]), window, out)
    alpha, beta, z = (np.full(y.size, np.nan) for _ in range(3))
    beta[window:] = slope + tilt * (noise / wide)
    alpha[window:] = m.y0 + level * noise - beta[window:] * m.x0
    z[window:] = surprise
    return Filtered(alpha, beta, z)
