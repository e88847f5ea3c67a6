"""How facts are shown: exact rounding, units, what is missing; and how they are put into a sentence."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.briefs.fact import Unit
from pipelines.briefs.words import insert, plain, rounded, shown, shown_value
from tests.pipelines.briefs.made_up import AT, fact

FLOATS = st.floats(allow_nan=False, allow_infinity=False, width=64)


@pytest.mark.parametrize(
    ("value", "unit", "other", "text"),
    [
        (0.125, Unit.SHARE, {"decimals": 0}, "12 %"),  # a tie goes to the even digit
        (0.135, Unit.SHARE, {"decimals": 0}, "14 %"),  # as a float a little above the tie
        (0.12345, Unit.SHARE, {"decimals": 2, "signed": True}, "+12.35 %"),
        (-0.0042, Unit.SHARE, {"decimals": 2, "signed": True}, "-0.42 %"),
        (-1e-9, Unit.SHARE, {"decimals": 2, "signed": True}, "0.00 %"),  # no sign where nothing is left to see
        (2.5, Unit.BPS, {"decimals": 0}, "2 bps"),
        (-3.25, Unit.BPS, {"decimals": 1, "signed": True}, "-3.2 bps"),
        (64123.5, Unit.PRICE, {"asset": "USDT", "decimals": 2}, "64,123.50 USDT"),
        (999.4, Unit.NOTIONAL, {"asset": "USDT", "decimals": 0}, "999 USDT"),
        (1_234_567, Unit.NOTIONAL, {"asset": "USDT", "decimals": 2}, "1.23M USDT"),
        (999_999.0, Unit.NOTIONAL, {"asset": "USDT", "decimals": 2}, "1.00M USDT"),  # not 1000.00k
        (2.5e9, Unit.NOTIONAL, {"asset": "USD", "decimals": 0}, "2bn USD"),
        (12.5, Unit.SIZE, {"asset": "BTC", "decimals": 1}, "12.5 BTC"),
        (2016, Unit.COUNT, {"decimals": 0}, "2,016"),
        (2.45, Unit.RATIO, {"decimals": 1}, "2.5x"),  # as a float a little above the tie
        (0.4125, Unit.SCORE, {"decimals": 3}, "0.412"),
        (0.973, Unit.PERCENTILE, {"decimals": 1}, "percentile 97.3"),
        (5400, Unit.SECONDS, {"decimals": 0}, "1 h 30 min"),
        (90_061.5, Unit.SECONDS, {"decimals": 1}, "1 d 1 h 1 min 1.5 s"),
        (59.6, Unit.SECONDS, {"decimals": 0}, "1 min"),
        (0, Unit.SECONDS, {"decimals": 0}, "0 s"),
        (dt.datetime(2026, 3, 4, 15, 0, tzinfo=dt.timezone(dt.timedelta(hours=1))), Unit.TIME, {}, "2026-03-04 14:00 UTC"),
        (dt.datetime(2026, 3, 4, 14, 0, 7, tzinfo=dt.UTC), Unit.TIME, {}, "2026-03-04 14:00:07 UTC"),
        ("long", Unit.WORD, {}, "long"),
        ("a\nb\u202e\x00c", Unit.WORD, {}, "a b c"),
        (None, Unit.SHARE, {}, "not available"),
        (float("nan"), Unit.SCORE, {}, "not available"),
        (float("inf"), Unit.PRICE, {}, "not available"),
    ],
)
def test_a_fact_is_shown(value: Any, unit: Unit, other: dict[str, Any], text: str) -> None:
    assert shown(fact(1, value, unit, **other)) == text


def test_facts_are_put_into_a_sentence_once() -> None:
    facts = {"F1": fact(1, "{F2}", Unit.WORD), "F2": fact(2, 0.5, Unit.PERCENTILE, decimals=0)}
    assert insert("posture {F1} at {F2}", facts) == "posture {F2} at percentile 50"
    assert insert("percentile {F2}", facts, marked=True) == "percentile 50 [F2]"
    with pytest.raises(KeyError):
        insert("{F3}", facts)


def test_foreign_text_is_one_short_line() -> None:
    assert plain(" a\r\n\tb\u2028c\u200bd ") == "a b c d"
    assert len(plain("x" * 1000)) == 160


@given(value=FLOATS, decimals=st.integers(0, 6), unit=st.sampled_from([u for u in Unit if u not in {Unit.TIME, Unit.WORD}]))
@settings(max_examples=300, deadline=None)
def test_any_number_can_be_shown(value: float, decimals: int, unit: Unit) -> None:
    one = fact(1, value, unit, decimals=decimals, asset="USDT")
    assert shown(one)
    assert shown_value(one) is not None


@given(value=FLOATS, decimals=st.integers(0, 6))
@settings(max_examples=300, deadline=None)
def test_rounding_is_of_the_exact_value(value: float, decimals: int) -> None:
    found = rounded(Decimal(value), decimals)
    assert abs(found - Decimal(value)) * 2 <= Decimal(1).scaleb(-decimals) or abs(value) > 1e20


def test_a_time_is_shown_in_utc_whatever_its_zone() -> None:
    assert shown(fact(1, AT, Unit.TIME)) == shown(fact(1, AT.astimezone(dt.timezone(dt.timedelta(hours=-5))), Unit.TIME))
