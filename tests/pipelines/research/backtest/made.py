"""Small made-up tapes: days of a few thousand trades."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import NamedTuple

import polars as pl

from pipelines import market
from pipelines.research.backtest.generated import VENUE, Generated
from pipelines.research.backtest.trades import Instrument, Span, Trades

BTC = Instrument(VENUE, "BTC-USDT")
SPAN = Span(dt.date(2024, 3, 1), dt.date(2024, 3, 5))
CONTROL = Span(dt.date(2024, 2, 1), dt.date(2024, 2, 29))
LONG = Span(dt.date(2023, 12, 1), dt.date(2024, 2, 29))


class Quiet(NamedTuple):
    """A made-up tape of which no detector said anything."""

    made: Generated
    until: dt.date = dt.date.max

    @property
    def generated(self) -> str:
        return self.made.generated

    def days(self, instrument: Instrument) -> Iterator[tuple[dt.date, Trades]]:
        return ((date, day) for date, day in self.made.days(instrument) if date <= self.until)

    def alerts(self, instrument: Instrument) -> pl.DataFrame:
        return pl.DataFrame(market.ALERTS.lake_schema.empty_table())


def tape(control: Span = CONTROL, *, seed: int = 1, planted: bool = True, scale: float = 0.004) -> Quiet:
    return Quiet(Generated(SPAN, control, seed=seed, scale=scale, planted=planted))
