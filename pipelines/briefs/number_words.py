"""Words that are numbers: cardinals, ordinals, fractions, multiples, collective ones, and Roman numerals."""

from __future__ import annotations

import re
from typing import Final

_CARDINALS: Final = (
    "zero nil nought one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty thirty forty fourty fifty sixty seventy eighty ninety hundred thousand million billion trillion"
)
_ORDINALS: Final = (
    "third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth twentieth thirtieth hundredth "
    "thousandth millionth"
)
_PARTS: Final = "half halves halved halving quarter quarters quartered thirds fourths fifths eighths tenths hundredths"
_MULTIPLES: Final = (
    "once twice thrice double doubled doubles doubling triple tripled triples tripling treble trebled quadruple quadrupled "
    "quintuple quintupled tenfold"
)
_COLLECTIVE: Final = (
    "dozen dozens couple trio handful tens hundreds thousands millions billions zillion umpteen myriad percent both"
)
NUMBER_WORDS: Final = frozenset(f"{_CARDINALS} {_ORDINALS} {_PARTS} {_MULTIPLES} {_COLLECTIVE}".split())
_FOLD: Final = re.compile(r"[a-z]+-?fold")
_ROMAN: Final = re.compile(r"(?=[IVXLCDM]{2})M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})")
_SIDED: Final = ("sided", "way")


def is_number(word: str) -> bool:
    """Whether a word, with its hyphens, is or holds a number; `one-sided` does not."""
    if _ROMAN.fullmatch(word):
        return True
    low = word.lower()
    parts = low.split("-")
    if len(parts) == 2 and parts[1] in _SIDED:
        return False
    return bool(_FOLD.fullmatch(low)) or any(part in NUMBER_WORDS for part in (low, *parts))
