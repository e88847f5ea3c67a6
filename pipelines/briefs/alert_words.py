"""How alerts are told: what a detector found, in its own words, with what names the row and what the detector was worth."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from zoneinfo import ZoneInfo

    from pipelines.briefs.episodes import Alert, Episode, Held

SEVERITIES = {1: "notice", 2: "warning", 3: "severe"}
ID_SHOWN = 12
"""Characters of an alert's id that are shown; enough to find its row."""
LINES = 12


def root(judged: list[tuple[Alert, str]]) -> str:
    """Return the message that opens an episode; `judged` are alerts, each with what its detector was worth."""
    last = judged[-1][0]
    worst = max(alert["severity"] for alert, _ in judged)
    return "\n".join([f"{last['symbol']} {last['venue']}: {SEVERITIES[worst]}", *_told(judged)])


def update(episode: Episode, judged: list[tuple[Alert, str]]) -> str:
    """Return what is new in an episode."""
    since = f"{_clock(episode.began)} UTC"
    head = f"{episode.symbol} {episode.venue}: goes on, {_alerts(episode.alerts)} since {since}. New:"
    return "\n".join([head, *_told(judged)])


def digest(held: list[Held], muted: int, zone: ZoneInfo) -> tuple[str, tuple[str, ...]]:
    """Return the message for what was held back, and its thread where there are too many instruments for it."""
    first, last = (_local(pick(one.end for one in held), zone) for pick in (min, max))
    quiet = {one.quiet for one in held}
    why = " and ".join(said for kind, said in ((True, "quiet hours"), (False, "the day's number of messages")) if kind in quiet)
    span = f"{first:%F %H:%M} to {last:%F %H:%M} {zone.key}"
    head = f"{_alerts(len(held))} held back by {why}, {span}"
    if muted:
        head += f"; {muted} more of muted symbols"
    ordered = sorted(held, key=lambda one: (one.venue, one.symbol, one.end))
    lines = [_counted(list(mine)) for _, mine in groupby(ordered, key=lambda one: (one.venue, one.symbol))]
    rest = lines[LINES - 1 :]
    return "\n".join([head, *lines[: LINES - 1]]), ("\n".join(rest),) if rest else ()


def _told(judged: Iterable[tuple[Alert, str]]) -> list[str]:
    return [line for alert, worth in judged for line in _lines(alert, worth)]


def _lines(alert: Alert, worth: str) -> tuple[str, str]:
    found = f"{_clock(alert['end'])} UTC {alert['label']}"
    score = f"{alert['detector']} {alert['score']:.4g} against {alert['threshold']:.4g}"
    return found, f"  {score}; precision: {worth}; alert {alert['alert_id'][:ID_SHOWN]}"


def _alerts(count: int) -> str:
    return f"{count} elevated alert{'s' if count != 1 else ''}"


def _counted(held: list[Held]) -> str:
    counts = Counter(one.detector for one in held)
    kinds = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
    worst = max(held, key=lambda one: one.severity)
    return f"{worst.symbol} {worst.venue}: {kinds}; highest severity {worst.severity}"


def _clock(time_us: int) -> str:
    return f"{dt.datetime.fromtimestamp(time_us // 1_000_000, dt.UTC):%F %T}"


def _local(time_us: int, zone: ZoneInfo) -> dt.datetime:
    return dt.datetime.fromtimestamp(time_us / 1e6, zone)
