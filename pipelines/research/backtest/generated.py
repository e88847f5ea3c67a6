"""Made-up days of a market's size, to show that a backtest works and how long it takes. They say nothing of any market.

Volatility and activity rise and fall together, by the minute and by the hour of the day; who takes is drawn apart from
both, in runs, so that on days without a planted fall VPIN knows nothing of what comes. In each instrument one fall is
planted, of 9 % in 30 minutes, and one-sided selling in the four hours before it: what is put there must be found.
"""

from __future__ import annotations

import datetime as dt
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from pipelines.kernels.autoregressive import autoregressive
from pipelines.market import DAY_US
from pipelines.research.backtest.trades import EPOCH, MINUTES, Floats, Instrument, Span, Trades
from pipelines.research.rules import MINUTE_US

VENUE = "generated"
PRICES = (20_000.0, 25.0, 30.0)
"""Of the instruments, in turn."""
TICKS = (0.01, 0.001, 0.01)
PLACES = (5, 2, 2)
"""Decimals of sizes."""
CALM_TRADES = (1_000_000, 150_000, 350_000)
SPAN_TRADES = (2_000_000, 1_000_000, 1_000_000)
"""Trades a day: on the dates before those that are asked about, and on them."""
RUNS_A_DAY = 400
"""Runs of trades on a usual day that share a leaning to one side; of the same length on busy ones, or VPIN would know them."""
LEANING, LASTING = 0.1, 0.9
FALL, FALL_MINUTES, BEFORE_MINUTES = -0.09, 30, 240
SOLD = 0.9
"""Share of the trades before a planted fall in which the seller is the taker."""


class Path(NamedTuple):
    """The market of an instrument by the minute, (dates, 1440): log price at the end, trades, share of buys beside a half."""

    logs: Floats
    counts: np.ndarray[tuple[int, int], np.dtype[np.int64]]
    sold: np.ndarray[tuple[int, int], np.dtype[np.bool_]]


class Generated(NamedTuple):
    """A made-up tape; as `trades.Tape`.

    Attributes
    ----------
    span, control : Span
    seed : int
    scale : float
        Trades as a share of the size they would have.
    planted : bool
        A fall is planted in each instrument.
    symbols : tuple of str
    """

    span: Span
    control: Span
    seed: int = 1
    scale: float = 1.0
    planted: bool = True
    symbols: tuple[str, ...] = ("BTC-USDT", "FTT-USDT", "SOL-USDT")

    @property
    def generated(self) -> str:
        """See `Tape`."""
        what = f"seed {self.seed}, sizes x {self.scale:g}"
        if not self.planted:
            return f"{what}; no fall is planted"
        fall = f"a fall of {-FALL:.0%} in {FALL_MINUTES} minutes, after {BEFORE_MINUTES // 60} hours of one-sided selling"
        return f"{what}; in each instrument {fall}, is planted"

    def dates(self) -> list[dt.date]:
        """Return every date of control and span, in order."""
        return sorted({*self.control.dates(), *self.span.dates()})

    def days(self, instrument: Instrument) -> Iterator[tuple[dt.date, Trades]]:
        """See `Tape`."""
        which = self.symbols.index(instrument.symbol) % len(PRICES)
        key = zlib.crc32(instrument.symbol.encode())
        dates = self.dates()
        run = max(1, round(CALM_TRADES[which] * self.scale / RUNS_A_DAY))
        path = self._path(which, np.random.default_rng([self.seed, key]))
        before = float(np.log(PRICES[which]))
        for k, date in enumerate(dates):
            rng = np.random.default_rng([self.seed, key, (date - EPOCH).days])
            yield date, _trades(rng, date, before, path.logs[k], path.counts[k], path.sold[k], which, run)
            before = float(path.logs[k, -1])

    def _path(self, which: int, rng: np.random.Generator) -> Path:
        dates = self.dates()
        n = len(dates) * MINUTES
        slow, fast = _autoregressive(rng, n, 0.9995) * 0.35, _autoregressive(rng, n, 0.98) * 0.25
        hour = 0.3 * np.sin(2 * np.pi * (np.arange(n) % MINUTES) / MINUTES - 2)
        mood = slow + fast + hour
        returns = 5e-4 * np.exp(mood) * rng.standard_normal(n)
        in_span = np.array([self.span.first <= date <= self.span.last for date in dates])
        a_day = np.where(in_span, SPAN_TRADES[which], CALM_TRADES[which]) * self.scale
        active = np.exp(mood + _autoregressive(rng, n, 0.9) * 0.3)
        active *= (
            np.repeat(a_day, MINUTES)
            / active.reshape(-1, MINUTES).sum(axis=1).repeat(MINUTES)
            * np.exp(slow.reshape(-1, MINUTES).mean(axis=1).repeat(MINUTES))
        )
        sold = np.zeros(n, np.bool_)
        if self.planted:
            at = (dates.index(self.span.first) + len(self.span.dates()) // 2) * MINUTES + (14 + which) * 60
            sold[at - BEFORE_MINUTES : at] = True
            returns[at : at + FALL_MINUTES] += FALL / FALL_MINUTES
            active[at : at + FALL_MINUTES] *= 5
        logs = np.log(PRICES[which]) + np.cumsum(returns)
        shape = (-1, MINUTES)
        return Path(logs.reshape(shape), rng.poisson(active).reshape(shape), sold.reshape(shape))


def _autoregressive(rng: np.random.Generator, n: int, lasting: float) -> Floats:
    """Return a series of mean 0 and deviation 1 in which each value is `lasting` of the one before, and news."""
    news: Floats = rng.standard_normal(n) * np.sqrt(1 - lasting**2)
    news[0] = rng.standard_normal()
    autoregressive(news, lasting)
    return news


def _trades(
    rng: np.random.Generator,
    date: dt.date,
    before: float,
    logs: Floats,
    counts: np.ndarray[tuple[int], np.dtype[np.int64]],
    sold: np.ndarray[tuple[int], np.dtype[np.bool_]],
    which: int,
    run: int,
) -> Trades:
    """Return the trades of a date: evenly over each minute, prices on the way from its begin to its end."""
    n = int(counts.sum())
    minute = np.repeat(np.arange(MINUTES), counts)
    within = (np.arange(n) - np.repeat(np.cumsum(counts) - counts, counts) + 1) / np.repeat(counts, counts)
    start = (date - EPOCH).days * DAY_US
    times = start + minute * MINUTE_US + (within * (MINUTE_US - 1000)).astype(np.int64) // 1000 * 1000
    begins = np.concatenate([[before], logs[:-1]])
    prices = np.exp(begins[minute] + (logs - begins)[minute] * within + 2e-5 * (rng.random(n, np.float32) - 0.5))
    tick, places = TICKS[which], PLACES[which]
    digits = len(f"{tick:g}") - 2
    sizes = np.exp(rng.standard_normal(1 << 16) * 1.3) * 400
    lots = 1 + sizes[rng.integers(0, 1 << 16, n, np.uint16)].astype(np.int64)
    leaning = 0.5 + LEANING * _autoregressive(rng, n // run + 1, LASTING)
    buys = np.clip(leaning, 0.05, 0.95)[np.arange(n) // run]
    buys[sold[minute]] = 1 - SOLD
    sides = np.where(rng.random(n, np.float32) < buys, 1, -1).astype(np.int8)
    return Trades(times, np.round(np.rint(prices / tick) * tick, digits), lots, places, sides, np.empty(0, np.int64))
