"""Does a series come back: unit-root tests, the test of Engle and Granger, half-life.

The augmented Dickey-Fuller regression is that of statsmodels' `adfuller`, by QR decomposition, one of which gives the sum
of squares for every number of lags at once; rows that would reach across a hole are left out. P-values are statsmodels'.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipelines.research.hedge import is_noise, moments, ols
from pipelines.research.legs import Flags, Floats
from pipelines.research.undefined import Undefined

COLLINEAR = 1e-10
"""Sine of the angle between a regressor and those before it, below which it adds nothing but rounding."""


class UnitRoot(NamedTuple):
    """A unit-root test: the smaller t and p are, the less the series looks like a random walk.

    Attributes
    ----------
    t : float
        t of the lagged level.
    p : float
        By MacKinnon 1994.
    lags : int
        Lagged differences in the regression.
    rows : int
        Rows of the regression.
    """

    t: float
    p: float
    lags: int
    rows: int


def adf(series: Floats, joined: Flags | None = None, *, lags: int | None = None) -> UnitRoot:
    """Test a series for a unit root, with a constant (augmented Dickey and Fuller).

    Meant for a series that was not estimated, like a log price, or the log of a ratio. On residuals of an estimated line
    its p-values are wrong: that is for `engle_granger`.

    Parameters
    ----------
    series
    joined
        Whether each value but the first follows upon the one before; default: all do.
    lags
        How many; None: the least AIC of up to 12 (n / 100)^(1/4).

    Raises
    ------
    Undefined
        If the series is constant, is too short, or follows from its own past exactly.
    """
    return _test(series, joined, lags, constant=True, legs=1)


def engle_granger(y: Floats, x: Floats, joined: Flags | None = None, *, lags: int | None = None) -> UnitRoot:
    """Test whether y and x are cointegrated; the null hypothesis: residuals of y on x have a unit root.

    As statsmodels' `coint`, except where x explains all but 1.5e-6 of y: there `coint` says t = -infinity without a test.

    Raises
    ------
    Undefined
        As `adf`, and if x is constant or the legs are one and the same.
    """
    spread = ols(y, x).residuals(y, x)
    if is_noise(float((spread * spread).sum()), y.size, y, x):
        raise Undefined("y follows from x but for rounding")
    return _test(spread, joined, lags, constant=False, legs=2)


def half_life(spread: Floats, joined: Flags | None = None) -> float:
    """Return after how many bars half of a deviation is gone: -ln 2 / ln(1 + b) in ds = a + b s.

    The slope b is estimated too low, and a random walk has a half-life, too: it means something only beside a test.

    Raises
    ------
    Undefined
        If the spread is constant or too short, or does not come back (b outside -1 .. 0).
    """
    whole = np.ones(max(spread.size - 1, 0), dtype=bool) if joined is None else joined
    m = moments(np.diff(spread)[whole], spread[:-1][whole])
    if np.ptp(spread[:-1][whole]) == 0 or m.xx <= 0:
        raise Undefined("the spread is constant")
    slope = m.yx / m.xx
    if not -1 < slope < 0:
        raise Undefined(f"slope {slope:.3g} is not between -1 (gone at once) and 0 (no return)")
    return -math.log(2) / math.log1p(slope)


def _test(series: Floats, joined: Flags | None, lags: int | None, *, constant: bool, legs: int) -> UnitRoot:
    from statsmodels.tsa.adfvalues import mackinnonp  # noqa: PLC0415 - loads for seconds

    n = series.size
    most = n // 2 - int(constant) - 1
    if most < (lags or 0):
        raise Undefined(f"{n} points, too few for {lags or 0} lags")
    if np.ptp(series) == 0:
        raise Undefined("the series is constant")
    level = series - series[0] if constant else series
    level = level / np.abs(level).max()
    whole = np.ones(n - 1, dtype=bool) if joined is None else joined
    if lags is None:
        lags = _least_aic(level, whole, min(most, math.ceil(12 * (n / 100) ** 0.25)), constant=constant)
    change, columns = _regression(level, whole, lags, constant=constant)
    at = int(constant)
    basis, signs = _basis(np.column_stack([columns[:, :at], columns[:, at + 1 :], columns[:, at]]))
    weights = basis.T @ change
    rest = change - basis @ weights
    variance = float((rest * rest).sum()) / (change.size - weights.size)
    if variance <= COLLINEAR**2 * float(change @ change):
        raise Undefined("the series follows from its own past exactly")
    t = float(weights[-1] * signs[-1]) / math.sqrt(variance)
    return UnitRoot(t, float(mackinnonp(t, regression="c", N=legs)), lags, change.size)


def _least_aic(level: Floats, whole: Flags, most: int, *, constant: bool) -> int:
    """Return the number of lags with the least AIC over rows common to all."""
    change, columns = _regression(level, whole, most, constant=constant)
    basis, _ = _basis(columns)
    weights = basis.T @ change
    rest = change - basis @ weights
    gains = weights[int(constant) + 1 :] ** 2
    squares = float((rest * rest).sum()) + np.concatenate([np.cumsum(gains[::-1])[::-1], [0.0]])
    if squares[-1] <= COLLINEAR**2 * float(change @ change):
        raise Undefined("the series follows from its own past exactly")
    return int(np.argmin(change.size * np.log(squares) + 2.0 * np.arange(squares.size)))


def _regression(level: Floats, whole: Flags, lags: int, *, constant: bool) -> tuple[Floats, Floats]:
    """Return the changes to explain and the columns that explain: constant, level before, changes before, latest first."""
    steps = np.diff(level)
    holes = np.concatenate([[0], np.cumsum(~whole)])
    kept = holes[lags + 1 :] == holes[: holes.size - lags - 1]
    before = [steps[lags - k : steps.size - k] for k in range(1, lags + 1)]
    columns = np.column_stack([*([np.ones(kept.size)] if constant else []), level[lags:-1], *before])[kept]
    if columns.shape[0] <= columns.shape[1]:
        raise Undefined(f"{columns.shape[0]} rows without a hole, too few for {lags} lags")
    return steps[lags:][kept], columns


def _basis(columns: Floats) -> tuple[Floats, npt.NDArray[np.float64]]:
    """Return an orthonormal basis of the columns, in their order, and on which side of each its column lies."""
    norms = np.sqrt((columns * columns).sum(axis=0))
    if not norms.all():
        raise Undefined("nothing changes over whole columns of lags")
    basis, upper = np.linalg.qr(columns / norms)
    if float(np.abs(np.diag(upper)).min()) < COLLINEAR:
        raise Undefined("lags follow from each other")
    return basis, np.sign(np.diag(upper))
