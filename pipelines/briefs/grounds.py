"""What a draft may rest on: facts, instruments, and what the sheets say of each fact; and a line of a draft taken apart."""

from __future__ import annotations

import datetime as dt
import enum
import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from pipelines.briefs.fact import Fact, Unit
from pipelines.briefs.labels import content
from pipelines.briefs.naming import Instrument, Names
from pipelines.briefs.sheet import Sheet
from pipelines.briefs.vocabulary import PLAIN
from pipelines.briefs.words import PLACEHOLDER, named

WORD: Final = r"[A-Za-z]+(?:['\u2019][A-Za-z]+)?(?:[-_][A-Za-z]+)*"
_TOKEN: Final = re.compile(
    rf"(?P<fact>{PLACEHOLDER.pattern})|(?P<word>{WORD})|(?P<mark>->|[.,;:()?\u2192\u2013\u2014-])|(?P<space> )"
)
_BEFORE: Final = re.compile(r"(?:^|[\s:(,;-])$")
_BEHIND: Final = re.compile(r"$|[\s.,;:)]")


class Kind(enum.Enum):
    """What a token is."""

    WORD = enum.auto()
    FACT = enum.auto()
    NAME = enum.auto()
    SAID = enum.auto()
    """A sentence of a sheet, word for word."""
    MARK = enum.auto()
    STRANGE = enum.auto()
    """What may not be written."""


class Token(NamedTuple):
    """A part of a line; `about` holds the instruments of a name or of a sheet's sentence."""

    kind: Kind
    text: str
    fact: Fact | None = None
    about: frozenset[Instrument] = frozenset()


class Grounds:
    """What may be said, and of whom.

    Parameters
    ----------
    facts
        By id.
    sheets
        None where a question is answered.
    """

    def __init__(self, facts: Mapping[str, Fact], sheets: Sequence[Sheet]) -> None:
        self.facts = facts
        self.sheets = {(sheet.venue, sheet.symbol): sheet for sheet in sheets}
        self.names = Names([*self.sheets, *((fact.venue, fact.symbol) for fact in facts.values())])
        self.venues = {word for venue, _ in self.names.instruments for word in venue.lower().split("-")}
        self._said = {one: sentences(sheet) for one, sheet in self.sheets.items()}
        self.changed = {name for sheet in sheets for sentence in sheet.changes for name in named(sentence.text)}
        told = [content(fact.label) for fact in facts.values() if fact.measure != "setting"]
        self.labels = frozenset().union(*told) - PLAIN
        """Words that name measures."""
        self._words = self._words_of_facts()
        self.values = {
            word for f in facts.values() if f.unit is Unit.WORD and isinstance(f.value, str) for word in _words(f.value)
        }
        """Words that are values of facts, like long and short."""

    def about(self, fact: Fact) -> frozenset[str]:
        """Return the words of the fact's label and of the sheets' sentences that name it."""
        return self._words.get(fact.id, frozenset())

    def states(self, sheets: Sequence[Sheet]) -> frozenset[str]:
        """Return the words in which sheets tell of the state of their data; only what all of them say."""
        told = [frozenset(word for said in sheet.state for word in _words(said.text)) for sheet in sheets]
        return frozenset.intersection(*told) if told else frozenset()

    def now(self, fact: Fact) -> dt.datetime:
        """Return the time of which a brief speaks when it says now."""
        sheet = self.sheets.get((fact.venue, fact.symbol))
        return sheet.at if sheet else max(one.as_of for one in self.facts.values())

    def tokens(self, line: str, *, whole: bool = True) -> list[Token]:
        """Take a line apart; `whole`: a sheet's sentence in it is one token."""
        spans: list[tuple[int, int, Token]] = []
        found = self._sentences(line) if whole else ()
        for start, end, token in [*found, *self._names(line)]:
            if all(end <= s or e <= start for s, e, _ in spans):
                spans.append((start, end, token))
        tokens, at = [], 0
        for start, end, token in sorted(spans, key=lambda span: span[0]):
            tokens += [*self._plain(line[at:start]), token]
            at = end
        return [*tokens, *self._plain(line[at:])]

    def _plain(self, text: str) -> Iterator[Token]:
        at = 0
        while at < len(text):
            m = _TOKEN.match(text, at)
            if m is None:
                yield Token(Kind.STRANGE, text[at])
            elif m["fact"]:
                name = m["fact"][1:-1]
                fact = self.facts.get(name)
                yield Token(Kind.FACT, name, fact) if fact else Token(Kind.STRANGE, m["fact"])
            elif m["word"]:
                yield Token(Kind.WORD, m["word"].replace("\u2019", "'"))
            elif m["mark"]:
                yield Token(Kind.MARK, m["mark"])
            at = m.end() if m else at + 1

    def _names(self, line: str) -> Iterator[tuple[int, int, Token]]:
        for mention in self.names.mentions(line):
            yield mention.start, mention.end, Token(Kind.NAME, line[mention.start : mention.end], about=mention.meant)

    def _sentences(self, line: str) -> Iterator[tuple[int, int, Token]]:
        for one, said in self._said.items():
            for text in said:
                at = line.find(text[1:])
                while at >= 0:
                    begin, end = at - 1, at - 1 + len(text)
                    alike = begin >= 0 and line[begin] in {text[0], text[0].upper()}
                    if alike and _BEFORE.search(line[:begin]) and _BEHIND.match(line, end):
                        yield begin, end, Token(Kind.SAID, line[begin:end], about=frozenset({one}))
                    at = line.find(text[1:], at + 1)

    def _words_of_facts(self) -> dict[str, frozenset[str]]:
        words = {name: set(_words(fact.label)) for name, fact in self.facts.items()}
        for said in self._said.values():
            for text in said:
                for name in set(named(text)) & set(words):
                    words[name].update(_words(text))
        return {name: frozenset(found) for name, found in words.items()}


def sentences(sheet: Sheet) -> list[str]:
    """Return all that a sheet says, the longest first; one that has not enough says no more than that."""
    parts = [sheet.state, sheet.unknown]
    if sheet.sufficient:
        parts += [sheet.levels, sheet.changes, sheet.evidence, sheet.counter, sheet.record]
    texts = [sentence.text for part in parts for sentence in part]
    if sheet.sufficient:
        texts += [falsifier.text for falsifier in sheet.falsifiers]
        texts += [sheet.why_confidence.text] if sheet.why_confidence else []
    else:
        texts += ["insufficient data", "data is insufficient", "data are insufficient", "the data is insufficient"]
    if not sheet.changes:
        texts += ["nothing changed since the last brief", "no change since the last brief", "nothing changed"]
    return sorted((text for text in texts if text), key=lambda text: (-len(text), text))


@functools.lru_cache(maxsize=4096)
def _words(text: str) -> tuple[str, ...]:
    plain = re.sub(r"[_/]", " ", PLACEHOLDER.sub(" ", text))
    return tuple(part.lower() for word in re.findall(WORD, plain) for part in (word, *word.split("-")))
