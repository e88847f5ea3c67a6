"""Whether a fact is told as of its time: an old one as past, one of now as present, and over the time that it covers."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Sequence
from typing import Final

from pipelines.briefs.fact import Fact, Unit
from pipelines.briefs.grounds import Grounds, Kind, Token
from pipelines.briefs.labels import content, stems
from pipelines.briefs.vocabulary import COMPARATIVES, COMPARED, PAST, PRESENT, SPANS, WINDOW

FRESH: Final = dt.timedelta(minutes=5)
"""Age up to which a fact is one of now."""
_LENGTHS: Final = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}
_SPAN: Final = re.compile(r"(\d+)\s*(s|m|min|h|d|w|minute|hour|day|week)s?")
_TIMELESS: Final = frozenset((Unit.TIME, Unit.SECONDS))
_OVER_THE_LAST: Final = frozenset(("over", "in", "within", "during", "for", "the", "last", "past", "an", "a"))
_LAST_BRIEF: Final = re.compile(r"(?:at|of|in) the (?:last|previous|earlier) brief")
_SINCE_BRIEF: Final = re.compile(r"since the (?:last|previous|earlier) brief")
_EARLIER: Final = frozenset(("earlier", "before", "previous", "previously", "prior", "brief"))


def as_of(sentence: Sequence[Token], grounds: Grounds) -> Iterator[str]:
    """Yield facts of another time than the words around them say."""
    for i, token in enumerate(sentence):
        fact = token.fact
        if fact is None or fact.unit in _TIMELESS or fact.measure == "setting":
            continue
        old = fact.as_of < grounds.now(fact) - FRESH
        past = _is_past(sentence, i)
        if old and not past and not _is_dated(sentence, i):
            yield f"{token.text} is of {fact.as_of:%H:%M}, not of now"
        if past and not old and not (covered(fact) and not _is_past(sentence, i, _EARLIER)) and fact.unit is not Unit.COUNT:
            yield f"{token.text} is of now"
    if _SINCE_BRIEF.search(_text(sentence)):
        facts = [token for token in sentence if token.fact]
        if facts and not any(token.text in grounds.changed for token in facts):
            yield "what changed since the last brief is another fact"


def spans(tokens: Sequence[Token]) -> Iterator[str]:
    """Yield times over which the fact beside them was not measured."""
    for i, token in enumerate(tokens):
        seconds = _window(tokens, i)
        if seconds is None:
            continue
        near = _right_before(tokens[:i]) or [s for side in (tokens[:i][::-1], tokens[i + 1 :]) if (s := _covered(side))]
        told = any(stems(token.text) & stems(t.fact.label) for t in tokens if t.fact)
        if seconds not in near if near else not (token.fact or told):
            yield f"{token.text!r} is not the time that the fact covers"


def windows(tokens: Sequence[Token], grounds: Grounds) -> Iterator[str]:
    """Yield facts of which there is one over another time, too, where the line says no time."""
    if any(_window(tokens, i) for i in range(len(tokens))):
        return
    for token in tokens:
        fact = token.fact
        if fact and covered(fact) and any(_is_over_another_time(fact, other) for other in grounds.facts.values()):
            yield f"over what time {token.text} is, is not said: {fact.span}"


def dates(tokens: Sequence[Token]) -> Iterator[str]:
    """Yield times that stand behind a fact of another time, as if it were of then."""
    for i, token in enumerate(tokens):
        time = token.fact
        if time is None or time.unit is not Unit.TIME or content(time.label) or tokens[i - 1].text.lower() != "at":
            continue
        fact = next((t.fact for t in reversed(tokens[:i]) if t.fact), None)
        if fact and isinstance(time.value, dt.datetime) and abs(fact.as_of - time.value) > FRESH:
            yield f"{fact.id} is not of {token.text}"


def _is_over_another_time(fact: Fact, other: Fact) -> bool:
    mine, others = ((f.venue, f.symbol, f.unit, content(f.label)) for f in (fact, other))
    return mine == others and covered(other) not in {None, covered(fact)}


def beginnings(tokens: Sequence[Token]) -> Iterator[str]:
    """Yield times since which the fact beside them was not measured."""
    for i, token in enumerate(tokens):
        began = token.fact.value if token.fact else None
        if not isinstance(began, dt.datetime) or "since" not in {t.text.lower() for t in tokens[max(0, i - 2) : i]}:
            continue
        facts = [t.fact for side in (tokens[:i][::-1], tokens[i + 1 :]) for t in side if t.fact and covered(t.fact)][:1]
        if any(abs((f.as_of - began).total_seconds() - (covered(f) or 0)) > FRESH.total_seconds() for f in facts):
            yield f"{token.text} is not when the time that the fact covers began"


def is_earlier(count: Token, word: Token) -> bool:
    """Whether a word stands between a count and what it counts, as in 1,500 earlier minutes."""
    return count.fact is not None and count.fact.unit is Unit.COUNT and word.text.lower() == "earlier"


def covered(fact: Fact) -> int | None:
    """Return the seconds that a fact's span says; None if it says none."""
    of_history = fact.unit is Unit.PERCENTILE or (fact.unit is Unit.COUNT and "percentile" in fact.label)
    found = None if of_history else _SPAN.fullmatch(fact.span.strip())
    return int(found[1]) * _LENGTHS[found[2] if found[2] in _LENGTHS else found[2][0]] if found else None


def _right_before(tokens: Sequence[Token]) -> list[int]:
    """Return the seconds of the fact before, if but `over the last` and the like follows it."""
    for token in reversed(tokens):
        if token.fact:
            return [seconds] if (seconds := covered(token.fact)) else []
        if token.kind is not Kind.WORD or token.text.lower() not in _OVER_THE_LAST:
            return []
    return []


def _covered(tokens: Sequence[Token]) -> int | None:
    return next((seconds for token in tokens if token.fact and (seconds := covered(token.fact))), None)


def _window(tokens: Sequence[Token], at: int) -> int | None:
    """Return the seconds of a time over which something is said to be."""
    token = tokens[at]
    if token.kind is Kind.WORD and token.text.lower() in SPANS:
        back = at - 2 if at > 1 and is_earlier(tokens[at - 2], tokens[at - 1]) else at - 1
        before = tokens[back].fact if at else None
        return None if before and before.unit is Unit.COUNT else SPANS[token.text.lower()]
    fact = token.fact
    if fact is None or fact.unit is not Unit.SECONDS or not isinstance(fact.value, int | float):
        return None
    words = {t.text.lower() for t in tokens[max(0, at - 2) : at] if t.kind is Kind.WORD}
    return int(fact.value) if fact.measure == "setting" and words & WINDOW else None


def _is_dated(sentence: Sequence[Token], at: int) -> bool:
    """Whether the time of a fact stands behind it."""
    following = [token for token in sentence[at + 1 : at + 4] if token.kind is not Kind.NAME]
    fact, time = sentence[at].fact, next((t.fact.value for t in following if t.fact), None)
    told = _text(following).split()[:1] in (["at"], ["of"])
    return bool(fact and told and isinstance(time, dt.datetime) and abs(time - fact.as_of) <= FRESH)


def _is_past(sentence: Sequence[Token], at: int, words: frozenset[str] = PAST | {"brief"}) -> bool:
    """Whether the words around a fact put it into the past; those right behind it say more than those before."""
    behind = _text(_part(sentence[at + 1 :]))
    if _LAST_BRIEF.match(behind) or re.match(r"(?:before|earlier|ago|previously)\b", behind) or _arrow(sentence, at + 1):
        return True
    before = [token.text.lower() for token in _part(sentence[:at][::-1]) if token.kind is Kind.WORD]
    for i, word in enumerate(before):
        if word in COMPARATIVES or word in COMPARED or word == "than":
            return bool(set(before[:i]) & words)
        fact = sentence[at].fact
        if word == "been" and before[i + 1 : i + 2] in (["has"], ["have"]) and fact and fact.unit is Unit.WORD:
            return False
        if word in words:
            return before[i : i + 4] != ["brief", "last", "the", "since"]
        if word in PRESENT or word == "to":
            return False
    return False


def _part(tokens: Sequence[Token]) -> list[Token]:
    """Return the tokens up to the next fact, comma or bracket."""
    found: list[Token] = []
    for token in tokens:
        if token.fact or (token.kind is Kind.MARK and token.text in {",", "(", ")"}):
            break
        found.append(token)
    return found


def _arrow(sentence: Sequence[Token], at: int) -> bool:
    return at < len(sentence) and sentence[at].text in {"->", "\u2192"}


def _text(tokens: Sequence[Token]) -> str:
    return " ".join(token.text.lower() for token in tokens if token.kind is Kind.WORD)
