"""Which alerts are told, when, and as what: a function of the alerts, the time and what was told before.

What is elevated opens an episode: a message of its own. What is new in it follows in its thread: what is worse at once, all
else not before the cooldown is over. In quiet hours and past the day's number of messages alerts are held back, and come in
one digest.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

import msgspec

from pipelines.brief_settings import Briefs
from pipelines.briefs import alert_words, elevated, episodes
from pipelines.briefs.episodes import MINUTE_US, Alert, Episode, Held, hashed
from pipelines.briefs.message import Message
from pipelines.instants import us

SEVERE = 3
"""Told in quiet hours, too."""
MUTES = "mutes"
"""Under which the outbox remembers until when (us) symbols are muted."""
PLAYED_US = 86_400_000_000
"""Alerts that are further than this from the present are of a recording that is played: its own time goes on."""


class State(msgspec.Struct):
    """What was told so far; kept with the messages themselves."""

    episodes: dict[str, Episode] = {}
    recent: dict[str, list[Alert]] = {}
    """Alerts by instrument that may yet be borne out, or bear out another."""
    sent: dict[str, int] = {}
    """Messages by date of the settings' time zone; the last two."""
    held: list[Held] = []
    muted: int = 0
    """Elevated alerts of muted symbols since the last digest."""
    lag: int = 0
    """How far the time of events is behind the present, us; 0 but for a recording that is played."""


class Telling:
    """Turns alerts into messages.

    Parameters
    ----------
    settings
    state
        What `state()` gave, or an empty dict.
    precision
        Returns for an alert what its detector was worth, in words.
    """

    def __init__(self, settings: Briefs, state: dict[str, Any], precision: Callable[[Alert], str]) -> None:
        self._settings = settings
        self._state = msgspec.convert(state, State)
        self._precision = precision

    def state(self) -> dict[str, Any]:
        """Return what must be kept, as JSON has it."""
        kept: dict[str, Any] = msgspec.to_builtins(self._state)
        return kept

    def messages(self, alerts: Iterable[Alert], now_us: int, mutes: Mapping[str, int] | None = None) -> list[Message]:
        """Return what is to be sent for alerts just stored, and for what has waited.

        Parameters
        ----------
        alerts
            Rows of table `alerts`, each once.
        now_us
            The time, us since 1970.
        mutes
            Until when (us) a symbol is muted, by symbol or `venue/symbol`.
        """
        muted = {name for name, until in (mutes or {}).items() if now_us < until}
        live = [{**one, "ts": us(one["ts"]), "end": us(one["end"])} for one in alerts if one["origin"] == "live"]
        if live:
            behind = now_us - max(one["end"] for one in live)
            self._state.lag = behind if abs(behind) > PLAYED_US else 0
        now = now_us - self._state.lag
        out: list[Message] = []
        for alert in sorted(live, key=lambda one: (one["end"], one["alert_id"])):
            out += self._taken(alert, muted)
        out += self._news(now)
        out += self._digest(now)
        self._forget(now)
        return out

    def _taken(self, alert: Alert, muted: AbstractSet[str]) -> Iterator[Message]:
        """Tell an alert if it is elevated, by itself or with another."""
        where = f"{alert['venue']}/{alert['symbol']}"
        recent = self._state.recent.setdefault(where, [])
        other = elevated.borne_out(alert, recent, self._settings)
        recent.append(alert)
        if not elevated.stands_alone(alert, self._settings) and other is None:
            return
        if muted & {alert["symbol"], where}:
            self._state.muted += 1
            return
        episode = self._state.episodes.get(where)
        if episode is not None and episodes.goes_on(episode, alert["end"], self._settings.episode_min):
            episodes.joined(episode, alert)
        elif not self._holds_back([alert]):
            shown = [alert] if other is None else [other, alert]
            episode = self._state.episodes[where] = episodes.begun(alert, shown)
            yield self._message(episode.id, alert_words.root(self._judged(shown)), episode, shown)

    def _news(self, now_us: int) -> Iterator[Message]:
        """Tell what is new in episodes, where the cooldown is over or some of it is worse."""
        for episode in self._state.episodes.values():
            clock = max(now_us, episode.last)
            waits = clock - episode.told < self._settings.cooldown_min * MINUTE_US
            if not episode.news or (waits and not any(self._is_worse(one, episode) for one in episode.news)):
                continue
            if not self._holds_back(episode.news):
                name = hashed("update", *(one["alert_id"] for one in episode.news))
                text = alert_words.update(episode, self._judged(episode.news))
                yield self._message(name, text, episode, episode.news)
            episodes.told(episode, clock)

    def _is_worse(self, alert: Alert, episode: Episode) -> bool:
        """Whether what is new in an episode waits for no cooldown: a severity not told yet, or what is told alone."""
        return alert["severity"] > episode.severity or elevated.is_complete(alert, self._settings)

    def _judged(self, alerts: Iterable[Alert]) -> list[tuple[Alert, str]]:
        return [(alert, self._precision(alert)) for alert in alerts]

    def _message(self, name: str, text: str, episode: Episode, about: list[Alert]) -> Message:
        end = max(one["end"] for one in about)
        day = self._local(end).date().isoformat()
        self._state.sent[day] = self._state.sent.get(day, 0) + 1
        severity = max(one["severity"] for one in about)
        return Message(id=name, head=text, episode=episode.id, severity=severity, made_us=end)

    def _holds_back(self, about: list[Alert]) -> bool:
        """Whether alerts wait for the digest; if so they are put there."""
        end = max(one["end"] for one in about)
        quiet = self._is_quiet(end) and max(one["severity"] for one in about) < SEVERE
        spent = self._state.sent.get(self._local(end).date().isoformat(), 0) >= self._settings.a_day
        if quiet or spent:
            self._state.held += [episodes.held(one, quiet=quiet) for one in about]
        return quiet or spent

    def _digest(self, now_us: int) -> Iterator[Message]:
        """Tell what was held back: when quiet hours end, and what went past a day's number when the day has ended."""
        held = self._state.held
        if not held or self._is_quiet(now_us):
            return
        today = self._local(now_us).date()
        if any(one.quiet for one in held) or any(self._local(one.end).date() < today for one in held):
            name = hashed("digest", *sorted(one.alert_id for one in held))
            head, thread = alert_words.digest(held, self._state.muted, self._settings.zone)
            yield Message(id=name, head=head, thread=thread, severity=max(one.severity for one in held), made_us=now_us)
            self._state.held, self._state.muted = [], 0

    def _forget(self, now_us: int) -> None:
        over, near = (span * MINUTE_US for span in (self._settings.episode_min, self._settings.elevated.confirm_min))
        going = {where: one for where, one in self._state.episodes.items() if one.news or one.last + over >= now_us}
        self._state.episodes = going
        for where, alerts in list(self._state.recent.items()):
            newest = max(one["end"] for one in alerts)
            kept = [one for one in alerts if one["severity"] >= elevated.BEARS_OUT and one["end"] + near >= newest]
            self._state.recent[where] = kept
        self._state.recent = {where: alerts for where, alerts in self._state.recent.items() if alerts}
        self._state.sent = dict(sorted(self._state.sent.items())[-2:])

    def _local(self, time_us: int) -> dt.datetime:
        return dt.datetime.fromtimestamp(time_us / 1e6, self._settings.zone)

    def _is_quiet(self, time_us: int) -> bool:
        if self._settings.quiet is None:
            return False
        first, last = self._settings.quiet
        hour = self._local(time_us).hour
        return first <= hour < last if first <= last else hour >= first or hour < last
