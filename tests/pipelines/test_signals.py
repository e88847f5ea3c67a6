"""Kernels against slow and plain references, and the properties that make stream and history one."""

from __future__ import annotations

import math
import pickle
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.market import BAR_WIDTHS_US, DAY_US
from pipelines.settings import Kernels
from pipelines.signals import Signals
from tests import reference, tapes

SEEDS = st.integers(0, 10_000)
FIGURES = (
    "ts",
    "end",
    "first_id",
    "last_id",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "buy_volume",
    "notional",
    "vwap",
    "trades",
)


def of(table: pa.Table, **equal: object) -> list[dict[str, Any]]:
    """Return the rows with these values, times as microseconds."""
    for name, value in equal.items():
        table = table.filter(pc.equal(table[name], value))
    for name in ("ts", "end"):
        table = table.set_column(table.column_names.index(name), name, table[name].cast(pa.int64()))
    rows: list[dict[str, Any]] = table.sort_by([("end", "ascending"), ("ts", "ascending")]).to_pylist()
    return rows


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_bars_equal_the_reference_to_the_bit(seed: int) -> None:
    tape = tapes.rows(seed, 400)
    bars = tapes.run(tapes.signals(), tape)["bars"]
    for i, trades in reference.trades(tape).items():
        symbol = tapes.INSTRUMENTS[i].symbol
        for name, width in BAR_WIDTHS_US.items():
            ours = [{f: b[f] for f in FIGURES} for b in of(bars, symbol=symbol, bar=name)]
            assert ours == reference.time_bars(trades, width)
        dollar = Fraction(f"{4 * 50 * float(trades[0]['p']) / 500:.6g}")
        for name, measure, threshold in (
            ("tick:7", "tick", Fraction(7)),
            ("volume", "volume", Fraction(4 * 50, 500)),
            ("dollar", "dollar", dollar),
        ):
            ours = of(bars, symbol=symbol, bar=name)
            assert [{f: b[f] for f in FIGURES} for b in ours] == reference.threshold_bars(trades, measure, threshold)
            assert {b["threshold"] for b in ours} <= {float(threshold)}


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_vpin_equals_the_reference(seed: int) -> None:
    tape = tapes.rows(seed, 400)
    table = tapes.run(tapes.signals(), tape)["vpin"]
    for i, trades in reference.trades(tape).items():
        ours = of(table, symbol=tapes.INSTRUMENTS[i].symbol, setting="v2.5x5")
        theirs = reference.vpin(trades, Fraction("2.5"), 5)
        assert [b["bucket"] for b in ours] == list(range(len(theirs)))
        for name in ("ts", "end"):
            assert [b[name] for b in ours] == [b[name] for b in theirs]
        assert [b["buy_volume"] for b in ours] == [float(b["buy"]) for b in theirs]
        assert [b["imbalance"] for b in ours] == [float(b["imbalance"]) for b in theirs]
        assert [b["vpin_flag"] for b in ours] == [None if b["vpin"] is None else float(b["vpin"]) for b in theirs]
        values = [b["vpin_flag"] for b in ours if b["vpin_flag"] is not None]
        assert [b["pct"] for b in ours if b["vpin_flag"] is not None] == reference.percentiles(values, 20, 5)
        for b, r in zip(ours, theirs, strict=True):
            if r["vpin"] is not None:
                assert math.isclose(b["null_low"], r["low"], rel_tol=1e-12)
                assert math.isclose(b["null_high"], r["high"], rel_tol=1e-12)


def test_vpin_of_one_sided_flow_is_one() -> None:
    """K10: V = 10, n = 2, four buys of 5."""
    tape = tapes.rows(0, 4, instruments=1)
    tape["size"], tape["side"] = 5.0, 1
    table = tapes.run(tapes.signals(Kernels(vpin=("v10x2",))), tape)["vpin"]
    assert [b["vpin_flag"] for b in of(table)] == [None, 1.0]


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.lists(st.integers(0, 600), max_size=12), st.booleans())
def test_output_does_not_depend_on_cuts_or_restores(seed: int, cuts: list[int], across_midnight: bool) -> None:
    begin = tapes.DAY + DAY_US - 300_000_000 if across_midnight else tapes.DAY
    tape = tapes.rows(seed, 600, begin=begin)
    whole = tapes.run(tapes.signals(), tape)
    made, out, at = tapes.signals(), [], 0
    for cut in [*sorted(cuts), 600]:
        part = tape[at:cut].copy()
        made.prepare(part)
        made.feed(part)
        out += made.take()
        made, at = pickle.loads(pickle.dumps(made)), cut
    made.finish()
    pieces = tapes.gather([*out, *made.take()])
    assert pieces == whole
    assert all(whole[t].num_rows for t in ("bars", "vpin", "alerts"))


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_output_does_not_depend_on_the_size_of_batches(size: int) -> None:
    tape = tapes.rows(3, 1500, begin=tapes.DAY + DAY_US - 300_000_000)
    assert tapes.run(tapes.signals(), tape, range(size, 1500, size)) == tapes.run(tapes.signals(), tape)


@settings(max_examples=15, deadline=None)
@given(SEEDS)
def test_flipping_sides_mirrors_buying_and_leaves_vpin(seed: int) -> None:
    tape = tapes.rows(seed, 300)
    flipped = tape.copy()
    flipped["side"] *= -1
    one, other = tapes.run(tapes.signals(), tape), tapes.run(tapes.signals(), flipped)
    assert one["vpin"]["vpin_flag"] == other["vpin"]["vpin_flag"]
    assert one["vpin"]["imbalance"] == other["vpin"]["imbalance"]
    total = np.array(one["bars"]["buy_volume"]) + np.array(other["bars"]["buy_volume"])
    assert np.allclose(total, np.array(one["bars"]["volume"]), rtol=1e-12, atol=0)


@settings(max_examples=15, deadline=None)
@given(SEEDS, st.integers(2, 5))
def test_splitting_trades_leaves_vpin(seed: int, pieces: int) -> None:
    tape = tapes.rows(seed, 200, instruments=1)
    tape["size"] = np.round(tape["size"] + 0.01, 2)
    split = np.repeat(tape, pieces)
    split["size"] = np.round(split["size"] / 10, 3)
    first = np.arange(split.size) % pieces == 0
    split["size"][first] = np.round(np.repeat(tape["size"], pieces)[first] - (pieces - 1) * split["size"][first], 3)
    split["trade_id"] = np.arange(split.size)
    one, other = tapes.run(tapes.signals(), tape)["vpin"], tapes.run(tapes.signals(), split)["vpin"]
    for name in ("vpin_flag", "buy_volume", "pct", "bucket"):
        assert one[name] == other[name]


@settings(max_examples=15, deadline=None)
@given(SEEDS, st.integers(-3, 3))
def test_scaling_sizes_with_v_leaves_vpin(seed: int, power: int) -> None:
    tape = tapes.rows(seed, 300)
    scaled = tape.copy()
    scaled["size"] = [float(Fraction(repr(float(q))) * Fraction(10) ** power) for q in tape["size"]]
    v = str(float(Fraction("2.5") * Fraction(10) ** power))
    one = tapes.run(tapes.signals(Kernels(vpin=("v2.5x5",), percentile_min=5)), tape)["vpin"]
    other = tapes.run(tapes.signals(Kernels(vpin=(f"v{v}x5",), percentile_min=5)), scaled)["vpin"]
    assert one["vpin_flag"] == other["vpin_flag"]
    assert one["pct"] == other["pct"]


@settings(max_examples=10, deadline=None)
@given(SEEDS, st.integers(1, 400))
def test_shifting_by_whole_days_shifts_rows(seed: int, days: int) -> None:
    tape = tapes.rows(seed, 300)
    later = tape.copy()
    later["ts"] += days * DAY_US
    one, other = tapes.run(tapes.signals(), tape), tapes.run(tapes.signals(), later)
    for name in ("bars", "vpin"):
        shifted = np.array(other[name]["ts"].cast(pa.int64())) - days * DAY_US
        assert (shifted == np.array(one[name]["ts"].cast(pa.int64()))).all()
        assert one[name].drop_columns(["ts", "end", "date"]) == other[name].drop_columns(["ts", "end", "date"])


@settings(max_examples=15, deadline=None)
@given(SEEDS, st.integers(1, 599))
def test_a_cut_leaves_every_row_that_ended_before_it(seed: int, second: int) -> None:
    """The tape as it was known at a time: each instrument's rows before the first that is later."""
    tape = tapes.rows(seed, 400)
    cut = tapes.DAY + second * 1_000_000
    known = np.ones(tape.size, np.bool_)
    for i in np.unique(tape["instrument"]):
        mine = tape["instrument"] == i
        known[mine] = np.maximum.accumulate(tape["ts"][mine]) < cut
    whole, part = (tapes.run(tapes.signals(complete=True), rows) for rows in (tape, tape[known]))
    for name in ("bars", "vpin", "alerts"):
        before = [
            t.filter(pc.less_equal(t["end"].cast(pa.int64()), cut - 1)) for t in (whole[name], part.get(name, whole[name][:0]))
        ]
        assert before[0] == before[1]


@settings(max_examples=15, deadline=None)
@given(SEEDS)
def test_volume_is_conserved(seed: int) -> None:
    tape = tapes.rows(seed, 400, begin=tapes.DAY + DAY_US - 300_000_000)
    out = tapes.run(tapes.signals(), tape)
    for i, trades in reference.trades(tape).items():
        symbol = tapes.INSTRUMENTS[i].symbol
        total = sum(t["q"] for t in trades)
        for name in BAR_WIDTHS_US:
            assert sum(Fraction(repr(b["volume"])) for b in of(out["bars"], symbol=symbol, bar=name)) == total
        first = [t for t in trades if t["eff"] < tapes.DAY + DAY_US]
        for setting in ("adv50x50", "v2.5x5"):
            closed = [b for b in of(out["vpin"], symbol=symbol, setting=setting) if b["end"] <= tapes.DAY + DAY_US]
            whole = sum(Fraction(repr(b["bucket_volume"])) for b in closed if not b["partial"])
            rest = sum(t["q"] for t in first) - whole
            assert 0 <= rest < Fraction(4)
            assert any(b["partial"] for b in closed) == (rest > 0)


def test_partial_rows_end_at_midnight_and_enter_no_window() -> None:
    tape = tapes.rows(5, 600, begin=tapes.DAY + DAY_US - 300_000_000)
    out = tapes.run(tapes.signals(), tape)
    for table in (out["bars"], out["vpin"]):
        partial = of(table, partial=True)
        assert partial
        assert {r["end"] for r in partial} == {tapes.DAY + DAY_US}
        assert {str(r["date"]) for r in partial} == {"2023-11-15"}
    assert all(r["vpin_flag"] is None and r["pct"] is None for r in of(out["vpin"], partial=True))
    second = of(out["vpin"], setting="v2.5x5", symbol="AAA-USDT-PERP")
    begins = [r["bucket"] for r in second if str(r["date"]) == "2023-11-16"]
    assert begins == list(range(len(begins)))
    assert second[len(second) - len(begins)]["vpin_flag"] is not None, "the window runs on across midnight"


@pytest.mark.parametrize(("price", "size"), [(100.0, 0.123456789), (1e9, 1e9)])
def test_a_trade_that_cannot_be_kept_exactly_feeds_nothing(price: float, size: float) -> None:
    tape = tapes.rows(5, 300, instruments=1)
    tape["price"][100], tape["size"][100] = price, size
    made = tapes.signals()
    unfit = made.prepare(tape)
    assert np.flatnonzero(unfit).tolist() == [100]
    made.feed(tape)
    made.finish()
    assert tapes.gather(made.take()) == tapes.run(tapes.signals(), np.delete(tapes.rows(5, 300, instruments=1), 100))


def test_big_trades_are_what_the_definition_says() -> None:
    tape = tapes.rows(11, 2000, instruments=1)
    made: Signals = tapes.signals()
    found = {(a["ts"], a["score"]) for a in of(tapes.run(made, tape)["alerts"], detector="big_trade")}
    s = tapes.EAGER.big_trade
    sweeps: list[list[float]] = []
    for row in tape:
        if sweeps and (sweeps[-1][0], sweeps[-1][1]) == (row["ts"], row["side"]):
            sweeps[-1][2] += row["price"] * row["size"]
        else:
            sweeps.append([row["ts"], row["side"], row["price"] * row["size"]])
    expected = []
    for k in range(s.window, len(sweeps)):
        z = reference.z_of([math.log(x[2]) for x in sweeps[k - s.window : k]], math.log(sweeps[k][2]))
        if z is not None and z >= s.z and sweeps[k][2] >= s.floor:
            expected.append((int(sweeps[k][0]), z))
    expected.sort()
    assert len(expected) > 5
    assert sorted(t for t, _ in found) == [t for t, _ in expected]
    for (_, ours), (_, theirs) in zip(sorted(found), expected, strict=True):
        assert math.isclose(ours, theirs, rel_tol=1e-12)


def test_volume_surges_are_what_the_definition_says() -> None:
    tape = tapes.rows(12, 3000, instruments=1)
    out = tapes.run(tapes.signals(), tape)
    found = {a["ts"]: a["score"] for a in of(out["alerts"], detector="volume_surge")}
    volumes = {b["ts"]: b["volume"] for b in of(out["bars"], bar="1s")}
    seconds = range(min(volumes), max(volumes) + 1, 1_000_000)
    filled = [volumes.get(t, 0.0) for t in seconds]
    s = tapes.EAGER.volume_surge
    expected, fired = {}, False
    for k in range(s.window, len(filled)):
        past = filled[k - s.window : k]
        z = reference.z_of([math.log1p(v) for v in past], math.log1p(filled[k])) or 0.0
        fired &= z >= s.rearm * s.z
        if z >= s.z and filled[k] >= s.rvol * (sum(past) / len(past)) and filled[k] > 0 and not fired:
            expected[seconds[k]] = z
            fired = True
    assert len(expected) > 5
    assert found.keys() == expected.keys()
    assert all(math.isclose(found[t], expected[t], rel_tol=1e-12) for t in found)
