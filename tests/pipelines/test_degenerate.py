"""Odd tapes: what cannot be told is null; no table ever holds NaN or infinity."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from pipelines.market import DAY_US
from pipelines.tape import Rows
from tests import tapes

N = 4000
SPAN_US = 2 * DAY_US


def plain() -> Rows:
    """Return two days of one instrument, from which the odd ones are made."""
    return tapes.rows(1, N, span_us=SPAN_US, instruments=1)


def constant_price() -> Rows:
    tape = plain()
    tape["price"] = 100.0
    return tape


def equal_times() -> Rows:
    tape = plain()
    tape["ts"] = tapes.DAY + 1000 * (np.arange(N) // 1000)
    return tape


def dust() -> Rows:
    """Sizes of 1e-8 at a price of 1e-8."""
    tape = plain()
    tape["price"], tape["size"] = 1e-8, 1e-8
    return tape


def meme_coin() -> Rows:
    """1e13 units a day at a price of ten digits behind the point."""
    tape = plain()
    tape["price"] = np.round(1e-6 + 1e-8 * np.cumsum(np.random.default_rng(2).normal(0, 1, N)).clip(-50, 50), 10)
    tape["size"] = 5e9 + np.arange(N)
    return tape


def dear() -> Rows:
    """Prices of 1e8 beside sizes of eight digits."""
    tape = plain()
    tape["price"] = np.round(1e8 + 1e4 * np.random.default_rng(3).normal(0, 1, N), 2)
    tape["size"] = np.round(np.random.default_rng(4).lognormal(-1, 1, N) + 1e-8, 8)
    return tape


def one_side() -> Rows:
    tape = plain()
    tape["side"] = 1
    return tape


def single_trade() -> Rows:
    return plain()[:1]


def nothing() -> Rows:
    return plain()[:0]


COARSE = tapes.KERNELS.model_copy(update={"vpin": ("adv50x50",), "bucket_volume": "100000000000"})
ODD = [constant_price, equal_times, dust, meme_coin, dear, one_side, single_trade, nothing]


def unsound(table: pa.Table) -> list[str]:
    """Return the columns that hold NaN or infinity."""
    floats = [field.name for field in table.schema if pa.types.is_floating(field.type)]
    return [name for name in floats if pc.any(pc.invert(pc.is_finite(table[name]))).as_py()]


@pytest.mark.parametrize("odd", ODD, ids=[make.__name__ for make in ODD])
def test_nothing_stored_is_infinite_or_no_number(odd: Callable[[], Rows]) -> None:
    tape = odd()
    size, sold = tape["size"].sum(), tape["size"][tape["side"] < 0].sum()
    kernels = COARSE if odd is meme_coin else tapes.KERNELS
    for name, table in (out := tapes.run(tapes.signals(kernels), tape)).items():
        assert unsound(table) == [], name
    if not tape.size:
        assert not any(out[name].num_rows for name in ("bars", "vpin", "features", "posture") if name in out)
        return
    bars = out["bars"].filter(pc.equal(out["bars"]["bar"], "1m"))
    assert pc.sum(bars["volume"]).as_py() == pytest.approx(size, rel=1e-12)
    assert pc.sum(bars["volume"]).as_py() - pc.sum(bars["buy_volume"]).as_py() == pytest.approx(sold, rel=1e-9, abs=1e-9 * size)


def test_a_constant_price_has_no_volatility_and_what_divides_by_it_is_null() -> None:
    features = tapes.run(tapes.signals(), constant_price())["features"]
    assert set(features["rv_1h"].to_pylist()) <= {0.0, None}
    assert set(features["mom_bps_5m"].to_pylist()) <= {0.0, None}
    for name in ("roll_bps_1h", "kyle_t_1h", "jump_z_1d", "lee_mykland_5m"):
        assert features[name].null_count == features.num_rows, name


def test_a_single_trade_says_nothing_of_windows() -> None:
    out = tapes.run(tapes.signals(), single_trade())
    row = out["features"].to_pylist()[0]
    assert row["mom_bps_5m"] is None
    assert row["rvol_1m"] is None
    assert "vpin" not in out or out["vpin"]["vpin_flag"].null_count == out["vpin"].num_rows
