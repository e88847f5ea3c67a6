"""The Kalman filter: by hand, against 50 digits, without look-ahead, and where there is none."""

from __future__ import annotations

from decimal import Decimal, localcontext

import numpy as np
import pytest

from pipelines.kernels.kalman import follow
from pipelines.research.hedge import ols
from pipelines.research.kalman import kalman
from pipelines.research.legs import Floats
from pipelines.research.undefined import Undefined
from tests.pipelines.research.legs import walks

pytestmark = pytest.mark.filterwarnings("error")


def slow(y: Floats, x: Floats, window: int) -> list[tuple[float, float, float]]:
    """Return alpha, beta, z by the textbook in 50 digits: matrices in the units of the legs, nothing standardised."""
    with localcontext(prec=50):
        ys, xs = ([Decimal(float(v)) for v in column] for column in (y, x))
        w, zero = Decimal(window), Decimal(0)
        my, mx = sum(ys[:window], zero) / w, sum(xs[:window], zero) / w
        sxx = sum(((b - mx) ** 2 for b in xs[:window]), zero)
        beta = sum(((a - my) * (b - mx) for a, b in zip(ys[:window], xs[:window], strict=True)), zero) / sxx
        alpha = my - beta * mx
        r = sum(((a - alpha - beta * b) ** 2 for a, b in zip(ys[:window], xs[:window], strict=True)), zero) / (w - 2)
        p = [[r * (1 / w + mx * mx / sxx), -r * mx / sxx], [-r * mx / sxx, r / sxx]]  # R (X'X)^-1
        q = [[value / w for value in row] for row in p]  # W P / W^2
        out = []
        for a, b in zip(ys[window:], xs[window:], strict=True):
            p = [[p[i][j] + q[i][j] for j in range(2)] for i in range(2)]
            e = a - alpha - beta * b
            ph = [p[i][0] + p[i][1] * b for i in range(2)]
            s = ph[0] + b * ph[1] + r
            k = [value / s for value in ph]
            alpha, beta = alpha + k[0] * e, beta + k[1] * e
            p = [[p[i][j] - k[i] * ph[j] for j in range(2)] for i in range(2)]
            out.append((float(alpha), float(beta), float(e / s.sqrt())))
    return out


def test_a_step_by_hand() -> None:
    """W = 2: P = 1/2, Q = 1/4 each; at u = 1: S = 0.75 + 0.75 + 1 = 2.5, gains 0.3, innovation 5."""
    level, tilt, surprise = out = np.empty((3, 2))
    follow(np.array([5.0, 3.5]), np.array([1.0, 0.0]), 2, out)
    assert (level[0], tilt[0], surprise[0]) == pytest.approx((1.5, 1.5, 5 / 2.5**0.5), rel=1e-15)
    # P = [[0.525, -0.225], [-0.225, 0.525]], then + 0.25; at u = 0: S = 1.775, innovation 2.
    gains = 0.775 / 1.775, -0.225 / 1.775
    assert (level[1], tilt[1]) == pytest.approx((1.5 + 2 * gains[0], 1.5 + 2 * gains[1]), rel=1e-14)
    assert surprise[1] == pytest.approx(2 / 1.775**0.5, rel=1e-15)


@pytest.mark.parametrize("seed", range(4))
def test_equals_the_textbook_in_fifty_digits(seed: int) -> None:
    y, x = walks(seed, 400, noise=[3e-4, 1e-5, 1e-3, 1e-4][seed])
    window = (60, 20, 100, 3)[seed]
    found = kalman(y, x, window)
    assert np.isnan(found.beta[:window]).all()
    expected = np.array(slow(y, x, window))
    assert found.beta[window:] == pytest.approx(expected[:, 1], rel=1e-9)
    assert found.alpha[window:] == pytest.approx(expected[:, 0], rel=1e-9)
    assert found.z[window:] == pytest.approx(expected[:, 2], rel=1e-9, abs=1e-9)


def test_scale_and_unit_of_prices_do_not_matter() -> None:
    y, x = walks(2, 300)
    base, other = kalman(y, x, 50), kalman(3 * y - 7, x + 4, 50)
    assert other.z[50:] == pytest.approx(base.z[50:], rel=1e-8, abs=1e-8)
    assert other.beta[50:] == pytest.approx(3 * base.beta[50:], rel=1e-9)


def test_it_follows_a_beta_that_moves_and_its_surprises_have_unit_variance() -> None:
    rng = np.random.default_rng(4)
    x = rng.standard_normal(4000).cumsum() * 0.05 + 3
    beta = np.where(np.arange(4000) < 2000, 0.5, 1.5)
    y = beta * (x - 3) + 0.02 * rng.standard_normal(4000)
    found = kalman(y, x, 100)
    assert found.beta[1900] == pytest.approx(0.5, abs=0.05)
    assert found.beta[-1] == pytest.approx(1.5, abs=0.05)
    assert np.abs(ols(y, x).beta - np.array([0.5, 1.5])).min() > 0.05
    assert np.std(found.z[500:1900]) == pytest.approx(1, abs=0.15)


def test_nothing_looks_ahead() -> None:
    y, x = walks(6, 200)
    whole = kalman(y, x, 40)
    for cut in (41, 100, 199):
        for ours, theirs in zip(kalman(y[:cut], x[:cut], 40), whole, strict=True):
            assert np.array_equal(ours, theirs[:cut], equal_nan=True)


def test_without_a_filter() -> None:
    y, x = walks(0, 100)
    with pytest.raises(Undefined, match="needs more than the 100"):
        kalman(y, x, 100)
    with pytest.raises(Undefined, match="x is constant over the training"):
        kalman(y, np.where(np.arange(100) < 50, 2.0, x), 50)
    with pytest.raises(Undefined, match="but for rounding over the training"):
        kalman(x, x, 50)
    with pytest.raises(Undefined, match="but for rounding over the training"):
        kalman(np.ones(100), x, 50)
