"""Learning and judging: the same model each time, judged on later recorded days alone."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl
import pytest

from benchmarks import learned as of_recordings
from pipelines.learned_model import Model, built_in
from pipelines.market import DAY_US
from pipelines.research import learned, rules
from pipelines.research.learned import COLUMNS, Unfit, alerts, judge, learn
from tests import tapes
from tests.pipelines.learned_samples import MODEL, market

RULE, HORIZON = rules.parse("move:1%/10m"), rules.span_us("20m")
DAY = dt.date(2023, 11, 15)


def learned_of(features: pl.DataFrame, bars: pl.DataFrame) -> Model:
    return learn(features, bars, RULE, HORIZON)


def test_the_same_rows_in_any_order_give_the_same_model() -> None:
    features, bars = market(1, 4)
    model = learned_of(features, bars)
    assert (model.first, model.last) == (DAY, DAY + dt.timedelta(days=3))
    assert (model.event, model.horizon, model.instruments) == ("move:1%/10m", "20m", ("ftx X",))
    assert learned_of(features.sample(fraction=1, shuffle=True, seed=2), bars.reverse()) == model


def test_scores_are_those_of_scikit_learn() -> None:
    from sklearn.linear_model import LogisticRegression

    features, bars = market(1, 4)
    model = learned_of(features, bars)
    follows, known = learned._followed(features, bars, RULE, HORIZON)
    size = np.abs(features.select(COLUMNS).to_numpy())
    logs = np.log(np.maximum(size, [t.floor for t in model.terms]))
    standard = (logs - [t.center for t in model.terms]) / [t.scale for t in model.terms]
    fit = LogisticRegression(C=1.0, tol=1e-10, max_iter=10_000).fit(standard[known], follows[known])
    ours = learned._scored(model, features).scores
    assert np.log(ours / (1 - ours)) == pytest.approx(fit.decision_function(standard), abs=1e-9)


def test_what_follows_a_minute_is_an_event_that_begins_after_it_and_is_over_within_the_horizon() -> None:
    closes = [100.0] * 60
    closes[30:] = [102.0] * 30  # one event: from the end of minute 29 to that of minute 30
    bars = market(0, 1)[1].head(60).with_columns(close=pl.Series(closes))
    follows, known = learned._followed(bars, bars, RULE, 5 * 60_000_000)
    assert np.flatnonzero(follows).tolist() == [25, 26, 27, 28, 29]  # ends of minutes 26 to 30; that of 30 is over 5 later
    assert np.flatnonzero(~known).tolist() == [55, 56, 57, 58, 59]


def test_the_level_is_what_quiet_minutes_reached_so_many_times_a_day() -> None:
    features, bars = market(1, 4)
    model = learned_of(features, bars)
    assert model.level < learn(features, bars, RULE, HORIZON, false_per_day=0.5).level
    follows, known = learned._followed(features, bars, RULE, HORIZON)
    quiet = features.filter(known & ~follows)
    high = np.flatnonzero(learned._scored(model, quiet).scores >= model.level)
    ts = quiet["ts"].dt.epoch("us").to_numpy()[high] // 60_000_000
    episodes = 1 + np.count_nonzero(np.diff(ts) > 60)
    assert episodes <= 8, "twice a day on 4 days"


def test_days_that_were_learned_from_are_never_judged_on() -> None:
    features, bars = market(1, 12)
    at = pl.col("ts").dt.date() <= DAY + dt.timedelta(days=3)
    model = learned_of(features.filter(at), bars.filter(at))
    after = judge(model, features.filter(~at), bars.filter(~at))
    assert judge(model, features, bars) == after
    assert after.days == pytest.approx(8 - 20 / 1440)
    assert after.beats_base, "moves follow wild minutes here"
    with pytest.raises(Unfit, match="no recorded days after 2023-11-18"):
        judge(model, features.filter(at), bars.filter(at))


def test_a_day_without_features_but_with_bars_counts_as_learned_from() -> None:
    features, bars = market(1, 5)
    assert learned_of(features.filter(pl.col("ts").dt.date() < DAY + dt.timedelta(days=4)), bars).last == DAY + dt.timedelta(
        days=4
    )


def test_generated_days_are_neither_learned_from_nor_judged_on() -> None:
    features, bars = market(1, 4)
    made_up, its_bars = market(2, 4, venue="demo")
    assert learned_of(pl.concat([features, made_up]), pl.concat([bars, its_bars])) == learned_of(features, bars)
    with pytest.raises(Unfit, match="no recorded minute"):
        learned_of(made_up, its_bars)
    with pytest.raises(Unfit, match="nothing to judge on"):
        judge(MODEL, made_up, its_bars)


def test_what_cannot_be_learned_from_is_refused() -> None:
    features, bars = market(1, 4)
    with pytest.raises(Unfit, match="needs 20"):
        learned_of(features, bars.with_columns(close=100.0))
    with pytest.raises(Unfit, match="rv_1d hardly changes"):
        learned_of(features.with_columns(rv_1d=1.0), bars)
    with pytest.raises(Unfit, match="rv_1d is 0 throughout"):
        learned_of(features.with_columns(rv_1d=0.0), bars)
    with pytest.raises(Unfit, match="no recorded minute has"):
        learned_of(features.with_columns(rv_1d=pl.lit(None, pl.Float64)), bars)


def test_rows_without_alerts_give_an_empty_frame() -> None:
    features, _ = market(1, 1, begin=tapes.DAY + DAY_US)
    quiet = MODEL.model_copy(update={"intercept": -1e6})
    assert alerts(quiet, features).columns == alerts(quiet, features.clear()).columns == ["venue", "symbol", "ts", "end", "score"]


@pytest.mark.real
def test_the_built_in_model_is_what_recorded_days_teach() -> None:
    again, there = of_recordings.model(), built_in()
    for name in ("floor", "center", "scale", "weight"):
        assert [getattr(t, name) for t in again.terms] == pytest.approx([getattr(t, name) for t in there.terms], rel=1e-5)
    assert (again.level, again.intercept) == pytest.approx((there.level, there.intercept), rel=1e-5)
    assert again.model_copy(update={n: getattr(there, n) for n in ("terms", "level", "intercept")}) == there


@pytest.mark.real
def test_on_recorded_days_after_its_own_the_built_in_model_beats_random_alerts() -> None:
    """Why it is on by default."""
    model = built_in()
    assert model.last == of_recordings.LAST
    found = of_recordings.judged(model)
    assert found["ftx"].beats_base
    assert found["binance_us"].beats_base
    assert found["all"].beats_base
    assert found["usdm"].precision.low is None, "six days give no interval"
    assert (found["all"].hits, found["all"].alerts) == (141, 354)
