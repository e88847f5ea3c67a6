"""Our minutes held against the venue's own 1-minute candles."""

from __future__ import annotations

import datetime as dt
from typing import Any, Final, NamedTuple

import polars as pl

from pipelines.history.day import Day
from pipelines.store.lake import Lake
from pipelines.venues.columns import Tape

LEAST: Final = 0.99
"""Of a tape of fills, so many minutes are to be exact."""
PRICES: Final = ("open", "high", "low", "close")
COMPARED: Final = (*PRICES, "volume", "taker_buy_volume", "fills")
TOLERANCE: Final = 1e-9
"""Relative: both sides are sums of the same decimals, each rounded to a float64."""
ROUNDING: Final = 1e-8
"""Contracts x value / price are rounded to that, trade by trade."""
SHOWN: Final = 5


class Agreement(NamedTuple):
    """How minutes agree.

    Attributes
    ----------
    tape : {'agg', 'fill'}
    compared, exact : int
        Minutes; exact in everything that the venue tells.
    differing : dict of column to int
        In how many minutes each column differs, of those that the venue tells.
    away, flipped_away : float
        Taker buys, summed over minutes: how far ours are from the venue's, and how far our sells are.
    shown : list of str
        The first minutes that are not exact.
    """

    tape: Tape
    compared: int
    exact: int
    differing: dict[str, int]
    away: float
    flipped_away: float
    shown: list[str]

    @property
    def share(self) -> float:
        """The share of exact minutes."""
        return self.exact / self.compared if self.compared else 1.0

    @property
    def passed(self) -> bool:
        """Whether the sides are right, and, of a tape of fills, nearly every minute is exact.

        An aggregate that began in one minute may hold fills of the next, so that of these tapes the share is only reported.
        """
        sides = self.away <= self.flipped_away
        return sides and (self.tape == "agg" or self.share >= LEAST)

    def compact(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {**self._asdict(), "share": self.share, "passed": self.passed}


def candles(lake: Lake, day: Day, symbol: str) -> pl.DataFrame:
    """Return the venue's 1-minute candles of a symbol's day, as far as the lake has them."""
    here = pl.col("venue") == day.venue, pl.col("symbol") == symbol, pl.col("interval") == "1m"
    return lake.table("klines", date=day.date).filter(*here).collect().unique("ts", keep="last").sort("ts")


def agreement(bars: pl.DataFrame, venue: pl.DataFrame, tape: Tape, *, inverse: bool = False, since: int = 0) -> Agreement | None:
    """Compare rows of `bars` with rows of `klines` of the same instrument and day; None: there is nothing to compare.

    Minutes of which there is no candle are left out, as are those that begin before `since` (us), and those in which
    neither side has trades.
    """
    minutes = bars.filter(pl.col("bar") == "1m").rename({"buy_volume": "taker_buy_volume"}).select("ts", *COMPARED)
    wanted = venue.select("ts", *COMPARED).filter(pl.col("ts").dt.epoch("us") >= since)
    both = wanted.join(minutes, on="ts", how="left", suffix=":ours")
    both = both.filter((pl.col("volume") > 0) | pl.col("volume:ours").is_not_null()).sort("ts")
    if not both.height:
        return None
    told = [name for name in COMPARED if wanted[name].null_count() < wanted.height]
    slack = ROUNDING * pl.max_horizontal(1, "fills", "fills:ours") if inverse else pl.lit(0.0)
    differs = {name: ~_same(name, slack).fill_null(value=False) for name in told}
    both = both.with_columns(**{f"{name}:differs": of for name, of in differs.items()})
    both = both.with_columns(exact=~pl.any_horizontal(f"{name}:differs" for name in told))
    bought, sold = pl.col("taker_buy_volume:ours"), pl.col("volume:ours") - pl.col("taker_buy_volume:ours")
    theirs = pl.col("taker_buy_volume")
    away, flipped = both.select(
        *((ours.fill_null(0.0) - theirs).abs().sum().alias(name) for name, ours in (("a", bought), ("f", sold)))
    ).row(0)
    return Agreement(
        tape,
        both.height,
        int(both["exact"].sum()),
        {name: n for name in told if (n := int(both[f"{name}:differs"].sum()))},
        float(f"{away:.6g}"),
        float(f"{flipped:.6g}"),
        [f"{ts:%H:%M}" for ts in both.filter(~pl.col("exact")).head(SHOWN)["ts"]],
    )


def _same(name: str, slack: pl.Expr) -> pl.Expr:
    mine, theirs = pl.col(f"{name}:ours"), pl.col(name)
    if name in PRICES or name == "fills":
        return mine == theirs
    return (mine - theirs).abs() <= TOLERANCE * theirs + slack


def how_to_get(venue: str, date: dt.date, *, archived: bool) -> str:
    """Say how the lake gets candles that it lacks."""
    if archived:
        return f"the lake has no 1-minute klines; to fetch them: tapeflow backfill --venue {venue} --dates {date} --repair"
    return "the lake has no 1-minute klines, and those of this venue are only taken while it is recorded"
