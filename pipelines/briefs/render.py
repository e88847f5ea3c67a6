"""A brief from sheets by a fixed template: the same sheets give the same bytes. A model's draft, if any, words part of it."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from pipelines.briefs.draft import Draft
from pipelines.briefs.markdown import markdown
from pipelines.briefs.naming import Instrument, Names
from pipelines.briefs.sheet import FIRST, Brief, Falsifier, Sentence, Sheet
from pipelines.briefs.state import word_of
from pipelines.briefs.words import insert, one_line, plain

LINES: Final = 12
"""Of the head."""
LINE: Final = 160
"""Characters of a line of the head, from which on nothing is added to it."""
NAMED: Final = 12
"""Instruments that a line names; of more it says that there are others."""
HEADLINES: Final = 8
ALL: Final = "all"


def render(
    kind: str,
    sheets: Sequence[Sheet],
    *,
    at: dt.datetime,
    episode: str | None = None,
    headlines: Sequence[str] = (),
    draft: Draft | None = None,
    option: str = "",
) -> Brief:
    """Return the brief; with a draft, which must have been checked, its lines stand for levels, changes and evidence.

    The state of the data, confidence, counter-evidence, falsifiers, their record and what is not known are always the template's.
    `headlines` are quoted; `option` ends the command that is told. `writer` is left to the caller.
    """
    facts = {fact.id: fact for sheet in sheets for fact in sheet.facts}
    names = Names((sheet.venue, sheet.symbol) for sheet in sheets)
    mine = _by_instrument(draft.thread, names) if draft else {}
    first = _first(kind, sheets, names, at)
    rest, over = (draft.head[: LINES - 1], draft.head[LINES - 1 :]) if draft else (_head(sheets, names), [])
    head = [first, *(one_line(insert(line, facts)) for line in rest if line.strip())]
    brief_id = _hash(kind, at.isoformat(), *(f"{s.venue}\0{s.symbol}" for s in sheets), msgspec.json.encode([*facts.values()]))
    common = [*over, *mine.pop(None, [])]
    sections = [
        *([["Overall", *map(_item, common)]] if common else []),
        *(_section(sheet, mine.get((sheet.venue, sheet.symbol))) for sheet in sheets),
    ]
    told = [[one_line(insert(line, facts, marked=True)) for line in section] for section in sections]
    quoted = [["Headlines, quoted as they were published", *(_item(f"\u201c{plain(h)}\u201d") for h in headlines[:HEADLINES])]]
    told += quoted if headlines else []
    foot = f"Run any number again: tapeflow fact {next(iter(facts), 'F1')} --brief {brief_id}{option}"
    head_text = "\n".join(head)
    thread = "\n\n".join(["\n".join(section) for section in told] + [foot])
    alone = sheets[0] if len(sheets) == 1 else None
    return Brief(
        id=brief_id,
        kind=kind,
        venue=alone.venue if alone else ALL,
        symbol=alone.symbol if alone else ALL,
        at=at,
        episode=episode,
        changed=any(sheet.changes for sheet in sheets),
        facts=tuple(facts.values()),
        falsifiers=tuple(falsifier for sheet in sheets for falsifier in _falsifiers(sheet)),
        head=head_text,
        thread=thread,
        markdown=markdown(_title(kind, at), head, told, [*facts.values()]),
        digest=_hash(head_text, thread),
    )


def _title(kind: str, at: dt.datetime) -> str:
    return f"{plain(kind).capitalize()} brief, {_clock(at)}"


def _first(kind: str, sheets: Sequence[Sheet], names: Names, at: dt.datetime) -> str:
    """Return the first line: the state of the data, and what changed."""
    states: dict[str, list[str]] = {}
    for sheet in sheets:
        states.setdefault(_state(sheet), []).append(names.shown((sheet.venue, sheet.symbol)))
    new = [names.shown((s.venue, s.symbol)) for s in sheets if FIRST in s.changes]
    changed = [names.shown((s.venue, s.symbol)) for s in sheets if s.changes and FIRST not in s.changes]
    if len(sheets) == 1:
        one = sheets[0]
        news = "the first brief of its kind" if new else f"{'' if changed else 'nothing '}changed since the last brief"
        return one_line(f"{one.symbol} {one.venue}, {_clock(at)}: data {_state(one)}; {news}.")
    data = "; ".join(f"{word}: {_listed(who)}" for word, who in states.items()) or "no instruments"
    told = [f"Changed: {_listed(changed)}"] if changed else []
    if new:
        told.append("The first brief of its kind" if len(new) == len(sheets) else f"In it for the first time: {_listed(new)}")
    news = ". ".join(told) or "Nothing changed since the last brief"
    return one_line(f"{_title(kind, at)}. Data {data}. {news}.")


def _state(sheet: Sheet) -> str:
    word = word_of({fact.name: fact for fact in sheet.facts}.get)
    return word if sheet.sufficient else "insufficient"


def _head(sheets: Sequence[Sheet], names: Names) -> list[str]:
    """Return the lines under the first: as many for each instrument as there is room, those that changed before others."""
    room = LINES - 1
    if len(sheets) > room:
        order = sorted(sheets, key=lambda sheet: not sheet.changes)
        rest = _listed([names.shown((s.venue, s.symbol)) for s in order[room - 1 :]])
        return [*(_lines(s, names, 1)[0] for s in order[: room - 1]), f"In the thread: {rest}."]
    many = room // len(sheets) if sheets else 0
    return [line for sheet in sheets for line in _lines(sheet, names, many, alone=len(sheets) == 1)]


def _lines(sheet: Sheet, names: Names, many: int, *, alone: bool = False) -> list[str]:
    """Return at most `many` lines about an instrument, what matters most first."""
    who = "" if alone else f"{names.shown((sheet.venue, sheet.symbol))}: "
    if not sheet.sufficient:
        return [f"{who}insufficient data; {_filled(sheet.state[-1:] if many == 1 else sheet.state)[0]}"]
    parts = [
        ("changed: ", [change for change in sheet.changes if change != FIRST]),
        ("", sheet.levels),
        (f"confidence {sheet.confidence}; evidence: ", sheet.evidence),
        ("against it: ", sheet.counter),
        ("claim: ", [Sentence(falsifier.text) for falsifier in sheet.falsifiers]),
        ("not known: ", sheet.unknown),
        ("", sheet.state),
    ]
    told = [(name, sentences) for name, sentences in parts if sentences]
    room, lines = many - len(told), []
    for name, sentences in told:
        line, rest = _filled(sentences)
        lines.append(f"{who}{name}{line}")
        while rest and room > 0:
            line, rest = _filled(rest)
            lines.append(f"{who}{line}")
            room -= 1
    return lines[:many] or [f"{who}nothing to tell"]


def _filled(sentences: Sequence[Sentence]) -> tuple[str, Sequence[Sentence]]:
    """Return a line of as many sentences as there is room for, at least the first, and those left over."""
    line = ""
    for i, sentence in enumerate(sentences):
        if line and len(line) + len(sentence.text) > LINE:
            return line, sentences[i:]
        line += f"; {sentence.text}" if line else sentence.text
    return line, ()


def _section(sheet: Sheet, worded: Sequence[str] | None) -> list[str]:
    """Return all that is told of an instrument, its name first."""
    known = [
        ("Levels", _texts(sheet.levels)),
        ("Changed since the last brief", _texts(sheet.changes)),
        ("Evidence", _texts(sheet.evidence)),
    ]
    why = [f"{sheet.confidence}: {sheet.why_confidence.text}" if sheet.why_confidence else sheet.confidence]
    parts = [
        ("State of the data", _texts(sheet.state)),
        *([("What is seen", worded)] if worded else known),
        ("Confidence", why),
        ("Counter-evidence", _texts(sheet.counter)),
        ("Claims and what would refute them", [falsifier.text for falsifier in sheet.falsifiers]),
        ("Record of earlier claims", _texts(sheet.record)),
    ]
    told = parts if sheet.sufficient else [parts[0], ("Insufficient data", ["nothing is said of levels, changes or evidence"])]
    told.append(("Not known", _texts(sheet.unknown)))
    return [f"{sheet.symbol} {sheet.venue}", *(line for name, lines in told if lines for line in (name, *map(_item, lines)))]


def _falsifiers(sheet: Sheet) -> tuple[Falsifier, ...]:
    return sheet.falsifiers if sheet.sufficient else ()


def _by_instrument(lines: Iterable[str], names: Names) -> dict[Instrument | None, list[str]]:
    """Return a draft's lines by the instrument that they are about; None: by those that speak of several."""
    found: dict[Instrument | None, list[str]] = {}
    under: frozenset[Instrument] = frozenset()
    for line in lines:
        heads = names.heading(line)
        if heads is not None:
            under = heads
        elif line.strip():
            meant = frozenset().union(*(mention.meant for mention in names.mentions(line))) or under or set(names.instruments)
            found.setdefault(next(iter(meant)) if len(meant) == 1 else None, []).append(line)
    return found


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:NAMED]) + (" and others" if len(names) > NAMED else "")


def _texts(sentences: Iterable[Sentence]) -> list[str]:
    return [sentence.text for sentence in sentences]


def _item(line: str) -> str:
    return f"- {line}"


def _clock(at: dt.datetime) -> str:
    return f"{at.astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC"


def _hash(*parts: str | bytes) -> str:
    found = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        found.update(f"{len(data)}\0".encode() + data)
    return found.hexdigest()[:16]
