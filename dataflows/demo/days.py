"""What a day of the generated market holds: per minute, how many trades, how much volume, and which event strikes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dataflows.demo.path import Floats
from dataflows.demo.tape import DAY_MS, MINUTE_MS, Ints

MINUTES = DAY_MS // MINUTE_MS


class Nature(NamedTuple):
    """What an instrument is like.

    Attributes
    ----------
    price : float
        Around which it wanders, quote currency.
    price_decimals, tick, size_decimals : int
        As in `Listing`.
    flow : float
        Mean volume, base units per second, however many trades it comes in.
    weight : float
        Share of the trades, before normalising over the listed.
    beta : float
        Volatility, in that of BTC.
    """

    price: float
    price_decimals: int
    tick: int
    size_decimals: int
    flow: float
    weight: float
    beta: float


NATURES = {
    "BTC": Nature(90_000.0, 2, 10, 3, 0.5, 0.5, 1.0),
    "ETH": Nature(3_000.0, 2, 1, 3, 3.0, 0.3, 1.3),
    "SOL": Nature(150.0, 4, 100, 2, 8.0, 0.2, 1.6),
}
OTHER = Nature(10.0, 4, 10, 1, 100.0, 0.1, 1.6)

LEAST_LOTS = 4
"""Mean size in lots, where the rate is so high that the flow alone would give less."""
SURGE_SIZE = 2.0
"""Mean size of an event's trades, in that of ordinary ones."""


class _Events(NamedTuple):
    """Events, one a minute: an informed burst, a large sweep, a cascade of stops; each tuple has one number for each."""

    chance: tuple[float, ...] = (0.5, 0.3, 0.2)
    seconds: tuple[float, ...] = (6.0, 1.0, 4.0)
    """How long it takes."""
    surge: tuple[float, ...] = (0.25, 0.05, 0.5)
    """Trades it adds, as a share of the minute's ordinary ones."""
    sweep: tuple[float, ...] = (25.0, 25.0, 40.0)
    """Size of its largest taker order, in seconds of mean flow."""
    move: tuple[float, ...] = (6e-4, 2e-4, 20e-4)
    """By how much it displaces the logarithm of the price."""
    buy: tuple[float, ...] = (0.6, 0.6, 0.0)
    """How often it is one of buyers."""


_EVENTS = _Events()


CASCADE_MS = (3_000.0, 12_000.0)
"""When in its minute a planted cascade begins, and how long it takes."""
CASCADE_SURGE, CASCADE_SWEEP, CASCADE_VOLUME = 0.7, 0.2, 8
"""Its share of the minute's trades, that of its largest order of the volume, and the volume in that of an ordinary minute."""


class Day(NamedTuple):
    """The tables of an instrument's day, a row a minute.

    Attributes
    ----------
    first : int64, (1441,)
        Id of the minute's first trade; the last is that of the next day.
    lots : int64, (1440,)
        Volume.
    strike, length : float64, (1440,)
        When in the minute its event begins, and how long it takes, in ms.
    surge, sweep : float64, (1440,)
        The event's share of the trades, and the share of the volume that its largest taker order has.
    move : float64, (1440,)
        By how much the event displaces the logarithm of the price.
    sell : bool, (1440,)
        It is one of sellers.
    """

    first: Ints
    lots: Ints
    strike: npt.NDArray[np.float64]
    length: npt.NDArray[np.float64]
    surge: npt.NDArray[np.float64]
    sweep: npt.NDArray[np.float64]
    move: npt.NDArray[np.float64]
    sell: npt.NDArray[np.bool_]

    def count(self, minute: int) -> int:
        """Return the number of trades in a minute."""
        return int(self.first[minute + 1] - self.first[minute])


def plant(day: Day, minute: int, move: float) -> None:
    """Make a minute one of forced sales by which the logarithm of the price falls by `move`; ids stay as they were."""
    day.strike[minute], day.length[minute] = CASCADE_MS
    day.surge[minute], day.sweep[minute] = CASCADE_SURGE, CASCADE_SWEEP
    day.lots[minute] *= CASCADE_VOLUME
    day.move[minute], day.sell[minute] = -move, True


def day_table(rng: np.random.Generator, nature: Nature, day: int, trades: int) -> Day:
    """Draw the tables of a day.

    Parameters
    ----------
    rng : numpy.random.Generator
        Seeded with the instrument and the day.
    nature : Nature
    day : int
        Counted from the genesis.
    trades : int
        In every day, so that ids are known without looking at the days before.
    """
    kind = rng.choice(len(_EVENTS.chance), MINUTES, p=_EVENTS.chance)
    surge = np.take(_EVENTS.surge, kind) * rng.uniform(0.7, 1.5, MINUTES)
    sweep = np.take(_EVENTS.sweep, kind) * rng.uniform(0.8, 1.5, MINUTES)
    sell = rng.random(MINUTES) >= np.take(_EVENTS.buy, kind)
    move = np.take(_EVENTS.move, kind) * rng.uniform(0.6, 1.6, MINUTES)
    pace = _rhythm(rng)

    share = np.concatenate(([0.0], np.cumsum(pace * (1 + surge))))
    first = 1 + day * trades + np.floor(trades * (share / share[-1])).astype(np.int64)  # the last share is exactly 1
    count = np.diff(first)

    volume = 60 * pace * (1 + SURGE_SIZE * surge) + sweep
    level = max(0.5, 1 + 0.15 * np.sin(2 * np.pi * day / 7) + 0.1 * rng.standard_normal())
    total = level * nature.flow * 86_400 * 10**nature.size_decimals
    lots = np.maximum(np.rint(total * volume / volume.sum()).astype(np.int64), LEAST_LOTS * count)
    return Day(
        first=first,
        lots=np.where(count > 0, lots, 0),
        strike=rng.uniform(20_000, 40_000, MINUTES),
        length=1000 * np.take(_EVENTS.seconds, kind) * rng.uniform(0.7, 1.3, MINUTES),
        surge=surge / (1 + surge),
        sweep=sweep / volume,
        move=np.where(sell, -move, move),
        sell=sell,
    )


def _rhythm(rng: np.random.Generator) -> Floats:
    """Return the activity of a day's minutes, mean near 1: the hours of the day, times noise clustered at many scales."""
    hours = np.arange(MINUTES) / 60
    log = 0.35 * np.cos(2 * np.pi * (hours - 14.5) / 24) + 0.15 * np.cos(4 * np.pi * (hours - 1) / 24)
    for minutes in (1, 6, 36, 180):
        log += 0.15 * np.repeat(rng.standard_normal(MINUTES // minutes), minutes)
    rhythm: Floats = np.exp(log)
    return rhythm
