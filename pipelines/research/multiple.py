"""Many tests at once: what a p-value is worth when it is the smallest of a thousand."""

from __future__ import annotations

import numpy as np

from pipelines.research.legs import Floats


def bonferroni(p: Floats) -> Floats:
    """Return p-values times their number, at most 1: below q, the chance of even one false find is at most q."""
    return np.minimum(1.0, p * p.size)


def benjamini_hochberg(p: Floats) -> Floats:
    """Return p-values adjusted so that, of all below q, the expected share of false finds is at most q.

    This holds for independent and for positively dependent tests. Pairs that share a leg are not independent.
    """
    order = np.argsort(p, kind="stable")
    ranks = np.arange(1, p.size + 1)
    raised = np.minimum.accumulate((p[order] * (p.size / ranks))[::-1])[::-1]
    out = np.empty(p.size)
    out[order] = np.minimum(1.0, raised)
    return out
