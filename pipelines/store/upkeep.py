"""Upkeep of the lake: many small files into few large ones, and replaced files off the disk."""

from __future__ import annotations

import datetime as dt
import re
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake.exceptions import CommitFailedError

from pipelines.market import TABLES
from pipelines.store import LakeError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipelines.store.commits import Commits
    from pipelines.store.parquet import Staged

_NUMBERED = re.compile(r"(?:.*/)?(?!seal\.)[^/]+-\d+\.parquet")
"""Files as `Staging` names them: writer and number. What a seal wrote (`history.stored_files`) is whole and stays as it is."""
_DIGITS = 8
"""Digits of the number; files that are merged here get more."""
LARGE_BYTES = 32 << 20
"""Files of this size are left alone."""
BATCH_ROWS = 1_000_000
BATCH_BYTES = 64 << 20
"""Rows, and bytes of their files, that are held in memory at once: books have few rows, and long ones."""
VACUUM_HOURS = 1
"""Replaced files stay for this long: a query that has begun with them may go on."""
SWEEP_HOURS = 24
"""Files that nobody knows are deleted at this age: who stages a file commits it sooner."""


class Merged(NamedTuple):
    """How many files became how many."""

    files: int
    into: int


class Freed(NamedTuple):
    """What was deleted from the volume."""

    files: int
    bytes: int


def tables(lake: Commits) -> list[str]:
    """Name the tables that are there; a lake of an older tapeflow lacks some."""
    there = []
    for name in TABLES:
        try:
            lake.latest(name)
        except LakeError:
            continue
        there.append(name)
    return there


def compact(lake: Commits, table: str) -> Merged:
    """Merge the small files of each date, venue and writer of `table`. No row changes.

    One process at a time. Where a seal replaces the same files first, they are left for the next round.
    """
    _sweep(lake, table)
    merged = Merged(0, 0)
    for batch in _batches(lake.live(table)):
        name = _name(batch)
        try:
            rows, metadata = _read(lake, table, batch)
            staged = lake.stage(table, rows, name, metadata)
            del rows  # before the next are read
            lake.replace(table, [file.path for file in batch], staged, data_change=False)
        except (LakeError, FileNotFoundError):
            lake.discard(table, [f"{batch[0].path.rpartition('/')[0]}/{name}.parquet"])
        else:
            merged = Merged(merged.files + len(batch), merged.into + len(staged))
    return merged


def vacuum(lake: Commits, table: str) -> Freed:
    """Delete files that were replaced or removed over `VACUUM_HOURS` ago.

    Never `full`: that would also delete files that are staged and not committed yet.
    """
    fs, folder = lake.folder(table)
    paths = [f"{folder}/{path}" for path in _replaced(lake, table, VACUUM_HOURS)]
    there = [info for info in (fs.get_file_info(paths) if paths else []) if info.is_file]
    if not there:  # each vacuum writes to the log
        return Freed(0, 0)
    try:
        lake.latest(table).vacuum(retention_hours=VACUUM_HOURS, dry_run=False, enforce_retention_duration=False, full=False)
    except CommitFailedError:  # somebody else's commit came between; the next round finds the files again
        return Freed(0, 0)
    return Freed(len(there), sum(info.size for info in there))


def _replaced(lake: Commits, table: str, hours: int) -> list[str]:
    """Return the files that the log says were taken out over `hours` ago, on the volume still or not."""
    paths: list[str] = lake.latest(table).vacuum(
        retention_hours=hours, dry_run=True, enforce_retention_duration=False, full=False
    )
    return paths


def _sweep(lake: Commits, table: str) -> None:
    """Delete files that no reader and no writer knows any more.

    A compaction that was killed wrote them and did not commit, or they were replaced so long ago that the log has
    forgotten it. What a writer has staged has a number beyond its last commit, and stays.
    """
    fs, folder = lake.folder(table)
    orphans = [path for path in lake.orphans(table, "") if _NUMBERED.fullmatch(path)]
    known = set(_replaced(lake, table, 0)) if orphans else set()
    old = dt.datetime.now(dt.UTC) - dt.timedelta(hours=SWEEP_HOURS)
    for path in orphans:
        writer, number, digits = _split(path)
        last = lake.version(table, f"{writer.rpartition('/')[2]}/{table}")
        settled = digits > _DIGITS or (last is not None and number <= last)
        written = fs.get_file_info(f"{folder}/{path}").mtime
        if settled and path not in known and written is not None and written < old:
            lake.discard(table, [path])


def _batches(live: dict[str, Staged]) -> Iterator[list[Staged]]:
    """Yield the small files of each writer in each partition, in groups of at least two that fit into memory."""
    small = [f for f in live.values() if f.size < LARGE_BYTES and _NUMBERED.fullmatch(f.path)]
    for _, files in groupby(sorted(small, key=lambda f: _split(f.path)), key=lambda f: _split(f.path)[0]):
        batch: list[Staged] = []
        for file in files:
            if batch and not _fit([*batch, file]):
                yield from [batch] if len(batch) > 1 else []
                batch = []
            batch.append(file)
        yield from [batch] if len(batch) > 1 else []


def _fit(batch: list[Staged]) -> bool:
    return sum(f.rows for f in batch) <= BATCH_ROWS and sum(f.size for f in batch) <= BATCH_BYTES


def _split(path: str) -> tuple[str, int, int]:
    """Return the partition and writer, the number, and its digits, that make up the path of a file."""
    writer, _, number = path.removesuffix(".parquet").rpartition("-")
    return writer, int(number), len(number)


def _name(batch: list[Staged]) -> str:
    """Return a name that keeps the writer and its last number, which tell whose file it is, and is new: a zero longer."""
    writers, numbers, digits = zip(*(_split(file.path) for file in batch), strict=True)
    return f"{writers[0].rpartition('/')[2]}-{max(numbers):0{max(digits) + 1}d}"


def _read(lake: Commits, table: str, batch: list[Staged]) -> tuple[pa.Table, dict[str, str]]:
    """Return the rows of files of one partition, and what their metadata say between them."""
    fs, folder = lake.folder(table)
    parts: list[pa.Table] = []
    said: dict[str, set[str]] = {}
    for file in batch:
        with fs.open_input_file(f"{folder}/{file.path}") as source:
            reader = pq.ParquetFile(source)
            parts.append(_whole(reader.read(), TABLES[table].schema))
            for key, value in (reader.metadata.metadata or {}).items():
                said.setdefault(key.decode(), set()).add(value.decode())
    rows = pa.concat_tables(parts)
    day = pa.scalar(dt.date.fromisoformat(batch[0].date), pa.date32())
    rows = rows.append_column("date", pa.repeat(day, len(rows)))
    rows = rows.append_column("venue", pa.repeat(pa.scalar(batch[0].venue), len(rows)))
    return rows, {key: "; ".join(sorted(values)) for key, values in said.items()}


def _whole(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return rows with every column; those that an older tapeflow did not know hold null."""
    for field in schema:
        if field.name not in rows.column_names:
            rows = rows.append_column(field, pa.nulls(len(rows), field.type))
    return rows.select(schema.names)
