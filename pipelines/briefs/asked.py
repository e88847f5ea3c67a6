"""A question answered by rule: the facts about what it names, in the time it names."""

from __future__ import annotations

import datetime as dt
import itertools
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from pipelines.briefs import question as questions
from pipelines.briefs import times
from pipelines.briefs.collect import collect, watched
from pipelines.briefs.fact import Fact
from pipelines.briefs.naming import Instrument
from pipelines.briefs.notes import Notes
from pipelines.briefs.queries import DAY, day
from pipelines.briefs.question import Question
from pipelines.briefs.reading import Reader, moment
from pipelines.briefs.sheet import Sentence, Sheet
from pipelines.briefs.times import Window
from pipelines.briefs.window import Span, Told
from pipelines.briefs.words import insert, named, plain

if TYPE_CHECKING:
    from pipelines.settings import Settings
    from pipelines.store.lake import Lake

MOST: Final = 3
"""Instruments that one answer tells of."""
SHOWN: Final = 9
"""Instruments that are named as left out; of more it says how many."""
KIND: Final = "asked"
OLD: Final = dt.timedelta(days=1)
"""Age of the newest bar from which on times are counted from it, not from now."""
_SINCE_BRIEF: Final = re.compile(r"\bsince\s+(?:the|your|our)\s+(?:last|latest|previous|newest)\s+brief", re.IGNORECASE)
EXAMPLES: Final = (
    "why did VPIN rise on BTC last night?",
    "what happened to ETH-USDT yesterday between 14:00 and 15:00?",
    "spread and gaps of SOL in the last 4 hours",
)


class Unanswerable(Exception):
    """A question that names nothing that is known here; the message says what can be asked."""


class Asked(NamedTuple):
    """What is known about a question.

    Attributes
    ----------
    question : Question
    sheets : list of Sheet
        As of the end of the time asked about; `changes` is what happened in it.
    told : list of Told
        Of each sheet, what happened in that time, by topic.
    """

    question: Question
    sheets: list[Sheet]
    told: list[Told]

    @property
    def facts(self) -> dict[str, Fact]:
        """All facts, by id."""
        return {fact.id: fact for sheet in self.sheets for fact in sheet.facts}


def gather(lake: Lake, text: str, settings: Settings, at: dt.datetime, first: int = 1) -> Asked:
    """Return what is known about a question, as of `at`, its facts numbered from `first`; nothing is written.

    Raises
    ------
    Unanswerable
        If it names neither an instrument, nor a time, nor a topic, or an instrument that the lake has not.
    """
    if len(text) > questions.LONGEST:
        raise Unanswerable(f"a question has at most {questions.LONGEST} characters")
    zone = settings.briefs.zone
    known = _instruments(lake, times.window(text, at, zone), settings)
    found = questions.read(text, at, zone, known)
    found = found._replace(window=_since_brief(lake, text, at) or found.window)
    if found.unknown and not found.instruments:
        raise Unanswerable(f"not in this lake: {'; '.join(found.unknown)}")
    if not (found.instruments or found.topics or found.window.words):
        raise Unanswerable(_what_can_be_asked(known))
    wanted = tuple(found.instruments or watched(lake, settings, found.window.end))
    if not wanted:
        raise Unanswerable(f"no instrument of this lake was traded before {_clock(found.window.end)}")
    return _about(lake, found._replace(instruments=wanted[:MOST], left_out=wanted[MOST:]), settings, first)


def named_in(lake: Lake, text: str, settings: Settings, at: dt.datetime) -> tuple[Instrument, ...]:
    """Return the instruments of the lake that a text names."""
    known = _instruments(lake, Window(at - times.WIDEST, at, ""), settings)
    return questions.read(text, at, settings.briefs.zone, known).instruments


def _about(lake: Lake, found: Question, settings: Settings, first: int) -> Asked:
    end = found.window.end
    reader = Reader(lake, end)
    sheets, told = [], []
    for venue, symbol in found.instruments:
        notes = Notes(reader, venue, symbol, itertools.count(first))
        happened = Span(notes, end - found.window.start, settings).told()
        (sheet,) = collect(lake, [(venue, symbol)], end, settings, KIND, first + len(notes.facts))
        said = tuple(sentence for sentences in happened.values() for sentence in sentences)
        told.append(happened)
        sheets.append(msgspec.structs.replace(sheet, facts=(*notes.facts, *sheet.facts), changes=said))
        first += len(sheets[-1].facts)
    return Asked(found, sheets, told)


def newest(lake: Lake, now: dt.datetime) -> dt.datetime:
    """Return when a question is asked: `now`; of a lake that nothing is recorded into, the end of its last bar."""
    last = {found.table: found.max_ts for found in lake.summary()}["bars"]
    if last is None:
        return now
    query = f"SELECT \"end\" FROM bars WHERE date >= {day(last)} AND bar = '1m'"
    end = max((row[0] for row in lake.sql(query).fetchall()), default=last)
    return now if now - OLD <= end <= now else end


def answer(asked: Asked) -> list[str]:
    """Return the answer's lines, each number with the id of its fact."""
    lines = [_time(asked.question.window), *left_out(asked.question)]
    for sheet, told in zip(asked.sheets, asked.told, strict=True):
        wanted = [topic for topic in asked.question.topics if topic in told] or list(told)
        lines += ["", f"{plain(sheet.symbol)} {plain(sheet.venue)}"]
        lines += _items(asked, [sentence for topic in wanted for sentence in told[topic]])
        if rest := [sentence for topic in told if topic not in wanted for sentence in told[topic]]:
            lines += ["Also in that time", *_items(asked, rest)]
        for name, sentences in (
            (f"At {_clock(sheet.at)}", (*sheet.state, *sheet.levels)),
            ("Evidence", sheet.evidence),
            ("Counter-evidence", sheet.counter),
            ("Not known", sheet.unknown),
        ):
            lines += [name, *_items(asked, sentences)] if sentences else []
    return lines


def left_out(question: Question) -> list[str]:
    """Say what was named and is not told of."""
    lines = [f"Not in this lake: {'; '.join(map(plain, question.unknown))}"] if question.unknown else []
    if rest := question.left_out:
        names = ", ".join(f"{plain(symbol)} {plain(venue)}" for venue, symbol in rest[:SHOWN])
        more = f" and {len(rest) - SHOWN} more" if len(rest) > SHOWN else ""
        lines.append(f"Not told of: {names}{more}; an answer holds {MOST} instruments, ask for others by name")
    return lines


def behind(asked: Asked) -> list[Fact]:
    """Return the facts that the asked topics name, or all topics if it named none."""
    ids: dict[str, None] = {}
    for told in asked.told:
        wanted = [topic for topic in asked.question.topics if topic in told] or list(told)
        ids |= dict.fromkeys(i for topic in wanted for sentence in told[topic] for i in named(sentence.text))
    facts = asked.facts
    return [facts[i] for i in ids if facts[i].query]


def _since_brief(lake: Lake, text: str, at: dt.datetime) -> Window | None:
    """Return the time since the newest brief, where a question asks for it; None where it does not."""
    if not _SINCE_BRIEF.search(text):
        return None
    query = f"SELECT max(ts) FROM briefs WHERE date >= {day(at - times.WIDEST)} AND ts < {moment(at)}"
    last = Reader(lake, at).rows(query).item()
    if last is None:
        return Window(at - times.USUAL, at, "no brief in this lake, the day before")
    return Window(last, at, "since the last brief")


def _instruments(lake: Lake, window: Window, settings: Settings) -> list[Instrument]:
    """Return the instruments that are described, were traded in the time asked about, or are watched."""
    when = f'date BETWEEN {day(window.start - DAY)} AND {day(window.end)} AND "end" <= {moment(window.end)}'
    traded = f"SELECT DISTINCT venue, symbol FROM bars WHERE bar = '1m' AND {when}"
    query = f"SELECT DISTINCT venue, symbol FROM instruments UNION {traded} ORDER BY 1, 2"
    found = [(venue, symbol) for venue, symbol in Reader(lake, window.end).rows(query).iter_rows()]
    watching = watched(lake, settings, window.end)
    return [*watching, *(one for one in found if one not in watching)]


def _what_can_be_asked(known: Sequence[Instrument]) -> str:
    symbols = ", ".join(dict.fromkeys(symbol for _, symbol in known[:10])) or "none yet"
    examples = "; ".join(f'"{example}"' for example in EXAMPLES)
    return f"ask about an instrument ({symbols}), a time, or one of {', '.join(questions.TOPICS)}: like {examples}"


def _time(window: Window) -> str:
    said = f"{plain(window.words)}: " if window.words else "no time named, the day before: "
    return f"{said}{_clock(window.start)} to {_clock(window.end)}. What was measured in it; a cause is not measured."


def _items(asked: Asked, sentences: Sequence[Sentence]) -> list[str]:
    facts = asked.facts
    return [f"- {insert(sentence.text, facts, marked=True)}" for sentence in sentences]


def _clock(time: dt.datetime) -> str:
    return f"{time.astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC"
