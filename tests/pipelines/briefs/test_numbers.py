"""Every number in a text is found, and is the same for the same number, unit and rounding however it is spelled."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.briefs.fact import Unit
from pipelines.briefs.numbers import numbers
from pipelines.briefs.words import shown
from tests.pipelines.briefs.made_up import fact


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("VPIN 0.412 (percentile 97.3 of 2,016 values)", ["0.412", "percentile 97.3", "2016"]),
        ("return -0.42 %, then \u22120.42 percent", ["-0.42%", "-0.42%"]),
        ("+3.1 bps or +3.1 basis points", ["+3.1bps", "+3.1bps"]),
        ("64,123.50 USDT, 1.23M USDT, 2.5x", ["64123.50USDT", "1.23MUSDT", "2.5x"]),
        ("$500m, $500 million", ["$500m", "$500M"]),
        ("3-5, 3\u20135, 3 to 5", ["3", "5", "3", "5", "3", "5"]),
        ("between -5 and +7 bps", ["-5", "+7bps"]),
        ("over 1 h 30 min, of 29 hours", ["span 1h30min", "29"]),
        ("at 2026-03-04 14:00 UTC, at 14:00", ["time 2026-03-04 14:00", "time 14:00"]),
        ("1h VPIN50 x2", ["span 1h", "50", "2"]),
        (
            "three, half, doubled, twenty-three, twofold, a dozen",
            [f"word {word}" for word in ("three", "half", "doubled", "twenty-three", "twofold", "dozen")],
        ),
        ("one-sided, bone, tent, often", []),
        ("\u00bd, \u0663, XIV", ["sign \u00bd", "sign \u0663", "word xiv"]),
        ("1e5, .5, 12.", ["1e5", ".5", "12"]),
        ("97.3rd percentile", ["percentile 97.3th"]),
        ("", []),
    ],
)  # fmt: skip
def test_numbers_are_found(text: str, keys: list[str]) -> None:
    assert [number.key for number in numbers(text, {"USDT"})] == keys


def test_the_place_of_a_number_is_told() -> None:
    text = "volume 1.23M USDT over 1 h"
    assert [text[n.start : n.end] for n in numbers(text, {"USDT"})] == ["1.23M USDT", "1 h"]


@given(st.floats(-1e9, 1e9), st.integers(0, 4), st.booleans(), st.sampled_from([u for u in Unit if u not in {"time", "word"}]))
@settings(max_examples=300, deadline=None)
def test_whatever_a_fact_is_shown_as_is_one_number(value: float, decimals: int, signed: bool, unit: Unit) -> None:
    text = shown(fact(1, value, unit, decimals=decimals, signed=signed, asset="BTC" if unit is Unit.SIZE else ""))
    found = numbers(f"it is {text}, so", {"BTC"})
    assert len(found) == 1
    assert found[0].text == text


@given(st.text(max_size=80))
@settings(max_examples=300, deadline=None)
def test_every_digit_of_any_text_is_in_a_number(text: str) -> None:
    inside = {i for n in numbers(text) for i in range(n.start, n.end)}
    assert all(i in inside for i, c in enumerate(text) if c.isdigit())
