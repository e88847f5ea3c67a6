"""Buckets of very many lots: nothing runs over 64 bits."""

from __future__ import annotations

import numpy as np

from pipelines.settings import Kernels
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
