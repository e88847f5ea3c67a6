"""What VPIN adds: a slope that is there is found, one that is not is not, and the figures are those of statsmodels."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest
import statsmodels.api as sm

from pipelines.research import bootstrap
from pipelines.research.backtest import increment, measures, trades
from pipelines.research.backtest.increment import Observations
from pipelines.research.backtest.protocol import LAGS, Cell, Grid
from pipelines.research.backtest.trades import Floats
from tests.pipelines.research.backtest.made import BTC, LONG, tape

DAY_US = 86_400_000_000


def observed(days: int, slope: float, seed: int = 0) -> tuple[Observations, Floats]:
    """Return hours whose target is made of every term, `slope` of VPIN's percentile, and noise."""
    rng = np.random.default_rng(seed)
    n = 24 * days
    plain = np.column_stack([np.ones(n), rng.standard_normal((n, increment.TERMS - 2))])
    vpin = rng.random(n)
    target = plain @ np.arange(1, increment.TERMS) + slope * vpin + 0.3 * rng.standard_normal(n)
    return Observations(np.arange(n), np.arange(n) // 24, plain, target), vpin


def test_the_figures_are_those_of_statsmodels() -> None:
    seen, vpin = observed(20, 0.5)
    got = increment.increment(seen, vpin)
    fitted = sm.OLS(seen.target, np.column_stack([seen.plain, vpin])).fit(cov_type="HAC", cov_kwds={"maxlags": LAGS})
    assert got.slope == pytest.approx(fitted.params[-1], rel=1e-9)
    assert got.t == pytest.approx(fitted.tvalues[-1], rel=1e-9)
    assert got.r2 == pytest.approx(fitted.rsquared, rel=1e-9)
    assert got.r2_plain == pytest.approx(sm.OLS(seen.target, seen.plain).fit().rsquared, rel=1e-9)
    assert (got.n, got.days) == (480, 20)


def test_the_interval_is_that_of_days_drawn_with_replacement() -> None:
    seen, vpin = observed(10, 0.5)
    got = increment.increment(seen, vpin)
    slopes = []
    for drawn in bootstrap.draws(10):
        rows = np.concatenate([np.flatnonzero(seen.day == day) for day in np.repeat(np.arange(10), drawn)])
        slopes.append(np.linalg.lstsq(np.column_stack([seen.plain, vpin])[rows], seen.target[rows], rcond=None)[0][-1])
    low, high = np.percentile(slopes, bootstrap.TAILS)
    assert got.low == pytest.approx(low, rel=1e-9)
    assert got.high == pytest.approx(high, rel=1e-9)


def test_hours_at_which_vpin_is_unknown_are_no_observations() -> None:
    seen, vpin = observed(20, 0.5)
    vpin[:240] = np.nan
    got = increment.increment(seen, vpin)
    assert (got.n, got.days) == (240, 10)


@pytest.mark.parametrize(
    ("days", "vpin", "why"),
    [
        (3, None, "72 of the 90 observations needed"),
        (5, None, "observations on 5 of the 7 days needed"),
        (20, 0.5, "a term never changes"),
    ],
)
def test_what_cannot_be_told_says_why(days: int, vpin: float | None, why: str) -> None:
    seen, known = observed(days, 0.5)
    got = increment.increment(seen, known if vpin is None else np.full(known.size, vpin))
    assert (got.low, got.why) == (None, why)


def test_a_term_made_of_the_others_is_told() -> None:
    seen, _ = observed(20, 0.5)
    got = increment.increment(seen, seen.plain[:, 1] - seen.plain[:, 2])
    assert (got.slope, got.why) == (None, "VPIN cannot be told from the other terms")


def test_on_calm_made_up_days_vpin_adds_nothing() -> None:
    """Nothing is planted in these markets; of eight intervals of 95 % at most one may leave out 0."""
    covered = []
    for seed in range(8):
        made = tape(LONG, seed=seed, planted=False)
        passed = trades.read(made.days(BTC), (50,), np.ones(1))
        at = measures.clock(passed.minutes)
        seen = increment.observe(at, 0, 1 << 62)
        (one,) = measures.vpins(passed, at, Grid((50,), (50,), 0))
        got = increment.increment(seen, one.pct)
        assert got.low is not None
        assert got.high is not None
        assert got.days > 60
        covered.append(got.low <= 0 <= got.high)
    assert sum(covered) >= 7


def test_what_is_explained_is_over_within_the_dates_and_whole_hours_are_observed() -> None:
    made = tape()
    passed = trades.read(made.days(BTC), (50,), np.ones(1))
    at = measures.clock(passed.minutes)
    first = (dt.date(2024, 2, 10) - trades.EPOCH).days * DAY_US
    seen = increment.observe(at, first, first + DAY_US)
    times = at.times[seen.steps]
    assert times[0] == first
    assert times[-1] == first + 23 * DAY_US // 24
    assert len(times) == 24
    assert seen.day.tolist()[1:] == [first // DAY_US] * 23
    two = increment.joined([seen, increment.observe(at, first + DAY_US, first + 2 * DAY_US)])
    assert two.target.size == 48
    assert increment.joined([]).plain.shape == (0, increment.TERMS - 1)
    assert Cell(50, 50, 0) in Grid().cells()
