"""What is known of instruments at a time, as sheets of facts."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from pipelines.briefs import changes, claims, falsifiers, held, levels, scored, state, weighed
from pipelines.briefs.notes import Notes
from pipelines.briefs.queries import DAY, day
from pipelines.briefs.reading import Reader, moment
from pipelines.briefs.sheet import Sentence, Sheet
from pipelines.store import LakeError
from pipelines.store.names import Known, resolve

if TYPE_CHECKING:
    from pipelines.settings import Settings
    from pipelines.store.lake import Lake

MOST: Final = 8
"""Instruments of a lake that were not named and are watched all the same."""


def collect(
    lake: Lake, instruments: Sequence[tuple[str, str]], at: dt.datetime, settings: Settings, kind: str, first: int = 1
) -> list[Sheet]:
    """Return a sheet for each instrument (venue, symbol), made of rows with `end` <= `at` alone.

    Parameters
    ----------
    lake, instruments, at
    settings
    kind
        Of the brief: what changed is told against the last one of this kind.
    first
        Number of the first fact.
    """
    reader = Reader(lake, at)
    held.hold(reader, instruments, settings)
    facts, made = itertools.count(first), itertools.count(1)
    return [_sheet(Notes(reader, venue, symbol, facts), settings, kind, made) for venue, symbol in instruments]


def watched(lake: Lake, settings: Settings, at: dt.datetime) -> list[tuple[str, str]]:
    """Return the instruments (venue, symbol) that briefs are about: those of the settings, by the names that the lake has.

    Of a lake that holds none of them, made from files: the instruments that traded most in the day before.
    """
    about = f'date BETWEEN {day(at - 2 * DAY)} AND {day(at)} AND "end" > {moment(at - DAY)} AND "end" <= {moment(at)}'
    busiest = "GROUP BY venue, symbol ORDER BY sum(trades) DESC, venue, symbol"
    query = f"SELECT venue, symbol FROM bars WHERE bar = '1m' AND {about} {busiest}"
    described = f'SELECT DISTINCT venue, symbol, native FROM instruments WHERE "end" <= {moment(at)}'
    reader = Reader(lake, at)
    traded = [(venue, symbol) for venue, symbol in reader.rows(query).iter_rows()]
    known = {Known(venue, symbol) for venue, symbol in traded} | {Known(*row) for row in reader.rows(described).iter_rows()}
    named = [(venue, _normalised(symbol, venue, known)) for venue, asked in settings.venues.items() for symbol in asked.symbols]
    there = {(k.venue, k.symbol) for k in known}
    return named if there & set(named) else traded[:MOST] or named


def _normalised(symbol: str, venue: str, known: Collection[Known]) -> str:
    try:
        return resolve(symbol, venue, known).symbol
    except LakeError:
        return symbol


def _sheet(notes: Notes, settings: Settings, kind: str, numbers: Iterator[int]) -> Sheet:
    data = state.state(notes)
    last = changes.previous(notes, kind)
    changed = changes.of_data(data.word, last)
    about: dict[str, Any] = {"venue": notes.about.venue, "symbol": notes.about.symbol, "at": notes.about.at}
    about |= {"state": tuple(data.sentences), "sufficient": data.sufficient}
    if not data.sufficient:
        return Sheet(**about, changes=tuple(changed), unknown=tuple(data.unknown), facts=tuple(notes.facts))
    found = levels.levels(notes, settings)
    changed += changes.changes(notes, found, last, settings)
    made = claims.Rules(notes, found, settings).claims()
    detectors = dict.fromkeys(claim.detector for claim in made if claim.detector)
    scores = [score for score in (scored.score(notes, name) for name in detectors) if score]
    sure, why = weighed.confidence(found, data.word, made, scores)
    refuted = [claims.falsifier(notes, claim, numbers) for claim in made]
    return Sheet(
        **about,
        levels=tuple(found.sentences),
        changes=tuple(changed),
        evidence=(*(claim.sentence for claim in made), *(score.sentence for score in scores)),
        confidence=sure,
        why_confidence=why,
        counter=tuple(weighed.counter(found, made)),
        falsifiers=tuple(refuted),
        record=tuple(falsifiers.told(notes, [claim.falsified for claim in made])),
        unknown=(*found.unknown, *data.unknown, *_unscored(made, scores)),
        facts=tuple(notes.facts),
    )


def _unscored(made: Sequence[claims.Claim], scores: Sequence[scored.Score]) -> Iterator[Sentence]:
    """Say of which detectors that bear on claims nothing is measured."""
    known = {score.detector for score in scores}
    for claim in made:
        if claim.detector and claim.detector not in known:
            yield Sentence(f"precision of {claim.detector}: unscored")
