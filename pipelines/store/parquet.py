"""Data files: rows to sorted, compressed Parquet with the statistics that let readers skip it."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as pafs
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipelines.schema import Table

PARTITION = ["date", "venue"]
ROW_GROUP = 262_144
LONG_TEXT = 64
"""Columns with longer text than this (bytes) get no min and max: they would swell the log and prune nothing."""


class Staged(NamedTuple):
    """A data file that is written and durable, but not in the log: no reader sees it.

    Attributes
    ----------
    table : str
    path : str
        Relative to the table's root: `date=2024-07-19/venue=binance-usdm/<name>.parquet`.
    size : int
        Bytes.
    date, venue : str
        Partition; `date` is ISO.
    rows : int
    stats : str
        Delta statistics (JSON).
    """

    table: str
    path: str
    size: int
    date: str
    venue: str
    rows: int
    stats: str


def stage(fs: pafs.FileSystem, root: str, table: Table, rows: pa.Table, name: str, metadata: dict[str, str]) -> list[Staged]:
    """Write `rows` below `root`, one file per (date, venue), and force them to disk.

    Parameters
    ----------
    fs, root, table
        File system, folder of the table in it, and which table it is.
    rows
        Columns of `table.lake_schema`, in any order of rows. Floats that are not finite are stored as null.
    name
        File name without its suffix; a file of that name is overwritten.
    metadata
        Key-value metadata of each file.

    Raises
    ------
    ValueError
        If a column is missing or does not fit its type.
    """
    missing = set(table.lake_schema.names) - set(rows.column_names)
    if missing:
        raise ValueError(f"table {table.name}: rows lack {', '.join(sorted(missing))}")
    rows = _finite(rows.select(table.lake_schema.names).cast(table.lake_schema))
    return [_write(fs, root, table, part, name, metadata) for part in _parts(rows)]


def _finite(rows: pa.Table) -> pa.Table:
    for i, field in enumerate(rows.schema):
        if pa.types.is_floating(field.type):
            column = rows.column(i)
            rows = rows.set_column(i, field, pc.if_else(pc.is_finite(column), column, pa.scalar(None, field.type)))
    return rows


def _parts(rows: pa.Table) -> Iterator[pa.Table]:
    pairs = rows.select(PARTITION).group_by(PARTITION, use_threads=False).aggregate([]).to_pylist()
    for pair in sorted(pairs, key=lambda p: (p["date"], p["venue"])):
        mine = (pc.field("date") == pair["date"]) & (pc.field("venue") == pair["venue"])
        yield rows if len(pairs) == 1 else rows.filter(mine)


def _write(fs: pafs.FileSystem, root: str, table: Table, part: pa.Table, name: str, metadata: dict[str, str]) -> Staged:
    date, venue = str(part["date"][0]), str(part["venue"][0])
    path = f"date={date}/venue={venue}/{name}.parquet"
    part = part.drop_columns(PARTITION)
    part = part.take(_order(part, table.sort))
    with open_file(fs, f"{root}/{path}") as sink, pq.ParquetWriter(sink, part.schema, **options(part.schema)) as writer:
        writer.write_table(part, row_group_size=ROW_GROUP)
        writer.add_key_value_metadata(metadata)
    sync(fs, root, path)
    size = fs.get_file_info(f"{root}/{path}").size
    return Staged(table.name, path, size, date, venue, part.num_rows, statistics(part))


def options(schema: pa.Schema) -> dict[str, Any]:
    """Return how a file of these columns is written."""
    # Rising integers shrink to almost nothing as deltas; prices and sizes recur, so dictionaries beat byte splitting.
    deltas = [f.name for f in schema if pa.types.is_int64(f.type) or pa.types.is_timestamp(f.type)]
    return {
        "compression": "zstd",
        "compression_level": 2,
        "use_dictionary": [_leaf(f) for f in schema if f.name not in deltas],
        "column_encoding": dict.fromkeys(deltas, "DELTA_BINARY_PACKED"),
        "dictionary_pagesize_limit": 4 << 20,
        "store_schema": False,
    }


def _order(rows: pa.Table, columns: tuple[str, ...]) -> npt.NDArray[np.intp]:
    """Return the places of rows in ascending order of `columns`, none of which holds a null; equal rows stay as they came."""
    return np.lexsort([_sortable(rows[column]) for column in reversed(columns)])


def _sortable(column: pa.ChunkedArray) -> npt.NDArray[np.generic]:
    """Return values that sort as those of `column`; of texts their ranks, which are compared four times as fast."""
    values: npt.NDArray[np.generic]
    if not pa.types.is_string(column.type):
        values = column.to_numpy()
        return values
    coded = column.combine_chunks().dictionary_encode()
    ranks = np.argsort(pc.sort_indices(coded.dictionary).to_numpy())
    values = ranks[coded.indices.to_numpy()]
    return values


def _leaf(field: pa.Field) -> str:
    return f"{field.name}.list.element" if pa.types.is_list(field.type) else str(field.name)


def open_file(fs: pafs.FileSystem, path: str) -> pa.NativeFile:
    """Open a new file, and make the folders it lies in; an object store has none."""
    if isinstance(fs, pafs.LocalFileSystem):
        fs.create_dir(path.rpartition("/")[0], recursive=True)
    return fs.open_output_stream(path)


def sync(fs: pafs.FileSystem, root: str, path: str) -> None:
    """Force a file, and the folders from it up to the table's, to disk; an object store has done so by itself."""
    if not isinstance(fs, pafs.LocalFileSystem):
        return
    parts = path.split("/")
    for depth in range(len(parts), -1, -1):
        fd = os.open("/".join([root, *parts[:depth]]), os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def statistics(rows: pa.Table) -> str:
    """Return the Delta statistics of a file: rows, and per column the nulls, least and greatest value."""
    low: dict[str, Any] = {}
    high: dict[str, Any] = {}
    nulls: dict[str, int] = {}
    for field, column in zip(rows.schema, rows.columns, strict=True):
        nulls[field.name] = column.null_count
        if pa.types.is_nested(field.type) or pa.types.is_boolean(field.type) or column.null_count == len(column):
            continue
        if pa.types.is_string(field.type) and pc.max(pc.binary_length(column)).as_py() > LONG_TEXT:
            continue
        extremes = pc.min_max(column).as_py()
        low[field.name], high[field.name] = plain(extremes["min"]), plain(extremes["max"])
    return json.dumps(
        {"numRecords": rows.num_rows, "minValues": low, "maxValues": high, "nullCount": nulls}, separators=(",", ":")
    )


def plain(value: Any) -> Any:
    """Return a value as the statistics say it: times as ISO text."""
    return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if hasattr(value, "strftime") else value
