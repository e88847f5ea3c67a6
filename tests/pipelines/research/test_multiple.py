"""Corrections for the number of tests."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.research.multiple import benjamini_hochberg, bonferroni


def test_by_hand() -> None:
    p = np.array([0.01, 0.3, 0.02, 0.04])
    assert bonferroni(p).tolist() == pytest.approx([0.04, 1, 0.08, 0.16])
    assert benjamini_hochberg(p).tolist() == pytest.approx([0.04, 0.3, 0.04, 0.04 * 4 / 3])
    assert bonferroni(np.array([])).size == benjamini_hochberg(np.array([])).size == 0


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_as_statsmodels_has_them(values: list[float]) -> None:
    from statsmodels.stats.multitest import multipletests

    p = np.array(values)
    for ours, method in ((bonferroni(p), "bonferroni"), (benjamini_hochberg(p), "fdr_bh")):
        assert ours == pytest.approx(multipletests(p, method=method)[1], rel=1e-12, abs=1e-300)
        assert (ours >= p).all()
