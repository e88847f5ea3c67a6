"""Alarms of every measure at the same price: so many a day on the dates before, whatever the measure."""

from __future__ import annotations

import numpy as np
import polars as pl

from pipelines.kernels import trailing
from pipelines.research.backtest import protocol
from pipelines.research.backtest.measures import STEPS, Clock
from pipelines.research.backtest.trades import Floats, Instrument, Ints


def levels(at: Clock, pct: Floats) -> Floats:
    """Return the percentile from which an alarm sounds on each date; NaN where too few dates before it are known.

    It is the lowest of `LEVELS` that gave at most `ALARMS_A_DAY` a day over the last `LEVEL_DATES` dates on which the
    measure was known for half of the time; where none is low enough, that above all: infinity.
    """
    dates = int(at.date[-1]) + 1 if at.date.size else 0
    known = np.bincount(at.date[~np.isnan(pct)], minlength=dates) >= STEPS // 2
    counts = np.array([np.bincount(at.date[_sound(at.times, pct, level)], minlength=dates) for level in protocol.LEVELS])
    out = np.full(dates, np.nan)
    for date in range(dates):
        before = np.flatnonzero(known[:date])[-protocol.LEVEL_DATES :]
        if before.size >= protocol.LEAST_DATES:
            cheap = counts[:, before].sum(axis=1) <= protocol.ALARMS_A_DAY * before.size
            out[date] = protocol.LEVELS[int(np.argmax(cheap))] if cheap.any() else np.inf
    return out


def alarms(at: Clock, pct: Floats, level: Floats) -> Ints:
    """Return the times of alarms, us; `level` by date."""
    return at.times[_marked(at.times, pct, level[at.date])]


def frame(instrument: Instrument, times: Ints) -> pl.DataFrame:
    """Return alarms as `scores.score` reads them."""
    end = pl.Series("end", times, pl.Int64).cast(pl.Datetime("us", "UTC"))
    return pl.DataFrame([end]).select(pl.lit(instrument.venue).alias("venue"), pl.lit(instrument.symbol).alias("symbol"), "end")


def _sound(times: Ints, pct: Floats, level: float) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return _marked(times, pct, np.full(pct.size, level))


def _marked(times: Ints, pct: Floats, level: Floats) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    out = np.empty(pct.size, np.bool_)
    trailing.alarms(times, pct, level, protocol.COOLDOWN_US, out)
    return out
