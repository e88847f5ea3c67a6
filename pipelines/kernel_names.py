"""The names that bars and VPIN settings go by, like `imbalance:tick:50` and `adv50x50`, and what they say."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import NamedTuple

from pipelines.market import BAR_WIDTHS_US

_VPIN = re.compile(r"(adv|v)(\d+(?:\.\d+)?)x(\d+)")
_COUNT = r"[1-9]\d{0,8}"
AMOUNT = r"\d{1,15}(\.\d{1,8})?"
"""How a size or a notional is written."""
_A_DATE, _WINDOW = 10_000, 10_000
"""Buckets of an average date, and of a window, that a VPIN setting may ask for."""


class BarTerms(NamedTuple):
    """What the name of a bar that is no time bar says.

    Attributes
    ----------
    rule : str
        `imbalance`, `run`, or empty: the sum itself is held against the threshold.
    measure : str
        `tick`, `volume` or `dollar`.
    threshold : Decimal or None
        Trades, units of base or quote currency; of adaptive bars T0, trades. None: made of average daily volume.
    adaptive : bool
        The threshold is made of past bars.
    """

    rule: str
    measure: str
    threshold: Decimal | None
    adaptive: bool


def bar_terms(name: str) -> BarTerms:
    """Read the name of a bar that is no time bar.

    Raises
    ------
    ValueError
        If it is none.
    """
    known = ", ".join(BAR_WIDTHS_US)
    match name.split(":"):
        case ["volume" | "dollar"]:
            return BarTerms("", name, None, adaptive=False)
        case ["tick", number] if re.fullmatch(_COUNT, number):
            return BarTerms("", "tick", Decimal(number), adaptive=False)
        case [("imbalance" | "run") as rule, ("tick" | "volume" | "dollar") as measure, "ewma", number] if re.fullmatch(
            _COUNT, number
        ):
            return BarTerms(rule, measure, Decimal(number), adaptive=True)
        case [("imbalance" | "run") as rule, ("tick" | "volume" | "dollar") as measure, number] if (
            re.fullmatch(_COUNT if measure == "tick" else AMOUNT, number) and Decimal(number) > 0
        ):
            return BarTerms(rule, measure, Decimal(number), adaptive=False)
    raise ValueError(
        f"unknown bar {name!r}; use {known}, tick:N, volume, dollar, imbalance:tick:N, imbalance:volume:X, imbalance:dollar:X,"
        " imbalance:tick:ewma:N (N trades a bar to begin with), or run: in place of imbalance:"
    )


def checked_bar(name: str) -> str:
    """Return the name of a bar.

    Raises
    ------
    ValueError
        If it is none.
    """
    if name not in BAR_WIDTHS_US:
        bar_terms(name)
    return name


def checked_vpin(name: str) -> str:
    """Return a VPIN setting.

    Raises
    ------
    ValueError
        If it is none, or out of range.
    """
    match = _VPIN.fullmatch(name)
    if not match or float(match[2]) <= 0 or int(match[3]) <= 0:
        raise ValueError(f"unknown VPIN setting {name!r}; use adv50x50 (V = ADV / 50, n = 50) or v10x50 (V = 10, n = 50)")
    if not re.fullmatch(AMOUNT, match[2]) or int(match[3]) > _WINDOW or (match[1] == "adv" and float(match[2]) > _A_DATE):
        raise ValueError(
            f"VPIN setting {name!r} is out of range: V has at most 15 digits before the point and 8 behind it, ADV is divided by"
            f" at most {_A_DATE:,}, and n is at most {_WINDOW:,}"
        )
    return name


def vpin_terms(name: str) -> tuple[str, str, int]:
    """Split a VPIN setting into its kind (`adv` or `v`), its first number as text, and n."""
    match = _VPIN.fullmatch(name)
    if match is None:
        raise ValueError(f"unknown VPIN setting {name!r}")
    return match[1], match[2], int(match[3])
