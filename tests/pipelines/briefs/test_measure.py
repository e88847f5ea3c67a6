"""Measures by hand, and what a digest of rows holds."""

from __future__ import annotations

import datetime as dt
from fractions import Fraction
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.briefs.measure import EARLIER_LEAST, MEASURES, digest, measured


def frame(*values: Any, **columns: list[Any]) -> pl.DataFrame:
    return pl.DataFrame({"value": list(values), **columns}, strict=False)


@pytest.mark.parametrize(
    ("name", "rows", "expected"),
    [
        ("last", frame(1.0, 2.5), 2.5),
        ("last", frame(1.0, None), None),
        ("root_last", frame(0.0, 0.25), 0.5),
        ("count", frame(1.0, None), 2),
        ("sum", frame(0.1, 0.2, 0.3, None), 0.6),
        ("max", frame(1, 7, 3), 7),
        ("min", frame(4.0, 2.0), 2.0),
        ("change", frame(100.0, 90.0, 103.0), 103.0 / 100.0 - 1),
        ("change", frame(100.0), None),
        ("ratio", frame(1.0, 2.0, of=[4.0, 8.0]), 0.25),
        ("ratio", frame(0.0, of=[0.0]), None),
        ("range_bps", frame(100.0, 200.0, high=[104.0, 201.0], low=[99.0, 150.0]), 5100.0),
        ("share", frame(True, False, False, False), 0.25),
        ("true", frame(True, None, True), 2),
        ("earlier", frame(1.0, None, 2.0), 1),
        ("percentile", frame(*range(20), 4), 5 / 20),
        ("percentile", frame(*range(19), 4), None),
        ("percentile", frame(*map(float, range(21)), None), None),
        ("sums_percentile", frame(*[1.0] * 40, 3.0, part=[*range(20, 0, -1), *range(20, 0, -1), 0]), 1.0),
        ("sums_percentile", frame(*[1.0] * 20, part=list(range(20, 0, -1))), None),
        ("sums_earlier", frame(*[1.0] * 21, part=list(range(20, -1, -1))), 20),
        ("ranges_percentile", frame(*[1.0] * 21, part=list(range(20, -1, -1)), high=[2.0] * 20 + [1.5], low=[1.0] * 21), 0.0),
    ],
)
def test_a_measure_by_hand(name: str, rows: pl.DataFrame, expected: object) -> None:
    assert measured(rows, name) == expected


@pytest.mark.parametrize("name", MEASURES)
def test_no_rows_give_no_value(name: str) -> None:
    empty = pl.DataFrame(schema=dict.fromkeys(("value", "of", "high", "low"), pl.Float64) | {"part": pl.Int64})
    assert measured(empty, name) in (None, 0)
    assert (measured(empty, name) == 0) == (name in ("count", "true", "earlier", "sums_earlier", "ranges_earlier"))


@settings(max_examples=50)
@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=30))
def test_a_sum_is_the_exact_one_rounded_once_in_any_order(values: list[float]) -> None:
    exact = float(sum((Fraction(v) for v in values), Fraction(0)))
    assert measured(frame(*values), "sum") == measured(frame(*reversed(values)), "sum") == exact


@settings(max_examples=50)
@given(st.lists(st.integers(0, 9), min_size=EARLIER_LEAST + 1, max_size=60))
def test_a_percentile_is_the_share_of_earlier_values_at_most_the_last(values: list[int]) -> None:
    *earlier, last = values
    assert measured(frame(*values), "percentile") == sum(v <= last for v in earlier) / len(earlier)


def test_a_digest_holds_every_bit_the_order_and_the_names() -> None:
    when = dt.datetime(2024, 7, 19, tzinfo=dt.UTC)
    base = {"value": [1.0, None], "end": [when, when], "day": [when.date()] * 2, "state": ["flat", None], "flag": [True, False]}
    one = pl.DataFrame(base)
    assert digest(one) == digest(pl.DataFrame(base))
    others = [
        one.with_columns(value=pl.Series([1.0 + 2**-52, None])),
        one.with_columns(value=pl.Series([1.0, 0.0])),
        one.with_columns(end=pl.col("end") + dt.timedelta(microseconds=1)),
        one.with_columns(day=pl.Series([when.date(), when.date() + dt.timedelta(1)])),
        one.with_columns(state=pl.Series(["flat", "None"])),
        one.with_columns(flag=pl.Series([True, True])),
        one.reverse(),
        one.rename({"flag": "flags"}),
        one.head(1),
    ]
    assert len({digest(one), *map(digest, others)}) == len(others) + 1
