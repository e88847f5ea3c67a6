"""128-bit sums against Python's integers."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.kernels.wide import quotient, split

WIDE = st.integers(0, 127).flatmap(lambda bits: st.integers(0, (1 << bits) - 1))
BY = st.one_of(st.integers(0, 126).flatmap(lambda bits: st.integers(1, 1 << bits)), st.integers(0, 30).map(lambda e: 10**e))


def divided(value: int, by: int) -> float:
    return float(quotient(*map(np.uint64, split(value)), *map(np.uint64, split(by))))


@settings(deadline=None)
@given(WIDE, BY)
def test_quotients_are_rounded_once(value: int, by: int) -> None:
    assert divided(value, by) == value / by


@settings(deadline=None)
@given(st.integers(1 << 52, (1 << 53) - 1), st.integers(1, 60), st.integers(0, 8))
def test_ties_go_to_even(mantissa: int, shift: int, up: int) -> None:
    value, by = (2 * mantissa + 1) << up, 1 << shift
    assert divided(value, by) == value / by
    assert divided((value << shift) + 1, by << shift) == ((value << shift) + 1) / (by << shift)
