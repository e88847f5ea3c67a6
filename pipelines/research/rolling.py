"""Pairs as time goes by: every row is made of rows up to its own, and each line of rows before it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from pipelines.research.legs import ROUNDING, Flags, Floats

PIECE = 1_000_000
"""Values of windows that are laid out at once."""


class Spread(NamedTuple):
    """A row a point; NaN where there is none yet, or a window is constant.

    Attributes
    ----------
    alpha, beta : array of float
        The line of least squares over the W points before.
    spread : array of float
        y less that line, log units.
    z : array of float
        The spread against mean and standard deviation (ddof 1) of the W spreads before.
    """

    alpha: Floats
    beta: Floats
    spread: Floats
    z: Floats


def rolling_spread(y: Floats, x: Floats, window: int) -> Spread:
    """Return the spread against a line that moves, and its z; nothing looks ahead."""
    alpha, beta, spread = (np.full(y.size, np.nan) for _ in range(3))
    for rows, (ys, xs) in _windows(window, y, x):
        v, u = ys - ys[:, :1], xs - xs[:, :1]
        y1, x1 = v.mean(axis=1), u.mean(axis=1)
        v, u = v - y1[:, None], u - x1[:, None]
        squares = (u * u).sum(axis=1)
        varies = squares > window * (ROUNDING * np.abs(xs).max(axis=1)) ** 2
        slope = np.divide((v * u).sum(axis=1), squares, out=np.full(squares.size, np.nan), where=varies)
        y0, x0 = ys[:, 0] + y1, xs[:, 0] + x1
        beta[rows] = slope
        alpha[rows] = y0 - slope * x0
        spread[rows] = (y[rows] - y0) - slope * (x[rows] - x0)
    return Spread(alpha, beta, spread, z(spread, window, ROUNDING * _size(y, x)))


def z(series: Floats, window: int, noise: float = 0.0) -> Floats:
    """Return each value against mean and standard deviation (ddof 1) of the W values before it.

    Parameters
    ----------
    series
    window
    noise
        A standard deviation up to this is none, and there is no z.
    """
    out = np.full(series.size, np.nan)
    for rows, (values,) in _windows(window, series):
        shifted = values - values[:, :1]
        mean = shifted.mean(axis=1)
        rest = shifted - mean[:, None]
        wide = np.sqrt((rest * rest).sum(axis=1) / (window - 1))
        varies = wide > noise  # false where a value is NaN
        out[rows] = np.divide((series[rows] - values[:, 0]) - mean, wide, out=np.full(wide.size, np.nan), where=varies)
    return out


def rolling_correlation(y: Floats, x: Floats, joined: Flags, window: int) -> Floats:
    """Return at each point the correlation of the last W returns up to it; NaN after a hole, where there is no return."""
    out = np.full(y.size, np.nan)
    at = np.flatnonzero(joined) + 1
    returns = y[at] - y[at - 1], x[at] - x[at - 1]
    made = np.full(at.size + 1, np.nan)
    for rows, (ys, xs) in _windows(window, *(np.append(r, 0.0) for r in returns)):
        v, u = (values - values.mean(axis=1, keepdims=True) for values in (ys, xs))
        varies = (np.ptp(ys, axis=1) > 0) & (np.ptp(xs, axis=1) > 0)
        size = np.sqrt((v * v).sum(axis=1)) * np.sqrt((u * u).sum(axis=1))
        made[rows] = np.divide((v * u).sum(axis=1), size, out=np.full(size.size, np.nan), where=varies & (size > 0))
    out[at] = np.clip(made[1:], -1.0, 1.0)
    return out


def _windows(window: int, *columns: Floats) -> Iterator[tuple[slice, list[Floats]]]:
    """Yield rows, and for each the W values of every column strictly before it, a piece at a time."""
    n, step = columns[0].size, max(1, PIECE // window)
    for first in range(window, n, step):
        last = min(first + step, n)
        yield slice(first, last), [sliding_window_view(c[first - window : last - 1], window) for c in columns]


def _size(*columns: Floats) -> float:
    """Return a bound of the size of all values, from the first of each alone: later ones must not matter."""
    return max((abs(float(c[0])) for c in columns if c.size), default=0.0)
