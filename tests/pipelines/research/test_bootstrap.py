"""Intervals over days: what they must be where it is known, and when there are none."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.research.bootstrap import LEAST_DAYS, median, ratio, share


def test_the_interval_of_a_mean_is_close_to_the_normal_one() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(10, 2, 400)
    low, high, why = ratio(values, np.ones(400), "days")
    assert low is not None
    assert high is not None
    error = values.std() / 20
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.15 * error)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.15 * error)
    assert why == ""


def test_days_are_drawn_whole() -> None:
    hits, alerts = np.array([10.0, 0.0] * 20), np.full(40, 10.0)
    low, high, _ = ratio(hits, alerts, "alerts")
    apart, rows = ratio(np.repeat(hits / 10, 10), np.ones(400), "alerts")[:2]
    assert low is not None
    assert high is not None
    assert apart is not None
    assert rows is not None
    assert (high - low) / (rows - apart) == pytest.approx(10**0.5, rel=0.15), "ten alerts of a day tell as much as one"


def test_the_same_numbers_have_the_same_interval() -> None:
    values = np.random.default_rng(2).random(30)
    assert ratio(values, np.ones(30), "days") == ratio(values.copy(), np.ones(30), "days")


def test_days_without_any_bear_on_nothing() -> None:
    below = np.zeros(50)
    below[: LEAST_DAYS - 1] = 3
    assert ratio(below, below, "alerts") == (None, None, "alerts on 6 of the 7 days needed")
    below[30] = 3
    assert ratio(below, below, "alerts") == (1.0, 1.0, "")
    assert ratio(np.zeros(0), np.zeros(0), "alerts")[2] == "alerts on 0 of the 7 days needed"


def test_all_or_none_is_no_certainty() -> None:
    every = np.full(10, 3.0)
    found, none = share(every, every, "alerts"), share(0 * every, every, "alerts")
    assert found.low == pytest.approx(0.025**0.1), "10 days that all go well: once in 40 times where 0.69 of days do"
    assert none.high == pytest.approx(1 - 0.025**0.1)
    assert (found.high, none.low, found.why) == (1.0, 0.0, "")
    some = every.copy()
    some[0] = 2
    assert share(some, every, "alerts") == ratio(some, every, "alerts")
    assert share(every[:3], every[:3], "alerts").low is None


def test_the_interval_of_a_median() -> None:
    days = np.repeat(np.arange(20), 5)
    values = np.tile([1.0, 2.0, 3.0, 4.0, 5.0], 20)
    assert median(values, days, 20, "leads") == (3.0, 3.0, "")
    low, high, _ = median(days.astype(float), days, 25, "leads")
    assert low is not None
    assert high is not None
    assert 2 <= low < 9.5 < high <= 17
    assert median(values[:20], days[:20], 20, "leads") == (None, None, "leads on 4 of the 7 days needed")
