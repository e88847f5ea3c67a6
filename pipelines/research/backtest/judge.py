"""One instrument, from its trades to figures: events first, then the whole grid and the benchmarks, each judged alike."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import polars as pl

from pipelines.market import DAY_US
from pipelines.research import events, scores
from pipelines.research.backtest import alarms, falls, increment, measures, protocol, trades
from pipelines.research.backtest.measures import BENCHMARKS, Clock, Reading
from pipelines.research.backtest.protocol import Cell, Grid
from pipelines.research.backtest.trades import Floats, Instrument, Ints, Span, Tape
from pipelines.research.scores import Estimate, Score

BEFORE_US, AFTER_US = DAY_US, DAY_US // 2
"""Of the illustration: what is shown before its event began, and after it."""
SHOWN = Cell(50, 50, 0)
"""The cell the illustration shows: that of table `vpin`, chosen here and not by what it shows."""


class Asked(NamedTuple):
    """What is asked: instruments, the span that is looked into, and the calm one before it."""

    instruments: tuple[Instrument, ...]
    span: Span
    control: Span
    grid: Grid = Grid()


class Figure(NamedTuple):
    """A figure of a measure: its value with a 95 % interval; `n` is what it was counted on.

    `period` is `calm` (dates of the control without an event) or `span`.
    """

    period: str
    measure: str
    cell: Cell | None
    metric: str
    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0
    why: str = ""


class Illustration(NamedTuple):
    """The first event of the span, and what stood around it, at each step: one event, no evidence."""

    start: int
    end: int
    times: Ints
    closes: Floats
    vpin: Floats
    rv: Floats


class Judged(NamedTuple):
    """All figures of an instrument.

    Attributes
    ----------
    instrument : Instrument
    events : list of (int, int)
        Start and end of each event in the span, us.
    since : int
        When every measure had a past long enough for an alarm, us; nothing before it is judged.
    trades, dates : int
        How many were read.
    left_out : list of str
    figures : list of Figure
    illustration : Illustration or None
    """

    instrument: Instrument
    events: list[tuple[int, int]]
    since: int
    trades: int
    dates: int
    left_out: list[str]
    figures: list[Figure]
    illustration: Illustration | None


class _Held(NamedTuple):
    """What a measure is held against: periods by name, and the events."""

    events: pl.DataFrame
    periods: dict[str, pl.DataFrame]


def judge(tape: Tape, instrument: Instrument, asked: Asked) -> Judged:
    """Judge one instrument. Events are found from minutes before any VPIN is computed."""
    grid = asked.grid
    passed = trades.read(tape.days(instrument), grid.v, protocol.starts(grid.starts))
    rule, bars = falls.Falls(), passed.minutes.bars(instrument)
    found, seen = events.find(rule, bars), events.watched(rule, bars)

    at = measures.clock(passed.minutes)
    readings = [*measures.benchmarks(at), *measures.vpins(passed, at, grid)]
    levels = [alarms.levels(at, one.pct) for one in readings]
    since = _since(passed.minutes.dates, levels, asked.span.end)
    sounded = [alarms.alarms(at, one.pct, level) for one, level in zip(readings, levels, strict=True)]

    control = _within(seen, max(since, asked.control.start), min(asked.control.end, asked.span.start))
    periods = {"calm": falls.calm(found, control), "span": _within(seen, max(since, asked.span.start), asked.span.end)}
    held = _Held(found, periods)
    figures = [*_base(held)]
    for one, times in zip(readings, sounded, strict=True):
        figures += _scored(held, one, alarms.frame(instrument, times))
    figures += _alone(held, readings, sounded)
    figures += _increments(at, readings, periods)
    figures += _detectors(held, tape.alerts(instrument))
    within = _within(found, asked.span.start, asked.span.end)
    happened = list(within.select(pl.col("start", "end").dt.epoch("us")).iter_rows())
    shown = _illustrate(happened[0], at, passed.minutes.closes, readings) if happened else None
    days = passed.minutes.dates.size
    return Judged(instrument, happened, since, passed.trades, days, passed.left_out, figures, shown)


def _since(dates: Ints, levels: list[Floats], end: int) -> int:
    """Return when every measure has a level, us; `end` where one never has."""
    known = np.all([~np.isnan(level) for level in levels], axis=0)
    return int(dates[np.argmax(known)]) * DAY_US if known.any() else end


def _within(spans: pl.DataFrame, start: int, end: int) -> pl.DataFrame:
    """Return the parts of spans between two times."""
    time = pl.Datetime("us", "UTC")
    clipped = spans.with_columns(
        pl.max_horizontal("start", pl.lit(start).cast(time)), end=pl.min_horizontal("end", pl.lit(end).cast(time))
    )
    return clipped.filter(pl.col("start") < pl.col("end"))


def _base(held: _Held) -> Iterator[Figure]:
    for period, watched in held.periods.items():
        yield Figure(period, "events", None, "days", float(falls.whole_days(watched)), n=watched.height)
        n = held.events.filter(
            pl.any_horizontal(pl.col("start").is_between(*span) for span in watched.select("start", "end").iter_rows())
            if watched.height
            else pl.lit(value=False)
        ).height
        yield Figure(period, "events", None, "events", float(n), n=n)


def _scored(held: _Held, one: Reading, times: pl.DataFrame) -> Iterator[Figure]:
    for period, watched in held.periods.items():
        got = scores.score(times, held.events, watched, protocol.HORIZON_US, protocol.COOLDOWN_US)
        yield from _figures(period, one.name, one.cell, got)


def _figures(period: str, measure: str, cell: Cell | None, got: Score) -> Iterator[Figure]:
    counts: dict[str, tuple[Estimate, int]] = {
        "false_per_day": (got.false_per_day, got.alerts),
        "precision": (got.precision, got.alerts),
        "recall": (got.recall, got.events),
        "lead_s": (got.lead_s, got.foretold),
    }
    yield Figure(period, measure, cell, "base_rate", got.base_rate, n=got.alerts)
    for metric, (figure, n) in counts.items():
        yield Figure(period, measure, cell, metric, figure.value, figure.low, figure.high, n, figure.why)


def _alone(held: _Held, readings: list[Reading], sounded: list[Ints]) -> Iterator[Figure]:
    """Yield how many events of the span each VPIN led that no benchmark led."""
    spans = held.periods["span"].select(pl.col("start", "end").dt.epoch("us")).rows()
    starts, ends = (held.events[name].dt.epoch("us").to_numpy() for name in ("start", "end"))
    inside = np.array([any(a <= end - protocol.HORIZON_US and end <= b for a, b in spans) for end in ends], np.bool_)
    starts, ends = starts[inside], ends[inside]

    def led(times: Ints) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        first = np.searchsorted(times, ends - protocol.HORIZON_US)
        return np.append(times, np.iinfo(np.int64).max)[first] <= starts

    plain = np.zeros(ends.size, np.bool_)
    for one, times in zip(readings, sounded, strict=True):
        if one.cell is None:
            plain |= led(times)
    for one, times in zip(readings, sounded, strict=True):
        if one.cell is not None:
            yield Figure("span", one.name, one.cell, "led_alone", float((led(times) & ~plain).sum()), n=ends.size)


def _increments(at: Clock, readings: list[Reading], periods: dict[str, pl.DataFrame]) -> Iterator[Figure]:
    """Yield what every VPIN adds: on calm dates, and in the span."""
    for period, watched in periods.items():
        spans = watched.select(pl.col("start", "end").dt.epoch("us")).rows()
        seen = increment.joined([increment.observe(at, *span) for span in spans])
        for one in readings:
            if one.cell is None:
                continue
            got = increment.increment(seen, one.pct)
            yield Figure(period, one.name, one.cell, "slope", got.slope, got.low, got.high, got.n, got.why)
            yield Figure(period, one.name, one.cell, "slope_t", got.t, n=got.n, why=got.why if got.t is None else "")
            added = None if got.r2 is None or got.r2_plain is None else got.r2 - got.r2_plain
            yield Figure(period, one.name, one.cell, "r2_added", added, n=got.n, why=got.why if added is None else "")
            if one.cell == readings[len(BENCHMARKS)].cell:
                yield Figure(period, "benchmarks", None, "r2", got.r2_plain, n=got.n)


def _detectors(held: _Held, alerts: pl.DataFrame) -> Iterator[Figure]:
    for period, watched in held.periods.items():
        for one in scores.by_detector(alerts, held.events, watched, protocol.HORIZON_US, protocol.COOLDOWN_US):
            yield from _figures(period, one.detector, None, one.score)


def _illustrate(event: tuple[int, int], at: Clock, closes: Floats, readings: list[Reading]) -> Illustration:
    start, end = event
    shown = (at.times >= start - BEFORE_US) & (at.times <= start + AFTER_US)
    vpin = next((one for one in readings if one.cell == SHOWN), readings[len(BENCHMARKS)])
    return Illustration(start, end, at.times[shown], closes.ravel()[4::5][shown], vpin.pct[shown], readings[0].pct[shown])
