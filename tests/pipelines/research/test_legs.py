"""Two legs on one grid: what is kept, what is dropped, what is carried."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.research.legs import align, leg
from pipelines.research.undefined import Undefined
from tests.pipelines.research.legs import DAY, MINUTE, bars

pytestmark = pytest.mark.filterwarnings("error")


def test_a_price_stands_for_one_bar_without_trades_and_no_longer() -> None:
    y = leg(bars([10, 11, 12, 13, 14, 15, 16]))
    x = leg(bars([20, 21, None, 23, None, None, 26]))
    points = align(y, x, MINUTE)
    assert [(e - DAY) // MINUTE for e in points.ends.tolist()] == [1, 2, 3, 4, 5, 7], "at 6 the trade of bar 4 is two bars old"
    assert np.exp(points.y).round(9).tolist() == [10, 11, 12, 13, 14, 16]
    assert np.exp(points.x).round(9).tolist() == [20, 21, 21, 23, 23, 26]
    assert (points.dropped, points.carried) == (1, 2)
    assert points.joined.tolist() == [True, True, True, True, False]


def test_where_neither_leg_trades_there_is_no_point() -> None:
    points = align(leg(bars([1, None, 3])), leg(bars([5, None, 6])), MINUTE)
    assert [(e - DAY) // MINUTE for e in points.ends.tolist()] == [1, 3]
    assert (points.dropped, points.carried) == (1, 0)


def test_the_grid_is_that_of_both_legs_and_what_only_one_has_is_dropped() -> None:
    points = align(leg(bars([None, None, 3, 4])), leg(bars([1, 2, 3, 4, 5, 6])), MINUTE)
    assert [(e - DAY) // MINUTE for e in points.ends.tolist()] == [3, 4, 5]
    assert (points.dropped, points.carried) == (3, 1)


def test_bars_without_trades_or_without_a_price_are_no_trades() -> None:
    made = leg(bars([1, 1, 1, 0, math.inf, 2], volumes=[1, 0, 0, 1, 1, 1]))
    assert ((made.ends - DAY) // MINUTE).tolist() == [1, 6]
    assert made.logs.tolist() == [0, math.log(2)]


def test_bars_in_any_order_make_the_same_leg() -> None:
    frame = bars([1, 2, 3])
    assert [c.tolist() for c in leg(frame.reverse())] == [c.tolist() for c in leg(frame)]


def test_a_leg_that_never_trades() -> None:
    with pytest.raises(Undefined, match="never traded"):
        align(leg(bars([1, 2])), leg(bars([5, 5], volumes=[0, 0])), MINUTE)


minutes = st.lists(st.one_of(st.none(), st.sampled_from([1.0, 2.0, 3.0])), min_size=1, max_size=40).filter(any)


@settings(max_examples=60, deadline=None)
@given(minutes, minutes)
def test_alignment_equals_a_search_by_hand(y: list[float | None], x: list[float | None]) -> None:
    points = align(leg(bars(y)), leg(bars(x)), MINUTE)
    ends = [k + 1 for closes in (y, x) for k, close in enumerate(closes) if close]
    kept = []
    for end in range(min(ends), max(ends) + 1):
        found = []
        for closes in (y, x):
            recent = [closes[k] for k in (end - 1, end - 2) if 0 <= k < len(closes) and closes[k] is not None]
            found.append(recent[0] if recent else None)
        traded = any(end <= len(closes) and closes[end - 1] is not None for closes in (y, x))
        if None not in found and traded:
            kept.append((DAY + end * MINUTE, *found))
    assert points.ends.tolist() == [row[0] for row in kept]
    assert np.exp(points.y).round(9).tolist() == [row[1] for row in kept]
    assert np.exp(points.x).round(9).tolist() == [row[2] for row in kept]
    assert points.dropped == max(ends) - min(ends) + 1 - len(kept)
