"""Whether a text says only what its facts say: a model's draft before numbers are put in, and any brief after.

Refused is whatever is not known to be right: a word that is on no list and no sheet, a direction that no fact shows, a fact that
the words around it do not name. A draft refused by mistake costs a retry; one let pass by mistake tells a desk what is not so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from pipelines.briefs.directions import directions
from pipelines.briefs.fact import Fact, Unit
from pipelines.briefs.grounds import Grounds, Kind, Token
from pipelines.briefs.misnaming import misnamed, unnamed
from pipelines.briefs.naming import Instrument, Names
from pipelines.briefs.number_words import is_number
from pipelines.briefs.numbers import numbers
from pipelines.briefs.phrases import is_phrase
from pipelines.briefs.places import places
from pipelines.briefs.sheet import Sheet
from pipelines.briefs.tenses import as_of, beginnings, dates, is_earlier, spans, windows
from pipelines.briefs.vocabulary import HIGH, LEVELS, LOW, NEGATIONS, REFUSED, STATES, UNITS, WORDS
from pipelines.briefs.words import PLACEHOLDER, insert, shown

LONGEST: Final = 12_000
"""Characters of a draft, with its numbers."""
LONGEST_LINE: Final = 600
FAULTS: Final = 20
EXTREME: Final = 0.9
"""Percentile from which a value is called high, and 1 minus it, up to which low."""
_BULLET: Final = re.compile(r"^\s*(?:[-\u2022] )?\s*")
_ENDS: Final = frozenset((".", ";", "?"))
_GLUE: Final = frozenset(
    {
        *("and", "also", "while", "but", "the", "a", "of", "on", "at", "is", "are", "for", "if"),
        *("data", "state", "levels", "evidence", "claim", "refuted", "confidence"),
    }
)
"""Words that may stand around a sheet's sentence without touching what it says."""
_TOUCHING: Final = re.compile(r"(?<![\s(])\{|\}(?![\s.,;:)?]|$)|\}[.,;:]\{")
_LETTERS: Final = str.maketrans("0123456789", "abcdefghij")
_ANY: Final = frozenset(("", "all"))


def check(text: str, facts: Mapping[str, Fact], sheets: Sequence[Sheet]) -> list[str]:
    """Return what is wrong with a draft, its lines joined; empty: nothing is.

    Parameters
    ----------
    text
        With placeholders for facts.
    facts
        All that may be named, by id.
    sheets
        What the draft words; none where a question is answered.
    """
    if not text.strip():
        return ["the draft is empty"]
    if len(text) > LONGEST or len(insert(_known(text, facts), facts)) > LONGEST:
        return [f"the draft has more than {LONGEST} characters"]
    grounds = Grounds(facts, sheets)
    under: frozenset[Instrument] = frozenset()
    faults: list[str] = []
    for raw in text.split("\n"):
        line = _BULLET.sub("", raw).rstrip(" \r")
        heads = grounds.names.heading(line)
        if heads is not None:
            under = heads
            faults += [] if len(heads) == 1 else [f"{line!r}: which of the venues is meant is not said"]
        elif line:
            faults += [f"{line[:80]!r}: {fault}" for fault in _line(line, under, grounds)]
        if len(faults) >= FAULTS:
            break
    return list(dict.fromkeys(faults))[:FAULTS]


def verify(text: str, facts: Mapping[str, Fact], quoted: Sequence[str] = ()) -> list[str]:
    """Return the numbers of a rendered text that no fact is shown as; `quoted` texts are another's words and may hold any."""
    for title in sorted(quoted, key=len, reverse=True):
        text = text.replace(title, " ")
    text = re.sub(r"\[F\d+\]|\btapeflow fact F\d+(?: --brief [0-9a-f]+)?", " ", text)
    for word in sorted({shown(f) for f in facts.values() if isinstance(f.value, str)} - {""}, key=len, reverse=True):
        text = text.replace(word, " ")
    names = Names((fact.venue, fact.symbol) for fact in facts.values())
    assets = {_lettered(fact.asset, names) for fact in facts.values() if fact.asset}
    known = {n.key for fact in facts.values() for n in numbers(_lettered(shown(fact), names), assets)}
    known |= {n.key for fact in facts.values() for n in numbers(f"{fact.as_of:%Y-%m-%d %H:%M} UTC")}
    found = numbers(_lettered(text, names), assets)
    return [f"no fact is shown as {n.text!r}" for n in found if n.key not in known]


def _lettered(text: str, names: Names) -> str:
    """Return text in which no name of an instrument can be taken for a number, like 1000PEPE or ONE."""
    for mention in reversed(names.mentions(text)):
        text = f"{text[: mention.start]}Q{text[mention.start : mention.end].translate(_LETTERS)}{text[mention.end :]}"
    return text


def _known(text: str, facts: Mapping[str, Fact]) -> str:
    return PLACEHOLDER.sub(lambda m: m[0] if m[1] in facts else "", text)


def _line(line: str, under: frozenset[Instrument], grounds: Grounds) -> Iterator[str]:
    """Yield what is wrong with a line; `under` is whom the heading above it names."""
    if len(line) > LONGEST_LINE:
        yield f"a line of more than {LONGEST_LINE} characters"
        return
    if _TOUCHING.search(line):
        yield "a placeholder touches something: set words or a mark and a space between"
    tokens = grounds.tokens(line)
    if any(_is_changed(sentence) for sentence in _sentences(tokens)):
        tokens = grounds.tokens(line, whole=False)
    strange = [token.text for token in tokens if token.kind is Kind.STRANGE]
    yield from (
        f"{text!r} may not be written" if len(text) == 1 else f"there is no fact {text}" for text in dict.fromkeys(strange)
    )
    yield from _subjects(tokens, under, grounds)
    yield from _units(tokens, grounds)
    yield from places(tokens)
    yield from unnamed(tokens)
    yield from spans(tokens)
    yield from beginnings(tokens)
    yield from windows(tokens, grounds)
    yield from dates(tokens)
    for sentence in _sentences(tokens):
        yield from _words(sentence, grounds)
        yield from _support(sentence, grounds)
        yield from misnamed(sentence, grounds)
        yield from directions(sentence)
        yield from as_of(sentence, grounds)


def _is_changed(sentence: Sequence[Token]) -> bool:
    """Whether words around a sheet's sentence may change what it says."""
    kinds = {token.kind for token in sentence}
    return Kind.SAID in kinds and (
        Kind.FACT in kinds or any(token.kind is Kind.WORD and token.text.lower() not in _GLUE for token in sentence)
    )


def _sentences(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    sentence: list[Token] = []
    for token in tokens:
        if token.kind is Kind.MARK and token.text in _ENDS:
            if sentence:
                yield sentence
            sentence = []
        else:
            sentence.append(token)
    if sentence:
        yield sentence


def _subjects(tokens: Sequence[Token], under: frozenset[Instrument], grounds: Grounds) -> Iterator[str]:
    """Each fact must be of the instrument named last, of the heading's where none is, or of the only one there is."""
    names = [token for token in tokens if token.kind is Kind.NAME]
    only = frozenset(grounds.names.instruments) if len(grounds.names.instruments) == 1 else frozenset()
    subject = under or (names[0].about if names else only)
    for token in tokens:
        if token.kind is Kind.NAME:
            subject = token.about & under if len(token.about) > 1 and token.about & under else token.about
            if len(subject) != 1:
                yield f"which instrument {token.text!r} is, is not clear" if subject else f"there is no {token.text!r}"
        of = _owner(token)
        if of is None:
            continue
        if not subject:
            yield "it does not say which instrument it speaks of"
            return
        if not of & subject:
            yield f"{token.text} is not of {' '.join(min(subject)[::-1])}"


def _owner(token: Token) -> frozenset[Instrument] | None:
    if token.kind is Kind.SAID:
        return token.about
    if token.fact is None or token.fact.symbol in _ANY:
        return None
    return frozenset({(token.fact.venue, token.fact.symbol)})


def _units(tokens: Sequence[Token], grounds: Grounds) -> Iterator[str]:
    """A fact is shown with its unit, so that none may stand beside it."""
    counted_on = [t for b, t in zip([None, *tokens], tokens, strict=False) if not (b and is_earlier(b, t))]
    for before, token in zip([None, *counted_on], counted_on, strict=False):
        if before and before.fact and token.kind is Kind.WORD and token.text.lower() in UNITS:
            counted = before.fact.unit is Unit.COUNT and token.text.lower() in grounds.about(before.fact)
            if not counted:
                yield f"{token.text!r} behind {before.text}: a fact is shown with its unit"
        if token.fact and before and before.fact and not _reads_on(before.fact, token.fact):
            yield f"{before.text} and {token.text} would read as one number"
        if token.fact and before and before.text.lower() == "percentile" and token.fact.unit is not Unit.PERCENTILE:
            yield f"{token.text} is no percentile"


def _reads_on(one: Fact, other: Fact) -> bool:
    """Whether a fact may follow another at once, as in over 1 h -0.4 %."""
    return one.unit is Unit.SECONDS and other.unit in {Unit.SHARE, Unit.BPS}


def _words(sentence: Sequence[Token], grounds: Grounds) -> Iterator[str]:
    """Each word must be in the vocabulary, or said of a fact that the sentence names; some never."""
    about = frozenset().union(*(grounds.about(token.fact) for token in sentence if token.fact))
    named = [token.fact for token in sentence if token.fact]
    for i, token in enumerate(sentence):
        if token.kind is not Kind.WORD:
            continue
        word = token.text.lower()
        if is_number(token.text) or re.search(r"\d", word):
            yield f"{token.text!r} is a number in words"
        elif word in REFUSED:
            yield f"{token.text!r} {REFUSED[word]}"
        elif word in NEGATIONS and not _is_unavailable(sentence, i):
            yield f"{token.text!r}: what is not so is said in a sheet's own words only"
        elif word in grounds.values and word not in LEVELS:
            yield f"{token.text!r} is the value of a fact: name the fact"
        elif word not in NEGATIONS and not _is_known(word, about, grounds) and not is_phrase(sentence, i):
            yield f"the word {token.text!r} is not in the vocabulary of briefs"
        elif word in HIGH | LOW and not _is_confidence(sentence, i) and not _is_extreme(word, named) and word not in about:
            yield f"{token.text!r}: no percentile shows it"


def _is_unavailable(sentence: Sequence[Token], at: int) -> bool:
    """Whether it says that facts are not available, and none of them is."""
    behind = sentence[at + 1].text.lower() if at + 1 < len(sentence) else ""
    named = [token.fact for token in sentence if token.fact]
    return behind in {"available", "known"} and bool(named) and all(fact.value is None for fact in named)


def _is_known(word: str, about: frozenset[str], grounds: Grounds) -> bool:
    known = WORDS | about | grounds.venues
    return word in known or f"{word}s" in about or all(part in known for part in re.split("[-_]", word.removesuffix("'s")))


def _is_extreme(word: str, named: Sequence[Fact]) -> bool:
    values = [f.value for f in named if f.unit is Unit.PERCENTILE and isinstance(f.value, int | float)]
    return any(v >= EXTREME if word in HIGH else v <= 1 - EXTREME for v in values)


def _is_confidence(sentence: Sequence[Token], at: int) -> bool:
    near = [*sentence[max(0, at - 3) : at], *sentence[at + 1 : at + 2]]
    return any(token.text.lower() == "confidence" for token in near)


def _support(sentence: Sequence[Token], grounds: Grounds) -> Iterator[str]:
    """Each sentence must rest on a fact, or say of confidence or the state of the data what the sheet says."""
    sure = [
        token.text.lower() for i, token in enumerate(sentence) if token.text.lower() in LEVELS and _is_confidence(sentence, i)
    ]
    states = [token.text.lower() for i, token in enumerate(sentence) if token.text.lower() in STATES and _is_of_data(sentence, i)]
    owners = [of for token in sentence if (of := _owner(token))] or [t.about for t in sentence if t.kind is Kind.NAME]
    sheets = [grounds.sheets[one] for of in owners for one in of if one in grounds.sheets] or [*grounds.sheets.values()]
    if sure and (not sheets or any(word != sheet.confidence for word in sure for sheet in sheets)):
        yield "the confidence is another"
    if not set(states) <= grounds.states(sheets):
        yield "the state of the data is another"
    rests = any(token.kind in {Kind.FACT, Kind.SAID} for token in sentence) or sure or states
    if not rests and any(token.kind is Kind.WORD for token in sentence):
        yield "a sentence rests on no fact"
    for token in sentence:
        sheet = grounds.sheets.get((token.fact.venue, token.fact.symbol)) if token.fact else None
        if sheet and not sheet.sufficient and not _is_told(token.text, sheet):
            yield f"{token.text}: there is not enough data to speak of it"


def _is_of_data(sentence: Sequence[Token], at: int) -> bool:
    return any(token.text.lower() in {"data", "state", "feed", "record"} for token in sentence[max(0, at - 4) : at])


def _is_told(name: str, sheet: Sheet) -> bool:
    return any(f"{{{name}}}" in sentence.text for sentence in (*sheet.state, *sheet.unknown))
