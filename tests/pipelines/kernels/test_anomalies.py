"""The quick look at a sweep never turns away one that the exact test would find."""

from __future__ import annotations

import statistics

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pipelines.kernels.anomalies import _may_reach

LOGS = st.lists(st.floats(-10, 30), min_size=30, max_size=67)


@settings(deadline=None)
@given(LOGS, st.floats(-10, 40), st.floats(0.1, 1))
def test_what_reaches_the_threshold_may_reach_it(logs: list[float], value: float, share: float) -> None:
    deviation = statistics.stdev(logs)
    assume(deviation > 1e-6)
    z = (value - statistics.fmean(logs)) / deviation
    assume(z > 0.01)
    assert _may_reach(np.array(logs), value, z * share)


def test_what_is_far_from_the_threshold_is_turned_away() -> None:
    logs = np.sin(np.arange(1000.0))
    assert not _may_reach(logs, 2.0, 4.0)
    assert _may_reach(logs, 4.0, 4.0)
