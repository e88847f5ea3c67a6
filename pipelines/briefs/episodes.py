"""Episodes: alerts of an instrument that follow each other closely are one thing that happened, told in one thread."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

MINUTE_US = 60_000_000

Alert = dict[str, Any]


class Episode(msgspec.Struct):
    """What is going on at an instrument; times in us since 1970, of events.

    Attributes
    ----------
    id : str
        Hash of the alert that began it.
    began, last : int
        `end` of its first and its last alert.
    told : int
        When something was told last.
    severity : int
        The highest that was told.
    alerts : int
    detectors : list of str
        Whose alerts were told.
    news : list of dict
        Alerts that say something new (another detector, a higher severity) and are not told yet.
    """

    id: str
    venue: str
    symbol: str
    began: int
    last: int
    told: int
    severity: int
    alerts: int
    detectors: list[str]
    news: list[Alert] = []


class Held(msgspec.Struct, frozen=True):
    """An alert that was not told at once."""

    alert_id: str
    venue: str
    symbol: str
    detector: str
    severity: int
    end: int
    quiet: bool
    """Held back by quiet hours; else by the day's number of messages."""


def begun(alert: Alert, shown: list[Alert]) -> Episode:
    """Return the episode that an alert begins, told with all that are `shown`."""
    end = alert["end"]
    return Episode(
        hashed("episode", alert["alert_id"]),
        alert["venue"],
        alert["symbol"],
        min(one["end"] for one in shown),
        end,
        end,
        max(one["severity"] for one in shown),
        len(shown),
        sorted({one["detector"] for one in shown}),
    )


def goes_on(episode: Episode, end: int, within_min: int) -> bool:
    """Whether an alert at `end` belongs to an episode; one that came late does, too."""
    return episode.began - within_min * MINUTE_US <= end <= episode.last + within_min * MINUTE_US


def joined(episode: Episode, alert: Alert) -> None:
    """Take an alert into its episode."""
    episode.last = max(episode.last, alert["end"])
    episode.alerts += 1
    severity = max([episode.severity, *(one["severity"] for one in episode.news)])
    known = {*episode.detectors, *(one["detector"] for one in episode.news)}
    if alert["detector"] not in known or alert["severity"] > severity:
        episode.news.append(alert)


def told(episode: Episode, at: int) -> None:
    """Note that all news of an episode were told at `at`."""
    episode.severity = max([episode.severity, *(one["severity"] for one in episode.news)])
    episode.detectors = sorted({*episode.detectors, *(one["detector"] for one in episode.news)})
    episode.told, episode.news = at, []


def held(alert: Alert, *, quiet: bool) -> Held:
    """Return what is kept of an alert that waits for the digest."""
    return Held(
        alert_id=alert["alert_id"],
        venue=alert["venue"],
        symbol=alert["symbol"],
        detector=alert["detector"],
        severity=alert["severity"],
        end=alert["end"],
        quiet=quiet,
    )


def hashed(*parts: str) -> str:
    """Return the name of something by what it is about."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
