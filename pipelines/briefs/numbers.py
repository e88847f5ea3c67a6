"""Numbers in a text as a reader sees them: digits with sign, unit, currency and scale, dates, times, durations, number words."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from typing import Final, NamedTuple

from pipelines.briefs.number_words import is_number

_UNITS: Final = {
    "%": "%",
    "percent": "%",
    "per cent": "%",
    "pct": "%",
    "bps": "bps",
    "bp": "bps",
    "basis points": "bps",
    "basis point": "bps",
    "percentage points": "pp",
    "percentage point": "pp",
    "pp": "pp",
    "thousand": "k",
    "million": "M",
    "billion": "bn",
    "trillion": "tn",
    "bn": "bn",
    "tn": "tn",
    "mn": "M",
    "mm": "M",
    "k": "k",
    "K": "k",
    "M": "M",
    "m": "m",
    "B": "bn",
    "T": "tn",
    "times": "x",
    "x": "x",
    "sigma": "sigma",
    "st": "th",
    "nd": "th",
    "rd": "th",
    "th": "th",
}
_DATE: Final = r"\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)?(?: ?(?:UTC|Z)\b)?"
_CLOCK: Final = r"\d{1,2}:\d\d(?::\d\d(?:\.\d+)?)?(?: ?(?:UTC|Z)\b)?"
_SIGN: Final = r"(?:(?<![\w.,)\]])[+\-\u2212\u00b1]\s?)?"
_PIECE: Final = r"\d+(?:,\d{3})*(?:\.\d+)? ?(?:d|h|min|s)\b"
_DURATION: Final = rf"{_SIGN}{_PIECE}(?: {_PIECE})*"
_UNIT: Final = "|".join(rf"{re.escape(unit)}(?!\w)" for unit in sorted(_UNITS, key=len, reverse=True))
_FIGURES: Final = r"(?:\d+(?:,\d{3})*(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?"
_MONEY: Final = r"(?:[$\u20ac\u00a3\u00a5] ?)?"
_PLAIN: Final = rf"(?:\bpercentile )?{_SIGN}{_MONEY}{_FIGURES}(?: ?(?:{_UNIT}))?(?: percentile\b)?"
_DIGITS: Final = re.compile(f"(?P<date>{_DATE})|(?P<clock>{_CLOCK})|(?P<duration>{_DURATION})|(?P<plain>{_PLAIN})", re.ASCII)
_WORD: Final = re.compile(r"[A-Za-z]+(?:-[A-Za-z]+)*")
_NAME: Final = re.compile(r" ?([A-Za-z0-9]+)")


class Number(NamedTuple):
    """A number in a text; `key` is the same for the same number in the same unit and rounding, however it is spelled."""

    start: int
    end: int
    text: str
    key: str


def numbers(text: str, assets: Collection[str] = ()) -> list[Number]:
    """Return every number of a text, in order; the name of one of `assets` behind a number is its unit."""
    found = []
    for m in _DIGITS.finditer(text):
        asset = _NAME.match(text, m.end())
        named = asset[1] if asset and asset[1] in assets else ""
        end = asset.end() if asset and named else m.end()
        found.append(Number(m.start(), end, text[m.start() : end], _key(m) + named))
    found += [Number(m.start(), m.end(), m[0], f"word {m[0].lower()}") for m in _WORD.finditer(text) if _is_word(m, text)]
    found += [
        Number(i, i + 1, c, f"sign {c}") for i, c in enumerate(text) if c > "\x7f" and unicodedata.numeric(c, None) is not None
    ]
    return sorted(n for n in found if not any(o.start <= n.start and n.end <= o.end and o != n for o in found))


def _is_word(found: re.Match[str], text: str) -> bool:
    return is_number(found[0]) and not text[: found.start()].endswith(tuple("0123456789"))


def _key(found: re.Match[str]) -> str:
    said = found[0].replace("\u2212", "-").replace(",", "")
    if found["date"] or found["clock"]:
        return f"time {said.removesuffix('Z').removesuffix('UTC').strip().replace('T', ' ')}"
    if found["duration"]:
        return f"span {said.replace(' ', '')}"
    percentile = "percentile " if "percentile" in said else ""
    number = said.replace("percentile", "").strip()
    unit = re.search(rf" ?({_UNIT})$", number)
    digits = (number[: unit.start()] if unit else number).replace(" ", "")
    return f"{percentile}{digits}{_UNITS[unit[1]] if unit else ''}"
