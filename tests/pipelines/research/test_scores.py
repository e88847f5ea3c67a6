"""Scores of alerts: cases worked by hand, a slow reference, and what must hold for any alerts."""

from __future__ import annotations

import datetime as dt
import statistics
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.market import DAY_US
from pipelines.research import events as prices
from pipelines.research.rules import parse
from pipelines.research.scores import Score, by_detector, merge, precision_beats_base, score
from tests.conftest import SHARED
from tests.pipelines.research.minutes import MINUTE, alerts, spans

HOUR = 60.0
DAY = 1440.0
"""Minutes."""


def scored(
    found: list[float],
    events: list[tuple[float, float]],
    watched: list[tuple[float, float]],
    *,
    horizon: float = 10,
    cooldown: float = 0,
) -> Score:
    return score(alerts(found), spans(events), spans(watched), round(horizon * MINUTE), round(cooldown * MINUTE))


def test_an_alert_is_followed_by_an_event_up_to_the_horizon_behind_it() -> None:
    for at, hit in ((39.99, 0), (40, 1), (49.99, 1), (50, 0), (51, 0)):
        found = scored([at], [(50, 50)], [(0, 100)])
        assert (found.hits, found.foretold) == (hit, hit), at
        assert found.precision.value == found.recall.value == hit
        assert found.lead_s.value == (pytest.approx((50 - at) * 60) if hit else None)


def test_an_alarm_during_the_event_is_no_lead() -> None:
    for at, hit, during in ((40, 1, 0), (45, 1, 0), (45.01, 0, 1), (50, 0, 1), (50.01, 0, 0)):
        found = scored([at], [(45, 50)], [(0, 100)])
        assert (found.hits, found.foretold, found.during) == (hit, hit, during), at
    slow = scored([35, 36], [(35, 50)], [(0, 100)])
    assert (slow.hits, slow.during) == (0, 1), "at 35 it had not begun, and took longer than the horizon"
    again = scored([47], [(45, 50), (50, 55)], [(0, 100)])
    assert (again.hits, again.during) == (1, 0), "it leads the next event"


def test_the_figures_of_a_day_by_hand() -> None:
    found = scored([100, 105, 300, 702, 900], [(108, 110), (290, 301), (705, 710), (1200, 1201)], [(0, DAY)])
    assert found.days == pytest.approx(1430 / 1440)
    assert (found.alerts, found.hits, found.during, found.unjudged) == (5, 3, 1, 0)
    assert (found.events, found.foretold) == (4, 2)
    assert found.precision[:3] == (3 / 5, None, None)
    assert found.recall.value == 2 / 4
    assert found.lead_s.value == statistics.median([600, 480])
    assert found.false_per_day.value == pytest.approx(2 / (1430 / 1440))
    covered = 9 + 0 + 6 + 10
    assert found.base_rate == covered / 1431, "whole minutes from 0 to 1430; the slow event has no minute before it within 10"


def test_the_base_rate_is_that_of_alerts_at_the_same_second() -> None:
    assert scored([3.5], [(45, 50)], [(0, 100)]).base_rate == 5 / 90
    assert scored([3], [(45, 50)], [(0, 100)]).base_rate == 6 / 91
    assert scored([3, 3.5], [(45, 50)], [(0, 100)]).base_rate == pytest.approx((5 / 90 + 6 / 91) / 2)
    assert scored([], [(45, 50)], [(0, 100)]).base_rate == 6 / 91
    assert scored([], [(50, 50)], [(0, 100)]).base_rate == 10 / 91
    watched = pl.concat([spans([(0, 100)]), spans([(0, 910)], symbol="ETH-USDT")])
    both = score(alerts([]), spans([(50, 50)]), watched, 10 * MINUTE)
    assert both.base_rate == pytest.approx((90 * 10 / 91 + 900 * 0) / 990), "by the time each was watched"


def test_windows_of_events_that_follow_each_other_count_once() -> None:
    assert scored([], [(50, 50), (53, 53)], [(0, 100)]).base_rate == 13 / 91


def test_only_what_can_be_judged_counts() -> None:
    found = scored([2, 89, 95, 150], [(5, 5), (99, 99)], [(0, 100)])
    assert (found.alerts, found.unjudged) == (2, 2), "95 has 5 minutes left, nobody watched at 150"
    assert found.hits == 2
    assert (found.events, found.foretold) == (1, 1), "nobody watched the 10 minutes before 5"
    assert scored([1], [], [(0, 9)])[:3] == (0.0, 0, 1)
    outside = scored([145], [(150, 150)], [(0, 100), (200, 300)])
    assert (outside.alerts, outside.events) == (0, 0)


def test_a_hole_in_the_watch_parts_alerts_from_events() -> None:
    found = scored([95], [(103, 104)], [(0, 100), (102, 200)])
    assert (found.alerts, found.unjudged, found.events) == (0, 1, 0)


def test_alerts_within_a_cooldown_are_merged() -> None:
    times = np.array([0, 3, 9, 10, 12, 25, 25])
    assert merge(times, 10).tolist() == [0, 10, 25]
    assert merge(times, 0).tolist() == [0, 3, 9, 10, 12, 25]
    assert merge(times[:0], 10).size == 0
    events, watched = spans([(50, 50)]), spans([(0, 100)])
    assert score(alerts([38, 41, 47]), events, watched, 10 * MINUTE).alerts == 1, "by default the horizon"
    assert scored([38, 41, 47], [(50, 50)], [(0, 100)], cooldown=3).precision.value == 2 / 3


def test_what_is_unknown_is_null_with_a_reason() -> None:
    nothing = scored([], [], [])
    assert nothing.days == nothing.alerts == nothing.events == 0
    assert nothing.base_rate is None
    assert [e.why for e in (nothing.precision, nothing.recall, nothing.lead_s, nothing.false_per_day)] == [
        "no alert can be judged",
        "no events",
        "no event was foretold",
        "never watched for so long",
    ]
    few = scored([5], [(8, 8), (12, 12)], [(0, 3 * DAY)])
    assert few.precision == (1.0, None, None, "alerts on 1 of the 7 days needed")
    assert few.recall.value == 1.0, "the event of minute 8 is not judged"
    assert few.false_per_day.why == "watched on 3 of the 7 days needed"
    assert not few.beats_base


def days(n: int, at: list[float]) -> list[float]:
    return [day * DAY + minute for day in range(n) for minute in at]


def test_intervals_of_days_that_are_all_the_same_have_no_width() -> None:
    events = [(m, m) for m in days(10, [605, 900])]
    found = scored(days(10, [600, 700]), events, [(0, 10 * DAY + 10)], cooldown=1)
    assert found.precision == (0.5, 0.5, 0.5, "")
    assert found.recall == (0.5, 0.5, 0.5, "")
    assert found.lead_s == (300.0, 300.0, 300.0, "")
    assert found.false_per_day == (1.0, 1.0, 1.0, "")
    assert found.beats_base
    assert precision_beats_base(alerts(days(10, [600, 700])), spans(events), spans([(0, 10 * DAY)]), 10 * MINUTE)


def test_alerts_on_few_of_many_days_beat_nothing() -> None:
    events = [(m, m) for m in days(30, [605])]
    assert not scored(days(6, [600]), events, [(0, 30 * DAY)]).beats_base
    assert scored(days(7, [600]), events, [(0, 30 * DAY)]).beats_base


def test_being_always_right_beats_no_base_rate_that_is_nearly_so() -> None:
    events = [(m, m) for m in days(7, [10.0 * k + 10 for k in range(130)])]
    found = scored(days(7, [100]), events, [(0, 7 * DAY + 10)])
    assert (found.precision.value, found.precision.high) == (1.0, 1.0)
    assert found.base_rate is not None
    assert found.base_rate > 0.9
    assert not found.beats_base


def test_random_alerts_do_not_beat_the_base_rate() -> None:
    rng = np.random.default_rng(4)
    events = [(m, m) for m in np.unique(rng.integers(100, 40 * 1440, 800)).tolist()]
    beaten = [scored(rng.uniform(0, 40 * DAY, 300).tolist(), events, [(0, 40 * DAY)]).beats_base for _ in range(40)]
    assert sum(beaten) <= 3, "1 in 40 is expected"


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(11)
    held = 0
    for _ in range(60):
        share = np.repeat(rng.beta(6, 14, 30), 10)  # days differ; the mean is 0.3
        times = np.array(days(30, [100.0 * k for k in range(10)]))
        events = [(m + 5, m + 5) for m in times[rng.random(300) < share].tolist()]
        low, high = scored(times.tolist(), events, [(0, 31 * DAY)]).precision[1:3]
        assert low is not None
        assert high is not None
        held += low <= 0.3 <= high
    assert 52 <= held <= 60


def test_instruments_and_detectors_are_scored_apart_and_together() -> None:
    found = pl.concat(
        [
            alerts([45.0, 80.0]),
            alerts([45.0], detector="volume_surge"),
            alerts([45.0], origin="history"),
            alerts([20.0, 45.0], symbol="ETH-USDT"),
            alerts([45.0], symbol="XRP-USDT"),
        ]
    )
    events = pl.concat([spans([(50, 50)]), spans([(24, 24)], symbol="ETH-USDT")])
    watched = pl.concat([spans([(0, 100)]), spans([(0, 100)], symbol="ETH-USDT")])
    apart = by_detector(found, events, watched, 10 * MINUTE)
    table = {(s.symbol, s.detector, s.version, s.origin): (s.score.hits, s.score.alerts, s.score.events) for s in apart}
    assert table == {
        ("BTC-USDT", "big_trade", 1, "history"): (1, 1, 1),
        ("BTC-USDT", "big_trade", 1, "live"): (1, 2, 1),
        ("BTC-USDT", "volume_surge", 1, "live"): (1, 1, 1),
        ("ETH-USDT", "big_trade", 1, "live"): (1, 2, 1),
        ("XRP-USDT", "big_trade", 1, "live"): (0, 0, 0),
    }
    start, end = dt.datetime(2023, 11, 15, tzinfo=dt.UTC), dt.datetime(2023, 11, 15, 1, 40, tzinfo=dt.UTC)
    assert {(s.start, s.end) for s in apart[:-1]} == {(start, end)}
    assert apart[-1].start == apart[-1].end == start + dt.timedelta(minutes=45), "XRP was never watched"
    live = found.filter(pl.col("detector") == "big_trade", pl.col("origin") == "live")
    pooled = score(live, events, watched, 10 * MINUTE)
    assert (pooled.hits, pooled.alerts, pooled.unjudged, pooled.events, pooled.foretold) == (2, 4, 1, 2, 2)
    assert pooled.days == pytest.approx(2 * 90 / 1440)


HALVES = st.integers(0, 2 * 400).map(lambda k: k / 2)
ALERTS = st.lists(HALVES, max_size=30)
EVENTS = st.lists(st.tuples(st.integers(1, 40), st.integers(0, 12)), max_size=10)
WATCHED = st.lists(st.tuples(st.integers(1, 30), st.integers(1, 200)), max_size=4)
HORIZON = st.sampled_from([1, 5, 10, 30])


def chain(pairs: list[tuple[int, int]]) -> list[tuple[float, float]]:
    """Return spans one after the other from (pause, length) pairs."""
    out, now = [], 0
    for pause, length in pairs:
        out.append((float(now + pause), float(now + pause + length)))
        now += pause + length
    return out


def slow(found: list[float], events: list[tuple[float, float]], watched: list[tuple[float, float]], h: float) -> dict[str, Any]:
    """Score by the definitions, looking at every pair."""
    seen = [(s, e, a, b) for s, e in events for a, b in watched if a < e <= b]
    spells = [(a, b - h) for a, b in watched if b - h >= a]
    times = sorted(set(found))

    def followed(t: float) -> bool:
        return any(a <= t <= b - h and e - h <= t < e and t <= s for s, e, a, b in seen)

    def judged(t: float) -> bool:
        return any(a <= t <= b for a, b in spells)

    mine = [t for t in times if judged(t)]
    watching = [t for t in times if any(a <= t <= b for a, b in watched)]
    ends = [(s, e) for s, e, a, _ in seen if e - h >= a]
    leads = [max((e - t for t in watching if e - h <= t < e and t <= s), default=None) for s, e in ends]
    places = {phase: [k + phase for k in range(1000) if judged(k + phase)] for phase in (0.0, 0.5)}
    chances = [statistics.mean(followed(p) for p in places[t % 1]) for t in mine]
    return {
        "days": pytest.approx(sum(b - a for a, b in spells) / 1440),
        "alerts": len(mine),
        "unjudged": len(times) - len(mine),
        "hits": sum(map(followed, mine)),
        "during": sum(not followed(t) and any(s < t <= e for s, e, _, _ in seen) for t in mine),
        "events": len(ends),
        "leads": statistics.median([60 * lead for lead in leads if lead]) if any(leads) else None,
        "foretold": len([lead for lead in leads if lead]),
        "base_rate": pytest.approx(statistics.mean(chances)) if chances else None,
    }


@settings(max_examples=120, deadline=None)
@given(ALERTS, EVENTS, WATCHED, HORIZON)
def test_scores_equal_those_of_a_slow_count(
    found: list[float], events: list[tuple[int, int]], watched: list[tuple[int, int]], horizon: int
) -> None:
    got = scored(found, chain(events), chain(watched), horizon=horizon)
    expected = slow(found, chain(events), chain(watched), horizon)
    ours: dict[str, Any] = {**got._asdict(), "leads": got.lead_s.value, "base_rate": got.base_rate if got.alerts else None}
    assert {name: ours[name] for name in expected} == expected


@settings(max_examples=60, deadline=None)
@given(ALERTS, EVENTS, WATCHED, HORIZON, st.sampled_from([0, 3, 20]))
def test_figures_stay_within_their_bounds(
    found: list[float], events: list[tuple[int, int]], watched: list[tuple[int, int]], horizon: int, cooldown: int
) -> None:
    got = scored(found, chain(events), chain(watched), horizon=horizon, cooldown=cooldown)
    assert got.hits + got.during <= got.alerts <= len(set(found))
    for share in (got.precision.value, got.recall.value, got.base_rate):
        assert share is None or 0 <= share <= 1
    assert got.lead_s.value is None or 0 < got.lead_s.value <= 60 * horizon
    assert (got.precision.value is None) == bool(got.precision.why) or got.precision.low is None
    for figure in (got.precision, got.recall, got.lead_s, got.false_per_day):
        assert all(v is None or np.isfinite(v) for v in figure[:3])
        assert (figure.low is None) == bool(figure.why)


@settings(max_examples=60, deadline=None)
@given(ALERTS, ALERTS, EVENTS, WATCHED, HORIZON)
def test_more_alerts_never_lower_recall(
    found: list[float], more: list[float], events: list[tuple[int, int]], watched: list[tuple[int, int]], horizon: int
) -> None:
    few = scored(found, chain(events), chain(watched), horizon=horizon)
    many = scored(found + more, chain(events), chain(watched), horizon=horizon)
    assert many.foretold >= few.foretold
    assert many.events == few.events


@settings(max_examples=30, deadline=None)
@given(ALERTS, EVENTS, WATCHED, HORIZON, st.integers(-400, 400))
def test_a_shift_by_whole_days_changes_no_score(
    found: list[float], events: list[tuple[int, int]], watched: list[tuple[int, int]], horizon: int, shift: int
) -> None:
    by = pl.col(pl.Datetime("us", "UTC")) + dt.timedelta(days=shift)
    a, e, w = alerts(found), spans(chain(events)), spans(chain(watched))
    moved = score(a.with_columns(by), e.with_columns(by), w.with_columns(by), horizon * MINUTE)
    assert score(a, e, w, horizon * MINUTE) == moved


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_base_rate_is_what_random_alerts_get(seed: int) -> None:
    rng = np.random.default_rng(seed)
    events = chain([(int(p), int(n)) for p, n in zip(rng.integers(5, 60, 60), rng.integers(0, 9, 60), strict=True)])
    watched = [(0.0, 900.0), (1000.0, 2600.0)]
    real = scored(rng.integers(0, 2600, 50).tolist(), events, watched)
    drawn = scored(rng.permutation(2600)[:1500].tolist(), events, watched)
    assert real.base_rate is not None
    assert drawn.precision.value is not None
    assert abs(real.base_rate - drawn.precision.value) < 0.05


def test_the_order_of_rows_changes_nothing() -> None:
    rng = np.random.default_rng(3)
    events = [(m, m + 2) for m in np.unique(rng.integers(0, 12 * 1440, 100) // 4 * 4).tolist()]
    a, e, w = alerts(rng.uniform(0, 12 * DAY, 200).tolist()), spans(events), spans([(0, 5 * DAY), (6 * DAY, 12 * DAY)])
    assert score(a, e, w, 10 * MINUTE) == score(a.reverse(), e.reverse(), w.reverse(), 10 * MINUTE)


@pytest.mark.real
def test_large_returns_on_a_recorded_month_warn_of_moves_and_random_minutes_do_not() -> None:
    """FTX BTC-PERP, January 2022: volatility comes in clusters, so a minute of 0.3 % beats chance as an alert."""
    rows = pl.read_csv(SHARED / "ftx/nautilus_FTX_btc-perp-20211231-20220201_1m.csv.gz")
    ts = pl.col("timestamp").str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us", time_zone="UTC")
    named = {"venue": pl.lit("ftx"), "symbol": pl.lit("BTC-PERP"), "quality": pl.lit("complete")}
    frame = rows.select(close="close", ts=ts, end=ts + pl.duration(minutes=1), **named)
    rule = parse("move:1%/10m")
    events, watched = prices.find(rule, frame), prices.watched(rule, frame)
    assert watched.height == 1
    large = frame.filter((pl.col("close") / pl.col("close").shift(1) - 1).abs() > 0.003)
    warned = score(large, events, watched, 20 * MINUTE)
    chance = score(frame.sample(1000, seed=1), events, watched, 20 * MINUTE)
    assert warned.events == chance.events == events.height == 217
    assert warned.beats_base
    assert not chance.beats_base
    assert warned.during > 0, "the large minute itself is often part of the move"
    assert chance.precision.low is not None
    assert chance.precision.high is not None
    assert chance.base_rate is not None
    assert chance.precision.low < chance.base_rate < chance.precision.high
    assert warned.days == pytest.approx((frame.height - 20) * MINUTE / DAY_US)
