"""Pairs of frames: one row each, every null with its reason, no look-ahead, and real bars."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pipelines.market import TABLES
from pipelines.research.pairs import pair_series, pair_table
from pipelines.research.stationarity import engle_granger
from pipelines.research.undefined import Undefined
from tests.conftest import SHARED
from tests.pipelines.research.legs import DAY, MINUTE, bars, walks

pytestmark = pytest.mark.filterwarnings("error")

OHLCV = SHARED / "ohlcv" / "farukort_binance_usdm_1m_20250617-20250623.parquet"


def one(y: pl.DataFrame, x: pl.DataFrame, window: int = 20, lags: int | None = None) -> dict[str, Any]:
    found = pair_table({"A": y, "B": x}, "demo", "1m", window, lags=lags)
    assert found.height == 1
    return found.row(0, named=True)


def check(frame: pl.DataFrame) -> None:
    """Nothing is NaN or infinite, and of each measure that is null the row says why."""
    assert frame.schema == pl.DataFrame(TABLES["pairs"].lake_schema.empty_table()).schema
    for row in frame.rows(named=True):
        why = {line.split(": ")[0] for line in row["why"]}
        assert all(len(line.split(": ")[1]) > 5 for line in row["why"])
        for name, value in row.items():
            if isinstance(value, float):
                assert math.isfinite(value), name
                assert name not in why
            if value is None and name != "lags":
                assert "all" in why or name in why, name


def test_a_row_holds_every_measure() -> None:
    y, x = walks(1, 300)
    row = one(bars(np.exp(y).tolist()), bars(np.exp(x).tolist()), lags=3)
    series = pair_series(bars(np.exp(y).tolist()), bars(np.exp(x).tolist()), "1m", 20).row(-1, named=True)
    assert row["why"] == []
    assert (row["venue"], row["y"], row["x"], row["interval"], row["window"], row["lags"]) == ("demo", "A", "B", "1m", 20, 3)
    assert (row["points"], row["dropped"], row["carried"], row["tested"]) == (300, 0, 0, 1)
    assert (row["ts"].timestamp(), row["end"].timestamp()) == (DAY / 1e6, DAY / 1e6 + 300 * 60)
    assert [row[f"beta{kind}"] for kind in ("", "_huber", "_theil_sen", "_tls")] == pytest.approx([0.8] * 4, abs=0.05)
    assert row["beta"] * row["beta_reverse"] == pytest.approx(row["r2"], rel=1e-12)
    assert row["spread_bps"] == pytest.approx(series["spread"] * 1e4, rel=1e-12)
    for name, column in [
        ("z", "z"),
        ("correlation_window", "correlation"),
        ("beta_kalman", "beta_kalman"),
        ("z_kalman", "z_kalman"),
    ]:
        assert row[name] == series[column]
    assert row["half_life_hours"] == pytest.approx(row["half_life_bars"] / 60, rel=1e-15)
    test = engle_granger(y, x, lags=3)
    assert (row["eg_t"], row["eg_p"]) == pytest.approx((test.t, test.p), rel=1e-7)
    assert row["p"] == row["p_bonferroni"] == row["p_fdr"] == 2 * min(row["eg_p"], row["eg_reverse_p"])
    assert row["adf_ratio_t"] is not None


def test_all_pairs_of_a_list_are_corrected_for_those_that_were_tested() -> None:
    frames = {f"S{k}": bars(np.exp(walks(k, 200)[k % 2]).tolist()) for k in range(4)}
    frames["DEAD"] = bars([1.0] * 200, volumes=[0.0] * 200)
    frames["FLAT"] = bars([1.0] * 200)
    told: list[int] = []
    found = pair_table(frames, "demo", "1m", 20, lags=1, told=told.append)
    check(found)
    assert found.select("y", "x").rows() == list(itertools.combinations(frames, 2))
    assert told == list(range(1, 16))
    tested = found.filter(pl.col("p").is_not_null())
    assert tested.height == 6
    assert found["tested"].unique().to_list() == [6]
    assert (tested["p_bonferroni"] == (tested["p"] * 6).clip(None, 1)).all()
    assert (tested["p_fdr"] <= tested["p_bonferroni"]).all()
    assert (tested["p_fdr"] >= tested["p"]).all()
    dead = found.filter((pl.col("x") == "DEAD") | (pl.col("y") == "DEAD"))
    assert dead["why"].to_list() == [["all: a leg never traded"]] * 5
    assert dead["ts"].null_count() == 5
    flat = found.filter((pl.col("x") == "FLAT") & (pl.col("y") == "S0")).row(0, named=True)
    assert "beta: x is constant" in flat["why"]
    assert flat["beta_reverse"] == 0
    assert found["run"].n_unique() == 1
    again = pair_table(frames, "demo", "1m", 20, lags=1)
    assert again.equals(found), "the same rows, and the same name of the run"
    assert pair_table(frames, "demo", "1m", 21, lags=1)["run"][0] != found["run"][0]


def test_a_leg_against_itself() -> None:
    frame = bars(np.exp(walks(1, 100)[1]).tolist())
    row = one(frame, frame)
    assert (row["beta"], row["correlation"], row["r2"], row["beta_tls"]) == (1, 1, 1, 1)
    for name in ("z", "z_kalman", "half_life_bars", "eg_p", "adf_ratio_t", "p"):
        assert row[name] is None
    assert "eg_p: y follows from x but for rounding" in row["why"]
    assert "z: the window is constant" in row["why"]


def test_a_window_that_does_not_fit_has_no_z_but_all_the_rest() -> None:
    y, x = walks(3, 50)
    row = one(bars(np.exp(y).tolist()), bars(np.exp(x).tolist()), window=60)
    names = {line.split(": ")[0] for line in row["why"]}
    assert names - {"half_life_bars", "half_life_hours"} == {"spread_bps", "z", "correlation_window", "beta_kalman", "z_kalman"}
    assert "z: 50 points, needs more than 120" in row["why"]
    assert row["eg_p"] is not None


@pytest.mark.parametrize("count", range(5))
def test_few_points(count: int) -> None:
    y, x = walks(0, 5)
    found = pair_table({"A": bars(np.exp(y[:count]).tolist()), "B": bars(np.exp(x[:count]).tolist())}, "demo", "1m", 3)
    check(found)


def test_what_is_wrong_with_the_question_is_said() -> None:
    frame = bars([1.0, 2.0])
    with pytest.raises(ValueError, match="no bars of '7m'; there are 1s, 1m"):
        pair_table({"A": frame, "B": frame}, "demo", "7m", 20)
    with pytest.raises(ValueError, match="a window of 2 points; the least is 3"):
        pair_series(frame, frame, "1m", 2)
    with pytest.raises(Undefined, match="never traded"):
        pair_series(frame, frame.clear(), "1m", 3)
    assert pair_table({}, "demo", "1m", 3).is_empty()


minute = st.one_of(st.none(), st.sampled_from([0.0, 1e-8, 1.0, 1.0, 1.0, 1.5, 3e12]))


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(minute, minute, st.sampled_from([0.0, 1.0, 1.0])), max_size=40), st.integers(3, 6))
def test_whatever_comes_every_null_has_its_reason(rows: Sequence[tuple[Any, Any, float]], window: int) -> None:
    volumes = [volume for _, _, volume in rows]
    found = pair_table(
        {"A": bars([r[0] for r in rows], volumes), "B": bars([r[1] for r in rows])}, "demo", "1m", window, lags=len(rows) % 3
    )
    check(found)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 119), st.integers(3, 20))
@example(13, 13, 3)  # neither leg traded in the last minute before the cut
def test_the_tail_cut_off_leaves_earlier_rows_as_they_are(seed: int, cut: int, window: int) -> None:
    rng = np.random.default_rng(seed)
    closes = [np.exp(c.round(3)).tolist() for c in walks(seed, 120)]
    frames = [bars([None if rng.random() < 0.1 else price for price in column]) for column in closes]
    until = pl.lit(DAY + cut * MINUTE).cast(pl.Datetime("us", "UTC"))
    whole = pair_series(frames[0], frames[1], "1m", window).filter(pl.col("end") <= until)
    try:
        part = pair_series(frames[0].filter(pl.col("end") <= until), frames[1].filter(pl.col("end") <= until), "1m", window)
    except Undefined:
        assert whole.is_empty()
        return
    assert part.equals(whole), "bit for bit"


def test_a_rule_that_trades_on_the_series_earns_the_same_without_later_rows() -> None:
    closes = [np.exp(c).tolist() for c in walks(8, 400, noise=2e-3)]
    earned = []
    for length in (400, 300):
        series = pair_series(bars(closes[0][:length]), bars(closes[1][:length]), "1m", 20)
        held = -series["z"].fill_null(0).sign()
        steps = series["spread"].diff().shift(-1).fill_null(0)
        earned.append((held * steps)[:299].to_list())
    assert earned[0] == earned[1]
    assert sum(earned[0]) > 0


def test_prices_in_another_unit_and_shifted_days_change_nothing() -> None:
    y, x = walks(4, 200)
    base = one(bars(np.exp(y).tolist()), bars(np.exp(x).tolist()), lags=2)
    far = [f.with_columns(pl.col("close") * 1000, pl.col("end") + pl.duration(days=7)) for f in (bars(np.exp(y).tolist()),)]
    other = one(far[0], bars(np.exp(x).tolist()).with_columns(pl.col("end") + pl.duration(days=7)), lags=2)
    for name, value in base.items():
        if isinstance(value, float):
            assert other[name] == pytest.approx(value, rel=1e-6, abs=1e-6), name


@pytest.mark.real
def test_real_bars_with_a_delisted_leg() -> None:
    every = pl.read_parquet(OHLCV).rename({"open_time": "end"})
    every = every.with_columns((pl.col("end") + pl.duration(minutes=1)).dt.cast_time_unit("us").dt.replace_time_zone("UTC"))
    frames = {s: every.filter(pl.col("symbol") == s) for s in ("BTCUSDT", "ETHUSDT", "FTTUSDT", "SOLUSDT")}
    found = pair_table(frames, "binance-usdm", "1m", 60, lags=5)
    check(found)
    rows = {(row["y"], row["x"]): row for row in found.rows(named=True)}
    assert rows["BTCUSDT", "FTTUSDT"]["why"] == ["all: a leg never traded"]
    row = rows["BTCUSDT", "ETHUSDT"]
    assert row["points"] == 8641
    assert row["dropped"] == 0
    assert row["tested"] == 3
    assert 0.5 < row["correlation"] < 1
    assert any(line.startswith("beta_theil_sen: 8641 points, takes at most 3000") for line in row["why"])
    closes = [np.log(frames[s].sort("end")["close"].to_numpy()) for s in ("BTCUSDT", "ETHUSDT")]
    from statsmodels.tsa.stattools import coint

    theirs = coint(*closes, maxlag=5, autolag=None)
    assert row["eg_t"] == pytest.approx(theirs.coint_t, rel=1e-8)
    assert row["eg_p"] == pytest.approx(theirs.pvalue, abs=1e-6)
    assert row["correlation"] == pytest.approx(np.corrcoef(np.diff(closes[0]), np.diff(closes[1]))[0, 1], rel=1e-10)
