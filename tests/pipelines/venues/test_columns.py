"""What makes a price, a size, a time acceptable."""

from __future__ import annotations

import re
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.venues.columns import check_levels, decimals, microseconds, moment, nanoseconds, number, quoted


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


@pytest.mark.parametrize(
    ("text", "zero", "signed", "value"),
    [
        ("0.5", False, False, 0.5),
        ("0", True, False, 0.0),
        ("-0.00010000", False, True, -0.0001),
        ("0", False, True, 0.0),
        ("0.12345678901234567890", False, False, 0.12345678901234567890),
    ],
)
def test_one_number_is_read(text: str, zero: bool, signed: bool, value: float) -> None:
    assert number(text, "rate", zero=zero, signed=signed) == value


@pytest.mark.parametrize(
    ("text", "signed", "reason"),
    [
        ("", False, "rate was not a number: ''"),
        ("-1", False, "rate was not above zero: '-1'"),
        ("0", False, "rate was not above zero: '0'"),
        ("x", True, "rate was not a number: 'x'"),
        ("NaN", True, "rate was not finite: 'NaN'"),
        ("-1e308", True, "rate was not plain decimal text: '-1e308'"),
        ("1" * 400, False, "rate was absurd"),
        ("\u0661", False, "rate was not plain decimal text: '\u0661'"),
    ],
)
def test_one_number_that_is_none_says_why(text: str, signed: bool, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        number(text, "rate", signed=signed)


def test_moments_are_microseconds_between_2010_and_2100() -> None:
    assert [moment(t) for t in (1795204800005, 1795204800005006, 1795204800005006007)] == [
        *(1795204800005000, 1795204800005006, 1795204800005006)
    ]
    for time in (-1, 0, 123456789, 5 * 10**13, 2**62):
        with pytest.raises(ValueError, match="time was not between 2010 and 2100"):
            moment(time)


def test_levels_are_decimals_above_zero_with_sizes_that_may_be_zero() -> None:
    check_levels([], [])
    check_levels([("91231.40", "8.113"), ("91231.30", "0.000")], [("0.00000001", "999999999999.12345678")])


@pytest.mark.parametrize(
    ("level", "reason"),
    [
        (("0", "1"), "price of a level was not above zero: '0'"),
        (("-1", "1"), "price of a level was not above zero: '-1'"),
        (("1e308", "1"), "price of a level was not plain decimal text: '1e308'"),
        (("NaN", "1"), "price of a level was not finite: 'NaN'"),
        (("1.2.3", "1"), "price of a level was not a number: '1.2.3'"),
        (("", "1"), "price of a level was not a number: ''"),
        (("1" * 13, "1"), "price of a level was absurd"),
        (("0." + "0" * 400 + "1", "1"), "price of a level was not above zero"),
        (("1", "-5"), "size of a level was not above zero: '-5'"),
        (("1", "1e5"), "size of a level was not plain decimal text: '1e5'"),
        (("1", ""), "size of a level was not a number: ''"),
        (("1", "9" * 400), "size of a level was absurd"),
    ],
)
def test_a_level_that_cannot_be_says_why(level: tuple[str, str], reason: str) -> None:
    for sides in (([level], []), ([("1", "1")], [("2", "1"), level])):
        with pytest.raises(ValueError, match=re.escape(reason)):
            check_levels(*sides)
