"""Rolled-up bars against bars made directly from trades."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.kernels import bar, time_bars
from pipelines.kernels.bar import FIGURES, Bars
from pipelines.rollup import rolled
from pipelines.tape import Rows
from tests import reference, tapes
from tests.pipelines.test_signals import SEEDS

SECOND = 1_000_000
PLACES = np.full(2, 3)


def seconds(tape: Rows) -> Bars:
    """Return the one-second bars of a tape, in integers."""
    made = tapes.signals()
    made.prepare(tape)
    made.price_places[:], made.size_places[:] = 3, 3
    made.feed(tape)  # sets what kernels read: ticks, lots, eff
    open_bars, out = np.zeros(2, bar.BAR), np.empty(tape.size + 2, bar.BAR)
    closed = time_bars.seconds(tape, open_bars, out)
    for k in np.flatnonzero(open_bars["trades"]):
        out[closed] = open_bars[k]
        closed += 1
    bars = out[:closed]
    return bars[np.lexsort((bars["ts"], bars["instrument"]))]


@settings(max_examples=15, deadline=None)
@given(SEEDS, st.lists(st.integers(1, 400), min_size=1, max_size=3))
def test_rolled_bars_equal_direct_bars_to_the_bit(seed: int, multiples: list[int]) -> None:
    """Also when rolled up in several steps, each a multiple of the one before."""
    tape = tapes.rows(seed, 400)
    bars, width = seconds(tape), SECOND
    for multiple in multiples:
        width *= multiple
        bars = rolled(bars, width)
    figures = np.empty((len(FIGURES), bars.size))
    bar.figures(bars, PLACES, PLACES, figures)
    for i, trades in reference.trades(tape).items():
        theirs = reference.time_bars(trades, width)
        mine = bars["instrument"] == i
        for name in ("ts", "end", "first_id", "last_id", "trades"):
            assert bars[name][mine].tolist() == [b[name] for b in theirs]
        for name, ours in zip(FIGURES, figures[:, mine], strict=True):
            assert ours.tolist() == [b[name] for b in theirs]


def test_a_width_that_does_not_fit_is_refused() -> None:
    bars = seconds(tapes.rows(1, 50))
    with pytest.raises(ValueError, match="cannot be rolled up"):
        rolled(bars, 1_500_000)
    mixed = bars.copy()
    mixed["end"][3] += SECOND
    with pytest.raises(ValueError, match="cannot be rolled up"):
        rolled(mixed, 60 * SECOND)
    assert not rolled(bars[:0], 60 * SECOND).size
