"""Pairs: single measures on 100 points, tests beside statsmodels' `coint`, and all pairs of 50 symbols over a day of minutes.

python -m benchmarks.pairs
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np
import polars as pl

from benchmarks.report import Line, median, show
from pipelines.research.hedge import correlation, ols
from pipelines.research.legs import Floats
from pipelines.research.pairs import pair_table
from pipelines.research.rolling import z
from pipelines.research.stationarity import adf, engle_granger, half_life

POINTS = 100
WINDOW = 60
SYMBOLS = 50
MINUTES = 1440
LAGS = 5
RUNS = 5
REPEATS = 50
BEGIN_US = 1_700_006_400_000_000  # 2023-11-15


def legs(n: int, seed: int) -> tuple[Floats, Floats]:
    """Return log prices of two legs that hang together."""
    rng = np.random.default_rng(seed)
    x = 11 + 1e-3 * rng.standard_normal(n).cumsum()
    spread = np.convolve(3e-4 * rng.standard_normal(n), 0.8 ** np.arange(n))[:n]
    return 0.8 * x + spread, x


def bars(symbols: int) -> dict[str, pl.DataFrame]:
    """Return a day of minutes by symbol: a common walk, one of its own, and noise."""
    rng = np.random.default_rng(0)
    market = 1e-3 * rng.standard_normal(MINUTES).cumsum()
    ends = pl.Series("end", BEGIN_US + 60_000_000 * np.arange(1, MINUTES + 1)).cast(pl.Datetime("us", "UTC"))
    made = {}
    for k in range(symbols):
        own = 3e-4 * rng.standard_normal(MINUTES).cumsum() * (k % 3) + 2e-4 * rng.standard_normal(MINUTES)
        logs = 3 + market * rng.uniform(0.5, 1.5) + own
        made[f"S{k:02}-USDT"] = pl.DataFrame({"end": ends, "close": np.exp(logs), "volume": 1.0})
    return made


def seconds(work: Callable[[], object], repeats: int = REPEATS) -> float:
    """Return the median time of one call over several runs of many."""

    def measured() -> float:
        begun = time.perf_counter()
        for _ in range(repeats):
            work()
        return (time.perf_counter() - begun) / repeats

    return median(measured, RUNS)


def run() -> Iterator[Line]:
    """Measure."""
    from statsmodels.tsa.stattools import coint  # noqa: PLC0415 - loads for seconds

    y, x = legs(POINTS, 1)
    dy, dx = np.diff(y), np.diff(x)
    spread = ols(y, x).residuals(y, x)
    single: dict[str, Callable[[], object]] = {
        "OLS": lambda: ols(y, x),
        "z of every point": lambda: z(spread, WINDOW),
        "correlation": lambda: correlation(dy, dx),
        "half-life": lambda: half_life(spread),
    }
    for name, work in single.items():
        yield Line(f"{name}, {POINTS} points", f"{seconds(work) * 1e3:.3f} ms", "1 ms")
    for lags in (None, LAGS):
        chosen = "by AIC" if lags is None else f"{lags}"
        ours = seconds(lambda: (adf(y, lags=lags), engle_granger(y, x, lags=lags), engle_granger(x, y, lags=lags)))  # noqa: B023
        theirs = seconds(lambda: coint(y, x, maxlag=lags, autolag="aic" if lags is None else None))  # noqa: B023
        what = f"ADF and Engle-Granger both ways / one `coint` of statsmodels, {POINTS} points, lags {chosen}"
        yield Line(what, f"{ours / theirs:.2f}", "2.5")
    frames = bars(SYMBOLS)
    begun, spent = time.perf_counter(), time.process_time()
    found = pair_table(frames, "demo", "1m", WINDOW, lags=LAGS)
    took, worked = time.perf_counter() - begun, time.process_time() - spent
    what = f"table of {found.height:,} pairs, all measures, a day of minutes, lags {LAGS}"
    yield Line(what, f"{took:.1f} s ({worked:.1f} s of processor)", "30 s")


if __name__ == "__main__":
    show(run())
