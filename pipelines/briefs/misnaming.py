"""Whether the words around a fact name what it measures."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from typing import Final

from pipelines.briefs.fact import Fact, Unit
from pipelines.briefs.grounds import Grounds, Kind, Token
from pipelines.briefs.labels import content, in_order, stems
from pipelines.briefs.places import COUNTED
from pipelines.briefs.vocabulary import DOWN, SPANS, UP

_KINDS: Final = (
    ("relative-volume", r"relative volumes?|rvol"),
    ("impact", r"price impacts?|impact|amihud|kyle"),
    ("order-imbalance", r"order[- ]flow imbalance|ofi"),
    ("price", r"prices?|returns?"),
    ("vpin", r"vpin"),
    ("spread", r"spreads?"),
    ("volume", r"volumes?|trading|traded|turnover"),
    ("volatility", r"volatility|realized variance"),
    ("imbalance", r"imbalances?"),
    ("liquidation", r"liquidations?|liquidated|forced"),
    ("posture", r"postures?"),
    ("funding", r"funding"),
    ("hole", r"holes?|gaps?"),
    ("hit", r"hit rates?"),
    ("depth", r"depth"),
    ("range", r"ranges?"),
    ("age", r"age"),
)
_KIND: Final = re.compile("|".join(rf"(?P<k{i}>\b(?:{pattern})\b)" for i, (_, pattern) in enumerate(_KINDS)), re.IGNORECASE)


_TRADED_AT: Final = re.compile(r"\btrad(?:ed|es|ing) at\b", re.IGNORECASE)
_PRICED: Final = stems(" ".join(sorted(UP | DOWN))) | {"volume"}
"""Of an instrument it is said that it rose, or traded at a price."""
_OF_ANOTHER: Final = frozenset((Unit.PERCENTILE, Unit.COUNT))
_JOINING: Final = frozenset(("to", "and", "or"))


def kinds(text: str) -> frozenset[str]:
    """Return the measures that a text names."""
    return frozenset(_KINDS[_which(m)][0] for m in _KIND.finditer(text))


def misnamed(sentence: Sequence[Token], grounds: Grounds) -> Iterator[str]:
    """Yield facts that stand behind the name of another measure; their own may follow, too."""
    for i, token in enumerate(sentence):
        fact = token.fact
        if fact is None or _is_setting(fact):
            continue
        own, around = content(fact.label), _around(sentence, i)
        if detector := _of_other_alerts(sentence, i, grounds):
            yield f"{token.text} is {fact.label}, not of {detector}"
        behind = _text(_until_mark(sentence[i + 1 :]))
        if not kinds(behind) & kinds(fact.label) and not stems(behind) & own:
            before = _TRADED_AT.sub("price at", _text(sentence[:i]))
            kind = next((_KINDS[_which(m)][0] for m in reversed([*_KIND.finditer(before)])), None)
            named = next((word for word in reversed(in_order(before)) if word in grounds.labels | own), None)
            if kind and kinds(fact.label) and kind not in kinds(fact.label):
                yield f"{token.text} is {fact.label}, not {kind.replace('-', ' ')}"
            elif named and own and named not in own:
                yield f"{token.text} is {fact.label}, not {named}"
            elif behind.startswith("of ") and stems(behind) & grounds.labels:
                yield f"{token.text} is {fact.label}, not {behind}"
        if fact.unit is Unit.PERCENTILE and fact.measure != "setting":
            continue
        for other in grounds.facts.values():
            less = content(other.label) - content("value")
            alike = (other.venue, other.symbol) == (fact.venue, fact.symbol) and other.measure != "setting"
            if alike and less and less < own and not (own - less) & around:
                yield f"{token.text} is {fact.label}, not {other.label}"
                break


def _of_other_alerts(sentence: Sequence[Token], at: int, grounds: Grounds) -> str | None:
    """Return the detector that is named beside a fact and is not its own, as in two cascade_proxy alerts."""
    fact, alert = sentence[at].fact, "alert"
    if fact is None:
        return None
    own = content(fact.label)
    counts = [content(one.label) for one in grounds.facts.values() if one.unit is Unit.COUNT and alert in content(one.label)]
    right_before = stems(_text(sentence[max(0, at - 1) : at]))
    if right_before and any(right_before == count - {alert} for count in counts) and not right_before <= own:
        return " ".join(sorted(right_before))
    if fact.unit is not Unit.COUNT or alert not in own:
        return None
    before = itertools.takewhile(lambda token: token.kind is Kind.WORD or token.text == ":", sentence[:at][::-1])
    near = stems(_text(_until_mark(sentence[at + 1 :])))
    others = near & (frozenset().union(*counts) - own)
    return " ".join(sorted(others)) if others and not (own - {alert}) & (near | stems(_text([*before]))) else None


def unnamed(tokens: Sequence[Token]) -> Iterator[str]:
    """Yield facts that the line does not name: a word of its label must stand in it."""
    words = stems(_text(tokens))
    for token in tokens:
        fact = token.fact
        if fact is None or _is_setting(fact):
            continue
        label = content(fact.label) or (frozenset() if _dates(fact, tokens) else stems(fact.label) & {"brief", "time"})
        if label and not label & words and not ("price" in label and words & _PRICED):
            yield f"the line does not say what {token.text} is: {fact.label}"


def _dates(time: Fact, tokens: Sequence[Token]) -> bool:
    """Whether it is the time as of which another fact of the line was."""
    return any(token.fact and token.fact.as_of == time.value for token in tokens)


def comparable(one: Fact, other: Fact) -> bool:
    """Whether two facts may be held against each other: the same unit and asset, and not two measures."""
    mine, others = kinds(one.label), kinds(other.label)
    alike = one.unit is other.unit and one.asset == other.asset and one.signed == other.signed
    return alike and (not mine or not others or bool(mine & others))


def _which(found: re.Match[str]) -> int:
    assert found.lastgroup is not None
    return int(found.lastgroup[1:])


def _text(tokens: Sequence[Token]) -> str:
    return " ".join(token.text for token in tokens if token.kind is Kind.WORD)


def _until_mark(tokens: Sequence[Token]) -> list[Token]:
    """Return tokens up to the next fact or mark, or `and`."""
    found: list[Token] = []
    for token in tokens:
        if token.kind is not Kind.WORD or token.text.lower() in _JOINING:
            break
        found.append(token)
    return found


def _is_setting(fact: Fact) -> bool:
    return fact.unit is Unit.SECONDS and fact.measure == "setting"


def _around(sentence: Sequence[Token], at: int) -> frozenset[str]:
    """Return the words between a fact and its neighbours; those of direction stand for a change.

    Facts that `to` or `and` joins have theirs in common; a percentile or count may belong to a fact further before.
    """
    first, last = at, at
    while first > 0 and not (sentence[first - 1].fact and _says(sentence[first:at])):
        first -= 1
    while last < len(sentence) - 1 and not (sentence[last + 1].fact and _says(sentence[at + 1 : last + 1])):
        last += 1
    fact = sentence[at].fact
    begin = 0 if fact and fact.unit in _OF_ANOTHER else first
    words = stems(_text(sentence[begin : last + 1]))
    behind = {token.text.lower() for token in _until_mark(sentence[at + 1 : at + 3])}
    if fact and fact.unit is Unit.COUNT and behind & COUNTED:
        words |= {"value"}
    if fact and fact.unit is Unit.TIME and words & {"since", "change"}:
        words |= {"beginning"}
    if fact and fact.unit is Unit.SECONDS and behind & {"ago", "before"}:
        words |= {"age"}
    shown = words & (UP | DOWN | {"by"}) or (fact and fact.signed and words & (stems("over last") | frozenset(SPANS)))
    return words | {"change"} if shown else words


def _says(tokens: Sequence[Token]) -> bool:
    return any(token.kind is Kind.WORD and token.text.lower() not in _JOINING for token in tokens)
