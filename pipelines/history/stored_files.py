"""Data files of a day: which there are, who wrote them, what they hold."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.history.day import Day
from pipelines.market import TABLES
from pipelines.store.lake import Lake
from pipelines.store.parquet import Staged

SEAL = "seal."
"""Begins the writer's name of every file that a seal wrote."""
LIVE = "live"
"""The source of a date that the stream recorded."""
REMEMBERED = 100_000
"""Files of which it is known whose rows they hold."""
_symbols: dict[tuple[str, str, str], frozenset[str]] = {}


def writer_of(path: str) -> str:
    """Return the writer of a file, from its name."""
    return path.rpartition("/")[2].rpartition("-")[0]


def is_sealed(path: str) -> bool:
    """Whether a seal wrote the file."""
    return writer_of(path).startswith(SEAL)


def files_of(lake: Lake, table: str, day: Day) -> list[Staged]:
    """Return the files of a day in a table, by name."""
    date = day.date.isoformat()
    return sorted(f for f in lake.live(table).values() if (f.date, f.venue) == (date, day.venue))


def told(lake: Lake, table: str, file: Staged) -> dict[str, str]:
    """Return what a file says of itself."""
    fs, folder = lake.folder(table)
    with fs.open_input_file(f"{folder}/{file.path}") as source:
        return {key.decode(): value.decode() for key, value in (pq.read_metadata(source).metadata or {}).items()}


def symbols_in(lake: Lake, table: str, file: Staged) -> set[str]:
    """Return whose rows a file holds; only where several symbols share it is a column read, and that once."""
    key = (lake.root, table, file.path)
    if key not in _symbols:
        if len(_symbols) >= REMEMBERED:
            _symbols.clear()
        _symbols[key] = _look_into(lake, table, file)
    return set(_symbols[key])


def _look_into(lake: Lake, table: str, file: Staged) -> frozenset[str]:
    fs, folder = lake.folder(table)
    with fs.open_input_file(f"{folder}/{file.path}") as source:
        reader = pq.ParquetFile(source)
        at = reader.schema_arrow.get_field_index("symbol")
        groups = [reader.metadata.row_group(g).column(at).statistics for g in range(reader.num_row_groups)]
        if all(s is not None and s.has_min_max and s.min == s.max for s in groups):
            return frozenset(s.min for s in groups)
        return frozenset(pc.unique(reader.read(columns=["symbol"])["symbol"]).to_pylist())


def read(
    lake: Lake, table: str, files: Sequence[Staged], symbols: Sequence[str] | None = None, columns: Sequence[str] = ()
) -> pa.Table:
    """Return rows of files of a table: those of `symbols`, and these `columns`, where given; else all."""
    fs, folder = lake.folder(table)
    schema = TABLES[table].lake_schema
    if columns:
        schema = pa.schema([schema.field(name) for name in columns])
    wanted = {*columns, "symbol"} if columns else None
    parts = [schema.empty_table()]
    for file in files:
        with fs.open_input_file(f"{folder}/{file.path}") as source:
            reader = pq.ParquetFile(source)
            rows = reader.read(columns=wanted and [name for name in reader.schema_arrow.names if name in wanted])
        if symbols is not None:
            rows = rows.filter(pc.is_in(rows["symbol"], pa.array(symbols, pa.string())))
        day = pa.scalar(dt.date.fromisoformat(file.date), pa.date32())
        known = {name: rows[name] for name in rows.column_names}
        known |= {"date": pa.repeat(day, len(rows)), "venue": pa.repeat(pa.scalar(file.venue), len(rows))}
        columns = [known.get(f.name, pa.nulls(len(rows), f.type)) for f in schema]  # an older file lacks some
        parts.append(pa.table(columns, names=schema.names).cast(schema))
    return pa.concat_tables(parts)
