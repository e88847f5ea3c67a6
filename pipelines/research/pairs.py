"""Pairs of instruments: what `tapeflow pairs` prints and table `pairs` holds; functions of frames of time bars.

The direction is fixed by who names the legs: the first is explained by the second, in a list the earlier by the later.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import polars as pl
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from pipelines.market import BAR_WIDTHS_US
from pipelines.pair_table import PAIRS
from pipelines.research import hedge
from pipelines.research.kalman import kalman
from pipelines.research.legs import Floats, Points, align, leg
from pipelines.research.multiple import benjamini_hochberg, bonferroni
from pipelines.research.rolling import rolling_correlation, rolling_spread
from pipelines.research.stationarity import UnitRoot, adf, engle_granger, half_life
from pipelines.research.undefined import Undefined

HOUR_US = 3_600_000_000
LEAST_WINDOW = 3

Row = dict[str, Any]


def pair_series(y: pl.DataFrame, x: pl.DataFrame, interval: str, window: int) -> pl.DataFrame:
    """Return a row a point: the spread, its z, and the line that was known before the point.

    Every row is made of rows up to its own. Null: not enough points before, or one of the windows is constant.

    Parameters
    ----------
    y, x
        Time bars: columns `end`, `close`, `volume`.
    interval
        Width of the bars, as in `BAR_WIDTHS_US`.
    window
        Points of each window, at least 3.

    Returns
    -------
    DataFrame
        `end`; `y`, `x` (log prices); `alpha`, `beta` (least squares over the window before), `spread`, `z`;
        `correlation` (of the last returns); `alpha_kalman`, `beta_kalman` (the point included), `z_kalman`.

    Raises
    ------
    Undefined
        If a leg never traded.
    ValueError
        If there are no such bars, or the window is too short.
    """
    points = align(leg(y), leg(x), _width(interval, window))
    moving = rolling_spread(points.y, points.x, window)
    columns = {
        "y": points.y,
        "x": points.x,
        "alpha": moving.alpha,
        "beta": moving.beta,
        "spread": moving.spread,
        "z": moving.z,
        "correlation": rolling_correlation(points.y, points.x, points.joined, window),
    }
    try:
        filtered = kalman(points.y, points.x, window)
        columns |= {"alpha_kalman": filtered.alpha, "beta_kalman": filtered.beta, "z_kalman": filtered.z}
    except Undefined:
        columns |= dict.fromkeys(("alpha_kalman", "beta_kalman", "z_kalman"), np.full(points.y.size, np.nan))
    ends = pl.Series("end", points.ends).cast(pl.Datetime("us", "UTC"))
    return pl.DataFrame([ends, *(pl.Series(name, values) for name, values in columns.items())]).with_columns(
        pl.selectors.float().fill_nan(None)
    )


def pair_table(
    bars: Mapping[str, pl.DataFrame],
    venue: str,
    interval: str,
    window: int,
    *,
    lags: int | None = None,
    told: Callable[[int], None] = lambda _: None,
) -> pl.DataFrame:
    """Return the rows of table `pairs`: all pairs of a list, with p-values corrected for their number.

    Parameters
    ----------
    bars
        Time bars by symbol: columns `end`, `close`, `volume`. Of each pair, the symbol that comes first is y.
    venue
        Where all of them are traded: one clock.
    interval
        Width of the bars, as in `BAR_WIDTHS_US`.
    window
        Points of each window, at least 3.
    lags
        Lagged differences of the unit-root tests; None: by AIC for each.
    told
        Is called with the number of pairs done, after each.

    Raises
    ------
    ValueError
        If there are no such bars, or the window is too short.
    """
    width = _width(interval, window)
    legs = {symbol: leg(frame) for symbol, frame in bars.items()}
    rows: list[Row] = []
    with threadpool_limits(1, user_api="blas"):  # its threads cost more than they save on columns this short
        for y, x in itertools.combinations(legs, 2):
            row: Row = {"venue": venue, "y": y, "x": x, "interval": interval, "window": window, "lags": lags, "why": []}
            try:
                row |= _measures(align(legs[y], legs[x], width), window, lags, row["why"])
            except Undefined as reason:
                row["why"].append(f"all: {reason}")
            rows.append(row)
            told(len(rows))
    _correct(rows)
    return _as_table(rows)


def _measures(points: Points, window: int, lags: int | None, why: list[str]) -> Row:
    """Return the measures of one pair; those that do not exist are left out, and `why` says so."""
    if points.y.size < hedge.LEAST:
        raise Undefined(f"{points.y.size} points at which both legs had traded of late, needs {hedge.LEAST}")
    y, x, joined = points.y, points.x, points.joined
    row: Row = {
        "ts": int(points.ends[0]) - points.width_us,
        "end": int(points.ends[-1]),
        "points": y.size,
        "dropped": points.dropped,
        "carried": points.carried,
    }
    with _noting(why, "correlation"):
        row["correlation"] = hedge.correlation(np.diff(y)[joined], np.diff(x)[joined])
    row |= _hedge_ratios(y, x, why)
    row |= _newest(points, window, why)
    with _noting(why, "half_life_bars", "half_life_hours"):
        line = hedge.ols(y, x)
        spread = line.residuals(y, x)
        if hedge.is_noise(float((spread * spread).sum()), y.size, y, x):
            raise Undefined("the spread is constant but for rounding")
        row["half_life_bars"] = half_life(spread, joined)
        row["half_life_hours"] = row["half_life_bars"] * points.width_us / HOUR_US
    row |= _unit_roots(points, lags, why)
    return row


def _hedge_ratios(y: Floats, x: Floats, why: list[str]) -> Row:
    row: Row = {}
    lines: dict[str, Callable[[], hedge.Line]] = {
        "beta": lambda: hedge.ols(y, x),
        "beta_reverse": lambda: hedge.ols(x, y),
        "beta_huber": lambda: hedge.huber(y, x),
        "beta_theil_sen": lambda: hedge.theil_sen(y, x),
        "beta_tls": lambda: hedge.total_least_squares(y, x),
    }
    for name, line in lines.items():
        with _noting(why, name):
            row[name] = line().beta
    if "beta" in row and "beta_reverse" in row:
        row["r2"] = min(1.0, row["beta"] * row["beta_reverse"])
    else:
        why.append("r2: a leg is constant")
    return row


def _newest(points: Points, window: int, why: list[str]) -> Row:
    """Return what the series of the pair say at the last point."""
    y, x = points.y, points.x
    row: Row = {}
    last = slice(-2 * window - 1, None)  # all that the last row depends on
    moving = rolling_spread(y[last], x[last], window)
    short = f"{y.size} points, needs more than {{}}"
    _note(row, why, "spread_bps", float(moving.spread[-1]) * 1e4, short.format(window) if y.size <= window else "x is constant")
    flat = "the window is constant"
    _note(row, why, "z", float(moving.z[-1]), short.format(2 * window) if y.size <= 2 * window else flat)
    together = int(points.joined.sum())
    few = f"{together} returns, needs {window}"
    correlation = rolling_correlation(y, x, points.joined, window)
    newest = correlation[-1] if points.joined[-1] else math.nan
    reason = "the last point follows a hole" if not points.joined[-1] else few if together < window else flat
    _note(row, why, "correlation_window", float(newest), reason)
    try:
        filtered = kalman(y, x, window)
        row["beta_kalman"], row["z_kalman"] = float(filtered.beta[-1]), float(filtered.z[-1])
    except Undefined as reason_:
        why += [f"beta_kalman: {reason_}", f"z_kalman: {reason_}"]
    return row


def _unit_roots(points: Points, lags: int | None, why: list[str]) -> Row:
    y, x, joined = points.y, points.x, points.joined
    row: Row = {}

    def ratio() -> UnitRoot:
        m = hedge.moments(y - x, x)
        if hedge.is_noise(m.yy, y.size, y, x):
            raise Undefined("the ratio is constant but for rounding")
        return adf(y - x, joined, lags=lags)

    tests: dict[str, Callable[[], UnitRoot]] = {
        "adf_y": lambda: adf(y, joined, lags=lags),
        "adf_x": lambda: adf(x, joined, lags=lags),
        "adf_ratio": ratio,
        "eg": lambda: engle_granger(y, x, joined, lags=lags),
        "eg_reverse": lambda: engle_granger(x, y, joined, lags=lags),
    }
    for name, test in tests.items():
        with _noting(why, f"{name}_t", f"{name}_p"):
            found = test()
            row[f"{name}_t"], row[f"{name}_p"] = found.t, found.p
    if "eg_p" in row and "eg_reverse_p" in row:
        row["p"] = min(1.0, 2 * min(row["eg_p"], row["eg_reverse_p"]))
    else:
        why += [f"{name}: not tested both ways" for name in ("p", "p_bonferroni", "p_fdr")]
    return row


def _correct(rows: list[Row]) -> None:
    """Correct for the number of pairs that were tested."""
    tested = [row for row in rows if "p" in row]
    p = np.array([row["p"] for row in tested], dtype=np.float64)
    for row in rows:
        row["tested"] = p.size
    for row, by_count, by_share in zip(tested, bonferroni(p).tolist(), benjamini_hochberg(p).tolist(), strict=True):
        row["p_bonferroni"], row["p_fdr"] = by_count, by_share


def _as_table(rows: list[Row]) -> pl.DataFrame:
    schema = pl.DataFrame(PAIRS.lake_schema.empty_table()).schema
    ts = [row.get("ts") for row in rows]
    columns = {name: [row.get(name) for row in rows] for name in schema if name not in ("date", "run")}
    frame = pl.DataFrame(columns, schema={name: kind for name, kind in schema.items() if name in columns}, strict=False)
    run = hashlib.sha256(repr(sorted(map(repr, frame.rows()))).encode()).hexdigest()[:16]
    dates = pl.Series("date", ts, dtype=pl.Int64).cast(pl.Datetime("us")).dt.date()
    return frame.with_columns(dates, run=pl.lit(run)).select(list(schema))


def _width(interval: str, window: int) -> int:
    if interval not in BAR_WIDTHS_US:
        raise ValueError(f"no bars of {interval!r}; there are {', '.join(BAR_WIDTHS_US)}")
    if window < LEAST_WINDOW:
        raise ValueError(f"a window of {window} points; the least is {LEAST_WINDOW}")
    return BAR_WIDTHS_US[interval]


@contextmanager
def _noting(why: list[str], *names: str) -> Iterator[None]:
    """Note of these measures why there are none, where it turns out so."""
    try:
        yield
    except Undefined as reason:
        why += [f"{name}: {reason}" for name in names]


def _note(row: Row, why: list[str], name: str, value: float, reason: str) -> None:
    """Put a value in its place, or the reason where there is none."""
    if math.isfinite(value):
        row[name] = value
    else:
        why.append(f"{name}: {reason}")
