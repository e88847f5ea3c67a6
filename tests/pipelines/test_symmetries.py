"""What moves with a tape and what does not: whole days, sides, the units of prices and sizes; all tables, alerts included."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.detector_settings import BigTrade, CascadeProxy, CusumBreak, Detectors, RvolSpike, VolatilityJump, VpinHigh
from pipelines.market import DAY_US
from pipelines.settings import Kernels
from pipelines.tape import Rows
from tests import tapes

SEEDS = st.integers(0, 10_000)
SPAN_US = 30 * 3_600_000_000
SCALE_FREE = Detectors(
    big_trade=BigTrade(window=30, z=1.5, floor=0, cooldown_s=0),
    vpin_high=VpinHigh(pct=0.8),
    cascade_proxy=CascadeProxy(window=10, move=1.0, volume=1.0, one_sided=0.123, cooldown_s=0),
    rvol_spike=RvolSpike(least=1.5),
    volatility_jump=VolatilityJump(least=1.2),
    cusum_break=CusumBreak(least=4.0),
)
FOUND = {"big_trade", "vpin_high", "cascade_proxy", "rvol_spike", "volatility_jump", "cusum_break", "new_trend", "trend_end"}
Tables = dict[str, pa.Table]


def kernels(size: str = "") -> Kernels:
    """Return settings whose volumes are so many times as large: "" or "0"."""
    names = ("1s", "1m", "1h", "tick:7", "volume", "dollar", "imbalance:tick:5", f"imbalance:volume:3{size}", "run:volume:ewma:9")
    vpin = ("adv50x50", f"v25{size}x5")
    return Kernels(bars=names, vpin=vpin, percentile_window=20, percentile_min=5, bucket_volume=f"40{size}", detectors=SCALE_FREE)


def tape(seed: int) -> Rows:
    rows = tapes.rows(seed, 3000, span_us=SPAN_US, instruments=1)
    rows["price"], rows["size"] = np.round(rows["price"], 1), np.round(rows["size"] + 0.1, 1)
    return rows


def run(rows: Rows, size: str = "") -> Tables:
    """Return the tables, each with rows, with alerts of every detector that is looked at."""
    out = tapes.run(tapes.signals(kernels(size)), rows)
    assert {"bars", "vpin", "features", "posture", "alerts"} <= out.keys()
    assert set(out["alerts"]["detector"].to_pylist()) >= FOUND
    return out


def moved(table: pa.Table, us: int) -> pa.Table:
    """Return rows at times so much later, without what is hashed or told of times."""
    for k, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            later = pc.add(table[field.name].cast(pa.int64()), us)
            table = table.set_column(k, field.name, later.cast(field.type))
        elif pa.types.is_date(field.type):
            later = pc.add(table[field.name].cast(pa.int32()), pa.scalar(us // DAY_US, pa.int32()))
            table = table.set_column(k, field.name, later.cast(field.type))
    return table.drop_columns([name for name in ("alert_id",) if name in table.column_names]).sort_by(
        [
            (name, "ascending")
            for name in ("end", "ts", "detector", "label", "bar", "setting", "first_id")
            if name in table.column_names
        ]
    )


@settings(max_examples=4, deadline=None)
@given(SEEDS, st.integers(1, 400))
def test_whole_days_shift_every_row_of_every_table(seed: int, days: int) -> None:
    rows = tape(seed)
    later = rows.copy()
    later["ts"] += days * DAY_US
    one, other = run(rows), run(later)
    assert one.keys() == other.keys()
    for name, table in one.items():
        assert moved(table, days * DAY_US).equals(moved(other[name], 0)), name


def told(table: pa.Table, but: tuple[str, ...] = ()) -> list[tuple[Any, ...]]:
    """Return what alerts say that has no unit."""
    names = ("detector", "ts", "end", "severity", "score", "threshold")
    found = [tuple(row[name] for name in names) for row in table.to_pylist() if row["detector"] not in but]
    return sorted(found, key=lambda row: row[:4])


def assert_close(one: list[tuple[Any, ...]], other: list[tuple[Any, ...]]) -> None:
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        for x, y in zip(a, b, strict=True):
            assert math.isclose(x, y, rel_tol=1e-9, abs_tol=1e-9) if isinstance(x, float) else x == y, (a, b)


def assert_same_but_for_scale(one: Tables, other: Tables, columns: dict[str, float]) -> None:
    """Bars are the same but for these columns; VPIN, posture, alerts are the same (but volume_surge: ln(1 + V) has a unit)."""
    for table, names in {
        "bars": ["ts", "end", "trades", "partial", "quality", *columns],
        "vpin": ["bucket", "ts", "end", "vpin_flag", "vpin_bvc", "pct", "null_low", "null_high", "partial"],
        "posture": ["ts", "end", "p_up", "state", "action", "since"],
    }.items():
        factors = [columns.get(name, 1.0) for name in names]
        rows = [list(zip(*(out[table][name].to_pylist() for name in names), strict=True)) for out in (one, other)]
        scaled = [tuple(x * f if isinstance(x, float) else x for x, f in zip(row, factors, strict=True)) for row in rows[0]]
        assert_close(scaled, rows[1])
    assert_close(*(told(out["alerts"], but=("volume_surge",)) for out in (one, other)))


@settings(max_examples=3, deadline=None)
@given(SEEDS)
def test_sizes_in_another_unit_change_only_what_counts_them(seed: int) -> None:
    rows = tape(seed)
    larger = rows.copy()
    larger["size"] = np.round(rows["size"] * 10)
    same = {"open": 1.0, "high": 1.0, "low": 1.0, "close": 1.0, "vwap": 1.0}
    assert_same_but_for_scale(run(rows), run(larger, "0"), same | {"volume": 10.0, "buy_volume": 10.0, "notional": 10.0})


@settings(max_examples=3, deadline=None)
@given(SEEDS)
def test_prices_in_another_unit_change_only_what_is_in_them(seed: int) -> None:
    rows = tape(seed)
    dearer = rows.copy()
    dearer["price"] = np.round(rows["price"] * 10)
    ten = dict.fromkeys(("open", "high", "low", "close", "vwap", "notional"), 10.0)
    assert_same_but_for_scale(run(rows), run(dearer), ten | {"volume": 1.0, "buy_volume": 1.0})


@settings(max_examples=3, deadline=None)
@given(SEEDS)
def test_flipping_sides_leaves_alerts_that_know_no_side(seed: int) -> None:
    rows = tape(seed)
    flipped = rows.copy()
    flipped["side"] *= -1
    sided = ("cascade_proxy", "new_trend", "trend_reversal", "trend_end")
    one, other = (told(tapes.run(tapes.signals(kernels()), r)["alerts"], but=sided) for r in (rows, flipped))
    assert one == other
    assert {"big_trade", "vpin_high", "rvol_spike"} <= {row[0] for row in one}
