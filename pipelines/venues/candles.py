"""Candles of venues that give only their start, read into the columns of `columns.KLINES`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa

from pipelines.schema import TIME
from pipelines.venues.columns import EARLIEST_US, KLINES, LATEST_US, MAX_ID

_DAY_S = 86_400


class Candle(NamedTuple):
    """A candle: `start` in s since 1970, `volume` in base; fills and notional None where the venue does not say."""

    start: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    fills: int | None = None
    notional: float | None = None


def table(candles: Sequence[Candle]) -> pa.Table:
    """Return candles in order of time.

    Their width is not told: those that all begin at midnight are days, others minutes.

    Raises
    ------
    ValueError
        If a value is not finite, or a time or count absurd.
    """
    ordered = sorted(candles, key=lambda c: c.start)
    if not all(math.isfinite(value) for c in ordered for value in (*c[1:6], c.notional or 0.0)):
        raise ValueError("klines were malformed: a value was not finite")
    if not all(EARLIEST_US <= c.start * 1_000_000 < LATEST_US for c in ordered):
        raise ValueError("klines were malformed: a time was not between 2010 and 2100")
    if not all(c.fills is None or 0 <= c.fills <= MAX_ID for c in ordered):
        raise ValueError("klines were malformed: a count was below zero or absurd")
    width = _DAY_S if all(c.start % _DAY_S == 0 for c in ordered) else 60
    columns = {
        "ts": pa.array([c.start * 1_000_000 for c in ordered], pa.int64()).cast(TIME),
        "end": pa.array([(c.start + width) * 1_000_000 for c in ordered], pa.int64()).cast(TIME),
        **{name: [getattr(c, name) for c in ordered] for name in ("open", "high", "low", "close", "volume", "fills", "notional")},
    }
    unsaid = [None] * len(ordered)
    return pa.table({name: columns.get(name, unsaid) for name in KLINES.names}, schema=KLINES)
