"""Bulk volume classification: by hand, against a slow reference, without look-ahead, from stored minutes."""

from __future__ import annotations

import math
import pickle
from decimal import Decimal
from fractions import Fraction
from statistics import NormalDist

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.bulk import BulkBuckets, Classifier, Replay
from pipelines.kernels import vpin
from pipelines.kernels.bar import BAR, Bars
from pipelines.kernels.bvc import SIGMA
from pipelines.market import DAY_US
from pipelines.settings import Kernels
from pipelines.tape import Rows
from tests import reference, tapes
from tests.pipelines.test_signals import SEEDS, of

HOURS = 4
KERNELS = Kernels(bars=("1m",), vpin=("v2.5x5", "v0.4x7"), percentile_min=5)
NO_BUCKETS = np.empty(0, vpin.BUCKET)


def minutes(closes: list[int], volumes: list[int]) -> Bars:
    """Return one-minute bars of one instrument, in ticks and lots."""
    bars = np.zeros(len(closes), BAR)
    bars["ts"] = tapes.DAY + 60_000_000 * np.arange(bars.size)
    bars["end"], bars["close"], bars["volume_lo"] = bars["ts"] + 60_000_000, closes, volumes
    return bars


def shares(closes: list[int]) -> list[float]:
    """Return the shares of minutes with these closes, in ticks of 0.1."""
    made = Classifier()
    made.grow(1)
    found: list[float] = made.feed(minutes(closes, [1] * len(closes)), np.array([1])).tolist()
    return found


def tape_of(seed: int, n: int = 700, **more: int) -> Rows:
    """Return a tape of some hours, so that sigma is known in most of it."""
    return tapes.rows(seed, n, span_us=HOURS * 3_600_000_000, **more)


def values(tape: Rows, setting: str = "v2.5x5", kernels: Kernels = KERNELS) -> list[float | None]:
    return [b["vpin_bvc"] for b in of(tapes.run(tapes.signals(kernels), tape)["vpin"], setting=setting)]


def test_a_share_is_the_normal_distribution_of_the_change_over_its_deviation() -> None:
    """60 changes of +1 and -1 in turn: mean 0, sum of squares 60, so sigma = sqrt(60 / 59), in ticks."""
    closes = [1000 + k % 2 for k in range(SIGMA + 1)]
    found = shares([*closes, 1003])
    assert found[:-1] == [0.5] * (SIGMA + 1)
    assert math.isclose(found[-1], NormalDist().cdf(3 / math.sqrt(60 / 59)), rel_tol=1e-12)


def test_a_share_is_a_half_where_changes_do_not_differ() -> None:
    assert shares([1000] * (SIGMA + 2)) == [0.5] * (SIGMA + 2)
    assert shares([*range(1000, 1000 + SIGMA + 1), 1500])[-1] == 0.5


def test_buckets_are_filled_in_order_and_every_part_keeps_its_share() -> None:
    """V = 4, n = 2: 6 at 3/4 fill a bucket with 3 bought and half of the next with 1.5; 2 at 0 fill the rest."""
    made = BulkBuckets(2)
    made.grow(1)
    made.take(minutes([1, 1], [6, 2]), np.array([0.75, 0.0]))
    closed = np.zeros(3, vpin.BUCKET)
    closed["end"] = tapes.DAY + 60_000_000 * np.array([0, 1, 2])
    found = made.read(closed, np.array([4]), np.array([0]))
    assert made.ring["buy"].tolist() == [[3.0, 1.5]]
    assert np.array_equal(found, [np.nan, np.nan, (2 + 1) / 8], equal_nan=True)


def test_a_bucket_larger_than_64_bits_of_volume_is_counted() -> None:
    made = BulkBuckets(8)
    made.grow(1)
    bars = minutes([1], [5])
    bars["volume_hi"] = 1
    made.take(bars, np.array([1.0]))
    made.read(NO_BUCKETS, np.array([1 << 61]), np.array([0]))
    assert made.entered.tolist() == [8]
    assert made.open["lots"].tolist() == [5]
    assert made.ring["buy"].tolist() == [[float(1 << 61)] * 8]


def test_of_more_buckets_in_a_minute_than_a_window_holds_the_last_ones_are_left() -> None:
    """The first minute opens a bucket with 3 of 7 lots; 2^64 + 9 lots follow, of which 6 are left over."""
    made = BulkBuckets(3)
    made.grow(1)
    bars = minutes([1, 2], [3, 9])
    bars["volume_hi"][1] = 1
    made.take(bars, np.array([1.0, 0.25]))
    made.read(NO_BUCKETS, np.array([7]), np.array([0]))
    assert made.ring["buy"].tolist() == [[1.75] * 3]
    assert made.open["lots"].tolist() == [((1 << 64) + 12) % 7]
    assert made.open["buy"][0] == made.open["lots"][0] / 4


@settings(max_examples=15, deadline=None)
@given(SEEDS)
def test_vpin_equals_the_reference(seed: int) -> None:
    tape = tape_of(seed)
    table = tapes.run(tapes.signals(KERNELS), tape)["vpin"]
    for i, trades in reference.trades(tape).items():
        found = reference.shares_bought(trades)
        for setting, volume, n in (("v2.5x5", Fraction("2.5"), 5), ("v0.4x7", Fraction("0.4"), 7)):
            ours = of(table, symbol=tapes.INSTRUMENTS[i].symbol, setting=setting)
            theirs = reference.bulk_vpin(found, volume, n, [b["end"] for b in ours])
            assert [b["vpin_bvc"] is None for b in ours] == [x is None for x in theirs]
            assert np.allclose(
                [b["vpin_bvc"] or 0 for b in ours], np.array([x or 0 for x in theirs], float), rtol=1e-12, atol=1e-12
            )
            assert max(b["vpin_bvc"] or 0 for b in ours) > 0.1


@settings(max_examples=10, deadline=None)
@given(SEEDS, st.lists(st.integers(0, 700), max_size=12), st.booleans())
def test_vpin_does_not_depend_on_cuts_or_restores(seed: int, cuts: list[int], across_midnight: bool) -> None:
    tape = tape_of(seed, begin=tapes.DAY + DAY_US - HOURS * 1_800_000_000 if across_midnight else tapes.DAY)
    made, out, at = tapes.signals(KERNELS), [], 0
    for cut in [*sorted(cuts), 700]:
        part = tape[at:cut].copy()
        made.prepare(part)
        made.feed(part)
        out += made.take()
        made, at = pickle.loads(pickle.dumps(made)), cut
    made.finish()
    assert tapes.gather([*out, *made.take()])["vpin"] == tapes.run(tapes.signals(KERNELS), tape)["vpin"]


@pytest.mark.parametrize("size", [1, 7])
def test_vpin_does_not_depend_on_the_size_of_batches(size: int) -> None:
    tape = tape_of(3, begin=tapes.DAY + DAY_US - HOURS * 1_800_000_000)
    whole = tapes.run(tapes.signals(KERNELS), tape)["vpin"]
    assert tapes.run(tapes.signals(KERNELS), tape, range(size, 700, size))["vpin"] == whole
    assert whole["vpin_bvc"].null_count < whole.num_rows / 2


@settings(max_examples=10, deadline=None)
@given(SEEDS, st.integers(1, HOURS * 60 - 1))
def test_a_cut_leaves_every_bucket_that_ended_before_it(seed: int, minute: int) -> None:
    tape = tape_of(seed, instruments=1)
    cut = tapes.DAY + minute * 60_000_000 - 30_000_000
    known = np.maximum.accumulate(tape["ts"]) < cut
    whole, part = (tapes.run(tapes.signals(KERNELS), rows).get("vpin") for rows in (tape, tape[known]))
    assert whole is not None
    before = whole.filter(pc.less(whole["end"].cast(pa.int64()), cut))
    assert before == (part if part is not None else whole[:0])


@settings(max_examples=10, deadline=None)
@given(SEEDS)
def test_sides_do_not_matter_and_mirrored_prices_leave_vpin(seed: int) -> None:
    tape = tape_of(seed)
    flipped, mirrored = tape.copy(), tape.copy()
    flipped["side"] *= -1
    mirrored["price"] = np.round(1000 - tape["price"], 2)
    plain = values(tape)
    assert values(flipped) == plain
    assert np.allclose([x or 0 for x in values(mirrored)], [x or 0 for x in plain], rtol=1e-12, atol=1e-12)


@settings(max_examples=10, deadline=None)
@given(SEEDS, st.integers(2, 4))
def test_splitting_trades_leaves_vpin(seed: int, pieces: int) -> None:
    tape = tape_of(seed, 300, instruments=1)
    tape["size"] = np.round(tape["size"] + 0.01, 2)
    split = np.repeat(tape, pieces)
    split["size"] = np.round(split["size"] / 10, 3)
    first = np.arange(split.size) % pieces == 0
    split["size"][first] = np.round(np.repeat(tape["size"], pieces)[first] - (pieces - 1) * split["size"][first], 3)
    split["trade_id"] = np.arange(split.size)
    assert values(split) == values(tape)


@settings(max_examples=10, deadline=None)
@given(SEEDS, st.integers(-2, 3), st.integers(-1, 3))
def test_scale_leaves_vpin(seed: int, sizes: int, prices: int) -> None:
    tape = tape_of(seed)
    scaled = tape.copy()
    scaled["size"] = [float(Fraction(repr(float(q))) * Fraction(10) ** sizes) for q in tape["size"]]
    scaled["price"] = [float(Fraction(repr(float(p))) * Fraction(10) ** prices) for p in tape["price"]]
    setting = f"v{float(Fraction('2.5') * Fraction(10) ** sizes)}x5"
    ours = values(scaled, setting, Kernels(bars=("1m",), vpin=(setting,)))
    assert np.allclose([x or 0 for x in ours], [x or 0 for x in values(tape)], rtol=1e-12, atol=1e-12)


@settings(max_examples=10, deadline=None)
@given(SEEDS)
def test_finer_steps_change_nothing(seed: int) -> None:
    tape = tape_of(seed, instruments=1)
    tape["price"][500], tape["size"][500] = 100.00001, 0.00000001
    assert tapes.run(tapes.signals(KERNELS), tape, [100, 500, 501])["vpin"] == tapes.run(tapes.signals(KERNELS), tape)["vpin"]


@settings(max_examples=10, deadline=None)
@given(SEEDS)
def test_settings_in_one_pass_equal_each_alone(seed: int) -> None:
    tape = tape_of(seed, 400)
    both = tapes.run(tapes.signals(KERNELS), tape)["vpin"]
    for setting in KERNELS.vpin:
        alone = tapes.run(tapes.signals(KERNELS.model_copy(update={"vpin": (setting,)})), tape)["vpin"]
        assert alone == both.filter(pc.equal(both["setting"], setting))


@settings(max_examples=10, deadline=None)
@given(SEEDS)
def test_stored_minutes_give_back_the_state(seed: int) -> None:
    tape = tape_of(seed, instruments=1)
    made = tapes.signals(KERNELS)
    bars = of(tapes.run(made, tape)["bars"], bar="1m")
    columns = [np.array([b[name] for b in bars]) for name in ("ts", "close", "volume")]
    replay = Replay(*columns)
    assert replay.classifier.changes.tolist() == made.classifier.changes[:1].tolist()
    assert replay.classifier.last.tolist() == made.classifier.last[:1].tolist()
    for name, volume, n in (("v2.5x5", "2.5", 5), ("v0.4x7", "0.4", 7)):
        again = replay.buckets(n, {tapes.DAY: Decimal(volume)})
        ours = made.bucketing[name].bulk
        ours.read(NO_BUCKETS, made.bucketing[name].targets, made.size_places)  # the last minute, closed by the end of the tape
        assert again.ring.tolist() == ours.ring[:1].tolist()
        assert again.entered.tolist() == ours.entered[:1].tolist()
