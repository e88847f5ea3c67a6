"""What changed since the last brief of its kind: thresholds that were crossed, states that are others, alerts."""

from __future__ import annotations

import datetime as dt
from typing import Any, Final, NamedTuple

from pipelines.briefs.claims import HIGH
from pipelines.briefs.fact import Fact, Unit
from pipelines.briefs.keep import as_fact
from pipelines.briefs.levels import Levels
from pipelines.briefs.notes import Notes, number, said
from pipelines.briefs.queries import DAY, HOUR, day
from pipelines.briefs.reading import moment, text
from pipelines.briefs.sheet import FIRST, Sentence
from pipelines.briefs.state import word_of
from pipelines.settings import Settings

REACH: Final = 8 * DAY
"""How far back the brief before is looked for."""
SCHEDULED: Final = ("hourly", "daily")
WARNING: Final = 2
"""Severity from which an alert is a change."""
CROSSED: Final = ("volatility", "traded", "spread")
"""Levels of which it is told when they become high and cease to be."""


class Previous(NamedTuple):
    """A brief before this one, and its facts about the instrument by name: values that were agreed are not among them."""

    brief: str
    at: dt.datetime
    date: dt.date
    facts: dict[str, Fact]


def previous(notes: Notes, kind: str) -> Previous | None:
    """Return the last brief of its kind that spoke of the instrument; of briefs without a schedule, the last of any kind."""
    at = notes.about.at
    dates = f"date BETWEEN {day(at - REACH)} AND {day(at)}"
    same = f"kind = {text(kind)}" if kind in SCHEDULED else "true"
    briefs = f"SELECT brief, ts AS spoken FROM briefs WHERE {same} AND {dates} AND ts < {moment(at)}"
    mine = f"venue = {text(notes.about.venue)} AND symbol = {text(notes.about.symbol)} AND {dates}"
    query = f"SELECT * FROM facts JOIN ({briefs}) USING (brief) WHERE {mine} ORDER BY spoken DESC, brief, fact"
    rows = notes.reader.rows(query).rows(named=True)
    if not rows:
        return None
    last = rows[0]
    found = [as_fact(row) for row in rows if row["brief"] == last["brief"]]
    return Previous(last["brief"], last["spoken"], last["date"], {f.name: f for f in found if f.as_of == last["spoken"]})


def changes(notes: Notes, levels: Levels, last: Previous | None, settings: Settings) -> list[Sentence]:
    """Return what changed in the market since `last`; without one, the alerts of the last hour."""
    if last is None:
        return _alerts(notes, notes.about.at - HOUR)
    since = notes.setting("last_brief", "time of the brief before", last.at, Unit.TIME)
    limits = {"vpin": settings.kernels.detectors.vpin_high.pct, **dict.fromkeys(CROSSED, HIGH)}
    found = [_posture(notes, levels, last), *(_crossed(notes, levels, last, name, limit) for name, limit in limits.items())]
    told = [s for s in found if s] + _alerts(notes, last.at)
    if told and (was := _was(notes, last, "price")) and was.value != levels.other["price"].value:
        told.append(Sentence(f"price {said(was)} at {said(since)}, now {said(levels.other['price'])}"))
    return told


def of_data(word: str, last: Previous | None) -> list[Sentence]:
    """Return what changed in the state of the data since `last`."""
    if last is None:
        return [FIRST]
    before = word_of(last.facts.get)
    return [Sentence(f"data were {before}, now {word}")] if before != word else []


def _posture(notes: Notes, levels: Levels, last: Previous) -> Sentence | None:
    now, before = levels.other.get("posture"), last.facts.get("posture")
    if not now or not before or None in (now.value, before.value) or now.value == before.value:
        return None
    was = _was(notes, last, "posture")
    return Sentence(f"posture was {said(was)}, now {said(now)}") if was else None


def _crossed(notes: Notes, levels: Levels, last: Previous, name: str, limit: float) -> Sentence | None:
    level, before = levels.by_name.get(name), last.facts.get(f"{name}_pct")
    new, old = number(level.pct) if level else None, number(before) if before else None
    if level is None or new is None or old is None or (new >= limit) == (old >= limit):
        return None
    was = _was(notes, last, f"{name}_pct")
    if was is None:
        return None
    held = notes.setting(f"limit_{name}", f"limit of {level.now.label}", limit, Unit.PERCENTILE, decimals=1)
    verb = "rose to or above" if new >= limit else "fell below"
    return Sentence(f"{level.now.label} {verb} {said(held)}: was at {said(was)}, now at {said(level.pct)}")


def _was(notes: Notes, last: Previous, name: str) -> Fact | None:
    """Note what a fact of the brief before was, as the lake has it."""
    old = last.facts.get(name)
    if old is None:
        return None
    column = "value" if isinstance(old.value, int | float) else "text AS value"
    query = (
        f"SELECT date, {column} FROM facts WHERE date = DATE '{last.date}' AND brief = {text(last.brief)}"
        f" AND fact = {text(old.id)}"
    )
    shown: dict[str, Any] = {"asset": old.asset, "decimals": old.decimals, "signed": old.signed, "as_of": last.at}
    return notes.fact(f"was_{name}", f"{old.label}, brief before", old.unit, query, **shown)


def _alerts(notes: Notes, since: dt.datetime) -> list[Sentence]:
    """Say how many alerts of what kind there were, warnings and worse."""
    about = notes.about
    mine = f"severity >= {WARNING}"
    span = about.at - since
    order = 'alert_id, origin, "end"'
    kinds = notes.reader.rows(
        f"SELECT detector, count(DISTINCT alert_id) AS n FROM alerts WHERE {about.where(span, mine)}"
        " GROUP BY detector ORDER BY n DESC, detector"
    )
    parts = []
    for kind in kinds["detector"].to_list():
        where = about.where(span, f"{mine} AND detector = {text(kind)}")
        query = (
            f'SELECT DISTINCT ON (alert_id) date, "end", detector AS value, alert_id FROM alerts WHERE {where} ORDER BY {order}'
        )
        count = notes.fact(f"alerts_{kind}", f"alerts of {kind}", Unit.COUNT, query, "count")
        name = said(notes.fact(f"detector_{kind}", "detector", Unit.WORD, query)) if any(map(str.isdigit, kind)) else kind
        parts.append(f"{name} {said(count)}")
    if not parts:
        return []
    begin = notes.setting("alerts_since", "alerts are counted from", since, Unit.TIME)
    return [Sentence(f"alerts since {said(begin)}, warnings and worse: {', '.join(parts)}")]
