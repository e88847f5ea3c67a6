"""Watchers of what happens outside the tape: `macro` windows, and `news_burst`."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from pipelines.alerts import severity
from pipelines.briefs.agents.direction import grid
from pipelines.briefs.agents.finding import Finding
from pipelines.briefs.agents.reading import Frames, Reads, instruments, midnight
from pipelines.briefs.agents.spells import begins

Integers = npt.NDArray[np.int64]

if TYPE_CHECKING:
    from pipelines.brief_settings import Event
    from pipelines.settings import Settings

CLOSES: Final = Reads("bars", ("symbol", "bar", "close"), dt.timedelta(hours=6), (("bar", "1m"),))
USUAL: Final = 120
"""Minutes before a window whose returns are what is usual."""
LEAST: Final = 30
MOVE: Final = 4.0
"""Multiple of the root mean square return of a usual minute that one in a window must reach."""
COOLDOWN: Final = dt.timedelta(minutes=5)


def window(event: Event) -> tuple[dt.datetime, dt.datetime]:
    """Return when the window of an event begins and ends.

    Raises
    ------
    ValueError
        If its time is none.
    """
    at = dt.datetime.fromisoformat(event.at)
    at = at if at.tzinfo else at.replace(tzinfo=dt.UTC)
    return at - dt.timedelta(minutes=event.before_min), at + dt.timedelta(minutes=event.after_min)


def is_within(calendar: Iterable[Event], at: dt.datetime) -> bool:
    """Return whether a window of the calendar is open."""
    return any(begin <= at <= end for begin, end in map(window, calendar))


def macro(frames: Frames, settings: Settings, at: dt.datetime) -> list[Finding]:
    """Windows round published figures (settings `briefs.calendar`): one that opens is told, and so are large minutes within.

    Within a window a minute is large from 4 times the root mean square return of the 120 minutes before the window, and
    the agent runs every half minute. The calendar says when figures come, not what they do.
    """
    found = []
    for event in settings.briefs.calendar:
        begin, end = window(event)
        if not midnight(at) <= begin <= at:
            continue
        for venue, symbol, mine in instruments(frames["bars"]):
            if event.symbols and not {symbol, symbol.partition("-")[0]} & set(event.symbols):
                continue
            found.append(_opened(venue, symbol, event, begin, end))
            found += _moves(venue, symbol, mine, event)
    return found


def _opened(venue: str, symbol: str, event: Event, begin: dt.datetime, end: dt.datetime) -> Finding:
    return Finding(
        agent="macro",
        version=1,
        venue=venue,
        symbol=symbol,
        ts=begin,
        end=begin,
        about=f"{event.name} {event.at}",
        severity=1,
        score=float(event.before_min),
        threshold=float(event.before_min),
        label=f"{symbol}: window of {event.name} from {begin:%H:%M} to {end:%H:%M} UTC",
        figures={"event": event.name, "at": event.at, "until": end.isoformat()},
    )


def _moves(venue: str, symbol: str, bars: pl.DataFrame, event: Event) -> list[Finding]:
    begin, end = (int(t.timestamp() * 1_000_000) for t in window(event))
    ends, closes = grid(bars)
    returns, ends = np.diff(np.log(closes)), ends[1:]
    before = returns[(ends <= begin) & (ends > begin - USUAL * 60_000_000)]
    inside = np.flatnonzero((ends > begin) & (ends <= end))
    usual = float(np.sqrt(np.mean(before**2))) if len(before) >= LEAST else 0.0
    if not usual:
        return []
    times = [dt.datetime.fromtimestamp(us / 1_000_000, dt.UTC) for us in ends[inside].tolist()]
    score = np.abs(returns[inside]) / usual
    return [
        Finding(
            agent="macro",
            version=1,
            venue=venue,
            symbol=symbol,
            ts=times[i] - dt.timedelta(minutes=1),
            end=times[i],
            about=f"{event.name} {event.at} {times[i].isoformat()}",
            severity=severity(score[i], MOVE),
            score=float(score[i]),
            threshold=MOVE,
            label=f"{symbol}: {1e4 * returns[inside][i]:+.1f} bps in a minute within the window of {event.name},"
            f" {score[i]:.1f}x a usual minute",
            figures={"event": event.name, "return_bps": 1e4 * float(returns[inside][i]), "usual_bps": 1e4 * usual},
        )
        for i in begins(score.tolist(), times, MOVE, MOVE, COOLDOWN)
    ]


NEWS: Final = Reads("news", ("symbols", "source"), dt.timedelta(hours=25))
TRADED: Final = Reads("features", ("symbol",))
STEP: Final = dt.timedelta(minutes=5)
SPAN: Final = dt.timedelta(minutes=30)
SPANS: Final = 48
"""In 24 hours."""
FEWEST: Final = 4
TIMES: Final = 3.0
QUIET: Final = dt.timedelta(hours=2)


def news_burst(frames: Frames, settings: Settings, at: dt.datetime) -> list[Finding]:
    """Headlines of an asset in 30 minutes: at least 4, and 3 times the mean of such spans in the 24 hours before.

    Spans end at whole 5 minutes. Told at the first instrument of the asset. Headlines are counted, not read.
    """
    first = _instruments(frames["features"], settings)
    rows = frames["news"].explode("symbols").filter(pl.col("symbols").is_in(list(first)))
    found = []
    for (base,), mine in sorted(rows.partition_by("symbols", as_dict=True).items()):
        times = _steps(midnight(at), at)
        seen = np.sort(mine["end"].dt.epoch("us").to_numpy())
        now, then, before = (_until(seen, times, back) for back in (dt.timedelta(), SPAN, SPAN + dt.timedelta(days=1)))
        counts, usual = (now - then).tolist(), ((then - before) / SPANS).tolist()
        levels = [max(float(FEWEST), TIMES * mean) for mean in usual]
        score = [count / level for count, level in zip(counts, levels, strict=True)]
        for i in begins(score, times, 1.0, 0.5, QUIET):
            venue, symbol = first[str(base)]
            sources = mine.filter(pl.col("end").is_between(times[i] - SPAN, times[i], closed="right"))["source"].n_unique()
            found.append(
                Finding(
                    agent="news_burst",
                    version=1,
                    venue=venue,
                    symbol=symbol,
                    ts=times[i] - SPAN,
                    end=times[i],
                    about=f"{base} {times[i].isoformat()}",
                    severity=severity(score[i], 1.0),
                    score=float(counts[i]),
                    threshold=levels[i],
                    label=f"{base}: {counts[i]} headlines of {sources} sources in 30 minutes, usually {usual[i]:.1f}",
                    figures={"headlines": counts[i], "sources": sources, "usual": usual[i]},
                )
            )
    return found


def _instruments(traded: pl.DataFrame, settings: Settings) -> dict[str, tuple[str, str]]:
    """Return an instrument of each asset that traded: at the venue that the settings name first."""
    order = {venue: i for i, venue in enumerate(settings.venues)}
    known = sorted(traded.select("venue", "symbol").unique().rows(), key=lambda one: (order.get(one[0], len(order)), *one))
    return {symbol.partition("-")[0]: (venue, symbol) for venue, symbol in reversed(known)}


def _steps(begin: dt.datetime, end: dt.datetime) -> list[dt.datetime]:
    return [begin + k * STEP for k in range(1, (end - begin) // STEP + 1)]


def _until(seen: Integers, times: list[dt.datetime], back: dt.timedelta) -> Integers:
    """Return how many were seen up to `back` before each of the times."""
    return np.searchsorted(seen, [round((t - back).timestamp() * 1_000_000) for t in times], side="right")
