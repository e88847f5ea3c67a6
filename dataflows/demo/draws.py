"""The draws that make a minute of the generated market: when, on which side, in which taker order, of what size."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dataflows.demo.days import SURGE_SIZE, Day
from dataflows.demo.path import Floats
from dataflows.demo.tape import MINUTE_MS, Ints

Mask = npt.NDArray[np.bool_]

TAIL = 1.3
"""Standard deviation of the logarithm of ordinary sizes."""


def arrivals(rng: np.random.Generator, day: Day, minute: int) -> tuple[Floats, Mask, Mask]:
    """Draw the times of a minute's trades (ms in it, ascending), which are sales, and which belong to its event.

    Ordinary trades are set off by a quarter as many roots, each by one of them, soon after it and mostly on its side.
    """
    n = day.count(minute)
    roots = max(1, n // 4)
    parent = rng.integers(0, roots, n)
    lag = rng.exponential(1.0, n) * np.where(rng.random(n) < 0.6, 30.0, 600.0)
    time = (rng.random(roots) * MINUTE_MS)[parent] + lag
    sell = (rng.random(roots) < 0.5)[parent] ^ (rng.random(n) < 0.25)
    surge = rng.random(n) < day.surge[minute]
    struck = day.strike[minute] + day.length[minute] * rng.beta(1.5, 3.0, n)
    time = np.where(surge, struck, time) % MINUTE_MS
    sell = np.where(surge, day.sell[minute] ^ (rng.random(n) < 0.06), sell)
    order = np.argsort(time, kind="stable")
    return time[order], sell[order], surge[order]


def sweeps(rng: np.random.Generator, time: Floats, day: Day, minute: int) -> tuple[Ints, slice]:
    """Join some trades to taker orders over several prices.

    Returns
    -------
    lead : int64, (n,)
        Position of the first trade of each trade's order; it never falls.
    big : slice
        The event's largest order.
    """
    n = len(time)
    lead = np.arange(n)
    start = np.flatnonzero(rng.random(n) < 0.03)
    for step, more in enumerate((1.0, 0.5, 0.3), start=1):
        start = start[(rng.random(len(start)) < more) & (start + step < n)]
        lead[start + step] = start
    at = min(int(np.searchsorted(time, day.strike[minute] + 0.3 * day.length[minute])), max(0, n - 1))
    big = slice(at, min(n, at + int(rng.integers(4, 9))))
    lead[big] = at
    return np.maximum.accumulate(lead), big


def sizes(rng: np.random.Generator, surge: Mask, big: slice, share: float, lots: int) -> Ints:
    """Split a minute's lots over its trades: at least one each, heavy-tailed, the order `big` taking its share."""
    n = len(surge)
    weight = rng.lognormal(0.0, TAIL, n) * np.where(surge, SURGE_SIZE, 1.0)
    weight[big] = 0
    weight[big] = (weight.sum() or 1.0) * share / (1 - share) / max(1, big.stop - big.start)
    filled = np.cumsum(weight)
    edges = np.floor((lots - n) * (filled / filled[-1])) if n else filled
    return np.diff(edges, prepend=0.0).astype(np.int64) + 1
