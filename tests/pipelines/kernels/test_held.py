"""A score that comes at any time, held against the level of its date: by hand, at random, and on calm days."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.kernels import alarm
from pipelines.kernels.alarm import MINUTE, Wanted
from pipelines.market import DAY_US

T0 = 19_000 * DAY_US
DAYS = 10
Point = tuple[int, float, bool]


def judged(points: list[Point], wanted: Wanted, held: np.ndarray | None = None) -> list[int]:
    """Return the places of points (us since `T0`, score, fits) that alert."""
    state = np.zeros(1, alarm.HELD) if held is None else held
    return [k for k, (ts, score, fits) in enumerate(points) if alarm.judge(state[0], T0 + ts, score, fits, wanted)]


def wanted(*, least: float = 4.0, per_day: float = 2.0, rearm: float = 0.5, cooldown: int = 0, dates: int = 14) -> Wanted:
    return Wanted(least, per_day, rearm, cooldown, dates)


def minutes(*scores: float, fits: bool = True) -> list[Point]:
    return [(k * MINUTE, score, fits) for k, score in enumerate(scores)]


def dates(*peaks: tuple[float, ...]) -> list[Point]:
    """Return a date for each tuple: a score of 0 in its first and last minute, and the peaks an hour apart."""
    out = []
    for k, of_date in enumerate(peaks):
        times = [0, *(60 * (j + 1) for j in range(len(of_date))), alarm.DAY_MINUTES - 1]
        out += [(k * DAY_US + m * MINUTE, score, True) for m, score in zip(times, (0.0, *of_date, 0.0), strict=True)]
    return out


def test_it_alerts_once_until_it_was_below_the_re_arm_level() -> None:
    assert judged(minutes(3.9, 4.0, 9.0, 2.0, 4.0, 1.9, 4.0), wanted()) == [1, 6]


def test_it_alerts_not_within_the_cooldown() -> None:
    assert judged(minutes(4.0, 0.0, 4.0, 0.0, 4.0), wanted(cooldown=3 * MINUTE)) == [0, 4]


def test_where_it_does_not_fit_it_neither_alerts_nor_re_arms_from_the_level_on() -> None:
    points = [*minutes(4.0, 2.0), (2 * MINUTE, 9.0, False), (3 * MINUTE, 4.0, True), (4 * MINUTE, 1.0, False)]
    assert judged([*points, (5 * MINUTE, 4.0, True)], wanted()) == [0, 5]
    assert judged(minutes(9.0, 9.0, fits=False), wanted()) == []


def test_what_does_not_fit_raises_no_level() -> None:
    held = np.zeros(1, alarm.HELD)
    judged([(ts, score, score < 5) for ts, score, _ in dates((9.0, 8.0), (9.0, 8.0), ())], wanted(), held)
    assert held["level"] == 4.0


def test_the_level_is_what_the_dates_before_reached_so_often() -> None:
    held = np.zeros(1, alarm.HELD)
    points = dates((9.0, 8.0, 7.0), (6.0, 5.0, 4.0), (7.0, 2.9, 6.0, 2.9, 5.9))
    found = [points[k][:2] for k in judged(points, wanted(per_day=2.0), held)]
    assert held["level"] == 6.0, "two a day in two days: the fourth highest"
    assert [score for ts, score in found if ts >= 2 * DAY_US] == [7.0, 6.0]


def test_only_so_many_dates_are_looked_at() -> None:
    held = np.zeros(1, alarm.HELD)
    judged(dates((99.0, 98.0), (9.0, 8.0), (7.0, 6.0), ()), wanted(per_day=1.0, dates=2), held)
    assert held["level"] == 8.0
    judged([(40 * DAY_US, 0.0, True)], wanted(per_day=1.0), held)
    assert held["level"] == 4.0, "none of them is of the 28 days before"


def test_a_date_begins_as_fired_if_the_last_score_before_reaches_its_level() -> None:
    midnight = [(DAY_US - 1, 5.0, True), (DAY_US, 5.0, True), (DAY_US + 1, 1.0, True), (DAY_US + 2, 5.0, True)]
    assert judged(midnight, wanted()) == [0, 3]
    assert judged([(0, 5.0, True), (DAY_US - 1, 3.0, True), (DAY_US, 5.0, True)], wanted()) == [0, 2]


def test_what_happened_while_nothing_came_was_calm() -> None:
    held = np.zeros(1, alarm.HELD)
    assert judged(minutes(5.0), wanted(), held) == [0]
    alarm.calm(held[0])
    assert judged([(MINUTE, 5.0, True)], wanted(), held) == [0]


def test_points_out_of_order_are_of_the_date_reached() -> None:
    assert judged([(DAY_US, 5.0, True), (DAY_US - 5, 1.0, True), (DAY_US - 4, 5.0, True)], wanted()) == [0, 2]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 399))
def test_what_comes_later_changes_nothing(seed: int, cut: int) -> None:
    rng = np.random.default_rng(seed)
    ts = np.sort(rng.integers(0, 5 * DAY_US, 400))
    points = list(zip(ts.tolist(), rng.lognormal(0, 1, 400).tolist(), (rng.random(400) < 0.9).tolist(), strict=True))
    whole = judged(points, wanted(least=1.0))
    assert judged(points[:cut], wanted(least=1.0)) == [k for k in whole if k < cut]


@pytest.mark.parametrize("per_day", [1.0, 4.0])
@pytest.mark.parametrize("dates", [3, 14])
def test_on_calm_days_it_alerts_as_often_as_it_is_to(per_day: float, dates: int) -> None:
    """On average over several tapes of independent scores of minutes: within a factor of 2 of the target."""
    how = wanted(least=1.0, per_day=per_day, rearm=0.7, cooldown=5 * MINUTE, dates=dates)
    found = 0
    for seed in range(6):
        scores = np.abs(np.random.default_rng(seed).standard_t(4, DAYS * alarm.DAY_MINUTES))
        alerted = judged(minutes(*scores.tolist()), how)
        found += sum(k >= 3 * alarm.DAY_MINUTES for k in alerted)
    assert 0.5 < found / (6 * (DAYS - 3)) / per_day < 2.0


def test_an_unknown_score_changes_nothing() -> None:
    assert judged(minutes(5.0, math.nan, 5.0), wanted()) == [0]
