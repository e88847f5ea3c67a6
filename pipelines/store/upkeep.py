"""Upkeep of the lake: many small files into few large ones, and replaced files off the disk."""

from __future__ import annotations

import datetime as dt
import hashlib
from itertools import groupby
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake.exceptions import CommitFailedError

from pipelines.store.commits import LakeError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipelines.store.commits import Commits
    from pipelines.store.parquet import Staged

LARGE_BYTES = 32 << 20
"""Files of this size are left alone."""
BATCH_ROWS = 1_000_000
"""Rows that are held in memory at once."""


def compact(lake: Commits, table: str) -> int:
    """Merge the small files of each (date, venue) of `table`, without changing a row; return how many were merged.

    One process at a time. Where a seal replaces the same files first, they are left for the next round.
    """
    merged = 0
    for batch in _batches(lake.live(table)):
        paths = [file.path for file in batch]
        digest = hashlib.sha256("\n".join(paths).encode()).hexdigest()[:16]
        try:
            rows, metadata = _read(lake, table, batch)
            staged = lake.stage(table, rows, f"compact-{digest}", metadata)
            lake.replace(table, paths, staged, data_change=False)
        except (LakeError, FileNotFoundError):
            lake.discard(table, lake.orphans(table, f"compact-{digest}"))
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
    """Yield the small files of each partition, in groups of at least two that fit into memory."""
    small = sorted((f for f in live.values() if f.size < LARGE_BYTES), key=lambda f: (f.date, f.venue, f.path))
    for _, files in groupby(small, key=lambda f: (f.date, f.venue)):
        batch: list[Staged] = []
        for file in files:
            if batch and sum(f.rows for f in batch) + file.rows > BATCH_ROWS:
                yield from [batch] if len(batch) > 1 else []
                batch = []
            batch.append(file)
        yield from [batch] if len(batch) > 1 else []


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
