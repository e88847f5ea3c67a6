"""From the integers of kernels to the rows of tables: each figure is rounded to float64 once, here."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.kernels.bar import FIGURES, Bars, figures
from pipelines.market import DAY_US, TABLES, Flag
from pipelines.schema import TIME
from pipelines.tape import Rows, joined

_QUALITIES = ["complete", "repaired", "late", "gap"]

Closed = tuple[str, int, Bars]
"""Bars that closed: their name, the place of a time bar in market.BAR_WIDTHS_US (-1: no time bar), and the bars."""


def time(us: npt.NDArray[np.int64]) -> pa.Array:
    """Return microseconds since 1970 as a column of times."""
    return pa.array(us, pa.int64()).view(TIME)


def date(us: npt.NDArray[np.int64]) -> pa.Array:
    """Return the UTC dates of microseconds since 1970."""
    return pa.array((us // DAY_US).astype(np.int32), pa.int32()).view(pa.date32())


def words(values: list[str], index: npt.NDArray[np.integer]) -> pa.Array:
    """Return `values[index]` as a column of strings."""
    if index.size and (values.count(values[0]) == len(values) or (index == index[0]).all()):
        return constant(values[int(index[0])], index.size)
    return pa.array(values, pa.string()).take(pa.array(index))


def constant(value: str, n: int) -> pa.Array:
    """Return a column that says `value` n times."""
    return pa.repeat(pa.scalar(value, pa.string()), n)


def or_null(values: npt.NDArray[np.float64]) -> pa.Array:
    """Return a column in which NaN is null."""
    return pa.array(values, pa.float64(), mask=np.isnan(values))


def table(name: str, columns: dict[str, list[Any] | pa.Array]) -> pa.Table:
    """Return rows of table `name` in the order and types of its schema (date and venue included)."""
    schema, fields = _schema(name)
    return pa.table([_typed(columns[column], type_) for column, type_ in fields], schema=schema)


@cache
def _schema(name: str) -> tuple[pa.Schema, list[tuple[str, pa.DataType]]]:
    """Return the schema of a table, and its fields as plain pairs: Arrow makes those anew whenever they are asked for."""
    schema = TABLES[name].lake_schema
    return schema, [(field.name, field.type) for field in schema]


def _typed(column: list[Any] | pa.Array, type_: pa.DataType) -> pa.Array:
    if isinstance(column, list):
        return pa.array(column, type_)
    return column if column.type == type_ else column.cast(type_)


def trades(rows: Rows | Mapping[str, npt.NDArray[Any]], venues: list[str], symbols: list[str], tapes: list[str]) -> pa.Table:
    """Return trades (rows, or their columns) as rows of table `trades`; venues, symbols and tapes are by instrument."""
    instrument = rows["instrument"]
    told = {name: words(texts, instrument) for name, texts in (("venue", venues), ("symbol", symbols), ("tape", tapes))}
    return table("trades", {"date": date(rows["ts"]), **told, **trade_columns(rows)})


def trade_columns(rows: Rows | Mapping[str, npt.NDArray[Any]]) -> dict[str, pa.Array]:
    """Return what table `trades` says of each trade, beside its date, venue, symbol and tape."""
    recv = rows["recv_ns"] // 1000
    first, last = rows["first_fill"], rows["last_fill"]
    ts = time(rows["ts"])
    return {
        "trade_id": pa.array(rows["trade_id"]),
        "ts": ts,
        "end": ts,
        "seq": pa.array(rows["seq"]),
        "recv_ts": pa.array(recv, pa.int64(), mask=recv == 0).view(TIME),
        "price": pa.array(rows["price"]),
        "size": pa.array(rows["size"]),
        "contracts": or_null(rows["contracts"]),
        "side": pa.array(rows["side"]),
        "first_fill": pa.array(first, pa.int64(), mask=first < 0),
        "last_fill": pa.array(last, pa.int64(), mask=last < 0),
        "fills": pa.array(rows["fills"]),
        "counted": pa.array(rows["counted"]),
        "flags": _flags(rows["flags"]),
    }


def _flags(flags: npt.NDArray[np.int32]) -> pa.Array:
    """Return flags as lists of words."""
    if not flags.any():
        return pa.ListArray.from_arrays(pa.array(np.zeros(flags.size + 1, np.int32)), pa.array([], pa.string()))
    distinct, which = np.unique(flags, return_inverse=True)
    lists = pa.array([Flag(int(f)).words() for f in distinct], pa.list_(pa.string()))
    return lists.take(pa.array(which.reshape(flags.size)))


def bars(
    closed: list[Closed],
    venues: list[str],
    symbols: list[str],
    price_places: npt.NDArray[np.int64],
    size_places: npt.NDArray[np.int64],
) -> pa.Table:
    """Return closed bars as rows of table `bars`; venues, symbols and places are by instrument."""
    names, levels, parts = zip(*closed, strict=True)
    bar = joined(parts)
    which = np.repeat(np.arange(len(parts)), [part.size for part in parts])
    level = np.array(levels)[which]
    late = (level >= 0) & (bar["late"] >> np.maximum(level, 0) & 1 == 1)
    quality = np.where(bar["gap"], 3, np.where(late, 2, np.where(bar["repaired"], 1, 0)))
    computed = np.empty((len(FIGURES), bar.size))
    figures(bar, price_places, size_places, computed)
    return table(
        "bars",
        {
            "date": date(np.where(level >= 0, bar["ts"], bar["end"] - bar["partial"])),
            "venue": words(venues, bar["instrument"]),
            "symbol": words(symbols, bar["instrument"]),
            "bar": words(list(names), which),
            "ts": time(bar["ts"]),
            "first_id": pa.array(bar["first_id"]),
            "end": time(bar["end"]),
            "threshold": or_null(bar["threshold"]),
            **{name: pa.array(column) for name, column in zip(FIGURES, computed, strict=True)},
            "trades": pa.array(bar["trades"]),
            "fills": pa.array(bar["fills"]),
            "last_id": pa.array(bar["last_id"]),
            "partial": pa.array(bar["partial"]),
            "quality": words(_QUALITIES, quality),
            "imbalance": or_null(bar["imbalance"]),
        },
    )
