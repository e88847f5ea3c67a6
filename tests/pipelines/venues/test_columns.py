"""What makes a price, a size, a time acceptable."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.venues.columns import decimals, microseconds, nanoseconds, quoted


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.1", 0.1),
        ("91250.10000000", 91250.1),
        ("123456789.00000000", 123456789.0),
        (".5", 0.5),
        ("7.", 7.0),
        ("999999999999.999", 999999999999.999),
    ],
)
def test_plain_decimal_text_is_taken(text: str, value: float) -> None:
    values, reasons = decimals([text, "1"], "price")
    assert values.tolist() == [value, 1.0]
    assert reasons == {}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("0", "price was not above zero: '0'"),
        ("0.00000000", "price was not above zero: '0.00000000'"),
        ("-1", "price was not above zero: '-1'"),
        ("1e5", "price was not plain decimal text: '1e5'"),
        ("+1", "price was not plain decimal text: '+1'"),
        ("1_0", "price was not plain decimal text: '1_0'"),
        ("\u0661", "price was not plain decimal text: '\u0661'"),
        ("1e308", "price was not plain decimal text: '1e308'"),
        ("NaN", "price was not finite: 'NaN'"),
        ("inf", "price was not finite: 'inf'"),
        ("", "price was not a number: ''"),
        (".", "price was not a number: '.'"),
        ("1.2.3", "price was not a number: '1.2.3'"),
        ("1234567890.123456", "price had more than 15 significant digits: '1234567890.123456'"),
        ("0.0000000000000000001", "price had more than 18 decimal places: '0.0000000000000000001'"),
        ("1000000000000", "price was absurd: '1000000000000'"),
        ("9" * 400, "price was absurd: '" + "9" * 40 + "...'"),
    ],
)
def test_anything_else_is_refused_and_says_why(text: str, reason: str) -> None:
    values, reasons = decimals(["1.5", text, "2.5"], "price")
    assert reasons == {1: reason}
    assert values.tolist() == [1.5, 0.0, 2.5]


def test_zero_is_taken_where_it_may_be() -> None:
    values, reasons = decimals(["0.000", "-1"], "bid size", zero=True)
    assert values[0] == 0
    assert list(reasons) == [1]


@given(st.lists(st.decimals(min_value=Decimal("0.00000001"), max_value=99999, places=8), min_size=1, max_size=20))
def test_value_is_the_nearest_double_and_gives_the_text_back(numbers: list[Decimal]) -> None:
    texts = [f"{n:f}" for n in numbers]
    values, reasons = decimals(texts, "size")
    assert reasons == {}
    assert [Decimal(repr(v)) for v in values.tolist()] == numbers


@given(st.lists(st.text(max_size=30), max_size=8))
def test_no_text_raises_and_each_is_taken_or_refused(texts: list[str]) -> None:
    values, reasons = decimals(texts, "price")
    assert all((values[i] > 0) != (i in reasons) for i in range(len(texts)))
    assert all("\n" not in reason for reason in reasons.values())


def test_times_are_told_apart_by_magnitude() -> None:
    times = np.array([1_700_000_000_123, 1_700_000_000_123_456, 1_700_000_000_123_456_789, -5])
    assert microseconds(times).tolist() == [1_700_000_000_123_000, 1_700_000_000_123_456, 1_700_000_000_123_456, 0]
    assert nanoseconds(times).tolist() == [1_700_000_000_123_000_000, 1_700_000_000_123_456_000, 1_700_000_000_123_456_789, 0]


def test_quoted_text_stays_on_one_line_and_short() -> None:
    assert quoted("a\nb") == "'a\\nb'"
    assert len(quoted("x" * 1000)) < 50
