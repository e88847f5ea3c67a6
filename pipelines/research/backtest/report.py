"""The report: the whole grid as tables, and in words what the numbers do not show."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from pipelines.research.backtest import plots, protocol, words
from pipelines.research.backtest.judge import Asked, Figure, Judged
from pipelines.research.backtest.measures import BENCHMARKS
from pipelines.research.backtest.protocol import Cell

_PLAIN = (*BENCHMARKS, "vpin", "events", "benchmarks")
"""Measures that are no detector."""


class Found(NamedTuple):
    """The figures of an instrument, to be looked up."""

    judged: Judged
    by: dict[tuple[str, str, Cell | None, str], Figure]

    @property
    def symbol(self) -> str:
        """Whose they are."""
        return self.judged.instrument.symbol

    def one(self, period: str, measure: str, cell: Cell | None, metric: str) -> Figure:
        """Return a figure; one without a value where there is none."""
        return self.by.get((period, measure, cell, metric), Figure(period, measure, cell, metric, None))

    def detectors(self) -> list[str]:
        """Return the detectors that alerted."""
        return sorted({f.measure for f in self.judged.figures if f.measure not in _PLAIN})


def pictures(judged: list[Judged], made_up: str) -> dict[str, str]:
    """Return the plots by name, as SVG; those of made-up days say so themselves."""
    out = {}
    mark = "GENERATED, no market's: " if made_up else ""
    for one in judged:
        symbol = one.instrument.symbol
        slopes = [f for f in one.figures if f.period == "calm" and f.metric == "slope"]
        out[f"{symbol}-slopes"] = plots.slopes(f"{mark}{symbol}, calm dates: slope of VPIN beside plainer measures", slopes)
        if one.illustration:
            out[f"{symbol}-illustration"] = plots.around(f"{mark}{symbol}, an illustration, n = 1", one.illustration)
    return out


def report(asked: Asked, judged: list[Judged], made_up: str, run: str, seconds: float, addresses: dict[str, str]) -> str:
    """Return the report as Markdown.

    Parameters
    ----------
    made_up
        How the trades were generated; empty: they are a market's.
    run, seconds
        Its name, and how long it took.
    addresses
        Where each of `pictures` is.
    """
    found = [Found(one, {(f.period, f.measure, f.cell, f.metric): f for f in one.figures}) for one in judged]
    sections = [
        _head(asked, made_up),
        "\n".join(_asked(asked, found)),
        words.EVENTS + "\n" + "\n".join(_events(judged)),
        words.INCREMENT,
        *("\n".join(_increment(asked, one, addresses)) for one in found),
        words.ALARMS,
        *("\n".join(_alarms(asked, one)) for one in found),
        words.DETECTORS + "\n" + "\n".join(_detectors(found)),
        "\n".join(_illustration(judged, addresses)),
        _beware(asked, judged, made_up),
        "## What was fixed\n\n" + _fixed(asked, run, seconds),
    ]
    return "\n\n".join(section.strip() for section in sections) + "\n"


def _head(asked: Asked, made_up: str) -> str:
    if made_up:
        return words.GENERATED.format(made_up=made_up)
    venues = ", ".join(sorted({one.venue for one in asked.instruments}))
    return words.REAL.format(venues=venues, first=asked.span.first, last=asked.span.last)


def _asked(asked: Asked, found: list[Found]) -> Iterator[str]:
    yield "| instrument | trades read | dates with trades | judged from | calm days | days asked about | events there |"
    yield "|---|--:|--:|---|--:|--:|--:|"
    wanted = len({*asked.control.dates(), *asked.span.dates()})
    days = {one.symbol: [one.one(period, "events", None, "days").value or 0 for period in ("calm", "span")] for one in found}
    for one in found:
        calm, span = days[one.symbol]
        read = f"{one.judged.trades:,} | {one.judged.dates} of {wanted} | {_time(one.judged.since)}"
        yield f"| {one.symbol} | {read} | {calm:.0f} | {span:.0f} | {len(one.judged.events)} |"
    yield ""
    span_text, control_text = (f"{span.first} to {span.last}" for span in (asked.span, asked.control))
    yield words.ASKED.format(span=span_text, control=control_text)
    few = [one.symbol for one in found if days[one.symbol][0] < protocol.CALM_DAYS]
    if few:
        yield f"**Fewer than the {protocol.CALM_DAYS} calm days wanted: {', '.join(few)}.**"
    left = [f"{one.symbol} {what}" for one in found for what in one.judged.left_out]
    if left:
        yield f"Left out: {'; '.join(left)}."


def _events(judged: list[Judged]) -> Iterator[str]:
    for one in judged:
        times = "; ".join(f"{_time(start)} to {_time(end)[11:]}" for start, end in one.events)
        yield f"- {one.instrument.symbol}: n = {len(one.events)}" + (f": {times}" if times else "")


def _increment(asked: Asked, one: Found, addresses: dict[str, str]) -> Iterator[str]:
    yield f"### {one.symbol}"
    yield ""
    for period, name in (("calm", "Calm dates"), ("span", "Dates asked about")):
        plain = one.one(period, "benchmarks", None, "r2")
        yield f"{name}: r2 without VPIN {_number(plain.value)}, {plain.n:,} hours."
        yield ""
        yield "| buckets a day | window | slope, start 0 | range over starts | apart from 0 | t, start 0 | r2 added | hours |"
        yield "|--:|--:|--:|--:|--:|--:|--:|--:|"
        for v, n in _sizes(asked):
            every = [one.one(period, "vpin", Cell(v, n, s), "slope") for s in range(asked.grid.starts + 1)]
            known = [f for f in every if f.low is not None and f.high is not None]
            away = sum((f.low or 0) > 0 or (f.high or 0) < 0 for f in known)
            t, r2 = (one.one(period, "vpin", Cell(v, n, 0), metric).value for metric in ("slope_t", "r2_added"))
            slope = f"{_estimate(every[0])} | {_range(every)} | {away} of {len(known)}"
            yield f"| {v} | {n} | {slope} | {_number(t)} | {_number(r2, '.4f')} | {every[0].n:,} |"
        yield ""
    yield f"![What VPIN adds, {one.symbol}]({addresses[f'{one.symbol}-slopes']})"


def _alarms(asked: Asked, one: Found) -> Iterator[str]:
    yield f"### {one.symbol}"
    yield ""
    yield "| measure | false a calm day | false a day | events led | lead, min | precision | base rate | led alone |"
    yield "|---|--:|--:|--:|--:|--:|--:|--:|"
    for name in BENCHMARKS:
        yield "| " + " | ".join([name, *_alarm(one, name, [None]), ""]) + " |"
    for v, n in _sizes(asked):
        cells: list[Cell | None] = [Cell(v, n, s) for s in range(asked.grid.starts + 1)]
        alone = _both([one.one("span", "vpin", cell, "led_alone") for cell in cells], ".0f")
        yield "| " + " | ".join([f"vpin {v} / {n}", *_alarm(one, "vpin", cells), alone]) + " |"


def _alarm(one: Found, measure: str, cells: Sequence[Cell | None]) -> list[str]:
    """Return what alarms of a measure were worth, the first of the cells and the range of all."""

    def every(metric: str, times: float = 1.0) -> list[Figure]:
        figures = [one.one("span", measure, cell, metric) for cell in cells]
        scaled = [f._replace(value=None if f.value is None else f.value * times, low=None, high=None) for f in figures]
        return figures if times == 1.0 else scaled

    n = max(f.n for f in every("recall"))
    return [
        _both([one.one("calm", measure, cell, "false_per_day") for cell in cells]),
        _both(every("false_per_day")),
        f"{_both(every('recall', float(n)), '.0f')} of {n}",
        _both(every("lead_s", 1 / 60), ".0f"),
        _both(every("precision")),
        _number(every("base_rate")[0].value),
    ]


def _detectors(found: list[Found]) -> Iterator[str]:
    if not any(one.detectors() for one in found):
        yield "No alerts of these dates are known."
        return
    yield "| instrument | detector | false a calm day | false a day | events led | lead, min | precision | base rate |"
    yield "|---|---|--:|--:|--:|--:|--:|--:|"
    for one in found:
        for name in one.detectors():
            yield "| " + " | ".join([one.symbol, name, *_alarm(one, name, [None])]) + " |"


def _illustration(judged: list[Judged], addresses: dict[str, str]) -> Iterator[str]:
    yield "## An illustration, n = 1 an instrument"
    yield ""
    shown = [one.instrument.symbol for one in judged if one.illustration]
    for symbol in shown:
        yield f"![{symbol}]({addresses[f'{symbol}-illustration']})"
    yield ("\n" + words.ILLUSTRATION) if shown else "No event on the dates asked about: nothing to show."


def _beware(asked: Asked, judged: list[Judged], made_up: str) -> str:
    events, days = sum(len(one.events) for one in judged), len(asked.span.dates())
    said = words.BEWARE.format(events=events, days=days, cells=len(asked.grid.cells()))
    return "## What these numbers do not show\n\n" + (words.BEWARE_GENERATED if made_up else "") + said


def _fixed(asked: Asked, run: str, seconds: float) -> str:
    firsts = ", ".join(f"{x:g}" for x in protocol.starts(asked.grid.starts))
    v, n = (", ".join(map(str, sizes)) for sizes in (asked.grid.v, asked.grid.n))
    said = words.FIXED.format(run=run, seconds=seconds, v=v, n=n, firsts=firsts)
    return said + ("" if asked.grid == protocol.Grid() else "- **A trial: not the whole grid of the protocol.**\n")


def _sizes(asked: Asked) -> list[tuple[int, int]]:
    return [(v, n) for v in asked.grid.v for n in asked.grid.n]


def _both(figures: Sequence[Figure], form: str = ".2f") -> str:
    """Return the first figure with its interval, and the range of all if there are more."""
    return _estimate(figures[0], form) + (f"; {_range(figures, form)}" if len(figures) > 1 else "")


def _estimate(figure: Figure, form: str = ".2f") -> str:
    if figure.value is None:
        return "-"
    interval = f" ({figure.low:{form}} to {figure.high:{form}})" if figure.low is not None and figure.high is not None else ""
    return f"{figure.value:{form}}{interval}"


def _range(figures: Sequence[Figure], form: str = ".2f") -> str:
    known = [f.value for f in figures if f.value is not None]
    return f"{min(known):{form}} .. {max(known):{form}}, median {np.median(known):{form}}" if known else "-"


def _number(value: float | None, form: str = ".2f") -> str:
    return "-" if value is None else f"{value:{form}}"


def _time(us: int) -> str:
    return f"{dt.datetime.fromtimestamp(us / 1e6, dt.UTC):%Y-%m-%d %H:%M}"
