"""Detectors on minutes and the table of postures: levels, midnight, cuts, and nothing that looks ahead."""

from __future__ import annotations

import math
import pickle
from functools import cache
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.detector_settings import CusumBreak, Detectors, Posture, RvolSpike
from pipelines.feature_detection import WARM_US, FeatureAlarms
from pipelines.features import Features, stored
from pipelines.kernels import alarm, standing, trend
from pipelines.kernels.alarm import LOOK_BACK
from pipelines.market import DAY_US, Instrument
from pipelines.settings import Kernels
from pipelines.tape import Rows
from tests import tapes
from tests.conftest import SHARED

MINUTE = alarm.MINUTE
IT = Instrument("demo", "BTC-USDT", "BTCUSDT", "BTC", "USDT")
OURS = ("rvol_spike", "volatility_jump", "liquidity_drain", "cusum_break", "new_trend", "trend_reversal", "trend_end")
KERNELS = Kernels(
    bars=("1m",),
    vpin=(),
    detectors=Detectors(rvol_spike=RvolSpike(least=1.5, cooldown_min=5), cusum_break=CusumBreak(least=4.0)),
)
Row = dict[str, Any]


def minutes(seed: int, n: int, *, begin: int = tapes.DAY) -> np.ndarray:
    """Return minutes in a row with random figures."""
    rng = np.random.default_rng(seed)
    rows = np.zeros(n, standing.MINUTE)
    rows["ts"] = begin + np.arange(n) * MINUTE
    for name in standing.COLUMNS:
        rows[name] = rng.lognormal(0, 0.5, n)
    lean = np.cumsum(rng.normal(0, 1, n)) * np.exp(-np.arange(n) / 1e5)
    for name, scale in (("mom_bps_1m", 5), ("mom_bps_5m", 30), ("mom_bps_15m", 90), ("px_vs_vwap_bps_5m", 20)):
        rows[name] = scale * (np.sin(lean / 3) + rng.normal(0, 0.2, n))
    rows["rv_15m"], rows["rv_1h"] = 1e-6 * rows["rv_15m"], 4e-6 * (1 + rows["rv_1h"])
    rows["atr_1m"], rows["atr_5m"] = 0.1 * rows["atr_1m"], 0.2 * rows["atr_5m"]
    rows["trade_imbalance_15m"] = np.sin(lean)
    rows["close"], rows["volume"] = 100.0, rng.lognormal(0, 1, n)
    return rows


def given_to(made: FeatureAlarms, rows: np.ndarray, cuts: tuple[int, ...] = ()) -> list[Row]:
    """Feed minutes; return all alerts and postures as rows."""
    found: list[Row] = []
    for part in np.split(rows, cuts):
        postures, alerts = made.feed(part, [IT])
        found += [alert._asdict() | {"instrument": 0} for alert in alerts]
        found += postures.drop_columns(["date"]).to_pylist()
    return found


def fresh(detectors: Detectors = KERNELS.detectors) -> FeatureAlarms:
    made = FeatureAlarms(detectors)
    made.grow(1)
    return made


def of(found: list[Row], name: str) -> list[Row]:
    return [row for row in found if row.get("detector") == name]


def test_an_alert_says_score_level_and_severity() -> None:
    rows = minutes(0, 200)
    rows["rvol_5m"] = 1.0
    rows["rvol_5m"][[50, 60, 61, 90]] = 1.6, 4.0, 5.0, 2.3
    found = of(given_to(fresh(), rows), "rvol_spike")
    assert [(a["ts"], a["score"], a["threshold"], a["severity"]) for a in found] == [
        (tapes.DAY + k * MINUTE, score, 1.5, severity) for k, score, severity in ((50, 1.6, 1), (60, 4.0, 3), (90, 2.3, 2))
    ]
    assert {a["end"] - a["ts"] for a in found} == {MINUTE}


def test_every_change_of_posture_is_one_alert() -> None:
    found = given_to(fresh(), minutes(3, 2000))
    changes = [row["ts"].timestamp() for row in found if row.get("action") in ("enter", "exit")]
    told = [row["ts"] / 1e6 for row in found if row.get("detector") in ("new_trend", "trend_reversal", "trend_end")]
    assert sorted(changes) == sorted(told)
    assert len(changes) > 10


def test_a_posture_says_its_terms_and_their_sum() -> None:
    for row in given_to(fresh(), minutes(4, 300)):
        if "p_up" in row:
            total = sum(row[f"term_{name}"] for name in trend.TERMS)
            assert row["p_up"] == pytest.approx(1 / (1 + math.exp(-total)), rel=1e-12)
            both = total + sum(row[f"term_{name}"] for name in trend.QUOTE_TERMS)
            assert row["p_up_quotes"] == pytest.approx(1 / (1 + math.exp(-both)), rel=1e-12)
            assert row["entry"] == pytest.approx(0.75)
            assert row["since"] <= row["ts"]


def test_settings_of_posture_must_leave_below_where_they_enter() -> None:
    with pytest.raises(ValueError, match="exit must lie below entry"):
        Posture(entry=0.6, exit=0.6)


# Levels and midnight


def test_levels_of_a_date_are_those_of_the_dates_before() -> None:
    rows = minutes(1, 4 * 1440)
    rows["rvol_5m"] = 1.0
    rows["rvol_5m"][[100, 200, 300, 1600, 1700, 1800]] = 9.0, 8.0, 7.0, 6.0, 5.0, 4.0
    rows["rvol_5m"][2900] = 3.0
    found = of(given_to(fresh(), rows), "rvol_spike")
    assert [a["score"] for a in found] == [9.0, 8.0, 7.0], "the second date's level is 8, the third's 6"
    wanted = Detectors(rvol_spike=RvolSpike(least=1.5, false_alarms_per_day=3.0))
    assert [(a["score"], a["threshold"]) for a in of(given_to(fresh(wanted), rows), "rvol_spike")] == [
        (9.0, 1.5),
        (8.0, 1.5),
        (7.0, 1.5),
    ]


def test_a_date_begins_with_the_minutes_before_midnight() -> None:
    """A posture that was entered within them stands; one that was entered before, and not since, does not."""
    rows = minutes(1, 1445, begin=tapes.DAY)
    for name in ("mom_bps_5m", "mom_bps_15m", "px_vs_vwap_bps_5m", "trade_imbalance_15m"):
        rows[name] = 0.0
    rows["rvol_5m"], rows["atr_1m"], rows["atr_5m"] = 1.0, 0.1, 0.1
    weak = rows.copy()
    weak["mom_bps_5m"] = 20.0
    for entered, state in ((1300, "long"), (1000, "flat")):
        mine = weak.copy()
        mine["mom_bps_5m"][:entered] = 0.0
        mine["mom_bps_15m"][entered : entered + 3] = mine["mom_bps_5m"][entered : entered + 3] = 1e4
        states = [row["state"] for row in given_to(fresh(), mine) if "state" in row]
        assert states[1439] == "long"
        assert states[1440:] == [state] * 5
    assert WARM_US == 240 * MINUTE


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 1000), st.lists(st.integers(1, 2999), max_size=5), st.booleans())
def test_neither_cuts_nor_restores_change_anything(seed: int, cuts: list[int], restore: bool) -> None:
    rows = minutes(seed, 3000, begin=tapes.DAY + DAY_US // 2)
    whole = given_to(fresh(), rows)
    made, pieces = fresh(), []
    for part in np.split(rows, sorted(cuts)):
        pieces += given_to(made, part) if part.size else []
        made = pickle.loads(pickle.dumps(made)) if restore else made
    by = [sorted(str(sorted(row.items(), key=str)) for row in found) for found in (whole, pieces)]
    assert by[0] == by[1]


def test_instruments_side_by_side_are_what_each_is_alone() -> None:
    """Over two midnights, which they reach in turn."""
    parts = [minutes(seed, 3000 - 40 * seed, begin=tapes.DAY + DAY_US // 2 + 7 * seed * MINUTE) for seed in range(3)]
    alone = [given_to(fresh(), part) for part in parts]
    for i, part in enumerate(parts):
        part["instrument"] = i
    rows = np.concatenate(parts)
    rows = rows[np.argsort(rows["ts"], kind="stable")]
    made, of = FeatureAlarms(KERNELS.detectors), [IT._replace(symbol=f"C{i}") for i in range(3)]
    made.grow(3)
    postures, alerts = made.feed(rows, of)
    for i, it in enumerate(of):
        mine = postures.filter(pc.equal(postures["symbol"], it.symbol)).drop_columns(["date", "symbol"])
        assert mine.to_pylist() == [{n: x for n, x in r.items() if n != "symbol"} for r in alone[i] if "state" in r]
        told = [(r["ts"], r["detector"], r["score"], r["threshold"]) for r in alone[i] if "detector" in r]
        assert [(a.ts, a.detector, a.score, a.threshold) for a in alerts if a.instrument == it] == told


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 2999))
def test_later_minutes_change_nothing(seed: int, cut: int) -> None:
    rows = minutes(seed, 3000)
    other = rows.copy()
    other[cut:] = minutes(seed + 1, 3000)[cut:]
    end = int(rows["ts"][cut])
    known = [[r for r in given_to(fresh(), x) if _ts(r) < end] for x in (rows, other)]
    assert known[0] == known[1]


def _ts(row: Row) -> int:
    return row["ts"] if isinstance(row["ts"], int) else round(row["ts"].timestamp() * 1e6)


@pytest.mark.parametrize("missing", [0, 3])
def test_a_date_alone_equals_the_date_in_one_go(missing: int) -> None:
    """What is planted reaches no further back than what is kept; dates may be missing in between."""
    dates = [minutes(d, 1440, begin=tapes.DAY + d * DAY_US) for d in range(33) if not 5 <= d % 30 < 5 + missing]
    whole = fresh()
    for rows in dates[:-1]:
        whole.plant(0, rows)
    alone = fresh()
    first = dates[-1]["ts"][0] - 31 * DAY_US
    alone.plant(0, np.concatenate([rows for rows in dates[:-1] if rows["ts"][0] >= first]))
    assert LOOK_BACK < 31
    assert given_to(whole, dates[-1]) == given_to(alone, dates[-1])


def test_new_settings_take_levels_from_the_same_past() -> None:
    made, rows = fresh(), minutes(2, 3 * 1440)
    given_to(made, rows[:-10])
    made.configure(Detectors(rvol_spike=RvolSpike(least=1e9)))
    assert made.levels[0, 0] == 1e9
    made.configure(KERNELS.detectors)
    other = fresh()
    given_to(other, rows[:-10])
    assert (made.levels == other.levels).all()


# Tapes


@cache
def tape() -> Rows:
    return tapes.rows(5, 9000, span_us=2 * DAY_US - 3_600_000_000, begin=tapes.DAY + 1_800_000_000, instruments=2)


def ours(out: dict[str, pa.Table]) -> dict[str, pa.Table]:
    alerts = out["alerts"]
    return {"posture": out["posture"], "alerts": alerts.filter(pc.is_in(alerts["detector"], pa.array(OURS)))}


def test_a_posture_for_each_row_of_features() -> None:
    out = tapes.run(tapes.signals(KERNELS), tape())
    for name in ("venue", "symbol", "ts", "end"):
        assert out["posture"][name] == out["features"][name]
    assert set(ours(out)["alerts"]["detector"].to_pylist()) >= {"rvol_spike", "new_trend", "trend_reversal", "trend_end"}
    for column in out["posture"].columns:
        if pa.types.is_floating(column.type):
            assert pc.all(pc.is_finite(column)).as_py() in (True, None)


@pytest.mark.parametrize("cuts", [(10, 11, 4000), tuple(range(500, 9000, 500))])
def test_tables_do_not_depend_on_cuts(cuts: tuple[int, ...]) -> None:
    assert ours(tapes.run(tapes.signals(KERNELS), tape(), cuts)) == ours(tapes.run(tapes.signals(KERNELS), tape()))


@pytest.mark.parametrize("cut", [700, 4100, 8000])
def test_a_cut_of_the_tape_leaves_the_rows_before(cut: int) -> None:
    limit = int(tape()["ts"][:cut].max()) - MINUTE
    whole, part = (ours(tapes.run(tapes.signals(KERNELS), rows)) for rows in (tape(), tape()[:cut]))
    for name in whole:
        known = [t.filter(pc.less_equal(t["end"].cast(pa.int64()), limit)) for t in (whole[name], part[name])]
        assert known[0] == known[1]


def test_constant_prices_have_no_posture() -> None:
    rows = tape()[:3000].copy()
    rows["price"] = 100.0
    out = ours(tapes.run(tapes.signals(KERNELS), rows))
    assert out["posture"]["p_up"].null_count == out["posture"].num_rows
    assert set(out["posture"]["state"].to_pylist()) == {"flat"}
    assert set(out["alerts"]["detector"].to_pylist()) <= {"rvol_spike"}


# Recorded minutes

FTX = SHARED / "ftx" / "nautilus_FTX_btc-perp-20211231-20220201_1m.csv.gz"


@pytest.mark.real
@pytest.mark.skipif(not FTX.exists(), reason="no recorded FTX minutes")
def test_alarms_a_day_on_recorded_minutes_stay_near_the_target() -> None:
    """A month of minutes: from the 8th date on, levels know at least a week."""
    alerts = pl.DataFrame([row for row in of_recorded() if "detector" in row])
    days = 24
    begin = int(np.datetime64("2022-01-08", "us").astype(np.int64))
    per_day = {
        name: alerts.filter(pl.col("detector") == name, pl.col("ts") >= begin).height / days
        for name in ("rvol_spike", "volatility_jump", "cusum_break", "new_trend", "trend_reversal")
    }
    for name in ("rvol_spike", "volatility_jump", "cusum_break"):
        assert 1.0 < per_day[name] < 3.0, per_day
    assert 3.0 < per_day["new_trend"] + per_day["trend_reversal"] < 9.0


def of_recorded() -> list[Row]:
    frame = pl.read_csv(FTX, try_parse_dates=True)
    ts = frame["timestamp"].cast(pl.Datetime("us")).dt.epoch("us").to_numpy()
    close = frame["close"].to_numpy()
    volume = np.round(frame["volume"].to_numpy() / close, 6)
    figures = {name: frame[name].to_numpy() for name in ("high", "low", "close")}
    figures |= {"volume": volume, "buy_volume": np.round(volume / 2, 6), "notional": np.round(volume * close, 4)}
    bars = stored(ts, figures, np.zeros(ts.size, np.bool_), (4, 6))
    places = np.array([4]), np.array([6])
    made, features = fresh(Detectors()), Features()
    features.grow(1)
    features.feed(bars, close, volume, *places)
    taken = features.take()
    assert taken is not None
    postures, alerts = made.feed(taken.standing(), [IT])
    rows: list[Row] = postures.drop_columns(["date"]).to_pylist()
    found: list[Row] = [alert._asdict() | {"instrument": 0} for alert in alerts]
    return found + rows
