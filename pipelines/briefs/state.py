"""State of the data of an instrument: how fresh, how whole, and whether it is enough to say anything."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Final, NamedTuple

from pipelines.briefs.fact import Fact, Unit
from pipelines.briefs.notes import Notes, number, said
from pipelines.briefs.queries import DAY, HOUR
from pipelines.briefs.reading import moment, text
from pipelines.briefs.sheet import Sentence

LEAST_MINUTES: Final = 60
"""Closed minutes of the last day below which nothing is said but that they are too few."""
OLDEST: Final = dt.timedelta(minutes=30)
"""Age of the last trade beyond which levels are no longer of now."""
BEHIND: Final = dt.timedelta(minutes=5)
"""Age of what the flow has reached from which the data count as degraded."""


class State(NamedTuple):
    """What is known of the data.

    Attributes
    ----------
    word : str
        current, degraded or stale.
    sufficient : bool
    sentences, unknown : list of Sentence
    """

    word: str
    sufficient: bool
    sentences: list[Sentence]
    unknown: list[Sentence]


def state(notes: Notes) -> State:
    """Note the state of the data."""
    about = notes.about
    age = _age(notes)
    newest = notes.fact("newest_minute", "newest closed minute", Unit.TIME, about.minutes('"end" AS value', DAY))
    minutes = notes.fact("minutes_day", "closed minutes of the last day", Unit.COUNT, about.minutes('"end"', DAY), "count")
    flagged = _flagged(notes, "flagged_day", "minutes flagged gap or late in the last day", DAY)
    _flagged(notes, "flagged_hour", "minutes flagged gap or late in the last hour", HOUR)
    holes = _holes(notes)
    reach = notes.fact("reach", "time that the flow has reached", Unit.TIME, _coverage(notes, '"end" AS value'))
    behind = f'(epoch_us({moment(about.at)}) - epoch_us("end")) / 1e6 AS value'
    notes.fact("behind", "age of what the flow has reached", Unit.SECONDS, _coverage(notes, behind))
    word = word_of({f.name: f for f in notes.facts}.get)
    few = (number(minutes) or 0) < LEAST_MINUTES
    traded = f"last trade {said(age)} ago" if age.value is not None else "no trade in the last day"
    told = [
        Sentence(f"data {word}: {traded}, newest closed minute {said(newest)}"),
        Sentence(f"holes in the last day: {said(holes)}; minutes flagged gap or late: {said(flagged)} of {said(minutes)}"),
    ]
    unknown = []
    if reach.value is None:
        unknown.append(Sentence("how far the flow has come: no rows of coverage in the last day"))
    else:
        told.append(Sentence(f"the flow has come to {said(reach)}"))
    told += _others(notes) + _insufficient(notes, minutes, few=few, old=word == "stale")
    return State(word, not few and word != "stale", told, unknown)


def word_of(fact: Callable[[str], Fact | None]) -> str:
    """Return the state in a word, by the facts of a sheet; `fact` gives one by its name."""

    def of(name: str) -> float | None:
        found = fact(name)
        return number(found) if found else None

    age, behind = of("age"), of("behind")
    if age is None or age > OLDEST.total_seconds():
        return "stale"
    late = behind is not None and behind > BEHIND.total_seconds()
    return "degraded" if of("flagged_hour") or late else "current"


def _age(notes: Notes) -> Fact:
    """Note how old the last trade is; without trades, the end of the last minute that had any."""
    age = f'(epoch_us({moment(notes.about.at)}) - epoch_us("end")) / 1e6 AS value'
    query = notes.about.rows("trades", f'"end", {age}', DAY, order='"end" DESC, seq DESC') + " LIMIT 1"
    if notes.reader.rows(query).is_empty():
        query = notes.about.minutes(f'"end", {age}', DAY)
    return notes.fact("age", "age of the last trade", Unit.SECONDS, query)


def _flagged(notes: Notes, name: str, label: str, span: dt.timedelta) -> Fact:
    query = notes.about.minutes("\"end\", quality IN ('gap', 'late') AS value", span)
    return notes.fact(name, label, Unit.COUNT, query, "true")


def _holes(notes: Notes) -> Fact:
    query = notes.about.newest("gaps", 'ts, "end", reason, status', DAY, "feed, ts", "feed = 'trades' AND status <> 'repaired'")
    return notes.fact("holes_day", "holes of the last day that are not repaired", Unit.COUNT, query, "count")


def _coverage(notes: Notes, column: str) -> str:
    about = notes.about
    when = f"{about.when(DAY)} AND ts <= {moment(about.at)}"
    return f'SELECT date, {column} FROM coverage WHERE venue = {text(about.venue)} AND {when} ORDER BY "end", shard'


def _others(notes: Notes) -> list[Sentence]:
    """Say where other instruments of the venue, which traded in the last day, do so no longer."""
    about = notes.about
    mine = f"venue = {text(about.venue)} AND symbol <> {text(about.symbol)} AND bar = '1m' AND {about.when(DAY)}"
    query = (
        f'SELECT symbol, max("end") < {moment(about.at - OLDEST)} AS value FROM bars WHERE {mine} GROUP BY symbol ORDER BY symbol'
    )
    quiet = notes.fact("others_quiet", "other instruments of the venue without trades of late", Unit.COUNT, query, "true")
    if not quiet.value:
        return []
    others = notes.fact("others", "other instruments of the venue", Unit.COUNT, query, "count")
    old = notes.span(OLDEST)
    return [Sentence(f"{said(quiet)} of {said(others)} other instruments of the venue have no trade of the last {said(old)}")]


def _insufficient(notes: Notes, minutes: Fact, *, few: bool, old: bool) -> list[Sentence]:
    told = []
    if few:
        least = notes.setting("least_minutes", "closed minutes needed", LEAST_MINUTES, Unit.COUNT)
        told.append(Sentence(f"insufficient data: {said(minutes)} closed minutes in the last day, {said(least)} are needed"))
    if old:
        told.append(Sentence(f"insufficient data: no trade of the last {said(notes.span(OLDEST))}"))
    return told
