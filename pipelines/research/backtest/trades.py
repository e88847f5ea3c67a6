"""The trades of a date as integers, and what is kept of them: minutes, and whole buckets of every size and start."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from pipelines.kernels import day_buckets, decimals, vpin
from pipelines.market import DAY_US
from pipelines.reference import Volumes, places_of, rounded
from pipelines.research.rules import MINUTE_US

MINUTES = DAY_US // MINUTE_US
EPOCH = dt.date(1970, 1, 1)

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Buckets = npt.NDArray[np.void]
"""An array of `vpin.BUCKET`."""


class Trades(NamedTuple):
    """Counted trades of an instrument on a UTC date, in tape order.

    Attributes
    ----------
    times : int64
        Event time, us; never falls.
    prices : float64
        Quote currency.
    lots : int64
        Sizes in units of 10**-`places` of base.
    places : int
    sides : int8
        +1: the buyer was the taker.
    gaps : int64
        Places of trades after a hole in the tape.
    """

    times: Ints
    prices: Floats
    lots: Ints
    places: int
    sides: npt.NDArray[np.int8]
    gaps: Ints


class Span(NamedTuple):
    """Dates, the last included."""

    first: dt.date
    last: dt.date

    def dates(self) -> list[dt.date]:
        """Return every date."""
        return [self.first + dt.timedelta(days=k) for k in range((self.last - self.first).days + 1)]

    @property
    def start(self) -> int:
        """Its start, us."""
        return (self.first - EPOCH).days * DAY_US

    @property
    def end(self) -> int:
        """Its end, us."""
        return (self.last - EPOCH).days * DAY_US + DAY_US


class Instrument(NamedTuple):
    """Whose trades they are; `symbol` as it stands in tables."""

    venue: str
    symbol: str


class Tape(Protocol):
    """Where trades come from, a date at a time.

    Attributes
    ----------
    generated : str
        How they were made up; empty: they are trades of a market.
    """

    @property
    def generated(self) -> str: ...  # noqa: D102 - said above

    def days(self, instrument: Instrument) -> Iterator[tuple[dt.date, Trades]]:
        """Yield each whole date of the tape that has trades, in order."""

    def alerts(self, instrument: Instrument) -> pl.DataFrame:
        """Return alerts of detectors on the same dates: rows of table `alerts`."""


class Minutes(NamedTuple):
    """Minutes of some dates; what is not known is NaN.

    Attributes
    ----------
    dates : int64, (dates,)
        Days since 1970, in order, not all in a row.
    closes, volumes, buys, trades : float64, (dates, 1440)
        Last price, the last before it where nobody traded in a minute, of that date alone; volume and taker-buy volume in
        units of base; number of trades.
    """

    dates: Ints
    closes: Floats
    volumes: Floats
    buys: Floats
    trades: Floats

    def bars(self, instrument: Instrument) -> pl.DataFrame:
        """Return what `research.events` reads of table `bars`: a minute without a trade is no row."""
        known = self.trades.ravel() > 0
        ts = (self.dates[:, None] * DAY_US + np.arange(MINUTES) * MINUTE_US).ravel()[known]
        time = pl.Datetime("us", "UTC")
        return pl.DataFrame({"ts": ts, "close": self.closes.ravel()[known]}).select(
            pl.lit(instrument.venue).alias("venue"),
            pl.lit(instrument.symbol).alias("symbol"),
            pl.col("ts").cast(time),
            (pl.col("ts") + MINUTE_US).cast(time).alias("end"),
            "close",
            pl.lit("complete").alias("quality"),
        )


class Passed(NamedTuple):
    """What one pass over the dates keeps.

    Attributes
    ----------
    minutes : Minutes
    buckets : dict of (v, start) to array of vpin.BUCKET
        Whole buckets in order, in units of 10**-`places` of base.
    places : int
    trades : int
        How many were read.
    left_out : list of str
        Dates that could not be read as integers, with the reason.
    """

    minutes: Minutes
    buckets: dict[tuple[int, int], Buckets]
    places: int
    trades: int
    left_out: list[str]


def to_trades(times: Ints, prices: Floats, sizes: Floats, sides: npt.NDArray[np.int8], gaps: Ints) -> Trades | None:
    """Return trades whose sizes are doubles as integers; None if no step holds all of them (see `kernels.decimals`)."""
    places = int(decimals.least_places(sizes))
    lots = np.empty(sizes.size, np.int64)
    if places < 0 or not decimals.mantissas(sizes, places, lots):
        return None
    return Trades(np.maximum.accumulate(times), prices, lots, places, sides, gaps)


def read(days: Iterator[tuple[dt.date, Trades]], sizes: tuple[int, ...], firsts: Floats) -> Passed:
    """Read dates one after the other; no more than one is in memory.

    V of a date is the mean volume of up to 30 dates before it / size, as in table `vpin`; the first date has none.

    Parameters
    ----------
    days
        As `Tape.days` gives them.
    sizes
        Buckets a day.
    firsts
        Size of each date's first bucket as shares of V.
    """
    volumes = Volumes(None)
    kept: dict[tuple[int, int], list[tuple[int, Buckets]]] = {(v, s): [] for v in sizes for s in range(firsts.size)}
    minutes: list[tuple[int, Floats]] = []
    count, left_out = 0, []
    for date, trades in days:
        day = (date - EPOCH).days
        reference = volumes.of(0, day * DAY_US)
        targets = {v: rounded(reference.volume / v) for v in sizes} if reference else {}
        places = max([trades.places, *map(places_of, targets.values())])
        total = int(trades.lots.sum(dtype=np.float64)) * 10 ** (places - trades.places)
        if total >= decimals.WIDEST:
            left_out.append(f"{date}: volumes do not fit in 62 bits")
            continue
        count += trades.lots.size
        fine = trades._replace(lots=trades.lots * 10 ** (places - trades.places), places=places)
        upto = np.empty(fine.lots.size, day_buckets.CUMULATIVE)
        day_buckets.cumulate(fine.lots, fine.sides, 10.0**places, upto)
        minutes.append((day, _minutes(day, fine, upto)))
        for v, volume in targets.items():
            for s, first in enumerate(firsts):
                kept[v, s].append((places, _buckets(fine, upto, int(volume.scaleb(places)), float(first))))
        volumes.complete(0, day * DAY_US, int(upto["volume"][-1]) / 10**places, 0.0)
    most = max((places for parts in kept.values() for places, _ in parts), default=0)
    figures = np.array([part for _, part in minutes]).reshape(-1, 4, MINUTES)
    table = Minutes(np.array([day for day, _ in minutes], np.int64), *(figures[:, k] for k in range(4)))
    return Passed(table, {key: _joined(parts, most) for key, parts in kept.items()}, most, count, left_out)


def _buckets(trades: Trades, upto: npt.NDArray[np.void], target: int, share: float) -> Buckets:
    if target == 0:
        return np.empty(0, vpin.BUCKET)
    first = min(target, max(1, round(target * share)))
    out = np.zeros(int(upto["volume"][-1]) // target + 1, vpin.BUCKET)
    scale = 10.0**trades.places
    n = day_buckets.buckets(upto, trades.times, trades.lots, trades.sides, trades.gaps, scale, first, target, out)
    return out[:n].copy()


def _joined(parts: list[tuple[int, Buckets]], places: int) -> Buckets:
    """Return buckets of several dates as one array, all in the finest step that any date needs."""
    for own, part in parts:
        for name in ("target", "volume", "buy"):
            part[name] *= 10 ** (places - own)
    return np.concatenate([part for _, part in parts]) if parts else np.empty(0, vpin.BUCKET)


def _minutes(day: int, trades: Trades, upto: npt.NDArray[np.void]) -> Floats:
    """Return close, volume, taker-buy volume and number of trades of each minute, (4, 1440)."""
    edges = day * DAY_US + np.arange(MINUTES + 1) * MINUTE_US
    last = np.searchsorted(trades.times, edges, "left")
    scale = 10.0**trades.places
    before = [np.concatenate([[0], upto[name]])[last] for name in ("volume", "buy")]
    closes = np.where(last[1:] > 0, trades.prices[np.maximum(last[1:] - 1, 0)], np.nan)
    return np.array([closes, *(np.diff(sums) / scale for sums in before), np.diff(last)], np.float64)
