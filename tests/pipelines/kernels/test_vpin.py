"""Buckets of very many lots, and very many buckets: nothing runs over 64 bits, or out of memory."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import msgspec
import numpy as np
import pyarrow.compute as pc
import pytest
from pydantic import ValidationError

from pipelines.kernels import vpin
from pipelines.market import DAY_US
from pipelines.settings import Kernels
from pipelines.tape import Rows
from tests import tapes
from tests.pipelines.test_signals import of


def test_a_batch_of_more_than_64_bits_of_lots_fills_its_buckets() -> None:
    """A meme coin: 600 trades of 3e10 units, and one of 1e-8, which makes all of them 3e18 lots."""
    tape = tapes.rows(1, 600, instruments=1)
    tape["price"], tape["size"], tape["side"] = 1e-8, 3e10, np.where(np.arange(600) % 4 == 0, -1, 1)
    tape["size"][0] = 1e-8
    out = tapes.run(tapes.signals(Kernels(bars=("1m", "imbalance:volume:90000000000"), vpin=("v30000000000x100",))), tape)
    buckets = of(out["vpin"])
    assert len(buckets) == 599
    assert [b["vpin_flag"] is None for b in buckets] == [True] * 99 + [False] * 500
    assert all(0.99 < b["vpin_flag"] <= 1 for b in buckets[99:])
    assert all(np.isfinite(b[name]) for b in buckets[99:] for name in ("null_low", "null_high"))
    assert 0 <= buckets[-1]["vpin_bvc"] <= 1
    total = sum(b["volume"] for b in of(out["bars"], bar="1m"))
    assert np.isclose(total, 599 * 3e10, rtol=1e-12)


def test_a_window_of_more_than_64_bits_of_lots_has_a_vpin() -> None:
    """V is 1e17 lots, n is 100."""
    tape = tapes.rows(1, 400, instruments=1)
    tape["price"], tape["size"], tape["side"] = 1e-6, 1e9, 1
    tape["size"][0], tape["side"][0] = 1e-8, -1
    buckets = of(tapes.run(tapes.signals(Kernels(bars=("1m",), vpin=("v1000000000x100",))), tape)["vpin"])
    assert len(buckets) == 399
    assert [b["vpin_flag"] for b in buckets[99:101]] == [1.0, 1.0]
    assert [b["vpin_flag"] for b in buckets[:99]] == [None] * 99


def absurd() -> Rows:
    """Return an hour and a midnight of trades of 5e9 units."""
    tape = tapes.rows(2, 600, span_us=3_600_000_000, begin=tapes.DAY + DAY_US - 3_000_000_000, instruments=1)
    tape["price"], tape["size"] = 1e-4, 5e9
    return tape


@pytest.mark.parametrize("cuts", [[], [1, 2, 300]])
def test_a_v_too_small_ends_the_buckets_of_a_date_and_is_noted(cuts: list[int]) -> None:
    """A trade alone would close 2e9 buckets; the bulk classified ones would take as long."""
    made, trades = tapes.signals(Kernels(bars=("1m",), vpin=("v2.5x5",))), absurd()
    made.prepare(trades)
    made.feed(trades[:1])
    known = made.take()
    buckets, noted = (dict(known)[name] for name in ("vpin", "inputs"))
    assert buckets.num_rows == vpin.MOST
    assert noted["kind"].to_pylist() == ["vpin_full"]
    assert msgspec.json.decode(noted["value"][0].as_py())["setting"] == "v2.5x5"
    for begin, end in pairwise([1, *(c for c in cuts if c > 1), trades.size]):
        made.feed(trades[begin:end])
    made.finish()
    out = tapes.gather(known + made.take())
    by_date = out["vpin"].group_by("date").aggregate([("bucket", "count")])
    assert by_date["bucket_count"].to_pylist() == [vpin.MOST, vpin.MOST]
    assert out["inputs"].num_rows == 2
    assert out["vpin"].filter(pc.is_null(out["vpin"]["vpin_flag"])).num_rows == 4, "the first window"


def test_a_bar_too_small_closes_with_every_trade() -> None:
    names = (
        "tick:1",
        "imbalance:tick:1",
        "imbalance:volume:0.00000001",
        "run:dollar:0.00000001",
        "imbalance:dollar:999999999999999",
    )
    trades = absurd()
    trades["price"][0], trades["size"][0] = 1e-8, 1e-8
    out = of(tapes.run(tapes.signals(Kernels(bars=("1m", *names), vpin=())), trades)["bars"])
    closed = Counter(row["bar"] for row in out if not row["partial"])
    assert [closed[name] for name in names] == [600, 600, 600, 599, 0], "the first trade is of 1e-16 dollars"


@pytest.mark.parametrize("setting", ["v0.000000001x50", "v1x10001", "adv10001x50", "v1234567890123456x50"])
def test_settings_out_of_range_are_refused(setting: str) -> None:
    with pytest.raises(ValidationError, match="out of range"):
        Kernels(vpin=(setting,))
