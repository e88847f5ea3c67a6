"""Whether a fact stands where a fact of its unit can stand: a time at `at`, a length after `over`, a count before its noun."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from pipelines.briefs.fact import Fact, Unit
from pipelines.briefs.grounds import Kind, Token
from pipelines.briefs.labels import content, stems
from pipelines.briefs.vocabulary import DOWN, SPANS, UP

_OVER: Final = frozenset(("over", "within", "during", "last", "past"))
_WINDOW: Final = _OVER | {"in", "for"}
COUNTED: Final = frozenset(
    {
        *("values", "samples", "buckets", "rows", "cases", "trades", "holes", "gaps", "alerts", "alert", "quotes", "orders"),
        *("instruments", "venues", "minutes", "hours", "days"),
    }
)
_NAMED: Final = frozenset(("trades", "holes", "alerts", "alert", "quotes", "orders", "instruments", "venues"))
"""Of those, the ones that a fact's label has where it counts them."""
_LINKS: Final = frozenset(
    {
        *("of", "in", "at", "on", "is", "are", "was", "were", "and", "or", "with", "over", "to", "from", "by", "for", "as"),
        *("against", "while", "but", "since", "per"),
    }
)
_OF_STATES: Final = frozenset(("was", "now", "to", "than", "above", "below"))
_CHANGE: Final = frozenset(("change", "changes", "changed", "return", "returns", "by"))
_MOVED: Final = frozenset(("moved", "moves", "move", "changed", "changes"))
_TRADED: Final = frozenset(("trade", "trades", "traded"))
_OF: Final = frozenset(("of", "of the", "of the last", "of its", "of its last"))
_PART: Final = frozenset((Unit.PERCENTILE, Unit.COUNT, Unit.SHARE))
_TIMES: Final = frozenset((Unit.SECONDS, Unit.COUNT))


class _Place(NamedTuple):
    """The words right before and right behind a fact; the fact that it is `of`, and the one that it stands `at`."""

    before: list[str]
    behind: list[str]
    whole: Fact | None
    beside: Fact | None


def places(tokens: Sequence[Token]) -> Iterator[str]:
    """Yield facts that stand where only one of another unit can."""
    for i, token in enumerate(tokens):
        if token.fact and (why := _wrong(token.fact, _place(tokens, i))):
            yield f"{token.text} ({token.fact.label}) {why}"


def _place(tokens: Sequence[Token], at: int) -> _Place:
    before = _words(tokens[:at][::-1])[::-1]
    behind = _words(tokens[at + 1 :])
    end = at + 1 + len(behind)
    next_fact = tokens[end].fact if end < len(tokens) else None
    begin = at - 1 - len(before)
    last_fact = tokens[begin].fact if begin >= 0 else None
    return _Place(before, behind, next_fact if " ".join(behind) in _OF else None, last_fact if before == ["at"] else None)


def _wrong(fact: Fact, place: _Place) -> str | None:
    before, behind, whole, beside = place
    last, near = before[-1] if before else "", set(before[-3:])
    if fact.unit is Unit.SECONDS and fact.measure == "setting" and not near & _WINDOW:
        return "is a length of time: over it, in it or within it something is"
    counted = fact.unit is Unit.COUNT and bool(set(behind[:2]) & COUNTED)
    if last in _OVER and fact.unit is not Unit.SECONDS and not counted:
        return f"is no length of time, as {last!r} needs"
    if last == "at" and fact.unit in _TIMES:
        return "is neither a time nor a level, as 'at' needs"
    if (behind[:1] == ["ago"] and fact.unit is not Unit.SECONDS) or (behind[:1] == ["before"] and fact.unit is Unit.TIME):
        return f"is no length of time, as {behind[0]!r} needs"
    if (last == "since" and fact.unit is not Unit.TIME) or (fact.unit is Unit.TIME and last in _OF_STATES):
        return f"is no time, as {last!r} needs" if last == "since" else f"is a time, as {last!r} cannot have"
    if fact.unit is Unit.TIME and not content(fact.label) and last not in {"at", "since", "of"}:
        return "is a time: say at or since"
    if beside and fact.unit not in {Unit.TIME, Unit.PERCENTILE}:
        return f"cannot stand at {beside.id}"
    noun = next((word for word in behind[:2] if word in COUNTED), None)
    if noun and fact.unit is not Unit.COUNT and not set(behind[: behind.index(noun)]) & _LINKS:
        return f"is no number of {noun}"
    if noun in _NAMED and not set(behind[: behind.index(noun)]) & _LINKS and not stems(noun) <= stems(fact.label):
        return f"is no number of {noun}"
    if last == "at" and before[-2:-1] and before[-2] in _TRADED and fact.unit is not Unit.PRICE:
        return f"is no price, as '{before[-2]} at' needs"
    if whole and (fact.unit not in _PART or fact.signed if whole.unit is Unit.COUNT else fact.unit is Unit.PERCENTILE):
        return f"is no part of {whole.id}"
    if behind[:1] == ["of"] and "history" in behind[1:4] and fact.unit is not Unit.PERCENTILE:
        return "is no percentile of a history"
    return _changed(fact, before, behind)


def _changed(fact: Fact, before: Sequence[str], behind: Sequence[str]) -> str | None:
    """Return why a level cannot be a change or return, and a change no level."""
    near = set(before[-3:])
    if before and before[-1] in _MOVED and not fact.signed:
        return "is no change"
    if near & {"rate", "share"} and fact.unit is Unit.COUNT:
        return "is a count, no rate"
    if near & {"change", "return", "returns"} and not near & _LINKS - {"of", "is", "by"} and not fact.signed:
        return "is no change"
    words = {*before, *behind}
    shown = words & (UP | DOWN | _CHANGE) or words & _OVER or words & set(SPANS)
    if fact.signed and "price" in stems(fact.label) and "price" in stems(" ".join(before)) and not shown:
        return "is a change, not a price"
    return None


def _words(tokens: Sequence[Token]) -> list[str]:
    """Return the words up to the next fact, name or mark."""
    found: list[str] = []
    for token in tokens:
        if token.kind is not Kind.WORD:
            break
        found.append(token.text.lower())
    return found
