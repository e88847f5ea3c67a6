"""Rolling measures: by hand, against exact arithmetic, without look-ahead, and where there are none."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.research import rolling
from pipelines.research.legs import Floats
from pipelines.research.rolling import rolling_correlation, rolling_spread, z
from tests.pipelines.research.legs import exact_moments, exactly, walks

pytestmark = pytest.mark.filterwarnings("error")
JOINED = np.ones(999, dtype=bool)


def test_z_by_hand() -> None:
    """Before the fourth value: mean 2, deviation 1; before the fifth: mean 3, deviation 1."""
    assert z(np.array([1.0, 2.0, 3.0, 4.0, 0.0]), 3)[3:].tolist() == pytest.approx([2, -3], rel=1e-15)
    assert np.isnan(z(np.array([1.0, 2.0, 3.0, 4.0]), 3)[:3]).all()


def test_spread_by_hand() -> None:
    """The line over (0, 1), (1, 3), (2, 2) is 1.5 + 0.5 x: at x = 3, 6 is 3 above it."""
    found = rolling_spread(np.array([1.0, 3.0, 2.0, 6.0]), np.arange(4.0), 3)
    assert (found.alpha[3], found.beta[3], found.spread[3]) == pytest.approx((1.5, 0.5, 3), rel=1e-15)
    assert np.isnan(found.spread[:3]).all()
    assert np.isnan(found.z).all()


def test_correlation_by_hand() -> None:
    """Returns (1, 2, -3) and (2, 1, 0), less their means (1, 2, -3) and (1, 0, -1): products add to 4, squares to 14 and 2."""
    y, x = np.array([0.0, 1, 3, 0]), np.array([0.0, 2, 3, 3])
    assert rolling_correlation(y, x, JOINED[:3], 3)[3] == pytest.approx(4 / math.sqrt(14 * 2), rel=1e-15)
    assert np.isnan(rolling_correlation(y, x, JOINED[:3], 3)[:3]).all()


def test_a_jump_over_a_hole_is_no_return() -> None:
    y, x = walks(0, 60)
    joined = np.arange(59) != 29
    moved = np.arange(60) > 29
    plain = rolling_correlation(y, x, joined, 10)
    assert plain == pytest.approx(rolling_correlation(y + moved * 1.0, x - moved * 1.0, joined, 10), rel=1e-9, nan_ok=True)
    assert math.isnan(plain[30])


@pytest.mark.parametrize("window", [3, 20])
def test_every_row_equals_exact_arithmetic(window: int) -> None:
    y, x = walks(1, 3 * window + 5)
    found = rolling_spread(y, x, window)
    spreads = {}
    for t in range(window, y.size):
        before = slice(t - window, t)
        _, yx, xx = exact_moments(y[before], x[before])
        (at_y, *ys), (at_x, *xs) = ([values[t], *values[before]] for values in (exactly(y), exactly(x)))
        spreads[t] = (at_y - sum(ys) / window) - yx / xx * (at_x - sum(xs) / window)
        assert found.beta[t] == pytest.approx(float(yx / xx), rel=1e-9)
        assert found.spread[t] == pytest.approx(float(spreads[t]), rel=1e-8, abs=1e-14)
        if t >= 2 * window:
            base = [spreads[k] for k in range(t - window, t)]
            mean = sum(base) / window
            deviation = math.sqrt(sum((s - mean) ** 2 for s in base) / (window - 1))
            assert found.z[t] == pytest.approx(float(spreads[t] - mean) / deviation, rel=1e-8, abs=1e-9)


def test_correlation_is_that_of_the_last_returns_up_to_the_row() -> None:
    y, x = walks(9, 50)
    found = rolling_correlation(y, x, JOINED[:49], 12)
    for t in range(12, 50):
        yy, yx, xx = exact_moments(*(np.diff(c)[t - 12 : t] for c in (y, x)))
        assert found[t] == pytest.approx(float(yx) / math.sqrt(yy * xx), rel=1e-10)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000), st.integers(3, 12), st.integers(1, 60), st.integers(1, 60))
def test_nothing_looks_ahead_and_pieces_do_not_show(seed: int, window: int, cut: int, piece: int) -> None:
    y, x = walks(seed, 60)
    y, x = y.round(3), x.round(3)  # windows that are constant come, too
    joined = np.random.default_rng(seed).random(59) < 0.9
    whole = [*rolling_spread(y, x, window), rolling_correlation(y, x, joined, window)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rolling, "PIECE", piece * window)
        part = [*rolling_spread(y[:cut], x[:cut], window), rolling_correlation(y[:cut], x[:cut], joined[: cut - 1], window)]
    for ours, theirs in zip(part, whole, strict=True):
        assert np.array_equal(ours, theirs[:cut], equal_nan=True), "bit for bit"


@pytest.mark.parametrize(
    ("y", "x"),
    [(np.full(40, 11.3), np.full(40, 2.2)), (walks(0, 40)[0], np.full(40, 2.2)), (walks(0, 40)[1], walks(0, 40)[1])],
)
def test_without_a_spread_that_varies_there_is_no_z(y: Floats, x: Floats) -> None:
    assert np.isnan(rolling_spread(y, x, 5).z).all()
    if np.ptp(x) == 0:
        assert np.isnan(rolling_spread(y, x, 5).beta).all()
        assert np.isnan(rolling_correlation(y, x, JOINED[:39], 5)).all()
    assert np.isnan(rolling_spread(y[:1], x[:1], 5).z).all()
    assert rolling_spread(y[:0], x[:0], 5).z.size == 0
    assert rolling_correlation(y[:0], x[:0], JOINED[:0], 5).size == 0
