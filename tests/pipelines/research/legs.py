"""Legs of pairs for the tests: random walks, bars, and arithmetic without rounding."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import polars as pl

from pipelines.research.legs import Floats

MINUTE = 60_000_000
DAY = 1_700_006_400_000_000  # 2023-11-15, us


def walks(seed: int, n: int, noise: float = 3e-4) -> tuple[Floats, Floats]:
    """Return log prices of two legs that hang together: y = 0.8 x + something that comes back."""
    rng = np.random.default_rng(seed)
    x = 11.0 + 1e-3 * rng.standard_normal(n).cumsum()
    return 0.8 * x + noise * rng.standard_normal(n), x


def bars(closes: Sequence[float | None], volumes: Sequence[float] | None = None) -> pl.DataFrame:
    """Return a `1m` bar for each close, from DAY on; None: that minute has none."""
    there = [k for k, close in enumerate(closes) if close is not None]
    return pl.DataFrame(
        {
            "end": pl.Series([DAY + (k + 1) * MINUTE for k in there], dtype=pl.Int64).cast(pl.Datetime("us", "UTC")),
            "close": pl.Series([closes[k] for k in there], dtype=pl.Float64),
            "volume": pl.Series([volumes[k] if volumes else 1.0 for k in there], dtype=pl.Float64),
        }
    )


def exactly(values: Floats) -> list[Fraction]:
    return [Fraction(float(v)) for v in values]


def exact_moments(y: Floats, x: Floats) -> tuple[Fraction, Fraction, Fraction]:
    """Return Syy, Syx, Sxx without rounding."""
    ys, xs = exactly(y), exactly(x)
    my, mx = sum(ys, Fraction()) / len(ys), sum(xs, Fraction()) / len(xs)
    v, u = [a - my for a in ys], [b - mx for b in xs]
    return (
        sum((a * a for a in v), Fraction()),
        sum((a * b for a, b in zip(v, u, strict=True)), Fraction()),
        sum((b * b for b in u), Fraction()),
    )
