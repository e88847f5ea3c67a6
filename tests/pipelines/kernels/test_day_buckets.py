"""Buckets by search against buckets by filling, and by hand."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines import tape
from pipelines.kernels import day_buckets, vpin
from pipelines.market import Flag

Ints = npt.NDArray[np.int64]


def searched(lots: Ints, sides: Ints, first: int, target: int, gaps: list[int] | None = None) -> npt.NDArray[np.void]:
    upto = np.empty(lots.size, day_buckets.CUMULATIVE)
    day_buckets.cumulate(lots, sides.astype(np.int8), 10.0, upto)
    out = np.zeros(int(lots.sum()) // target + 1, vpin.BUCKET)
    times, places = np.arange(lots.size) * 10, np.array(gaps or [], np.int64)
    n = day_buckets.buckets(upto, times, lots, sides.astype(np.int8), places, 10.0, first, target, out)
    return out[:n]


def filled(lots: Ints, sides: Ints, first: int, target: int, gaps: list[int] | None = None) -> npt.NDArray[np.void]:
    """Fill trade by trade, from a bucket that lacks `first`; the bucket that was begun before is left out."""
    rows = tape.empty(lots.size)
    rows["lots"], rows["side"], rows["eff"] = lots, sides, np.arange(lots.size) * 10
    rows["flags"][gaps or []] = int(Flag.AFTER_GAP)
    begun, targets, scales = np.zeros(1, vpin.BUCKET), np.array([target]), np.array([10.0])
    begun["volume"] = target - first
    out = np.zeros(vpin.count_buckets(rows, begun, targets), vpin.BUCKET)
    vpin.buckets(rows, begun, targets, scales, out)
    return out[1:] if first < target else out


def test_buckets_by_hand() -> None:
    lots, sides = np.array([4, 9, 3, 2]), np.array([1, -1, 1, 1])
    whole = searched(lots, sides, 5, 5)
    assert whole["buy"].tolist() == [4, 0, 2], "4 + 1, 5, 3 + 2; three lots are left open"
    assert whole["end"].tolist() == [10, 10, 20]
    assert whole["ts"].tolist() == [0, 10, 10]
    shifted = searched(lots, sides, 2, 5)
    assert shifted["buy"].tolist() == [2, 0, 4], "the first 2 lots are no whole bucket; then 2 + 3, 5, 1 + 3 + 1"
    assert shifted["end"].tolist() == [10, 10, 30]
    assert shifted["squares"][0] == 0.2 * 0.4 + 0.3 * 0.9


def test_a_bucket_that_a_trade_ends_exactly_leaves_the_next_trade_to_begin_the_next() -> None:
    found = searched(np.array([5, 5, 3]), np.array([1, -1, 1]), 5, 5)
    assert found["ts"].tolist() == [0, 10]
    assert found["buy"].tolist() == [5, 0]


def test_no_trades_no_buckets() -> None:
    assert searched(np.empty(0, np.int64), np.empty(0, np.int64), 5, 5).size == 0


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 40), st.sampled_from([-1, 1])), min_size=1, max_size=60), st.data())
def test_by_search_equals_by_filling(trades: list[tuple[int, int]], data: st.DataObject) -> None:
    lots, sides = (np.array(column, np.int64) for column in zip(*trades, strict=True))
    target = data.draw(st.integers(1, 50))
    first = data.draw(st.integers(1, target))
    gaps = sorted(data.draw(st.sets(st.integers(0, lots.size - 1), max_size=3)))
    one, other = searched(lots, sides, first, target, gaps), filled(lots, sides, first, target, gaps)
    for name in ("ts", "end", "target", "volume", "buy", "gap", "partial"):
        np.testing.assert_array_equal(one[name], other[name], name)
    np.testing.assert_allclose(one["squares"], other["squares"], rtol=1e-9, atol=1e-9)
