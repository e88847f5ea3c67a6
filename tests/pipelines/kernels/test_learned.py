"""The learned score, worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.kernels import alarm, learned
from pipelines.market import DAY_US

MINUTE = alarm.MINUTE
# |x| = e^2 is (2 - 1) / 0.5 = 2 scales above the center, times 0.25: 0.5; |x| <= e^-1 counts as e^-1: -2, times 1: -2
TERMS = np.array([(0.1, 1.0, 0.5, 0.25), (math.exp(-1), 1.0, 1.0, 1.0)], learned.TERM)


def test_a_score_worked_by_hand() -> None:
    parts = np.empty(2)
    p = learned.probability(np.array([-math.exp(2), 0.0]), TERMS, 1.5, parts)
    assert parts == pytest.approx([0.5, -2.0])
    assert p == pytest.approx(0.5)  # log odds 1.5 + 0.5 - 2 = 0
    up = learned.probability(np.array([math.exp(2), math.exp(1)]), TERMS, 1.5, parts)
    assert parts == pytest.approx([0.5, 0.0])
    assert up == pytest.approx(math.exp(2) / (1 + math.exp(2)))  # log odds 2


def test_a_null_leaves_the_row_without_a_score() -> None:
    parts = np.zeros(2)
    assert math.isnan(learned.probability(np.array([1.0, math.nan]), TERMS, 1.5, parts))
    assert np.isnan(parts).all()


@given(st.lists(st.floats(-1e300, 1e300), min_size=2, max_size=2), st.floats(-1e6, 1e6))
def test_a_score_is_a_probability_whatever_comes(row: list[float], intercept: float) -> None:
    assert 0.0 <= learned.probability(np.array(row), TERMS, intercept, np.empty(2)) <= 1.0


def told(scores: list[float], ts: list[int], cooldown: int = 0) -> list[int]:
    """Return which rows alert at the level 0.5, re-armed at 0.25."""
    terms = np.array([(1e-9, 0.0, 1.0, 1.0)], learned.TERM)  # |x| are the odds
    rows = np.array([[p / (1 - p)] for p in scores])
    out = np.empty(len(ts)), np.empty((len(ts), 1)), np.empty(len(ts), np.bool_)
    first = np.zeros(len(ts), np.int64)
    learned.follow(first, np.array(ts), rows, terms, 0.0, 0.5, 0.5, cooldown, np.zeros(1, learned.STATE), *out)
    return np.flatnonzero(out[2]).tolist()


def test_it_alerts_again_once_it_was_low_and_rested() -> None:
    ts = [DAY_US + k * MINUTE for k in range(7)]
    assert told([0.1, 0.6, 0.9, 0.4, 0.6, 0.2, 0.6], ts) == [1, 6]  # 0.4 does not re-arm, 0.2 does
    assert told([0.1, 0.6, 0.2, 0.6, 0.2, 0.2, 0.6], ts, 5 * MINUTE) == [1, 6]
    assert told([0.6, math.nan, 0.6, 0.2, math.nan, 0.6, 0.6], ts) == [0, 5]  # what is not known changes nothing


def test_each_date_begins_anew() -> None:
    assert told([0.6, 0.6], [2 * DAY_US - MINUTE, 2 * DAY_US], 60 * MINUTE) == [0, 1]
