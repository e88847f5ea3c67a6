"""Words of labels, without their endings, by which a fact is told from others."""

from __future__ import annotations

import functools
import re
from typing import Final

_SAME: Final = {
    "return": "price",
    "notional": "volume",
    "turnover": "volume",
    "traded": "volume",
    "trading": "volume",
    "liquidated": "liquidation",
    "changed": "change",
    "refuted": "refute",
    "rvol": "relative",
}
_GENERAL: Final = frozenset(
    {
        *("the", "a", "an", "of", "at", "in", "on", "to", "from", "by", "and", "or", "that", "it", "is", "are", "was", "which"),
        *("last", "brief", "before", "since", "window", "day", "hour", "minute", "own", "history", "end", "upper", "lower"),
        *("over", "under", "behind", "high", "low", "against", "held", "with", "as", "not", "for", "least", "most", "time"),
        *("length", "percentile"),
    }
)
"""Words of labels that do not tell one measure from another."""
_LONG: Final = 3
"""Letters up to which an s belongs to the word."""


@functools.lru_cache(maxsize=4096)
def content(label: str) -> frozenset[str]:
    """Return the words of a label that tell it from others."""
    return stems(label) - _GENERAL


def stems(text: str) -> frozenset[str]:
    """Return the words of a text."""
    return frozenset(in_order(text))


def in_order(text: str) -> list[str]:
    """Return the words of a text as they come."""
    return [_stem(word) for word in re.findall(r"[A-Za-z]+", text)]


def _stem(word: str) -> str:
    low = word.lower()
    known = _SAME.get(low) or _SAME.get(low.removesuffix("s"))
    return known or (low.removesuffix("s") if len(low) > _LONG else low)
