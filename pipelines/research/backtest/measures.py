"""Measures on one clock, each as its percentile among its own past: VPIN of every cell, and the plain benchmarks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipelines.kernels import trailing, vpin
from pipelines.market import DAY_US
from pipelines.research.backtest import protocol
from pipelines.research.backtest.protocol import STEP_US, Cell, Grid
from pipelines.research.backtest.trades import MINUTES, Floats, Ints, Minutes, Passed
from pipelines.research.rules import MINUTE_US

STEPS = DAY_US // STEP_US
_EVERY = STEP_US // MINUTE_US
BENCHMARKS = ("rv_1h", "volume_1h", "trades_1h", "imbalance_1h")
"""Realised variance, volume, number of trades, and |bought - sold| / volume of the hour up to a step."""


class Clock(NamedTuple):
    """The steps of all dates read, and what the minutes say at each; NaN where it is not known.

    Attributes
    ----------
    times : int64, (steps,)
        Ends of steps, us.
    date : int64, (steps,)
        Place of the step's date, the one that it closes, among the dates.
    hour : dict of str to float64, (steps,)
        `BENCHMARKS` as they are, over the hour before.
    rv_1d, rv_next : float64, (steps,)
        Realised variance of the day before, and of the hour after: what is to be explained.
    """

    times: Ints
    date: Ints
    hour: dict[str, Floats]
    rv_1d: Floats
    rv_next: Floats


class Reading(NamedTuple):
    """A measure at each step: `pct`, the share of its past that is at most this; NaN where unknown."""

    name: str
    cell: Cell | None
    pct: Floats


def clock(minutes: Minutes) -> Clock:
    """Return the clock of the dates in `minutes`."""
    dates = minutes.dates.size
    times = (minutes.dates[:, None] * DAY_US + np.arange(1, STEPS + 1) * STEP_US).ravel()
    new = np.diff(minutes.dates, prepend=-2) != 1  # the date before is missing: no return and no window spans that
    squares = np.diff(_filled(minutes.closes, new), prepend=np.nan) ** 2
    squares[np.flatnonzero(new) * MINUTES] = np.nan
    delta = 2 * minutes.buys - minutes.volumes
    rv, volume, trades, bought = (_sums(x, new, 60) for x in (squares, minutes.volumes, minutes.trades, delta))
    with np.errstate(divide="ignore", invalid="ignore"):
        imbalance = np.where(volume > 0, np.abs(bought) / volume, np.nan)
    after, ahead = np.full(rv.size, np.nan), protocol.HOUR_US // STEP_US
    after[:-ahead] = np.where(times[ahead:] - times[:-ahead] == protocol.HOUR_US, rv[ahead:], np.nan)
    hour = dict(zip(BENCHMARKS, (rv, volume, trades, imbalance), strict=True))
    day = _sums(squares, new, MINUTES)
    return Clock(times, np.repeat(np.arange(dates), STEPS), hour, day, after)


def _filled(closes: Floats, new: npt.NDArray[np.bool_]) -> Floats:
    """Return logs of closes, the last of the date before standing until the first trade of a date."""
    logs = np.log(closes)
    for date in np.flatnonzero(~new):
        logs[date, np.isnan(logs[date])] = logs[date - 1, -1]
    flat: Floats = logs.ravel()
    return flat


def _sums(values: Floats, new: npt.NDArray[np.bool_], width: int) -> Floats:
    """Return sums over the `width` minutes before each step; NaN where one is unknown or the dates are not in a row."""
    flat = values.ravel()
    spell = np.repeat(np.cumsum(new), MINUTES)
    total = np.full(flat.size, np.nan)
    if flat.size >= width:
        windows = np.lib.stride_tricks.sliding_window_view(flat, width)
        total[width - 1 :] = np.where(spell[width - 1 :] == spell[: flat.size - width + 1], windows.sum(axis=1), np.nan)
    return total[_EVERY - 1 :: _EVERY]


def benchmarks(at: Clock) -> Iterator[Reading]:
    """Yield the benchmarks as percentiles of the past."""
    for name, values in at.hour.items():
        pct = np.empty(values.size)
        trailing.percentiles(values, protocol.PAST_STEPS, protocol.LEAST_STEPS, pct)
        yield Reading(name, None, pct)


def vpins(passed: Passed, at: Clock, grid: Grid) -> Iterator[Reading]:
    """Yield VPIN of every cell: the percentile of the last bucket that was complete at each step, and no older than a day."""
    for cell in grid.cells():
        closed = passed.buckets[cell.v, cell.start]
        found = windows(closed, cell.n, passed.places)
        pct = np.full(at.times.size, np.nan)
        last = np.searchsorted(closed["end"], at.times, "right") - 1
        there = last >= 0
        fresh = at.times[there] - closed["end"][last[there]] < DAY_US
        whole = fresh & (found[last[there], 4] == 0)
        pct[np.flatnonzero(there)[whole]] = found[last[there], 1][whole]
        yield Reading("vpin", cell, pct)


def windows(closed: npt.NDArray[np.void], n: int, places: int) -> Floats:
    """Return VPIN, percentile, null band and gap of each bucket: what table `vpin` has in a window of `n`."""
    out = np.empty((closed.size, 5))
    ring, past = np.zeros((1, n), vpin.BUCKET), np.zeros((1, protocol.PAST_VALUES))
    counts = np.zeros((2, 1), np.int64)
    scales = np.array([10.0**places])
    vpin.windows(closed, ring, counts[0], past, counts[1], protocol.LEAST_VALUES, scales, out)
    return out
