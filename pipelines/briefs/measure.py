"""Measures: what makes one value of the rows of a query, exact or correctly rounded: the same rows give the same value."""

from __future__ import annotations

import hashlib
import json
import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl

from pipelines.briefs.fact import Value

if TYPE_CHECKING:
    from collections.abc import Callable

VALUE: Final = "value"
"""The column that is measured; queries name it so. `of` is what it is held against, `part` the group a row belongs to."""
SETTING: Final = "setting"
"""The measure of facts that no rows stand behind: a limit, a window, a time that was agreed."""
EARLIER_LEAST: Final = 20
"""Earlier values needed before a percentile is given."""


def measured(rows: pl.DataFrame, name: str) -> Value:
    """Return what a measure makes of rows; None where they do not give it.

    Raises
    ------
    KeyError
        If there is no such measure.
    """
    return MEASURES[name](rows)


def digest(rows: pl.DataFrame) -> str:
    """Return the first 16 hex digits of the SHA-256 of the rows: names, order, and every bit of every value."""
    found = hashlib.sha256(f"{rows.height}".encode())
    for column in rows.iter_columns():
        found.update(f"\0{column.name}\0".encode())
        found.update(column.is_null().to_numpy().tobytes())
        found.update(_bytes(column))
    return found.hexdigest()[:16]


def _bytes(column: pl.Series) -> bytes:
    kind = column.dtype
    if kind.is_float():
        return column.cast(pl.Float64).fill_null(0.0).to_numpy().astype("<f8").tobytes()
    if kind.is_integer() or kind.is_temporal() or kind == pl.Boolean:
        whole = column.cast(pl.Datetime("us")) if kind == pl.Datetime else column
        return whole.to_physical().cast(pl.Int64).fill_null(0).to_numpy().astype("<i8").tobytes()
    return json.dumps(column.to_list(), default=str).encode()


def _values(rows: pl.DataFrame) -> list[Any]:
    return rows[VALUE].drop_nulls().to_list() if rows.height else []


def _last(rows: pl.DataFrame) -> Value:
    last: Value = rows[VALUE][-1] if rows.height else None
    return last


def _root_last(rows: pl.DataFrame) -> Value:
    last = _last(rows)
    return math.sqrt(last) if isinstance(last, int | float) and last >= 0 else None


def _sum(rows: pl.DataFrame) -> Value:
    values = _values(rows)
    return math.fsum(values) if values else None


def _change(rows: pl.DataFrame) -> Value:
    """Return last / first - 1."""
    values = _values(rows)
    return values[-1] / values[0] - 1 if len(values) > 1 and values[0] else None


def _ratio(rows: pl.DataFrame) -> Value:
    """Return the sum of `value` by the sum of `of`."""
    below = math.fsum(rows["of"].drop_nulls().to_list()) if rows.height else 0.0
    return math.fsum(_values(rows)) / below if below else None


def _range_bps(rows: pl.DataFrame) -> Value:
    """Return how far the highest `high` and the lowest `low` are apart, bps of the last `value`."""
    return _spread_bps(list(rows.select("high", "low", VALUE).iter_rows()))


def _spread_bps(bars: list[tuple[float, float, float]]) -> float | None:
    if not bars or not bars[-1][2]:
        return None
    return 10_000 * (max(high for high, _, _ in bars) - min(low for _, low, _ in bars)) / bars[-1][2]


def _share(rows: pl.DataFrame) -> Value:
    """Return the share of rows that are true."""
    values = _values(rows)
    return sum(values) / len(values) if values else None


def _true(rows: pl.DataFrame) -> Value:
    """Return how many rows are true."""
    return int(sum(_values(rows)))


def _percentile(rows: pl.DataFrame) -> Value:
    """Return the share of earlier values that are at most the last."""
    return _at_most_last(rows[VALUE].to_numpy()) if rows.height and rows[VALUE][-1] is not None else None


def _earlier(rows: pl.DataFrame) -> Value:
    """Return how many values the last one is held against."""
    return max(0, len(_values(rows)) - 1)


def _parts(rows: pl.DataFrame, columns: tuple[str, ...]) -> list[list[Any]]:
    """Return the rows of each `part`, the greatest part first: parts are counted back from the end."""
    parts: dict[int, list[Any]] = {}
    for part, *row in rows.select("part", *columns).iter_rows():
        parts.setdefault(part, []).append(row)
    return [parts[part] for part in sorted(parts, reverse=True)]


def _sums_percentile(rows: pl.DataFrame) -> Value:
    """Return the share of the sums of earlier parts that are at most that of part 0."""
    if not rows.height or rows["part"].min() != 0:
        return None
    return _at_most_last(np.array([math.fsum(v for (v,) in part) for part in _parts(rows, (VALUE,))]))


def _ranges_percentile(rows: pl.DataFrame) -> Value:
    """Return the share of the ranges of earlier parts that are at most that of part 0; ranges as `range_bps`."""
    if not rows.height or rows["part"].min() != 0:
        return None
    ranges = [_spread_bps([tuple(r) for r in part]) for part in _parts(rows, ("high", "low", VALUE))]
    return _at_most_last(np.array(ranges, np.float64))


def _earlier_parts(rows: pl.DataFrame) -> Value:
    return int((rows["part"].unique() > 0).sum()) if rows.height else 0


def _at_most_last(values: Any) -> float | None:
    earlier = values[:-1][~np.isnan(values[:-1])]
    return int((earlier <= values[-1]).sum()) / earlier.size if earlier.size >= EARLIER_LEAST else None


MEASURES: Final[dict[str, Callable[[pl.DataFrame], Value]]] = {
    "last": _last,
    "root_last": _root_last,
    "count": lambda rows: rows.height,
    "sum": _sum,
    "max": lambda rows: max(_values(rows), default=None),
    "min": lambda rows: min(_values(rows), default=None),
    "change": _change,
    "ratio": _ratio,
    "range_bps": _range_bps,
    "share": _share,
    "true": _true,
    "percentile": _percentile,
    "earlier": _earlier,
    "sums_percentile": _sums_percentile,
    "sums_earlier": _earlier_parts,
    "ranges_percentile": _ranges_percentile,
    "ranges_earlier": _earlier_parts,
}
