"""Facts as a person reads them: exact rounding, units, and their place in a sentence."""

from __future__ import annotations

import datetime as dt
import math
import re
import unicodedata
from collections.abc import Mapping
from decimal import Context, Decimal
from typing import Final

from pipelines.briefs.fact import MISSING, Fact, Unit

PLACEHOLDER: Final = re.compile(r"\{(F[1-9][0-9]{0,5})\}")
WORD_SHOWN: Final = 160
"""Characters of a word or title that are shown."""
PERCENTILE: Final = "percentile "
_SCALES: Final = (("", 0), ("k", 3), ("M", 6), ("bn", 9))
_EXACT: Final = Context(prec=1200)  # of any float: a double has at most 767 digits that matter
_PARTS: Final = (("d", 86_400), ("h", 3600), ("min", 60))


def shown(fact: Fact) -> str:
    """Return the value as text, with its unit, the exact value rounded half to even at `fact.decimals`; null: not available."""
    value = fact.value
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return MISSING
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, dt.datetime):
        return _time(value)
    return _number(Decimal(value), fact)


def insert(text: str, facts: Mapping[str, Fact], *, marked: bool = False) -> str:
    """Return a sentence with its facts put in; `marked`: each with its id behind it, like `0.41 [F5]`.

    Raises
    ------
    KeyError
        If a placeholder names no fact.
    """

    def put(found: re.Match[str]) -> str:
        said = shown(facts[found[1]])
        if text[: found.start()].endswith(PERCENTILE):
            said = said.removeprefix(PERCENTILE)
        return f"{said} [{found[1]}]" if marked else said

    return PLACEHOLDER.sub(put, text)


def named(text: str) -> list[str]:
    """Return the ids of the facts that a sentence names, in order."""
    return PLACEHOLDER.findall(text)


def plain(text: str) -> str:
    """Return foreign text as one line: no control or invisible characters, and not long."""
    one = one_line(text)
    return one if len(one) <= WORD_SHOWN else f"{one[: WORD_SHOWN - 1]}…"


def one_line(text: str) -> str:
    """Return text without control or invisible characters, in one line."""
    return " ".join("".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in text).split())


def rounded(value: Decimal, decimals: int) -> Decimal:
    """Return `value` at so many digits behind the point, half to even; zero has no sign."""
    found = value.quantize(Decimal(1).scaleb(-decimals), context=_EXACT)
    return found or abs(found)


def shown_value(fact: Fact) -> Decimal | None:
    """Return the number that a reader sees, in the fact's own unit; None if it is none."""
    if isinstance(fact.value, str | dt.datetime | None) or not math.isfinite(fact.value):
        return None
    value = Decimal(fact.value)
    if fact.unit in {Unit.SHARE, Unit.PERCENTILE}:
        return rounded(value.scaleb(2, _EXACT), fact.decimals).scaleb(-2, _EXACT)
    scale = _scale(value, fact.decimals)[1] if fact.unit is Unit.NOTIONAL else 0
    return rounded(value.scaleb(-scale, _EXACT), fact.decimals).scaleb(scale, _EXACT)


def _number(value: Decimal, fact: Fact) -> str:
    asset = f" {plain(fact.asset)}" if fact.asset else ""
    match fact.unit:
        case Unit.SHARE:
            return f"{_digits(value.scaleb(2, _EXACT), fact)} %"
        case Unit.PERCENTILE:
            return PERCENTILE + _digits(value.scaleb(2, _EXACT), fact)
        case Unit.BPS:
            return f"{_digits(value, fact)} bps"
        case Unit.RATIO:
            return f"{_digits(value, fact)}x"
        case Unit.NOTIONAL:
            name, scale = _scale(value, fact.decimals)
            return f"{_digits(value.scaleb(-scale, _EXACT), fact)}{name}{asset}"
        case Unit.PRICE | Unit.SIZE:
            return _digits(value, fact) + asset
        case Unit.SECONDS:
            return _duration(value, fact)
        case _:
            return _digits(value, fact)


def _digits(value: Decimal, fact: Fact) -> str:
    found = rounded(value, fact.decimals)
    return f"{found:+,f}" if fact.signed and found else f"{found:,f}"


def _scale(value: Decimal, decimals: int) -> tuple[str, int]:
    """Return the first scale in which the rounded number is below 1000, or else the last."""
    return next((scale for scale in _SCALES if abs(rounded(value.scaleb(-scale[1], _EXACT), decimals)) < 1000), _SCALES[-1])


def _duration(value: Decimal, fact: Fact) -> str:
    whole = rounded(value, fact.decimals)
    sign = "-" if whole < 0 else "+" if fact.signed and whole else ""
    left, parts = abs(whole), []
    for name, seconds in _PARTS:
        count, left = _EXACT.divmod(left, Decimal(seconds))
        if count:
            parts.append(f"{count:,f} {name}")
    if left or not parts:
        parts.append(f"{rounded(left, fact.decimals):f} s")
    return sign + " ".join(parts)


def _time(value: dt.datetime) -> str:
    utc = value.astimezone(dt.UTC)
    return f"{utc:%Y-%m-%d %H:%M:%S} UTC" if utc.second else f"{utc:%Y-%m-%d %H:%M} UTC"
