"""Measures of minutes worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pipelines.kernels import atr, lee_mykland, liquidity, minutes, momentum, rvol, volatility

Minutes = np.ndarray


def made(close: list[int], volume: list[int], buy: list[int] | None = None) -> Minutes:
    """Return minutes, each traded at its close."""
    out = np.zeros(len(close), minutes.CLOSED)
    out["close"], out["volume_lo"] = close, volume
    out["buy_lo"] = buy if buy is not None else volume
    out["notional_lo"] = np.array(close) * np.array(volume)
    return out


def test_momentum_and_vwap() -> None:
    window = made([1000, 1010, 990, 1005], [1, 2, 1, 1])
    assert math.isclose(momentum.momentum_bps(window, 1), 1e4 * 15 / 990, rel_tol=1e-15)
    assert math.isclose(momentum.momentum_bps(window, 3), 50.0, rel_tol=1e-15)
    vwap = (2 * 1010 + 990 + 1005) / 4
    assert math.isclose(momentum.from_vwap_bps(window, 3), 1e4 * (1005 - vwap) / vwap, rel_tol=1e-12)
    assert momentum.from_vwap_bps(made([7, 7], [5, 3]), 2) == 0.0
    assert math.isnan(momentum.from_vwap_bps(made([7, 7], [0, 0]), 2))


def test_a_price_a_trillionth_from_its_average_loses_no_digit() -> None:
    window = made([10**12, 10**12 + 1], [10**6, 1])
    exact = 1e4 * 10**6 / (10**12 * (10**6 + 1) + 1)
    assert math.isclose(momentum.from_vwap_bps(window, 2), exact, rel_tol=1e-15)


def test_sums_beyond_64_bits() -> None:
    window = made([1] * 21, [0] * 21)
    window["volume_hi"], window["buy_hi"] = 3, 1
    assert rvol.relative_volume(window, 1) == 1.0
    assert rvol.trade_imbalance(window, 1) == -1 / 3


def test_finer_steps_change_no_measure() -> None:
    window = made([1000, 1010, 990, 1005], [1, 2, 1, 1], [1, 0, 1, 0])
    before = (momentum.from_vwap_bps(window, 3), rvol.trade_imbalance(window, 4))
    minutes.rescale(window, 10**6, 10**12)
    assert (momentum.from_vwap_bps(window, 3), rvol.trade_imbalance(window, 4)) == before
    assert window["notional_hi"].all()


def test_kyle_of_a_line_with_noise() -> None:
    """Price moves by 2 ticks a lot of signed volume, and by 1 up or down besides: y = 2 x + e, e independent of x."""
    x = [1, 1, -1, -1] * 15
    move = [2 * a + e for a, e in zip(x, [1, -1, 1, -1] * 15, strict=True)]
    close = np.cumsum([10_000, *move]).tolist()
    window = made(close, [1] * 61, [0, *((1 + a) // 2 for a in x)])
    slope, t, n = liquidity.kyle(window, 100.0, 10.0)
    assert (slope, n) == (pytest.approx(2 * 10 / 100, rel=1e-12), 60)
    assert t == pytest.approx(2 / math.sqrt(60 / 58 / 60), rel=1e-12)


def test_kyle_without_a_slope() -> None:
    same = made(list(range(100, 161)), [2] * 61, [1] * 61)
    assert np.isnan(liquidity.kyle(same, 1.0, 1.0)[:2]).all(), "signed volume is always the same"
    few = made(list(range(100, 161)), [0] * 42 + [1] * 19)
    assert np.isnan(liquidity.kyle(few, 1.0, 1.0)[0])
    assert liquidity.kyle(few, 1.0, 1.0)[2] == 19


def test_amihud() -> None:
    window = made([100] * 59 + [110, 99], [0] * 59 + [2, 1])
    expected = (math.log(1.1) / 220 + math.log(110 / 99) / 99) / 2
    assert math.isclose(liquidity.amihud(window, volatility.log_returns(window["close"]), 1.0), expected, rel_tol=1e-14)
    assert math.isnan(liquidity.amihud(made([100] * 61, [0] * 61), np.zeros(60), 1.0))


def test_roll_of_a_bounce() -> None:
    """Prices that alternate between 99 and 101: cov(dp_t, dp_(t-1)) is about -4, the spread 4 where trades never repeat."""
    window = made([99, 101] * 30 + [99], [1] * 61)
    change, before = np.array([-2, 2] * 30)[1:], np.array([-2, 2] * 30)[:-1]
    covariance = float(np.cov(change, before)[0, 1])
    assert math.isclose(liquidity.roll_bps(window), 2e4 * math.sqrt(-covariance) / 99, rel_tol=1e-12)


def test_roll_is_not_defined_in_a_trend() -> None:
    close = [100 + k + (k // 5) * 7 for k in range(61)]
    assert math.isnan(liquidity.roll_bps(made(np.cumsum(close).tolist(), [1] * 61)))
    assert math.isnan(liquidity.roll_bps(made([99, 101] * 30 + [99], [0] * 41 + [1] * 20))), "19 pairs are too few"


def test_variations_of_three_returns() -> None:
    returns = np.array([0.01, -0.02, 0.01])
    rv, bv, share, z = volatility.jump_test(returns)
    assert rv == pytest.approx(0.0006, rel=1e-12)
    assert bv == pytest.approx(math.pi / 2 * 3 / 2 * 0.0004, rel=1e-12)
    assert share == pytest.approx((rv - bv) / rv, rel=1e-12)
    mu = 2 ** (2 / 3) * math.gamma(7 / 6) / math.gamma(1 / 2)
    quarticity = 3 * mu**-3 * 3 * 2e-6 ** (4 / 3)
    spread = ((math.pi / 2) ** 2 + math.pi - 5) / 3 * max(1, quarticity / bv**2)
    assert z == pytest.approx(share / math.sqrt(spread), rel=1e-12)


def test_jumps_of_returns_that_do_not_move() -> None:
    assert np.isnan(volatility.jump_test(np.zeros(5))[2:]).all()
    rv, bv, share, z = volatility.jump_test(np.array([0.0, 0.1, 0.0, 0.0]))
    assert (rv, bv, share) == (0.1 * 0.1, 0.0, 1.0)
    assert math.isnan(z)


def test_tiny_returns_do_not_vanish() -> None:
    rng = np.random.default_rng(2)
    returns = rng.normal(0, 1, 288)
    z = volatility.jump_test(returns)[3]
    assert volatility.jump_test(returns * 1e-90)[3] == pytest.approx(z, rel=1e-9)


def test_log_returns_near_zero() -> None:
    (r,) = volatility.log_returns(np.array([10**15, 10**15 + 1]))
    assert math.isclose(r, 1e-15, rel_tol=1e-14)


def test_lee_mykland() -> None:
    returns = np.full(lee_mykland.K, 0.001)
    returns[-1] = -0.01
    assert lee_mykland.lee_mykland(returns) == pytest.approx(-10.0, rel=1e-12)
    assert math.isnan(lee_mykland.lee_mykland(np.zeros(lee_mykland.K)))


def test_the_limit_of_jumps() -> None:
    """Lee and Mykland's C_n and S_n at n = 288, and beta* = 4.6001 of 1 %."""
    c, n = math.sqrt(2 / math.pi), 288
    s_n = 1 / (c * math.sqrt(2 * math.log(n)))
    c_n = math.sqrt(2 * math.log(n)) / c - (math.log(math.pi) + math.log(math.log(n))) / (2 * c * math.sqrt(2 * math.log(n)))
    assert (lee_mykland.LIMIT - c_n) / s_n == pytest.approx(4.60015, abs=1e-5)


def test_wilder_restarts_from_140_bars() -> None:
    state, ring = np.zeros(1, atr.ATR), np.zeros((atr.BARS, 2))
    for k in range(200):
        atr.extend(state[0], 100 + k % 7, 90 - k % 3)
        atr.close(state[0], ring, 95 + k % 5, 10.0)
    ranges = [(100 + k % 7 - (90 - k % 3)) / 10 for k in range(60, 200)]
    atr.restart(state[0], ring)
    value = sum(ranges[:14]) / 14
    for true in ranges[14:]:
        value = (13 * value + true) / 14
    assert atr.value(state[0]) == pytest.approx(value, rel=1e-14)
