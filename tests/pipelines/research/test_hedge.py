"""Hedge ratios: worked by hand, against exact arithmetic, statsmodels and scipy, and where there are none."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.research import hedge
from pipelines.research.hedge import Line, correlation, huber, ols, theil_sen, total_least_squares
from pipelines.research.legs import Floats
from pipelines.research.undefined import Undefined
from tests.pipelines.research.legs import exact_moments, exactly, walks

pytestmark = pytest.mark.filterwarnings("error")

LINES = [ols, total_least_squares, theil_sen, huber]
X = np.array([0.0, 1.0, 2.0, 3.0])
Y = np.array([1.0, 3.0, 2.0, 6.0])


def near(value: float | Fraction, rel: float) -> object:
    return pytest.approx(float(value), rel=rel)


def test_by_hand() -> None:
    """Means 3 and 1.5; Sxx = 5, Sxy = 7, Syy = 14; slopes 2, 0.5, 5/3, -1, 1.5, 4."""
    line = ols(Y, X)
    assert (line.beta, line.alpha) == pytest.approx((1.4, 0.9), rel=1e-15)
    assert line.residuals(Y, X).tolist() == pytest.approx([0.1, 0.7, -1.7, 0.9], rel=1e-14)
    assert ols(X, Y).beta == near(0.5, 1e-15)
    assert total_least_squares(Y, X).beta == near((9 + math.sqrt(81 + 4 * 49)) / 14, 1e-15)
    assert theil_sen(Y, X).beta == near((1.5 + 5 / 3) / 2, 1e-15)
    assert theil_sen(Y, X).alpha == near(2.5 - 1.5 * (1.5 + 5 / 3) / 2, 1e-15)
    assert correlation(Y, X) == near(7 / math.sqrt(5 * 14), 1e-15)


def test_huber_by_hand_leaves_an_outlier_be() -> None:
    """Symmetric about the line y = 2 x but for one far point, whose pull is bounded by 1.345 scales."""
    x = np.arange(41.0)
    y = 2 * x + np.where(np.arange(41) % 2, 0.5, -0.5)
    pulled = y.copy()
    pulled[-1] += 1000
    assert huber(pulled, x).beta == pytest.approx(2, abs=0.02)
    assert abs(ols(pulled, x).beta - 2) > 3


@pytest.mark.parametrize("seed", range(6))
def test_least_squares_equals_exact_arithmetic(seed: int) -> None:
    y, x = walks(seed, 500, noise=[3e-4, 1e-6, 1e-2][seed % 3])
    yy, yx, xx = exact_moments(y, x)
    assert ols(y, x).beta == near(yx / xx, 1e-10)
    assert ols(y, x).alpha == near(sum(exactly(y)) / 500 - yx / xx * sum(exactly(x)) / 500, 1e-10)
    assert correlation(y, x) == near(float(yx) / math.sqrt(yy * xx), 1e-10)
    returns = np.diff(y), np.diff(x)
    yy, yx, xx = exact_moments(*returns)
    assert correlation(*returns) == near(float(yx) / math.sqrt(yy * xx), 1e-10)


@pytest.mark.parametrize("seed", range(3))
def test_total_least_squares_is_the_smallest_singular_direction(seed: int) -> None:
    y, x = walks(seed, 300, noise=1e-3)
    direction = np.linalg.svd(np.column_stack([x - x.mean(), y - y.mean()]))[2][1]
    assert total_least_squares(y, x).beta == near(-direction[0] / direction[1], 1e-10)


@pytest.mark.parametrize("seed", range(4))
def test_theil_sen_equals_scipy(seed: int) -> None:
    from scipy.stats import theilslopes  # type: ignore[import-untyped]

    y, x = walks(seed, 400)
    x = x.round(seed + 2)  # many equal x
    slope, intercept, *_ = theilslopes(y, x)
    assert theil_sen(y, x).beta == near(slope, 1e-12)
    assert theil_sen(y, x).alpha == near(intercept, 1e-12)


def test_theil_sen_is_the_median_though_a_sample_of_slopes_misleads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hedge, "SAMPLE", 2)
    for seed in range(20):
        y, x = walks(seed, 30)
        slopes = [(y[j] - y[i]) / (x[j] - x[i]) for i in range(30) for j in range(i + 1, 30)]
        assert theil_sen(y, x).beta == near(statistics.median(slopes), 1e-15)


@pytest.mark.parametrize("seed", range(6))
def test_huber_equals_statsmodels_on_prices_as_they_are(seed: int) -> None:
    from statsmodels.robust.norms import HuberT
    from statsmodels.robust.robust_linear_model import RLM

    rng = np.random.default_rng(seed)
    _, x = walks(seed, 300)
    y = 0.8 * x + 3e-4 * rng.standard_t(2, 300)
    design = np.column_stack([np.ones(300), x - 11])
    fit = RLM(y - 9, design, M=HuberT(1.345)).fit(conv="coefs", tol=1e-14, maxiter=1000)
    line = huber(y, x)
    assert line.beta == near(fit.params[1], 1e-7)
    assert line.alpha == near(fit.params[0] + 9 - 11 * fit.params[1], 1e-7)


def test_huber_solves_its_equations() -> None:
    y, x = walks(1, 400)
    y[::9] += 0.01
    line = huber(y, x)
    rest = line.residuals(y, x)
    scale = statistics.median(np.abs(rest).tolist()) / statistics.NormalDist().inv_cdf(0.75)
    bounded = np.clip(rest / scale, -1.345, 1.345)
    assert abs(bounded.sum()) < 1e-7
    assert abs((bounded * (x - x.mean())).sum()) < 1e-7


columns = st.lists(st.tuples(*[st.integers(-1000, 1000)] * 2), min_size=4, max_size=60, unique_by=lambda p: p[0])


@settings(max_examples=60, deadline=None)
@given(columns, st.integers(1, 8), st.integers(-50, 50))
def test_the_direction_matters_to_least_squares_alone(points: list[tuple[int, int]], scale: int, shift: int) -> None:
    x, y = (np.array([p[k] for p in points], dtype=np.float64) / 64 for k in (0, 1))
    if np.ptp(y) == 0:
        return
    forth, back = ols(y, x).beta, ols(x, y).beta
    yy, yx, xx = exact_moments(y, x)
    assert forth * back == pytest.approx(float(yx * yx / yy / xx), abs=1e-12)
    for line in (ols, total_least_squares, theil_sen):
        try:
            beta = line(y, x).beta
        except Undefined:
            assert line is total_least_squares
            assert yx == 0
            continue
        assert line(scale * y + shift, x).beta == pytest.approx(scale * beta, rel=1e-9, abs=1e-9) or line is total_least_squares
        assert line(scale * y + shift, scale * x).beta == pytest.approx(beta, rel=1e-9, abs=1e-9)
        order = np.argsort(y, kind="stable")
        assert line(y[order], x[order]).beta == pytest.approx(beta, rel=1e-9, abs=1e-9)
    if abs(yx) * 1000 > xx:
        assert total_least_squares(x, y).beta == pytest.approx(1 / total_least_squares(y, x).beta, rel=1e-9)


@pytest.mark.parametrize("line", LINES)
def test_a_price_that_never_changes_has_no_line(line: Callable[[Floats, Floats], Line]) -> None:
    y, _ = walks(0, 50)
    with pytest.raises(Undefined, match="x is constant"):
        line(y, np.full(50, 11.5))
    if line is ols:
        assert line(np.full(50, 11.5), y).beta == 0


@pytest.mark.parametrize("line", LINES)
def test_too_few_points_have_no_line(line: Callable[[Floats, Floats], Line]) -> None:
    with pytest.raises(Undefined, match="needs 3"):
        line(np.ones(2), np.array([1.0, 2.0]))


def test_other_cases_without_a_measure() -> None:
    y, x = walks(0, 50)
    with pytest.raises(Undefined, match="scale"):
        huber(x, x)
    with pytest.raises(Undefined, match="scale"):
        huber(np.where(np.arange(50) % 5 == 0, x + 1, x), x)
    with pytest.raises(Undefined, match="y is constant"):
        total_least_squares(np.full(50, 2.0), x)
    with pytest.raises(Undefined, match="no covariance"):
        total_least_squares(np.array([1.0, 0.0, 0.0, 1.0]), np.array([0.0, 1.0, -1.0, 0.0]))
    with pytest.raises(Undefined, match="constant"):
        correlation(y, np.zeros(50))
    with pytest.raises(Undefined, match="at most 3000"):
        theil_sen(np.zeros(3001), np.zeros(3001))
    assert ols(x, x).beta == 1
    assert total_least_squares(x, x).beta == 1
    assert theil_sen(x, x).beta == 1
    assert correlation(x, x) == 1
