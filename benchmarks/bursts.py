"""How often pairs of walks that have nothing in common pass the tests of cointegration over one day, calm and in bursts.

python -m benchmarks.bursts
"""

from __future__ import annotations

import numpy as np
import polars as pl

from pipelines.research.pairs import pair_table
from tests import tapes

SETS, SYMBOLS, MINUTES = 10, 8, 1440
LEVEL = 0.05


def bars(rng: np.random.Generator, burst: float) -> pl.DataFrame:
    """Return a day of minutes of a walk; in every tenth half hour its steps are `burst` times as large."""
    size = np.where(np.repeat(rng.random(MINUTES // 30) < 0.1, 30), burst, 1.0)
    closes = 100.0 * np.exp(np.cumsum(rng.normal(0, 3e-4, MINUTES) * size))
    ends = pl.Series(tapes.DAY + 60_000_000 * np.arange(1, MINUTES + 1)).cast(pl.Datetime("us", "UTC"))
    return pl.DataFrame({"end": ends, "close": closes, "volume": 1.0})


def main() -> None:
    """Print a row for walks without bursts and one for walks with them."""
    print("burst  pairs  p < 5 %  after correction  sets with any of these")
    for burst in (1.0, 10.0):
        found = []
        for seed in range(SETS):
            rng = np.random.default_rng(seed)
            found.append(pair_table({f"S{k}": bars(rng, burst) for k in range(SYMBOLS)}, "demo", "1m", 60))
        p, corrected = ([(table[name] < LEVEL).sum() for table in found] for name in ("p", "p_fdr"))
        pairs = sum(table.height for table in found)
        print(f"{burst:5.0f}  {pairs:5}  {sum(p):7}  {sum(corrected):16}  {sum(map(bool, corrected))} of {SETS}")


if __name__ == "__main__":
    main()
