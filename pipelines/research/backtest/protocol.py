"""Everything that could be tuned, fixed before any VPIN is looked at. A report names the hash of it.

The rule of events is in `falls`, whose text is part of the hash.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from pipelines.market import DAY_US
from pipelines.research import bootstrap
from pipelines.research.backtest import falls
from pipelines.research.rules import FIVE_US, MINUTE_US

HOUR_US = 60 * MINUTE_US
STEP_US = FIVE_US
"""Measures are read and alarms sound at whole steps: what closed by then is known, nothing else."""

BUCKETS_A_DAY = (25, 50, 100)
LENGTHS = (25, 50, 100)
"""V is the average daily volume by the first; a window has the second of buckets."""
MOST_A_DAY, LONGEST = 500, 500
"""Of a grid that is asked for."""
STARTS = 20
STARTS_SEED = 20_221_102
PAST_VALUES, LEAST_VALUES = 1500, 250
"""Past values of VPIN in its percentile, and the least: those of table `vpin` by default."""
PAST_STEPS, LEAST_STEPS = 30 * DAY_US // STEP_US, 5 * DAY_US // STEP_US
"""The same of benchmarks."""
LEVELS = (*(round(0.5 + k / 100, 2) for k in range(50)), 0.992, 0.994, 0.996, 0.998, 0.999, 1.0)
"""Percentiles from which an alarm may sound."""
ALARMS_A_DAY = 1.0
LEVEL_DATES, LEAST_DATES = 30, 7
"""The level of a date is the lowest that gave so many alarms a day on the dates before it."""
HORIZON_US = 6 * HOUR_US
"""How long before the end of an event an alarm may come."""
COOLDOWN_US = HOUR_US
"""A measure that stays above its level sounds once in this."""
CALM_DAYS = 60
"""Calm days wanted as control."""
LAGS = 24
"""Hours over which errors of the regression may hang together (Newey and West)."""


class Cell(NamedTuple):
    """A cell of the grid: V is the average daily volume / `v`; `n` buckets a window; `start` a place in `starts()`."""

    v: int
    n: int
    start: int


class Grid(NamedTuple):
    """Which cells are computed; a smaller grid is for trials, and a report says which it was."""

    v: tuple[int, ...] = BUCKETS_A_DAY
    n: tuple[int, ...] = LENGTHS
    starts: int = STARTS

    def cells(self) -> list[Cell]:
        """Return every cell: by V, n, then start."""
        return [Cell(v, n, s) for v in self.v for n in self.n for s in range(self.starts + 1)]


def grid(text: str) -> Grid:
    """Return the grid that a text like `25,50,100/50/5` stands for: buckets a day, windows, random starts.

    Raises
    ------
    ValueError
        If it stands for none; the message says how it is written.
    """
    parts = [part.split(",") for part in text.split("/")]
    if len(parts) != 3 or not all(number.strip().isdigit() for part in parts for number in part):
        raise ValueError(f"{text!r} is no grid; write buckets a day, windows and random starts like 25,50,100/50/5")
    v, n, (count, *more) = (tuple(int(number) for number in part) for part in parts)
    if more or not (1 <= min(v) <= max(v) <= MOST_A_DAY and 1 <= min(n) <= max(n) <= LONGEST and count <= STARTS):
        raise ValueError(
            f"{text!r}: up to {MOST_A_DAY} buckets a day, windows of 1 to {LONGEST}, and one number up to {STARTS} of starts"
        )
    return Grid(tuple(sorted({*v})), tuple(sorted({*n})), count)


def starts(count: int = STARTS) -> npt.NDArray[np.float64]:
    """Return the size of each date's first bucket, as a share of V: 1, that of table `vpin`, then `count` random ones."""
    drawn = np.random.default_rng(STARTS_SEED).random(STARTS)
    return np.concatenate([[1.0], np.round(drawn[:count], 6)])


@cache
def digest() -> str:
    """Return the hash of all constants here, of those of the bootstrap, and of the text of the rule of events."""
    constants = {name: value for name, value in sorted(globals().items()) if name.isupper()}
    boot = (bootstrap.DRAWS, bootstrap.SEED, bootstrap.TAILS, bootstrap.LEAST_DAYS)
    text = msgspec.json.encode([constants, starts().tolist(), boot]) + Path(falls.__file__).read_bytes()
    return hashlib.sha256(text).hexdigest()[:16]
