"""Percentiles of the past, and alarms above a level."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.kernels import trailing

NAN = float("nan")


def percentiles(values: list[float], window: int, least: int) -> list[float]:
    out = np.empty(len(values))
    trailing.percentiles(np.array(values), window, least, out)
    return out.tolist()


def alarms(times: list[int], values: list[float], level: float, cooldown: int) -> list[int]:
    out = np.empty(len(times), np.bool_)
    count = trailing.alarms(np.array(times), np.array(values), np.full(len(times), level), cooldown, out)
    assert count == out.sum()
    return np.flatnonzero(out).tolist()


def test_a_value_is_ranked_among_those_before_it() -> None:
    found = percentiles([3, 1, 2, 2, NAN, 9, 0], 3, 2)
    np.testing.assert_array_equal(found, [NAN, NAN, 0.5, 2 / 3, NAN, 1.0, 0.0])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.one_of(st.just(NAN), st.integers(0, 9).map(float)), min_size=2, max_size=40), st.data())
def test_what_comes_later_changes_no_percentile(values: list[float], data: st.DataObject) -> None:
    cut = data.draw(st.integers(1, len(values)))
    np.testing.assert_array_equal(percentiles(values, 5, 2)[:cut], percentiles(values[:cut], 5, 2))


def test_an_alarm_sounds_once_a_cooldown_while_the_measure_stays_up() -> None:
    values = [0.9, 0.95, 0.99, 0.95, 0.2, 0.95, NAN, 0.95]
    assert alarms(list(range(0, 80, 10)), values, 0.95, 20) == [1, 3, 5, 7]
    assert alarms(list(range(0, 80, 10)), values, 0.95, 21) == [1, 5]
    assert alarms(list(range(0, 80, 10)), values, NAN, 20) == [], "no level, no alarm"
