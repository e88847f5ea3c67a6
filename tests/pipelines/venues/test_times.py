"""Times as text."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.venues.times import all_rfc3339_us, rfc3339_us, seconds_us


@pytest.mark.parametrize(
    ("text", "us"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2026-11-20T20:00:00Z", 1795204800000000),
        ("2026-11-20T20:00:00.010123Z", 1795204800010123),
        ("2026-11-20T20:00:00.01Z", 1795204800010000),
        ("2026-11-20T20:00:00.999999999Z", 1795204800999999),
        ("2026-11-20T20:00:00.010123+00:00", 1795204800010123),
        ("0001-01-01T00:00:00.000000Z", 0),
        ("", -1),
        ("2026-11-20", -1),
        ("2026-11-20T20:00:00", -1),
        ("2026-11-20 20:00:00Z", -1),
        ("2026-11-20T20:00:00.Z", -1),
        ("2026-11-20T20:00:00.0101230001Z", -1),
        ("2026-13-20T20:00:00Z", -1),
        ("2026-11-20T24:00:00Z", -1),
        ("2026-11-20T20:00:00+01:00", -1),
        ("\u0662026-11-20T20:00:00Z", -1),
        ("now", -1),
    ],
)
def test_a_time_is_read_or_refused(text: str, us: int) -> None:
    assert rfc3339_us(text) == us


@given(st.integers(0, 4 * 10**15))
def test_microseconds_come_back(us: int) -> None:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)
    assert rfc3339_us(moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")) == us


@given(st.text(max_size=40))
def test_no_text_raises(text: str) -> None:
    assert rfc3339_us(text) >= -1


USUAL = "2026-11-20T20:00:00.010123Z"
ODD = (
    *("2026-11-20T20:00:00.01Z", "2026-11-20T20:00:00Z", "2026-11-20T20:00:00.123456789Z", "2026-11-20T20:00:00.010123+00:00"),
    *("", "Z", "2026-11-20T20:00:00.01012ZZ", "2026-11-20T20:00:00.0101230", "2026-11-20T20:00:00.0101230001Z", "x" * 27),
    *("2026-11-20 20:00:00.010123Z", "2026-13-20T20:00:00.010123Z", "2026-11-20T20:00:60.010123Z", "0000-01-01T00:00:00.000000Z"),
    *(
        "0001-01-01T00:00:00.000000Z",
        "\u0662026-11-20T20:00:00.01012Z",
        "2026-11-20T20:00:00.01\u06620123Z",
        "\ud800" * 27,
        "0" * 31,
    ),
)


@pytest.mark.parametrize("odd", ODD)
def test_many_times_are_read_as_each_alone_is(odd: str) -> None:
    for texts in ([odd], [odd, odd], [USUAL, odd, USUAL], ["2026-11-20T20:00:01.5Z", odd]):
        assert all_rfc3339_us(texts).tolist() == [rfc3339_us(text) for text in texts]


@given(
    st.lists(
        st.from_regex(r"20[0-3][0-9]-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\.[0-9]{1,9})?(Z|X)", fullmatch=True)
    )
)
def test_many_times_of_any_length_are_read_as_each_alone_is(texts: list[str]) -> None:
    assert all_rfc3339_us(texts).tolist() == [rfc3339_us(text) for text in texts]


@pytest.mark.parametrize(
    ("text", "us"),
    [("1795204799.5000000", 1795204799500000), ("1795204800", 1795204800000000), ("1762795433.9717445", 1762795433971744)]
    + [(text, -1) for text in ("", "1e9", "-1795204800", "1795204800.", "12345678901", "null")],
)
def test_seconds_are_read_or_refused(text: str, us: int) -> None:
    assert seconds_us(text) == us
