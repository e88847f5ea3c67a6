"""Two legs on one grid of bar ends: log prices where both have traded of late.

A price that is carried on too long makes a spread that seems to revert and returns that seem uncorrelated; such points
are dropped, and counted.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from pipelines.research.undefined import Undefined

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

LIMIT = 2
"""The last trade of a leg may be at most this many bars old, so that at most one bar in a row is bridged."""
ROUNDING = 16 * float(np.finfo(np.float64).eps)
"""What is smaller than this, against the log price itself, is noise of the last digit of a double."""


class Leg(NamedTuple):
    """The bars of one instrument that have trades: their ends in us, rising, and the log of the last price before."""

    ends: Ints
    logs: Floats


class Points(NamedTuple):
    """Two legs at the same moments.

    Attributes
    ----------
    ends : array of int
        Ends of bars in us, rising; each price is that of the last trade strictly before.
    y, x : array of float
        Natural logs of price; y is explained, x explains.
    width_us : int
        Width of a bar.
    dropped : int
        Ends of bars, from the first to the last of either leg, at which a leg was stale or had not begun, or neither traded.
    carried : int
        Points at which one leg had no trade in the bar that ends there.
    """

    ends: Ints
    y: Floats
    x: Floats
    width_us: int
    dropped: int = 0
    carried: int = 0

    @property
    def joined(self) -> Flags:
        """Whether each point is one bar after the point before it; one shorter than the points."""
        joined: Flags = np.diff(self.ends) == self.width_us
        return joined

    def swapped(self) -> Points:
        """Return the same points the other way round."""
        return self._replace(y=self.x, x=self.y)


def leg(bars: pl.DataFrame) -> Leg:
    """Return what counts of an instrument's time bars: those with trades and with a price.

    Parameters
    ----------
    bars
        Columns `end`, `close`, `volume`; in any order.
    """
    traded = (pl.col("volume") > 0) & (pl.col("close") > 0) & pl.col("close").is_finite()
    kept = bars.filter(traded).unique("end", keep="last", maintain_order=True).sort("end")
    return Leg(kept["end"].dt.epoch("us").to_numpy().astype(np.int64), np.log(kept["close"].to_numpy().astype(np.float64)))


def align(y: Leg, x: Leg, width_us: int) -> Points:
    """Put two legs on the grid of bar ends, from the first to the last end of either.

    Raises
    ------
    Undefined
        If a leg has no trade at all.
    """
    if not (y.ends.size and x.ends.size):
        raise Undefined("a leg never traded")
    grid = np.arange(min(y.ends[0], x.ends[0]), max(y.ends[-1], x.ends[-1]) + 1, width_us, dtype=np.int64)
    (at_y, age_y), (at_x, age_x) = (_newest(leg.ends, grid) for leg in (y, x))
    longest = (LIMIT - 1) * width_us  # the trade is up to one bar older than the end of its bar
    kept = (at_y >= 0) & (at_x >= 0) & (age_y <= longest) & (age_x <= longest) & (np.minimum(age_y, age_x) == 0)
    carried = int(((age_y > 0) | (age_x > 0))[kept].sum())
    return Points(grid[kept], y.logs[at_y[kept]], x.logs[at_x[kept]], width_us, int(grid.size - kept.sum()), carried)


def _newest(ends: Ints, grid: Ints) -> tuple[Ints, Ints]:
    """Return for each moment the number of the newest bar that has ended by then (-1: none), and how long ago."""
    at = np.searchsorted(ends, grid, side="right") - 1
    return at, grid - ends[at]
