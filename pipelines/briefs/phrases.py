"""Words that may stand in one place only: past before a length of time, among before a count, totalled before an amount."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pipelines.briefs.fact import Unit
from pipelines.briefs.grounds import Kind, Token
from pipelines.briefs.vocabulary import SPANS

_BEFORE_A_TIME: Final = frozenset(("past", "within"))
_BEFORE_A_COUNT: Final = frozenset(("across", "among"))
_BEFORE_AN_AMOUNT: Final = frozenset(("totalled", "totaled", "amounted"))
_BETWEEN: Final = frozenset(("the", "a", "its", "last", "past", "earlier", "to"))


def is_phrase(sentence: Sequence[Token], at: int) -> bool:
    """Whether a word begins a phrase that may be written, like past hour, or percentile 90 among 1,500 values."""
    word = sentence[at].text.lower()
    following = next((t for t in sentence[at + 1 :] if t.kind is not Kind.WORD or t.text.lower() not in _BETWEEN), None)
    fact = following.fact if following else None
    if following and word in _BEFORE_A_TIME:
        is_length = fact is not None and fact.unit is Unit.SECONDS and fact.measure == "setting"
        return is_length or following.text.lower() in SPANS
    if word in _BEFORE_A_COUNT:
        before = next((t.fact for t in reversed(sentence[:at]) if t.fact), None)
        ranked = before is not None and before.unit is Unit.PERCENTILE
        return ranked and fact is not None and fact.unit is Unit.COUNT and "percentile" in fact.label
    return word in _BEFORE_AN_AMOUNT and fact is not None and fact.unit is Unit.NOTIONAL
