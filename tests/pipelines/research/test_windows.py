"""Windows against sets of whole numbers."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.research.windows import contains, places, union

PAIRS = st.lists(st.tuples(st.integers(-40, 40), st.integers(-40, 40)), max_size=8)


@settings(max_examples=100, deadline=None)
@given(PAIRS, st.integers(1, 9), st.integers(-5, 20))
def test_windows_are_sets_of_whole_numbers(pairs: list[tuple[int, int]], step: int, phase: int) -> None:
    members = {t for first, last in pairs for t in range(first, last + 1)}
    first, last = np.array(pairs, np.int64).reshape(-1, 2).T
    windows = union(first, last)
    every = np.arange(-60, 61)
    assert set(every[contains(windows, every)].tolist()) == members
    assert all(windows.first[1:] > windows.last[:-1])
    assert places(windows, step, phase) == len([t for t in members if (t - phase) % step == 0])
