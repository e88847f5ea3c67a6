"""Scores of minutes, alarms, levels and postures: cases by hand, and what must hold of every one."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.kernels import alarm, cusum, posture, standing, trend
from pipelines.kernels.alarm import MINUTE

NAN = math.nan
T0 = 1_700_006_400_000_000


def minute(**figures: float) -> np.ndarray:
    """Return a minute of which all is known, with what is given."""
    row = np.zeros(1, standing.MINUTE)
    usual = {
        "ts": T0,
        "mom_bps_1m": 1.0,
        "mom_bps_5m": 10.0,
        "mom_bps_15m": 30.0,
        "px_vs_vwap_bps_5m": 6.0,
        "rvol_5m": 1.5,
        "atr_1m": 0.1,
        "atr_5m": 0.2,
        "trade_imbalance_15m": 0.4,
        "rv_15m": 1e-6,
        "rv_1h": 4e-6,
        "amihud_1h": 1e-9,
        "spread_bps": 1.0,
        "microprice": 100.05,
        "ofi_1m": 3.0,
        "close": 100.0,
        "volume": 10.0,
    }
    for name, value in (usual | figures).items():
        row[name] = value
    return row


def terms(row: np.ndarray) -> list[float]:
    out = np.empty(7)
    trend.terms(row[0], out)
    found: list[float] = out.tolist()
    return found


def alarms(scores: list[float], *, level: float = 10.0, rearm: float = 0.7, cooldown: int = 0) -> list[int]:
    state = np.zeros(1, alarm.ALARM)
    return [k for k, x in enumerate(scores) if alarm.alerts(state[0], T0 + k * MINUTE, x, level, rearm, cooldown * MINUTE)]


# Alarms


def test_an_alarm_fires_once_until_the_score_was_below_the_re_arm_level() -> None:
    assert alarms([9.0, 10.0, 12.0, 7.0, 11.0, 6.9, 10.0, NAN, 10.0]) == [1, 6]


def test_what_is_not_known_neither_fires_nor_arms() -> None:
    assert alarms([NAN, 10.0, NAN, 10.0]) == [1]


def test_cooldown_holds_an_armed_alarm_back() -> None:
    assert alarms([10.0, 0.0, 10.0, 0.0, 10.0, 10.0], cooldown=4) == [0, 4]


@settings(max_examples=30)
@given(st.lists(st.floats(0, 30), max_size=60), st.integers(1, 20))
def test_alarms_are_never_closer_than_the_cooldown(scores: list[float], cooldown: int) -> None:
    found = alarms(scores, cooldown=cooldown)
    assert all(b - a >= cooldown for a, b in pairwise(found))
    assert all(scores[k] >= 10.0 for k in found)


def day(**at: float) -> np.ndarray:
    """Return scores of a date, 0 but for those given as `m<minute>`."""
    scores = np.zeros(alarm.DAY_MINUTES)
    for name, value in at.items():
        scores[int(name[1:])] = value
    return scores


def test_peaks_are_episodes_highest_first() -> None:
    out = np.empty(alarm.PEAKS)
    days = alarm.peaks(day(m100=5.0, m110=9.0, m120=8.0, m141=7.0, m500=6.0), out)
    assert days == 1.0
    assert out[:3].tolist() == [9.0, 7.0, 6.0]
    assert out[3] == 0.0


def test_a_date_without_scores_has_no_peaks_and_no_days() -> None:
    out = np.empty(alarm.PEAKS)
    assert alarm.peaks(np.full(alarm.DAY_MINUTES, NAN), out) == 0.0
    assert np.isnan(out).all()


def test_days_run_from_the_first_known_score_to_the_last() -> None:
    scores = np.full(alarm.DAY_MINUTES, NAN)
    scores[[720, 1439]] = 1.0
    assert alarm.peaks(scores, np.empty(alarm.PEAKS)) == 0.5


def test_the_level_is_what_earlier_dates_reached_so_often() -> None:
    past = np.array([9.0, 3.0, 8.0, NAN, 7.0, 6.0, NAN])
    assert alarm.level(past, 2.0, 2.0, 1.0) == 6.0
    assert alarm.level(past, 2.0, 1.0, 1.0) == 8.0
    assert alarm.level(past, 2.0, 0.1, 1.0) == 9.0
    assert alarm.level(past, 2.0, 2.0, 6.5) == 6.5, "never below the least"
    assert alarm.level(past, 0.9, 2.0, 1.0) == 1.0, "less than a day is known"
    assert alarm.level(past, 3.0, 2.0, 1.0) == 1.0, "it was never reached so often"


def alarms_on_dates_of_its_own(seed: int, per_day: float) -> int:
    """Return how often a level alarms on the five dates that it is taken from."""
    dates = np.random.default_rng(seed).lognormal(0, 1, (5, alarm.DAY_MINUTES))
    past = np.empty((5, alarm.PEAKS))
    days = sum(alarm.peaks(scores, out) for scores, out in zip(dates, past, strict=True))
    level = alarm.level(past.ravel(), days, per_day, 0.0)
    return sum(len(alarms(scores.tolist(), level=level, cooldown=alarm.APART + 1)) for scores in dates)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([1.0, 2.0, 4.0]))
def test_a_level_alarms_at_most_twice_for_each_peak_that_it_is_made_of(seed: int, per_day: float) -> None:
    """A peak stands for the half hours before and behind it, in each of which an alarm may come."""
    assert 0 < alarms_on_dates_of_its_own(seed, per_day) <= 2 * per_day * 5


@pytest.mark.parametrize("per_day", [1.0, 2.0, 4.0])
def test_on_average_a_level_alarms_as_often_as_wanted(per_day: float) -> None:
    fired = [alarms_on_dates_of_its_own(seed, per_day) / 5 for seed in range(30)]
    assert np.mean(fired) == pytest.approx(per_day, rel=0.1)


# Terms


def test_terms_by_hand() -> None:
    """ATR of a minute is 10 bps, of five 20 bps."""
    expected = [
        10 / (10 * math.sqrt(5)) / 3,
        30 / (10 * math.sqrt(15)) / 3,
        0.5 * (6 / 20 / 3),
        0.5 * 0.4,
        0.5 * (1.5 / 3),
        0.5 * (0.3 / 3),
        0.5 * (5 / 10 / 3),
    ]
    assert terms(minute()) == pytest.approx(expected, rel=1e-12)


def test_terms_are_bounded_by_their_weights() -> None:
    far = minute(mom_bps_5m=1e4, mom_bps_15m=-1e4, px_vs_vwap_bps_5m=1e4, rvol_5m=1e9, ofi_1m=-1e9, microprice=200.0)
    assert terms(far) == pytest.approx([1.0, -1.0, 0.5, 0.2, 0.5, -0.5, 0.5], rel=1e-15)


@pytest.mark.parametrize("name", ["mom_bps_5m", "mom_bps_15m", "px_vs_vwap_bps_5m", "rvol_5m", "atr_1m", "atr_5m"])
def test_no_score_where_a_term_is_unknown(name: str) -> None:
    out = np.array(terms(minute(**{name: NAN})))
    assert math.isnan(trend.total(out[:5]))


def test_no_score_where_nothing_moved() -> None:
    assert math.isnan(trend.total(np.array(terms(minute(atr_1m=0.0)))[:5]))


def test_without_quotes_only_their_terms_are_unknown() -> None:
    out = np.array(terms(minute(ofi_1m=NAN, microprice=NAN)))
    assert not math.isnan(trend.total(out[:5]))
    assert math.isnan(trend.total(out))


SIGNED = ("mom_bps_1m", "mom_bps_5m", "mom_bps_15m", "px_vs_vwap_bps_5m", "trade_imbalance_15m", "ofi_1m")
FIGURES = st.fixed_dictionaries({name: st.floats(-50, 50) for name in SIGNED})


@settings(max_examples=40)
@given(FIGURES, st.floats(0, 9))
def test_flipping_signs_flips_the_score(figures: dict[str, float], rvol: float) -> None:
    one = np.array(terms(minute(rvol_5m=rvol, microprice=100.02, **figures)))
    other = np.array(terms(minute(rvol_5m=rvol, microprice=99.98, **{name: -x for name, x in figures.items()})))
    assert other[:6].tolist() == (-one[:6]).tolist()
    assert other[6] == pytest.approx(-one[6], rel=1e-9)
    assert trend.p_up(trend.total(other[:5])) == pytest.approx(1 - trend.p_up(trend.total(one[:5])), abs=1e-15)


@settings(max_examples=20)
@given(st.sampled_from([0.125, 4.0, 1024.0]), st.sampled_from([0.5, 8.0]))
def test_scale_leaves_the_terms(price: float, size: float) -> None:
    usual = minute()[0]
    prices = {name: price * float(usual[name]) for name in ("atr_1m", "atr_5m", "microprice", "close")}
    sizes = {name: size * float(usual[name]) for name in ("ofi_1m", "volume")}
    assert terms(minute(**prices, **sizes)) == terms(minute())


def test_agreement() -> None:
    assert trend.agreement(np.array([0.5, 0.25])) == 1.0
    assert trend.agreement(np.array([0.5, -0.25, -0.25])) == 0.0
    assert math.isnan(trend.agreement(np.zeros(5)))


# Scores


def test_volatility_jump_by_hand() -> None:
    assert standing.volatility_jump(3e-6, 4e-6) == pytest.approx(3.0, rel=1e-15)
    assert standing.volatility_jump(1e-6, 4e-6) == 1.0
    assert math.isnan(standing.volatility_jump(4e-6, 4e-6)), "the 45 minutes before did not move"
    assert math.isnan(standing.volatility_jump(NAN, 4e-6))


def test_liquidity_drain_is_held_against_minutes_strictly_before() -> None:
    ring = np.zeros(1, standing.RING)
    before = [standing.liquidity_drain(ring[0], 2.0, 1e-9) for _ in range(standing.CALM)]
    assert np.isnan(before).all()
    assert math.isnan(standing.liquidity_drain(ring[0], NAN, 1e-9)), "without quotes"
    assert standing.liquidity_drain(ring[0], 8.0, 4e-9) == pytest.approx(4.0)
    assert standing.liquidity_drain(ring[0], 2.0, 1e-9) == pytest.approx(1.0)


def test_returns_are_held_against_the_59_minutes_before() -> None:
    change = math.log1p(20e-4)
    rv = 59 * 1e-8 + change * change
    assert cusum.standardised(20.0, rv) == pytest.approx(change / 1e-4, rel=1e-9)
    assert math.isnan(cusum.standardised(20.0, change * change))


def test_cusum_by_hand() -> None:
    sums = np.zeros(1, cusum.CUSUM)
    seen = []
    for x, quiet in ((2.0, 0), (1.0, 0), (-3.0, 0), (NAN, 4), (1.5, 0)):
        up = cusum.add(sums[0], x, quiet)
        seen.append((float(sums["up"][0]), float(sums["down"][0]), bool(up)))
    assert seen == [(1.5, 0.0, True), (2.0, 0.0, True), (0.0, 2.5, False), (0.0, 0.5, False), (1.0, 0.0, True)]


def test_beyond_the_level_that_side_begins_anew() -> None:
    sums = np.zeros(1, cusum.CUSUM)
    cusum.add(sums[0], 5.5, 0)
    cusum.reset(sums[0], 5.0)
    assert (sums["up"][0], sums["free_up"][0]) == (0.0, 5.0)


# Posture

ENTER, LEAVE = 1.0, 0.2


def walk(totals: list[float], *, cooldown: int = 0, at: list[int] | None = None) -> list[tuple[int, int]]:
    """Return state and action minute by minute."""
    lean = np.zeros(1, posture.POSTURE)
    posture.begin(lean[0], T0)
    found = []
    for k, total in zip(at or range(1, 1 + len(totals)), totals, strict=True):
        action = posture.step(lean[0], T0 + k * MINUTE, total, ENTER, LEAVE, cooldown * MINUTE)
        found.append((int(lean["state"][0]), action))
    return found


HOLD, ENTERS, REVERSES, EXITS = posture.HOLD, posture.ENTER, posture.REVERSE, posture.EXIT


def test_it_takes_three_minutes_to_enter_and_to_leave() -> None:
    found = walk([1.1, 1.2, 0.9, 1.0, 1.3, 2.0, 0.5, 0.1, 0.1, 0.3, 0.1, -0.1, 0.19, 0.0])
    states = [0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 0, 0]
    assert [state for state, _ in found] == states
    assert [k for k, (_, action) in enumerate(found) if action != HOLD] == [5, 12]
    assert (found[5][1], found[12][1]) == (ENTERS, EXITS)


def test_between_the_levels_a_posture_is_held() -> None:
    assert {state for state, _ in walk([1.5] * 3 + [0.5] * 20)[2:]} == {1}


def test_a_turn_is_told_as_reversal() -> None:
    assert walk([1.5] * 3 + [-1.5] * 3)[2:] == [(1, ENTERS), (1, HOLD), (1, HOLD), (-1, REVERSES)]
    soon = walk([1.5] * 3 + [0.0] * 3 + [-1.5] * 3)
    assert (soon[5], soon[8]) == ((0, EXITS), (-1, REVERSES))
    late = walk([1.5] * 3 + [0.0] * 63 + [-1.5] * 3)
    assert late[-1] == (-1, ENTERS)
    assert walk([1.5] * 3 + [0.0] * 3 + [1.5] * 3)[-1] == (1, ENTERS)


def test_a_score_that_is_unknown_supports_nothing() -> None:
    assert walk([1.5, NAN, 1.5, 1.5])[-1] == (0, HOLD)
    assert walk([1.5] * 3 + [NAN] * 3)[-1] == (0, EXITS)


def test_silence_ends_a_posture() -> None:
    found = walk([1.5] * 4, at=[1, 2, 3, 19])
    assert found[-1] == (0, EXITS)
    assert walk([1.5] * 4, at=[1, 2, 3, 18])[-1] == (1, HOLD)


def test_cooldown_holds_entries_back_but_no_exits() -> None:
    found = walk([1.5] * 3 + [0.0] * 3 + [-1.5] * 20, cooldown=15)
    assert [(k, action) for k, (_, action) in enumerate(found) if action != HOLD] == [(2, ENTERS), (5, EXITS), (17, REVERSES)]


@settings(max_examples=30)
@given(st.lists(st.one_of(st.floats(-3, 3), st.just(NAN)), max_size=60))
def test_flipping_the_score_flips_the_posture(totals: list[float]) -> None:
    one, other = walk(totals), walk([-x for x in totals])
    assert [(-state, action) for state, action in one] == other
