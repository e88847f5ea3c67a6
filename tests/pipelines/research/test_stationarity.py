"""Unit roots, cointegration, half-life: known answers, statsmodels beside ours, cases by hand and without an answer."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.research import stationarity
from pipelines.research.hedge import ols
from pipelines.research.legs import Flags, Floats
from pipelines.research.stationarity import UnitRoot, adf, engle_granger, half_life
from pipelines.research.undefined import Undefined
from tests.pipelines.research.legs import exactly, walks

pytestmark = pytest.mark.filterwarnings("error")


def macro(name: str) -> Floats:
    from statsmodels.datasets import macrodata

    return np.asarray(macrodata.load_pandas().data[name], dtype=np.float64)


def test_adf_known_answers_of_stata() -> None:
    found = adf(macro("realgdp"), lags=4)
    assert found.t == pytest.approx(0.97505319, abs=5e-6), "to its 5 digits"
    assert found.p == pytest.approx(0.99399563, abs=5e-8)
    found = adf(macro("infl"), lags=1)
    assert found.t == pytest.approx(-4.3346988, abs=5e-7)
    assert found.p == pytest.approx(0.00038661, abs=5e-9)
    without = stationarity._test(macro("infl"), None, 1, constant=False, legs=1)
    assert without.t == pytest.approx(-2.4511596, abs=5e-7)


@pytest.mark.parametrize("lags", [0, 4])
def test_adf_equals_exact_arithmetic(lags: int) -> None:
    """Normal equations in fractions, solved by elimination."""
    values = exactly(macro("realgdp"))
    steps = [b - a for a, b in itertools.pairwise(values)]
    change = steps[lags:]
    rows = [[Fraction(1), *(steps[t - k] for k in range(1, lags + 1)), values[t]] for t in range(lags, len(steps))]
    k = len(rows[0])
    solved = [
        [
            *(sum((r[i] * r[j] for r in rows), Fraction()) for j in range(k)),
            sum((r[i] * v for r, v in zip(rows, change, strict=True)), Fraction()),
            Fraction(int(i == k - 1)),
        ]
        for i in range(k)
    ]
    for i in range(k):
        solved[i] = [a / solved[i][i] for a in solved[i]]
        for j in set(range(k)) - {i}:
            solved[j] = [a - solved[j][i] * b for a, b in zip(solved[j], solved[i], strict=True)]
    beta = [row[k] for row in solved]
    squares = sum((v - sum(b * c for b, c in zip(beta, r, strict=True))) ** 2 for r, v in zip(rows, change, strict=True))
    t = float(beta[-1]) / math.sqrt(squares / (len(rows) - k) * solved[-1][k + 1])
    assert adf(macro("realgdp"), lags=lags).t == pytest.approx(t, rel=1e-12)


def test_adf_known_answer_of_statsmodels_with_lags_by_aic() -> None:
    found = adf(np.log(macro("realgdp")))
    assert (found.lags, found.rows) == (2, 200)
    assert found.t == pytest.approx(-1.7953507663202524, rel=1e-8)
    assert found.p == pytest.approx(0.38277234, abs=5e-9)


def test_engle_granger_known_answers_of_stata() -> None:
    random = np.random.RandomState(123)
    unit = random.randn(200).cumsum()
    y = random.randn(200, 4)
    y[:, :2] += unit[:, None]
    y = np.round(y + np.array([1, 0, 0.5, 0]), 4)
    assert engle_granger(y[:, 0], y[:, 1], lags=4).t == pytest.approx(-5.760696844656, rel=1e-11)
    assert engle_granger(macro("realcons"), macro("realgdp"), lags=0).t == pytest.approx(-1.830170986148, rel=1e-11)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("lags", [None, 0, 5])
def test_tests_equal_those_of_statsmodels(seed: int, lags: int | None) -> None:
    from statsmodels.tsa.stattools import adfuller, coint

    n = (60, 100, 333, 700)[seed]
    y, x = walks(seed, n)
    autolag = "AIC" if lags is None else None
    theirs = adfuller(y, maxlag=lags, autolag=autolag, result_object=True)
    ours = adf(y, lags=lags)
    assert (ours.lags, ours.rows) == (theirs.lags, theirs.nobs)
    assert ours.t == pytest.approx(theirs.statistic, rel=1e-8)
    assert ours.p == pytest.approx(theirs.pvalue, abs=1e-6)
    for pair in ((y, x), (x, y)):
        beside = coint(*pair, maxlag=lags, autolag=autolag)
        found = engle_granger(*pair, lags=lags)
        assert found.t == pytest.approx(beside.coint_t, rel=1e-8)
        assert found.p == pytest.approx(beside.pvalue, abs=1e-6)


def test_residuals_of_an_estimated_line_need_their_own_p_values() -> None:
    """Two walks that have nothing to do with each other: plain ADF on the residuals rejects far too often."""
    naive = right = 0
    for seed in range(200):
        y, x = np.random.default_rng(seed).standard_normal((2, 100)).cumsum(axis=1)
        found = engle_granger(y, x, lags=0)
        right += found.p < 0.05
        naive += adf(ols(y, x).residuals(y, x), lags=0).p < 0.05
    assert right <= 20, "about 5 %"
    assert naive >= 2 * right


def test_a_hole_takes_out_the_rows_that_would_reach_across() -> None:
    from statsmodels.regression.linear_model import OLS

    y, _ = walks(3, 80)
    y[40:] += 0.5  # over the hole, prices went elsewhere
    joined = np.ones(79, dtype=bool)
    joined[39] = False
    rows = [t for t in range(2, 79) if all(joined[t - 2 : t + 1])]
    steps = np.diff(y)
    design = np.array([[y[t] - 11, steps[t - 1], steps[t - 2], 1] for t in rows])
    fit = OLS(np.array([steps[t] for t in rows]), design).fit()
    found = adf(y, joined, lags=2)
    assert found.rows == len(rows) == 74
    assert found.t == pytest.approx(fit.tvalues[0], rel=1e-8)
    assert adf(y, joined).rows < 80


def test_half_life_by_hand() -> None:
    """Each value is half of the one before: b = -0.5, one bar."""
    assert half_life(0.5 ** np.arange(10.0)) == pytest.approx(1, rel=1e-12)
    assert half_life(3 + 0.9 ** np.arange(30.0)) == pytest.approx(-math.log(2) / math.log(0.9), rel=1e-9)
    spread = np.concatenate([0.5 ** np.arange(5.0), 0.5 ** np.arange(5.0)])
    joined = np.arange(9) != 4
    assert half_life(spread, joined) == pytest.approx(1, rel=1e-12), "the jump over the hole is no change"


@pytest.mark.parametrize("rate", [0.8, 0.95])
def test_half_life_of_many_spreads_is_about_that_of_the_process(rate: float) -> None:
    noise = np.random.default_rng(5).standard_normal(20_000)
    spread = np.zeros(20_000)
    for k in range(1, 20_000):
        spread[k] = rate * spread[k - 1] + noise[k]
    assert half_life(spread) == pytest.approx(-math.log(2) / math.log(rate), rel=0.1)


def test_without_a_half_life() -> None:
    with pytest.raises(Undefined, match="is not between"):
        half_life(2.0 ** np.arange(10.0))
    with pytest.raises(Undefined, match="is not between"):
        half_life((-2.0) ** np.arange(10.0))
    with pytest.raises(Undefined, match="constant"):
        half_life(np.ones(10))
    with pytest.raises(Undefined, match="needs 3"):
        half_life(np.array([1.0, 2.0, 1.0]))
    with pytest.raises(Undefined, match="needs 3"):
        half_life(np.array([]))


def test_without_a_unit_root_test() -> None:
    y, x = walks(0, 50)
    with pytest.raises(Undefined, match="constant"):
        adf(np.full(50, 3.3))
    with pytest.raises(Undefined, match="too few for 0 lags"):
        adf(np.array([1.0, 2.0]))
    with pytest.raises(Undefined, match="too few for 30 lags"):
        adf(y, lags=30)
    with pytest.raises(Undefined, match="x is constant"):
        engle_granger(y, np.ones(50))
    with pytest.raises(Undefined, match="but for rounding"):
        engle_granger(x, x)
    with pytest.raises(Undefined, match="but for rounding"):
        engle_granger(2 * x + 1, x)
    with pytest.raises(Undefined, match="but for rounding"):
        engle_granger(np.ones(50), x)
    with pytest.raises(Undefined, match=r"own past|each other|whole columns"):
        adf(np.arange(50.0))
    with pytest.raises(Undefined, match=r"own past|each other|whole columns"):
        adf(0.5 ** np.arange(50.0))
    with pytest.raises(Undefined, match="without a hole"):
        adf(y, np.arange(49) % 3 > 0, lags=3)


values_and_joins = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.sampled_from([True, True, False])), max_size=40)


def numbers(measure: Callable[[], UnitRoot | float]) -> tuple[float, ...]:
    """Return what the measure is, nothing where there is a reason."""
    try:
        found = measure()
    except Undefined as reason:
        return () if str(reason) else (math.nan,)
    return (found.t, found.p) if isinstance(found, UnitRoot) else (found,)


@settings(max_examples=150, deadline=None)
@given(values_and_joins)
def test_whatever_comes_there_is_a_number_or_a_reason(rows: list[tuple[int, int, bool]]) -> None:
    y, x = (np.array([row[k] for row in rows], dtype=np.float64) for k in (0, 1))
    joined: Flags = np.array([row[2] for row in rows[1:]], dtype=bool)
    measures: list[Callable[[], UnitRoot | float]] = [
        lambda: adf(y, joined),
        lambda: adf(y, lags=1),
        lambda: engle_granger(y, x, joined),
        lambda: engle_granger(y, x, lags=1),
        lambda: half_life(y, joined),
    ]
    for measure in measures:
        assert all(map(math.isfinite, numbers(measure)))
