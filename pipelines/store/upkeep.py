"""Upkeep of the lake: many small files into few large ones, and replaced files off the disk."""

from __future__ import annotations

import datetime as dt
import re
from itertools import groupby
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake.exceptions import CommitFailedError

from pipelines.store import LakeError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipelines.store.commits import Commits
    from pipelines.store.parquet import Staged

_NUMBERED = re.compile(r".+-\d+\.parquet")
"""Files as `Staging` names them: writer and number."""
LARGE_BYTES = 32 << 20
"""Files of this size are left alone."""
BATCH_ROWS = 1_000_000
"""Rows that are held in memory at once."""


def compact(lake: Commits, table: str) -> int:
    """Merge the small files of each date, venue and writer of `table`; return how many were merged. No row changes.

    One process at a time. Where a seal replaces the same files first, they are left for the next round.
    """
    merged = 0
    for batch in _batches(lake.live(table)):
        name = _name(batch)
        try:
            rows, metadata = _read(lake, table, batch)
            staged = lake.stage(table, rows, name, metadata)
            lake.replace(table, [file.path for file in batch], staged, data_change=False)
        except (LakeError, FileNotFoundError):
            lake.discard(table, lake.orphans(table, f"{name}."))
        else:
            merged += len(batch)
    return merged


def vacuum(lake: Commits, table: str) -> int:
    """Delete files that were replaced over a day ago; return how many.

    Never `full`: that would also delete files that are staged and not committed yet.
    """
    try:
        return len(lake.latest(table).vacuum(dry_run=False, full=False))
    except CommitFailedError:  # somebody else's commit came between; the next round finds the files again
        return 0


def _batches(live: dict[str, Staged]) -> Iterator[list[Staged]]:
    """Yield the small files of each writer in each partition, in groups of at least two that fit into memory."""
    small = [f for f in live.values() if f.size < LARGE_BYTES and _NUMBERED.fullmatch(f.path)]
    for _, files in groupby(sorted(small, key=_split), key=lambda f: _split(f)[0]):
        batch: list[Staged] = []
        for file in files:
            if batch and sum(f.rows for f in batch) + file.rows > BATCH_ROWS:
                yield from [batch] if len(batch) > 1 else []
                batch = []
            batch.append(file)
        yield from [batch] if len(batch) > 1 else []


def _split(file: Staged) -> tuple[str, str]:
    """Return the partition and writer, and the number, that make up the path of a file."""
    writer, _, number = file.path.removesuffix(".parquet").rpartition("-")
    return writer, number


def _name(batch: list[Staged]) -> str:
    """Return a name that keeps the writer and its last number, which tell whose file it is, and is new: a zero longer."""
    numbers = [_split(file)[1] for file in batch]
    writer = _split(batch[0])[0].rpartition("/")[2]
    width = max(map(len, numbers)) + 1
    return f"{writer}-{max(map(int, numbers)):0{width}d}"


def _read(lake: Commits, table: str, batch: list[Staged]) -> tuple[pa.Table, dict[str, str]]:
    """Return the rows of files of one partition, and what their metadata say between them."""
    fs, folder = lake.folder(table)
    parts: list[pa.Table] = []
    said: dict[str, set[str]] = {}
    for file in batch:
        with fs.open_input_file(f"{folder}/{file.path}") as source:
            reader = pq.ParquetFile(source)
            parts.append(reader.read())
            for key, value in (reader.metadata.metadata or {}).items():
                said.setdefault(key.decode(), set()).add(value.decode())
    rows = pa.concat_tables(parts)
    day = pa.scalar(dt.date.fromisoformat(batch[0].date), pa.date32())
    rows = rows.append_column("date", pa.repeat(day, len(rows)))
    rows = rows.append_column("venue", pa.repeat(pa.scalar(batch[0].venue), len(rows)))
    return rows, {key: "; ".join(sorted(values)) for key, values in said.items()}
