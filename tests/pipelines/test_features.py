"""Features of minutes against slow and plain references, and what must hold of every one."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines import quote_features
from pipelines.detector_settings import Detectors
from pipelines.features import Features
from pipelines.jobs import Job, load
from pipelines.kernels.bar import BAR
from pipelines.kernels.wide import join
from pipelines.market import DAY_US
from pipelines.minute_measures import COLUMNS, Measured
from pipelines.reference import limbs
from pipelines.settings import Kernels
from pipelines.sources import open_source
from pipelines.store.lake import Lake
from pipelines.tape import Rows
from tests import feature_reference as reference
from tests import tapes
from tests.conftest import SHARED
from tests.pipelines.test_jobs import archive, assert_same, job
from tests.reference import trades as as_trades

MINUTE = reference.MINUTE
KERNELS = Kernels(bars=("1m",), vpin=(), detectors=Detectors())
EXACT = [f"{name}_{w}m" for w in (1, 5, 15) for name in ("rvol", "trade_imbalance")]
"""One division of integers: the nearest double."""
Row = dict[str, Any]


def rows_of(tape: Rows, **options: Any) -> pa.Table:
    return tapes.run(tapes.signals(KERNELS, **options), tape)["features"]


def listed(table: pa.Table, symbol: str = "AAA-USDT-PERP") -> list[Row]:
    table = table.filter(pc.equal(table["symbol"], symbol))
    for name in ("ts", "end"):
        table = table.set_column(table.column_names.index(name), name, table[name].cast(pa.int64()))
    found: list[Row] = table.sort_by("ts").to_pylist()
    return found


def assert_close(ours: Row, theirs: dict[str, float | None]) -> None:
    for name, value in theirs.items():
        if value is None or ours[name] is None or name in EXACT:
            assert ours[name] == value, name
        else:
            assert math.isclose(ours[name], value, rel_tol=1e-12, abs_tol=1e-12 if "bps" in name else 0.0), (
                name,
                ours[name],
                value,
            )


@cache
def two_days() -> Rows:
    """Return a tape that crosses a midnight, with quiet hours and minutes without trades."""
    tape = tapes.rows(5, 9000, span_us=2 * DAY_US - 3_600_000_000, begin=tapes.DAY + 1_800_000_000, instruments=1)
    quiet = (tape["ts"] - tapes.DAY) // 1_200_000_000 % 17 == 5
    return tape.compress(~quiet)


def test_measures_equal_the_reference() -> None:
    tape = two_days()
    minutes = reference.minutes(as_trades(tape)[0])
    ours = listed(rows_of(tape))
    assert [r["ts"] for r in ours] == [ts for ts, m in minutes.items() if m["traded"]]
    for row in [*ours[:70], *ours[70::53], *ours[-5:]]:
        assert row["end"] == row["ts"] + MINUTE
        assert_close(row, reference.row(minutes, row["ts"]))
    seen = {name for row in ours for name, value in row.items() if value is not None}
    quoted = {name for name in ours[0] if name.startswith(("ofi", "spread", "micro", "effective", "realised"))}
    assert set(ours[0]) - seen == quoted | {"rvol_tod_1m"}


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 1000), st.lists(st.integers(0, 900), max_size=4))
def test_rows_do_not_depend_on_cuts(seed: int, cuts: list[int]) -> None:
    tape = tapes.rows(seed, 900, span_us=5_400_000_000, begin=tapes.DAY + DAY_US - 2_700_000_000)
    assert tapes.run(tapes.signals(KERNELS), tape, cuts)["features"] == rows_of(tape)


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 899))
def test_cutting_the_tape_leaves_the_rows_before(seed: int, cut: int) -> None:
    tape = tapes.rows(seed, 900, span_us=5_400_000_000)
    before = rows_of(tape[:cut])
    limit = int(tape["ts"][:cut].max()) - MINUTE
    known = [r for r in listed(before) if r["end"] <= limit]
    assert known == [r for r in listed(rows_of(tape)) if r["end"] <= limit]


def varied(change: str) -> tuple[list[Row], list[Row]]:
    """Return the rows of a tape, and those of the tape with that change."""
    tape = tapes.rows(11, 3000, span_us=30 * 3_600_000_000, instruments=1)
    other = tape.copy()
    if change == "sides":
        other["side"] *= -1
    elif change == "sizes":
        other["size"] = [float(f"{x:.6g}") for x in 8 * tape["size"]]
    elif change == "prices":
        other["price"] = [float(f"{x:.8g}") for x in 4 * tape["price"]]
    else:
        other["ts"] += 3 * DAY_US
    return listed(rows_of(tape)), listed(rows_of(other))


def assert_scaled(one: list[Row], other: list[Row], scales: dict[str, float]) -> None:
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        for name in set(a) - {"ts", "end", "date"}:
            factor = next((f for begin, f in scales.items() if name.startswith(begin)), 1.0)
            if isinstance(a[name], float):
                assert math.isclose(factor * a[name], b[name], rel_tol=1e-9, abs_tol=1e-9), name
            else:
                assert a[name] == b[name], name


def test_flipping_sides_mirrors_what_is_signed() -> None:
    assert_scaled(*varied("sides"), {"trade_imbalance": -1.0, "kyle_lambda": -1.0, "kyle_t": -1.0})


def test_larger_sizes_change_only_what_counts_them() -> None:
    assert_scaled(*varied("sizes"), {"kyle_lambda": 1 / 8, "amihud": 1 / 8})


def test_higher_prices_change_only_what_is_in_quote() -> None:
    assert_scaled(*varied("prices"), {"kyle_lambda": 4.0, "atr": 4.0, "amihud": 1 / 4})


def test_shifting_by_whole_days_shifts_rows() -> None:
    one, other = varied("times")
    assert [r["ts"] + 3 * DAY_US for r in one] == [r["ts"] for r in other]
    assert_scaled(one, other, {})


def bars_at(*starts: int, price: int = 100, volume: int = 10) -> np.ndarray:
    bars = np.zeros(len(starts), BAR)
    bars["ts"] = tapes.DAY + np.array(starts, np.int64) * MINUTE
    bars["end"] = bars["ts"] + MINUTE
    for name in ("open", "high", "low", "close"):
        bars[name] = price
    bars["volume_lo"], bars["buy_lo"], bars["notional_lo"], bars["trades"] = volume, volume, volume * price, 1
    return bars


def fed(made: Features, bars: np.ndarray) -> list[Row]:
    places = np.zeros(1, np.int64)
    made.feed(bars, bars["close"].astype(np.float64), bars["volume_lo"].astype(np.float64), places, places)
    taken = made.take()
    assert taken is not None
    return listed(taken.table(tapes.INSTRUMENTS))


def new() -> Features:
    made = Features()
    made.grow(1)
    return made


def test_a_constant_price_gives_zeros_and_nulls() -> None:
    row = fed(new(), bars_at(*range(2000)))[-1]
    assert (row["mom_bps_15m"], row["px_vs_vwap_bps_15m"], row["rvol_15m"], row["atr_15m"], row["rv_1d"]) == (0, 0, 1, 0, 0)
    assert (row["trade_imbalance_5m"], row["amihud_1h"], row["kyle_n_1h"]) == (1.0, 0.0, 60)
    for name in ("kyle_lambda_1h", "kyle_t_1h", "roll_bps_1h", "jump_share_1d", "jump_z_1d", "lee_mykland_5m", "jump_5m"):
        assert row[name] is None, name


def test_a_single_trade_says_next_to_nothing() -> None:
    (row,) = fed(new(), bars_at(7))
    said = {n for n, value in row.items() if value is not None}
    assert said == {"date", "venue", "symbol", "ts", "end", "px_vs_vwap_bps_1m", "trade_imbalance_1m", "gap"}


def test_minutes_without_trades_count_as_no_volume() -> None:
    rows = fed(new(), bars_at(0, 25, 26, 60))
    assert [r["rvol_1m"] for r in rows] == [None, None, 20.0, None], "none of the 20 minutes before had volume"
    assert rows[1]["mom_bps_15m"] == 0.0
    assert rows[3]["trade_imbalance_15m"] == 1.0


def test_wilders_recursion_by_hand() -> None:
    bars = bars_at(*range(16))
    bars["high"] += np.array([2] * 14 + [5, 0])
    assert [r["atr_1m"] for r in fed(new(), bars)[12:]] == [None, 2.0, (13 * 2 + 5) / 14, 13 * (31 / 14) / 14]


def test_relative_volume_by_hand() -> None:
    bars = bars_at(*range(22))
    bars["volume_lo"] = [3] * 20 + [9, 1]
    rows = fed(new(), bars)
    assert [r["rvol_1m"] for r in rows[19:]] == [None, 3.0, 20 / 66]


def test_a_long_silence_is_the_same_as_its_last_three_days() -> None:
    one, other = new(), new()
    begin = bars_at(*range(400))
    begin["high"] += 3
    fed(one, begin)
    fed(other, begin)
    far, near = bars_at(20_000), bars_at(12_800)
    assert {**fed(one, far)[0], "ts": 0, "end": 0, "date": 0} == {**fed(other, near)[0], "ts": 0, "end": 0, "date": 0}


def test_a_hole_marks_the_rows_of_fifteen_minutes() -> None:
    bars = bars_at(*range(40))
    bars["gap"][10] = True
    assert [r["ts"] for r in fed(new(), bars) if r["gap"]] == [tapes.DAY + k * MINUTE for k in range(10, 25)]


def test_the_same_minute_of_earlier_dates() -> None:
    made, day = new(), 1440
    for date in range(7):
        made.begin_date(0, tapes.DAY + date * DAY_US, [tapes.DAY + d * DAY_US for d in range(date) if d != 1], 0, 0)
        rows = fed(made, bars_at(date * day + 30, date * day + 31, volume=date + 1))
        # dates 0, 2, 3, 4, 5 are whole: volumes 1, 3, 4, 5, 6
        assert [r["rvol_tod_1m"] for r in rows] == [35 / 19] * 2 if date == 6 else [None] * 2
        made.complete(0, tapes.DAY + date * DAY_US)


def test_a_day_of_a_jump_has_one() -> None:
    rng = np.random.default_rng(1)
    bars = bars_at(*range(1700))
    price = 1_000_000 + np.cumsum(rng.integers(-40, 41, 1700))
    price[1644:] += 20_000
    for name in ("open", "high", "low", "close"):
        bars[name] = price
    bars["notional_lo"] = bars["volume_lo"] * price.astype(np.uint64)
    rows = fed(new(), bars)
    assert {r["ts"] for r in rows if r["jump_5m"]} == {tapes.DAY + k * MINUTE for k in range(1644, 1649)}
    assert rows[-1]["jump_z_1d"] > 3.09
    assert rows[1600]["jump_z_1d"] < 3.09
    assert rows[-1]["jump_share_1d"] > 0.5


@pytest.mark.parametrize(("price", "size"), [(0.1, 1e-8), (1e-6, 1e9), (99_999.9, 1e5)])
def test_extremes_stay_finite(price: float, size: float) -> None:
    tape = tapes.rows(3, 400, span_us=26 * 3_600_000_000, instruments=1)
    tape["price"], tape["size"] = price, size
    tape["price"][::7] *= 2
    for row in listed(rows_of(tape)):
        assert all(math.isfinite(x) for x in row.values() if isinstance(x, float))


@given(st.integers(0, 10**15), st.integers(0, 12))
def test_a_double_stands_for_one_decimal(units: int, places: int) -> None:
    hi, lo = limbs(np.array([units / 10**places]), places)
    assert join(hi[0], lo[0]) == units


@pytest.mark.real
def test_a_recording_equals_the_reference(tmp_path: Path) -> None:
    """12,477 recorded trades of XRP-ETH on 2,469 minutes of three dates."""
    path = SHARED / "trades/freqtrade_XRP_OLD-trades.json.gz"
    source = open_source([path], venue="binance-spot")
    load(Job(source, KERNELS, Lake(tmp_path), complete=False, replace=False))
    lake = Lake(tmp_path)
    trades = [
        {"eff": ts, "p": Fraction(repr(price)), "q": Fraction(repr(size)), "s": side}
        for ts, price, size, side in lake.table("trades")
        .sort("date", "seq")
        .select(pl.col("ts").dt.epoch("us"), "price", "size", "side")
        .collect()
        .iter_rows()
    ]
    minutes = reference.minutes(trades)
    ours = listed(lake.table("features").collect().to_arrow(), "XRP-ETH")
    assert len(ours) == 2469
    for row in [*ours[:40], *ours[40::41]]:
        assert_close(row, reference.row(minutes, row["ts"]))


def test_days_in_any_order_and_the_stale_ones_again_equal_days_in_order(tmp_path: Path) -> None:
    """Seven dates: enough for the same minute of earlier dates, and for windows across midnight; V is of the dates before."""
    kernels = tapes.KERNELS.model_copy(update={"bucket_volume": None})
    paths, first = [], 1
    for day in range(7):
        paths.append(tmp_path / f"AAAUSDT-aggTrades-2023-11-{15 + day}.csv")
        first = archive(paths[-1], day, day, first, n=900)
    again = tmp_path / "again"
    again.mkdir()
    for path in paths:
        (again / path.name).write_text(path.read_text() + "\n")
    assert job(tmp_path, again / paths[0].name, kernels=kernels).name != job(tmp_path, paths[0], kernels=kernels).name
    ordered, shuffled = tmp_path / "ordered", tmp_path / "shuffled"
    for path in paths:
        load(job(ordered, path, kernels=kernels))
    for k in (3, 0, 6, 1, 5, 2, 4):
        load(job(shuffled, paths[k], kernels=kernels))
    for path in paths:
        load(job(shuffled, again / path.name, kernels=kernels, replace=True))
    load(job(tmp_path / "together", *paths, kernels=kernels))
    features = Lake(ordered).table("features").collect()
    assert features["rvol_tod_1m"].null_count() < features.height
    for other in (shuffled, tmp_path / "together"):
        assert_same(ordered, other, "trades", "bars", "vpin", "features", "posture", "alerts", "seals")


def test_detectors_are_given_no_minute_while_an_earlier_one_waits_for_quotes() -> None:
    def at(*minutes: tuple[int, int]) -> Measured:
        whose, ts = (np.array(column) for column in zip(*minutes, strict=True))
        return Measured(whose, ts, np.zeros((len(minutes), len(COLUMNS))))

    def told(rows: Measured) -> list[tuple[int, int]]:
        return list(zip(rows.instrument.tolist(), rows.ts.tolist(), strict=True))

    made = new()
    made.grow(2)
    made.quotes.sides[0] = quote_features._Side()
    made.waiting[0] = [(5, np.zeros(len(COLUMNS)))]
    assert told(made.in_order(at((0, 4), (0, 6), (1, 6)))) == [(0, 4), (1, 6)]
    made.waiting[0] = [(7, np.zeros(len(COLUMNS)))]
    assert told(made.in_order(at((0, 8), (0, 5)))) == [(0, 5), (0, 6)]
    del made.waiting[0]
    assert told(made.in_order(at((0, 7)))) == [(0, 7), (0, 8)]
