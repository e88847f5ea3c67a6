"""Whether words of direction agree with the facts beside them: rose and fell, above and below, from and to."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Final

from pipelines.briefs.fact import Fact, Unit
from pipelines.briefs.grounds import Kind, Token
from pipelines.briefs.misnaming import comparable
from pipelines.briefs.vocabulary import COMPARATIVES, COMPARED, DOWN, FLAT, SIGNS, SPANS, UP
from pipelines.briefs.words import shown_value

_NOUNS: Final = frozenset(["end", "ends", "bound", "bounds", "edge", "edges", "limit", "limits", "band", "half"])
_BESIDE: Final = frozenset(("at", "of", "is", "the", "a", "in", "over", "for", "last", "past", "within", *SPANS))
"""Words that may stand between a word for a sign and its fact, beside those of the fact's label."""
_REACH: Final = 3
"""Words that may stand between `from` or `to` and its fact."""


def directions(sentence: Sequence[Token]) -> Iterator[str]:
    """Yield words of direction that no fact of the sentence shows."""
    for i, token in enumerate(sentence):
        word = token.text.lower()
        if token.kind is not Kind.WORD or _is_of_label(sentence, i):
            continue
        sign = _sign(word)
        by = sentence[i + 1].fact if word == "by" and i + 1 < len(sentence) else None
        if by and not by.signed and by.unit is not Unit.TIME:
            yield f"'by': {by.id} is no change"
        if word in SIGNS and not _has_sign(sentence, i):
            yield f"{token.text!r}: no signed fact beside it shows it"
        if word == "between" and not _lies_between(sentence, i):
            yield f"{token.text!r}: no three facts show it"
        elif word in COMPARED or (word in COMPARATIVES and "than" in (_word(sentence, i + 1), _word(sentence, i + 2))):
            wanted = COMPARED.get(word) or sign
            assert wanted is not None
            if not _compares(sentence, i, wanted):
                yield f"{token.text!r}: no two facts show it"
        elif sign is not None and not _moves(sentence, i, sign):
            yield f"{token.text!r}: no fact shows it"
    yield from _arrows(sentence)


def _is_of_label(sentence: Sequence[Token], at: int) -> bool:
    """Whether it belongs to the name of a measure, like lower end, or under independent signs."""
    word, behind = _word(sentence, at), _word(sentence, at + 1)
    if word in {"upper", "lower"} and behind in _NOUNS:
        return True
    return any(f"{word} {behind}" in fact.label.lower() for fact in _facts(sentence)) if behind else False


def _sign(word: str) -> int | None:
    return 1 if word in UP else -1 if word in DOWN else 0 if word in FLAT else None


def _compares(sentence: Sequence[Token], at: int, sign: int) -> bool:
    """Whether the nearest fact before that can be compared with the next one is on the right side of it."""
    following = _facts(sentence[at + 1 : _next(sentence, at)])
    if not following:
        return False
    right = following[0]
    left = next((fact for fact in reversed(_facts(sentence[:at])) if comparable(fact, right)), None)
    return left is not None and _order(right, left) == sign


def _lies_between(sentence: Sequence[Token], at: int) -> bool:
    """Whether the nearest fact before is between the next two."""
    ends = _facts(sentence[at + 1 :])[:2]
    held = next((fact for fact in reversed(_facts(sentence[:at])) if ends and comparable(fact, ends[0])), None)
    if len(ends) < 2 or held is None or held in ends or not comparable(held, ends[1]):
        return False
    low, high = _order(ends[0], held), _order(held, ends[1])
    return low is not None and high is not None and low >= 0 and high >= 0


def _moves(sentence: Sequence[Token], at: int, sign: int) -> bool:
    """Whether facts show a change of this sign: a signed one, or two of them by `from` and `to`; and none another."""
    after = sentence[at + 1 : _next(sentence, at)]
    begun, ended = _behind(after, "from"), _behind(after, "to")
    found: list[int | None] = []
    if begun:
        held = ended or next((fact for fact in reversed(_facts(sentence[:at])) if comparable(fact, begun)), None)
        found.append(_order(begun, held) if held and comparable(begun, held) and begun.as_of <= held.as_of else None)
    following = [fact for fact in _facts(after) if fact.unit is not Unit.SECONDS and fact not in {begun, ended}]
    near = following[:1] or ([] if begun else _facts(sentence[:at])[-1:])
    if near and (near[0].signed or not begun):
        value = shown_value(near[0])
        found.append((value > 0) - (value < 0) if value is not None and near[0].signed else None)
    return bool(found) and all(one == sign for one in found)


def _has_sign(sentence: Sequence[Token], at: int) -> bool:
    """Whether a fact stands beside it, with none but its own name between, that is signed and shown so."""
    sign = SIGNS[_word(sentence, at)]
    for side in (sentence[at + 1 :], sentence[:at][::-1]):
        between = list(itertools.takewhile(lambda token: token.kind is Kind.WORD, side))
        fact = side[len(between)].fact if len(between) < len(side) else None
        value = shown_value(fact) if fact and fact.signed else None
        if fact and value is not None and {token.text.lower() for token in between} <= _BESIDE | set(fact.label.lower().split()):
            return value * sign > 0
    return False


def _arrows(sentence: Sequence[Token]) -> Iterator[str]:
    for i, token in enumerate(sentence):
        if token.text not in {"->", "\u2192"} or not 0 < i < len(sentence) - 1:
            continue
        old, new = sentence[i - 1].fact, sentence[i + 1].fact
        if old is None or new is None or not comparable(old, new) or old.as_of > new.as_of:
            yield "an arrow leads from an earlier fact to a later one of the same measure"


def _order(one: Fact, other: Fact) -> int | None:
    """Return 1 if `other` is shown as more than `one`, -1 if as less, 0 if as the same; None if they cannot be told apart so."""
    if not isinstance(one.value, int | float) or not isinstance(other.value, int | float):
        return None
    a, b = shown_value(one), shown_value(other)
    return None if a is None or b is None else (b > a) - (b < a)


def _next(sentence: Sequence[Token], at: int) -> int:
    """Return where the next word of direction stands."""
    for i in range(at + 1, len(sentence)):
        word = _word(sentence, i)
        if word in COMPARED:
            return i
        if _sign(word) is not None and not _is_of_label(sentence, i):
            return i
    return len(sentence)


def _behind(tokens: Sequence[Token], word: str) -> Fact | None:
    """Return the fact that `from` or `to` leads to."""
    for i, token in enumerate(tokens):
        if token.kind is Kind.WORD and token.text.lower() == word:
            near = tokens[i + 1 : i + 2 + _REACH]
            return next((t.fact for t in near if t.fact), None)
    return None


def _facts(tokens: Sequence[Token]) -> list[Fact]:
    return [token.fact for token in tokens if token.fact]


def _word(sentence: Sequence[Token], at: int) -> str:
    return sentence[at].text.lower() if 0 <= at < len(sentence) and sentence[at].kind is Kind.WORD else ""
