"""When a condition begins, and where a value stands."""

from __future__ import annotations

import datetime as dt
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.briefs.agents.spells import begins, percentiles
from tests.pipelines.briefs.agents.frames import minute

NONE = dt.timedelta()


@pytest.mark.parametrize(
    ("score", "found"),
    [
        ([0, 1, 2, 3], [1]),
        ([1, 1, 1], [0]),
        ([1, 0.6, 1, 0.4, 1], [0, 4]),
        ([1, None, 1, math.nan, 1], [0]),
        ([0.9, 0.9], []),
        ([], []),
    ],
)
def test_a_spell_begins_once_and_again_when_it_was_over(score: list[float | None], found: list[int]) -> None:
    assert begins(score, [minute(i) for i in range(len(score))], 1.0, 0.5, NONE) == found


def test_a_spell_within_the_cooldown_is_not_told_and_one_that_outlasts_it_is() -> None:
    ends = [minute(i) for i in range(8)]
    assert begins([1, 0, 1, 1, 0, 0, 1, 1], ends, 1.0, 0.5, dt.timedelta(minutes=3)) == [0, 3, 6]


@given(st.lists(st.one_of(st.none(), st.floats(0, 2)), max_size=40), st.integers(0, 40))
def test_what_comes_later_changes_nothing_earlier(score: list[float | None], cut: int) -> None:
    ends = [minute(i) for i in range(len(score))]
    whole = begins(score, ends, 1.0, 0.5, dt.timedelta(minutes=5))
    assert begins(score[:cut], ends[:cut], 1.0, 0.5, dt.timedelta(minutes=5)) == [i for i in whole if i < cut]


def test_a_percentile_is_of_known_values_before_within_the_reach() -> None:
    values = np.array([5.0, 1.0, math.nan, 2.0, 2.0, 0.0, math.nan])
    ends = np.arange(7) * 10
    found = percentiles(values, ends, 3, 31, 2)
    assert found[:3].tolist() == [0.5, 0.5, 0.0]
    assert math.isnan(found[3])
    assert percentiles(np.ones(4), ends, 3, 31, 2).tolist() == [0.0]
    assert np.isnan(percentiles(values, ends, 3, 30, 2)[:2]).all()
    assert np.isnan(percentiles(values, ends, 3, 31, 3)).all()
