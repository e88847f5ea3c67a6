"""The rule of events, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.market import DAY_US
from pipelines.research.backtest import falls
from pipelines.research.rules import Minutes
from tests.pipelines.research.minutes import spans

MINUTE = 60_000_000
WARM = 326 * 5
"""Minutes before the first return that can be a jump."""


def prices(*steps: tuple[int, float], minutes: int = 3 * 1440) -> Minutes:
    """Return closes that wander a little, times each factor from its minute on."""
    rng = np.random.default_rng(1)
    logs = 1e-4 * rng.standard_normal(minutes)
    for at, factor in steps:
        logs[at:] += np.log(factor)
    return Minutes(np.arange(1, minutes + 1) * MINUTE, 100 * np.exp(logs))


def found(*steps: tuple[int, float]) -> list[tuple[int, int]]:
    """Return start and end of the falls, in minutes."""
    return [(start // MINUTE, end // MINUTE) for start, end in falls.Falls().find([prices(*steps)])]


def test_a_jump_down_that_goes_on_to_three_percent_within_the_hour_is_a_fall() -> None:
    assert found((2001, 0.98), (2030, 0.98)) == [(2000, 2031)], "from the close before the jump to the first close far enough"


def test_a_fall_that_is_whole_in_the_jump_is_known_with_the_jump() -> None:
    assert found((2001, 0.95)) == [(2000, 2005)]


@pytest.mark.parametrize(
    "steps",
    [
        [(2001, 0.98)],  # a jump of 2 %
        [(2001, 0.98), (2061, 0.98)],  # 3 % only after an hour
        [(2001, 1.02), (2010, 0.9), (2012, 1 / 0.9)],  # down and back within five minutes
        [(100, 0.9)],  # the test of jumps has no past yet
    ],
)
def test_what_is_no_fall(steps: list[tuple[int, float]]) -> None:
    assert found(*steps) == []


def test_of_a_date_the_first_counts() -> None:
    assert found((2001, 0.95), (2401, 0.95), (2901, 0.95)) == [(2000, 2005), (2900, 2905)]


def test_calm_leaves_out_the_dates_of_events() -> None:
    day = DAY_US / MINUTE
    events, watched = spans([(1.5 * day, 2.1 * day)]), spans([(0.5 * day, 5 * day), (6 * day, 7 * day)])
    got = falls.calm(events, watched)
    edges = [(a / DAY_US, b / DAY_US) for a, b in zip(got["start"].dt.epoch("us"), got["end"].dt.epoch("us"), strict=True)]
    first = watched["start"].dt.epoch("us")[0] / DAY_US - 0.5
    assert [(a - first, b - first) for a, b in edges] == [(0.5, 1), (3, 5), (6, 7)]
    assert falls.whole_days(got) == 3
