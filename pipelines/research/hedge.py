"""How much of x goes with one unit of y: hedge ratios of log prices, each the line y = alpha + beta x.

Logs make beta an elasticity: notional 1 of y stands against notional beta of x, and the residual is free of scale.
"""

from __future__ import annotations

import math
import warnings
from typing import NamedTuple

import numpy as np

from pipelines.research.legs import ROUNDING, Floats
from pipelines.research.undefined import Undefined

LEAST = 3
"""Points that a line needs to have a residual."""
MOST = 3_000
"""Points up to which Theil-Sen is computed: it takes every pair of them."""
SAMPLE = 4_000
"""Slopes from which the median of all is guessed."""
HUBER = 1.345
"""Huber's bound in robust standard deviations: 95 % efficiency under the normal distribution."""
NO_SCALE = "half of the points lie on a line: residuals have no scale"


class Line(NamedTuple):
    """A line by its slope and a point on it, so that no digit is lost at a far-off intercept."""

    beta: float
    y0: float
    x0: float

    @property
    def alpha(self) -> float:
        """The intercept."""
        return self.y0 - self.beta * self.x0

    def residuals(self, y: Floats, x: Floats) -> Floats:
        """Return y less the line: the spread, in log units."""
        return (y - self.y0) - self.beta * (x - self.x0)


class Moments(NamedTuple):
    """Sums of squares and of products about the means, and what was centred."""

    y: Floats
    x: Floats
    y0: float
    x0: float
    yy: float
    yx: float
    xx: float


def moments(y: Floats, x: Floats) -> Moments:
    """Return the second moments of two columns.

    The first value is taken off before the mean: what is left of a log price is then exact to the last digit.

    Raises
    ------
    Undefined
        If there are fewer than three points.
    """
    if y.size < LEAST:
        raise Undefined(f"{y.size} points, needs {LEAST}")
    v, u = y - y[0], x - x[0]
    y1, x1 = float(v.mean()), float(u.mean())
    v, u = v - y1, u - x1
    rest_v, rest_u = float(v.sum()), float(u.sum())
    yy = float((v * v).sum()) - rest_v * rest_v / y.size
    yx = float((v * u).sum()) - rest_v * rest_u / y.size
    xx = float((u * u).sum()) - rest_u * rest_u / y.size
    return Moments(v, u, float(y[0]) + y1, float(x[0]) + x1, yy, yx, xx)


def is_noise(squares: float, n: int, *logs: Floats) -> bool:
    """Return whether a sum of `n` squares is no more than the rounding of these log prices."""
    size = max(float(np.abs(column).max()) for column in logs)
    return squares <= n * (ROUNDING * size) ** 2


def ols(y: Floats, x: Floats) -> Line:
    """Return the line of least squares, with intercept: beta = Sxy / Sxx.

    y on x and x on y differ: the product of their betas is R squared. Fix the direction before looking.

    Raises
    ------
    Undefined
        If x is constant or points are too few.
    """
    m = moments(y, x)
    _refuse_constant("x", x, m.xx)
    return Line(m.yx / m.xx, m.y0, m.x0)


def total_least_squares(y: Floats, x: Floats) -> Line:
    """Return the line of least squared distance at right angles: it treats both legs alike, beta(x, y) = 1 / beta(y, x).

    Raises
    ------
    Undefined
        If a leg is constant, the legs have no covariance, or points are too few.
    """
    m = moments(y, x)
    _refuse_constant("x", x, m.xx)
    _refuse_constant("y", y, m.yy)
    if m.yx == 0:
        raise Undefined("no covariance between the legs")
    half = (m.yy - m.xx) / 2
    root = math.hypot(half, m.yx)
    beta = (half + root) / m.yx if half > 0 else m.yx / (root - half)  # of two equal forms, the one that does not cancel
    return Line(beta, m.y0, m.x0)


def theil_sen(y: Floats, x: Floats) -> Line:
    """Return the line whose slope is the median over all pairs of points, through the medians of y and x.

    Raises
    ------
    Undefined
        If x is constant, or points are too few or too many.
    """
    if y.size < LEAST:
        raise Undefined(f"{y.size} points, needs {LEAST}")
    if y.size > MOST:
        raise Undefined(f"{y.size} points, takes at most {MOST}: every pair of them is looked at")
    slope = _median_slope(np.ascontiguousarray(y), np.ascontiguousarray(x))
    return Line(slope, float(np.median(y)), float(np.median(x)))


def _median_slope(y: Floats, x: Floats) -> float:
    """Return the median of all slopes: looked for between two quantiles of some of them, and if not there, among all."""
    from pipelines.kernels.slopes import slopes_between  # noqa: PLC0415 - brings numba

    out = np.empty(y.size * (y.size - 1) // 2)
    first, second = np.random.default_rng(0).integers(0, y.size, (2, SAMPLE))
    first, second = first[x[first] != x[second]], second[x[first] != x[second]]
    some = (y[second] - y[first]) / (x[second] - x[first])
    bounds = [*np.quantile(some, [0.45, 0.55])] if some.size else [-np.inf, np.inf]
    for low, high in (bounds, [-np.inf, np.inf]):
        below, inside, every = slopes_between(y, x, low, high, out)
        middle = [(every - 1) // 2 - below, every // 2 - below]
        if middle[0] >= 0 and middle[1] < inside:
            return float(np.partition(out[:inside], middle)[middle].mean())
    raise Undefined("x is constant")


def huber(y: Floats, x: Floats) -> Line:
    """Return Huber's robust line, as statsmodels has it: bound 1.345, scale by MAD, estimated anew at each step.

    Columns are standardised before, which changes nothing but the rounding: the estimator is equivariant.

    Raises
    ------
    Undefined
        If x is constant, points are too few, or more than half of them lie on a line.
    """
    from statsmodels.robust.norms import HuberT  # noqa: PLC0415 - loads for seconds
    from statsmodels.robust.robust_linear_model import RLM  # noqa: PLC0415
    from statsmodels.tools.sm_exceptions import ConvergenceWarning  # noqa: PLC0415

    m = moments(y, x)
    _refuse_constant("x", x, m.xx)
    line = Line(m.yx / m.xx, m.y0, m.x0)
    spread = line.residuals(y, x)
    _refuse_no_scale(spread, y, x)
    wide, high = math.sqrt(m.xx / y.size), math.sqrt(float((spread * spread).sum()) / y.size)
    design = np.column_stack([np.ones(y.size), m.x / wide])
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        try:
            fit = RLM(spread / high, design, M=HuberT(HUBER)).fit(conv="coefs", tol=1e-13, maxiter=1_000)
        except ConvergenceWarning:
            raise Undefined(NO_SCALE) from None
    level, slope = (float(value) for value in fit.params)
    found = Line(line.beta + slope * high / wide, m.y0 + level * high, m.x0)
    _refuse_no_scale(found.residuals(y, x), y, x)
    return found


def correlation(y: Floats, x: Floats) -> float:
    """Return Pearson's correlation; meant for returns, for that of levels says nothing.

    Raises
    ------
    Undefined
        If a column is constant or points are too few.
    """
    m = moments(y, x)
    if np.ptp(y) == 0 or np.ptp(x) == 0 or m.yy <= 0 or m.xx <= 0:
        raise Undefined("a leg is constant")
    return max(-1.0, min(1.0, m.yx / math.sqrt(m.yy) / math.sqrt(m.xx)))


def _refuse_no_scale(residuals: Floats, *logs: Floats) -> None:
    if is_noise(float(np.median(np.abs(residuals))) ** 2, 1, *logs):
        raise Undefined(NO_SCALE)


def _refuse_constant(name: str, column: Floats, squares: float) -> None:
    if is_noise(squares, column.size, column):
        raise Undefined(f"{name} is constant")
