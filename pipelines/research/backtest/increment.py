"""What VPIN adds to plainer measures: a regression of the volatility of the next hour, with and without it.

ln rv of the next hour on a constant, ln rv of the last hour and day, ln volume and ln trades of the last hour, its share
of imbalance, two waves of the time of day, and the trailing percentile of VPIN; an observation each whole hour. `slope` is
what the percentile adds to ln rv from the lowest to the highest of the past; its interval is by block bootstrap over days.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipelines.market import DAY_US
from pipelines.research import bootstrap
from pipelines.research.backtest import protocol
from pipelines.research.backtest.measures import Clock
from pipelines.research.backtest.trades import Floats, Ints

TERMS = 9
LEAST = 10 * TERMS
"""Observations below which nothing is fitted."""
SINGULAR = 1e-14
"""Determinant of correlations up to which days drawn tell terms not apart; such a draw is left out."""


class Observations(NamedTuple):
    """Whole hours at which everything but VPIN is known.

    Attributes
    ----------
    steps : int64, (n,)
        Places in the clock.
    day : int64, (n,)
    plain : float64, (n, 8)
        The terms that are not VPIN.
    target : float64, (n,)
    """

    steps: Ints
    day: Ints
    plain: Floats
    target: Floats


class Increment(NamedTuple):
    """The slope of VPIN with its 95 % interval and t (Newey and West), and the share of variance that it adds; n, days."""

    slope: float | None
    low: float | None = None
    high: float | None = None
    t: float | None = None
    r2: float | None = None
    r2_plain: float | None = None
    n: int = 0
    days: int = 0
    why: str = ""


def observe(at: Clock, since: int, until: int) -> Observations:
    """Return the observations at whole hours from `since` to before `until`, us, whose next hour is over by then."""
    known = [at.hour["rv_1h"], at.rv_1d, at.hour["volume_1h"], at.hour["trades_1h"], at.rv_next]
    usable = (at.times % protocol.HOUR_US == 0) & (at.times >= since) & (at.times + protocol.HOUR_US <= until)
    for values in known:
        usable &= values > 0  # NaN is not
    steps = np.flatnonzero(usable)
    logs = [np.log(values[steps]) for values in known]
    turn = 2 * math.pi * (at.times[steps] % DAY_US) / DAY_US
    plain = np.column_stack([np.ones(steps.size), *logs[:4], at.hour["imbalance_1h"][steps], np.sin(turn), np.cos(turn)])
    return Observations(steps, (at.times[steps] - 1) // DAY_US, plain, logs[4])


def joined(parts: list[Observations]) -> Observations:
    """Return the observations of several spans, in their order, as one."""
    if not parts:
        return Observations(np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, TERMS - 1)), np.empty(0))
    return Observations(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def increment(seen: Observations, pct: Floats) -> Increment:
    """Return what VPIN, given at each step of the clock, adds."""
    vpin = pct[seen.steps]
    there = ~np.isnan(vpin)
    n = int(there.sum())
    days, day = np.unique(seen.day[there], return_inverse=True)
    if n < LEAST:
        return Increment(None, n=n, days=days.size, why=f"{n} of the {LEAST} observations needed")
    x, y = np.column_stack([seen.plain[there], vpin[there]]), seen.target[there]
    mean, deviation = x[:, 1:].mean(axis=0), x[:, 1:].std(axis=0)
    if not deviation.all():
        return Increment(None, n=n, days=days.size, why="a term never changes")
    x[:, 1:] = (x[:, 1:] - mean) / deviation  # for the digits: slopes are scaled back
    squares, products = np.zeros((days.size, TERMS, TERMS)), np.zeros((days.size, TERMS))
    np.add.at(squares, day, x[:, :, None] * x[:, None, :])
    np.add.at(products, day, x * y[:, None])
    left, right = squares.sum(axis=0), products.sum(axis=0)
    if not _well(left[None])[0]:
        return Increment(None, n=n, days=days.size, why="VPIN cannot be told from the other terms")
    whole, plain = np.linalg.solve(left, right), np.linalg.solve(left[:-1, :-1], right[:-1])
    rest, rest_plain = y - x @ whole, y - x[:, :-1] @ plain
    spread = float(((y - y.mean()) ** 2).sum())
    slope = float(whole[-1] / deviation[-1])
    r2, r2_plain = 1 - float(rest @ rest) / spread, 1 - float(rest_plain @ rest_plain) / spread
    t = float(whole[-1]) / _error(x, rest)
    if days.size < bootstrap.LEAST_DAYS:
        why = f"observations on {days.size} of the {bootstrap.LEAST_DAYS} days needed"
        return Increment(slope, None, None, t, r2, r2_plain, n, days.size, why)
    low, high = _interval(squares, products)
    return Increment(slope, low / float(deviation[-1]), high / float(deviation[-1]), t, r2, r2_plain, n, days.size)


def _interval(squares: Floats, products: Floats) -> tuple[float, float]:
    """Return the ends of the interval of the last slope; sums of squares and of products with the target, by day."""
    days, terms = products.shape
    drawn = bootstrap.draws(days).astype(np.float64)
    left = (drawn @ squares.reshape(days, -1)).reshape(-1, terms, terms)
    well = _well(left)
    slopes = np.linalg.solve(left[well], (drawn[well] @ products)[:, :, None])[:, -1, 0]
    low, high = np.percentile(slopes, bootstrap.TAILS)
    return float(low), float(high)


def _well(left: Floats) -> npt.NDArray[np.bool_]:
    """Whether each matrix of sums of squares tells its terms apart."""
    size = np.sqrt(np.diagonal(left, axis1=1, axis2=2))
    with np.errstate(divide="ignore", invalid="ignore"):
        told: npt.NDArray[np.bool_] = np.linalg.det(left / (size[:, :, None] * size[:, None, :])) > SINGULAR
    return told


def _error(x: Floats, rest: Floats) -> float:
    """Return the standard error of the last slope by Newey and West."""
    scores = x * rest[:, None]
    middle = scores.T @ scores
    for lag in range(1, min(protocol.LAGS, rest.size - 1) + 1):
        across = scores[lag:].T @ scores[:-lag]
        middle += (1 - lag / (protocol.LAGS + 1)) * (across + across.T)
    inverse = np.linalg.inv(x.T @ x)
    return math.sqrt(float((inverse @ middle @ inverse)[-1, -1]))
