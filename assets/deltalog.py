"""What a table's Delta log tells: when it was last committed to, and which files have come since a version."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.fs as pafs
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError
from deltalake.fs import DeltaStorageHandler


class Added(NamedTuple):
    """A data file that brought new rows.

    Attributes
    ----------
    path : str
        Relative to the table: `date=2026-01-01/venue=demo/x.parquet`.
    rows : int
    written : int
        When it was committed, ms since 1970.
    """

    path: str
    rows: int
    written: int


def open_table(root: str, name: str) -> DeltaTable | None:
    """Open a table of the lake at `root`; None if it has not been created yet."""
    try:
        return DeltaTable(f"{root}/{name}")
    except (TableNotFoundError, FileNotFoundError):
        return None


def last_commit(table: DeltaTable) -> dict[str, int]:
    """Return when the newest file of each venue was committed, in ms since 1970."""
    live = pa.table(table.get_add_actions(flatten=True)).select(["partition.venue", "modification_time"])
    newest = live.group_by("partition.venue").aggregate([("modification_time", "max")])
    return {row["partition.venue"]: row["modification_time_max"] for row in newest.to_pylist()}


def added(table: DeltaTable, since: int | None, after_ms: int = 0) -> list[Added]:
    """Return the files that brought new rows after version `since`, oldest first; if that is None, all there are.

    A commit that also removes files rewrites rows (compaction, sealing) and brings none. Where the log has been
    cleaned of the versions after `since`, files committed after `after_ms` (ms since 1970) stand for them.
    """
    if since is not None and since <= table.version():
        try:
            log = pafs.PyFileSystem(DeltaStorageHandler(table.table_uri))
            return [a for version in range(since + 1, table.version() + 1) for a in _brought(_commit(log, version))]
        except FileNotFoundError:
            pass
    live = pa.table(table.get_add_actions(flatten=True)).select(["path", "num_records", "modification_time"])
    files = [Added(*row.values()) for row in live.to_pylist()]
    return sorted((f for f in files if since is None or f.written > after_ms), key=lambda f: f.written)


def _commit(log: pafs.FileSystem, version: int) -> Iterator[dict[str, Any]]:
    with log.open_input_stream(f"_delta_log/{version:020}.json") as file:
        for line in file.read().splitlines():
            yield json.loads(line)


def _brought(commit: Iterator[dict[str, Any]]) -> list[Added]:
    actions = list(commit)
    if any("remove" in action for action in actions):
        return []
    adds = (action["add"] for action in actions if "add" in action)
    return [
        Added(unquote(a["path"]), json.loads(a.get("stats") or "{}").get("numRecords", 0), a["modificationTime"]) for a in adds
    ]
