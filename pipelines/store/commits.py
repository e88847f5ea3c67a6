"""The writing half of the lake: files are staged, then one commit to a table's log makes them visible, exactly once."""

from __future__ import annotations

import random
import shutil
import time
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.fs as pafs
from deltalake import CommitProperties, DeltaTable, Schema, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.transaction import AddAction, RemoveAction

from pipelines.market import TABLES
from pipelines.store import LakeError, parquet
from pipelines.store.parquet import PARTITION, Staged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pipelines.schema import Table

CONFIGURATION = {
    "delta.checkpointInterval": "100",
    "delta.logRetentionDuration": "interval 1 days",
    "delta.deletedFileRetentionDuration": "interval 1 days",
    "delta.enableExpiredLogCleanup": "true",
}
TRIES = 200
_NONE: Mapping[str, int | None] = MappingProxyType({})
PIECE = 8 << 20
"""Bytes that are copied at once."""


Turns = dict[str, int | None]
"""By the name of a turn (see `turn`) the last version of it in a table's log; None before the first."""


class TurnError(LakeError):
    """Someone else has committed to the same day of a table since its turns were read: decide again."""


def turn(venue: str, date: str) -> str:
    """Return the name by which those who write a whole day take turns, and are counted in a table's log."""
    return f"seal.{venue}.{date}"


class Commits:
    """Delta tables under one root. A handle per table is kept open: use an instance from one thread only.

    Parameters
    ----------
    root
        A folder, or the URL of one in an object store: `s3://bucket/lake`.
    local
        Folder of this machine where a lake in an object store keeps what must lie on a volume: files that are staged
        and not committed yet. Without one they are staged in the store.

    Raises
    ------
    LakeError
        If no lake can be at `root`.
    """

    def __init__(self, root: str | Path, local: Path | None = None) -> None:
        scheme, _, place = str(root).rpartition("://")
        if scheme not in ("", "s3", "file"):
            raise LakeError(f"no lake can be at {root}: use a folder, or a URL like s3://bucket/lake")
        self.root = f"{scheme}://{place.rstrip('/')}" if scheme else str(Path(root).absolute())
        self.local = local if scheme else None
        self._handles: dict[str, DeltaTable] = {}
        self._created = False
        self._fs: pafs.FileSystem | None = None

    def create(self) -> None:
        """Create every table that is not there yet, and every column that one lacks; two processes may do so at once."""
        if self._created:
            return
        for table in TABLES.values():
            for attempt in range(TRIES):
                try:
                    if DeltaTable.is_deltatable(self._uri(table.name)):
                        _widen(DeltaTable(self._uri(table.name)), table)
                        break
                    DeltaTable.create(
                        self._uri(table.name),
                        table.lake_schema,
                        mode="error",
                        partition_by=PARTITION,
                        configuration=CONFIGURATION,
                        description=table.doc,
                        # Retried, the loser of a race would write the table's metadata a second time.
                        commit_properties=CommitProperties(max_commit_retries=0),
                    )
                except DeltaError:  # another process was first
                    _pause(attempt)
            else:
                raise LakeError(f"table {table.name} could not be created at {self._uri(table.name)}")
        self._created = True

    def stage(self, table: str, rows: pa.Table, name: str, metadata: dict[str, str]) -> list[Staged]:
        """Write `rows` (columns of `lake_schema`) to `<name>.parquet`, one file per (date, venue), durable but unseen.

        Raises
        ------
        ValueError
            If a column is missing or does not fit its type.
        """
        fs, folder = (pafs.LocalFileSystem(), self._staged(table)) if self.local else self.folder(table)
        return parquet.stage(fs, folder, TABLES[table], rows, name, metadata)

    def version(self, table: str, app: str) -> int | None:
        """Return the last version committed to `table` under the name `app`; None before the first."""
        version: int | None = self.latest(table).transaction_version(app)
        return version

    def turns(self, table: str, names: Iterable[str]) -> Turns:
        """Return where turns stand in the log of a table."""
        handle = self.latest(table)
        return {name: handle.transaction_version(name) for name in names}

    def commit(
        self, table: str, app: str, version: int, files: Sequence[Staged], turns: Mapping[str, int | None] = _NONE
    ) -> bool:
        """Make staged files visible, at most once per (`app`, `version`); versions of an `app` must rise.

        Parameters
        ----------
        turns
            Where these stand since it was decided what to commit; each is taken.

        Returns
        -------
        bool
            False if this version, or a later one, was there already.

        Raises
        ------
        LakeError
            If a staged file is gone or not as it was staged.
        TurnError
            If one of the turns stands elsewhere by now.
        """
        return self._transact(table, lambda _: self._adds(table, files), app, version, turns)

    def replace(
        self,
        table: str,
        remove: Sequence[str],
        add: Sequence[Staged],
        *,
        app: str | None = None,
        version: int = 0,
        data_change: bool = True,
    ) -> bool:
        """Take the files named in `remove` (as `live` gives them) out and put `add` in, in one commit.

        Files that others add meanwhile stay. With `app`, it is done at most once, as in `commit`.

        Raises
        ------
        LakeError
            If a file of `remove` is no longer in the table: read it anew and decide again.
        """

        def actions(handle: DeltaTable) -> list[AddAction | RemoveAction]:
            now = time.time_ns() // 1_000_000
            there = _live(handle)
            gone = [path for path in remove if path not in there]
            if gone:
                raise LakeError(f"table {table} has changed meanwhile: {gone[0]} is no longer in it; read it anew and try again")
            removes = [
                RemoveAction(path, data_change, now, there[path].size, {"date": there[path].date, "venue": there[path].venue})
                for path in remove
            ]
            return [*self._adds(table, add, data_change=data_change), *removes]

        return self._transact(table, actions, app, version)

    def live(self, table: str) -> dict[str, Staged]:
        """Return the files that readers see now, by path relative to the table's root."""
        return {path: file._replace(table=table) for path, file in _live(self.latest(table)).items()}

    def orphans(self, table: str, prefix: str) -> list[str]:
        """Return files whose name starts with `prefix` and that are not in the table now, as relative paths.

        These were staged and never committed, or committed and later replaced; only the caller's own numbering of
        names can tell which. Of a lake that is staged on this machine, these are the files here.
        """
        fs, folder = (pafs.LocalFileSystem(), self._staged(table)) if self.local else self.folder(table)
        live = _live(self.latest(table))
        found = fs.get_file_info(pafs.FileSelector(folder, allow_not_found=True, recursive=True))
        paths = [f.path[len(folder) + 1 :] for f in found if f.is_file and f.base_name.startswith(prefix)]
        return sorted(p for p in paths if not p.startswith("_delta_log/") and p not in live)

    def discard(self, table: str, paths: Sequence[str]) -> None:
        """Delete staged files that are not to be committed.

        Raises
        ------
        LakeError
            If one of them is in the table.
        """
        fs, folder = self.folder(table)
        live = _live(self.latest(table))
        for path in paths:
            if path in live:
                raise LakeError(f"table {table}: {path} is in the table and stays")
            if fs.get_file_info(f"{folder}/{path}").is_file:
                fs.delete_file(f"{folder}/{path}")
            if self.local:
                Path(self._staged(table), path).unlink(missing_ok=True)

    def latest(self, table: str) -> DeltaTable:
        """Return the open handle of a table, brought up to date.

        Raises
        ------
        LakeError
            If there is no such table.
        """
        handle = self._handles.get(table)
        if handle is not None:
            try:
                handle.update_incremental()
            except DeltaError:  # the log was cleaned beyond where this handle stood
                del self._handles[table]
            else:
                return handle
        self._handles[table] = self._open(table)
        return self._handles[table]

    def folder(self, table: str) -> tuple[pafs.FileSystem, str]:
        """Return the file system of the lake and the folder of a table in it."""
        if self._fs is None:
            self._fs = pafs.FileSystem.from_uri(self.root)[0] if "://" in self.root else pafs.LocalFileSystem()
        return self._fs, self._uri(table).partition("://")[2] or self._uri(table)

    def _adds(self, table: str, files: Sequence[Staged], *, data_change: bool = True) -> list[AddAction | RemoveAction]:
        fs, folder = self.folder(table)
        for file in files:
            self._bring(fs, folder, Path(self._staged(table)), file.path)
            if fs.get_file_info(f"{folder}/{file.path}").size != file.size:
                raise LakeError(f"table {table}: the staged file {folder}/{file.path} is missing or not {file.size} bytes long")
        now = time.time_ns() // 1_000_000
        return [AddAction(f.path, f.size, {"date": f.date, "venue": f.venue}, now, data_change, f.stats) for f in files]

    def _bring(self, fs: pafs.FileSystem, folder: str, staged: Path, path: str) -> None:
        """Move a file that was staged on this machine to where the table is; one that is gone has been brought before."""
        if self.local and (staged / path).exists():
            with (staged / path).open("rb") as here, parquet.open_file(fs, f"{folder}/{path}") as there:
                shutil.copyfileobj(here, there, PIECE)
            parquet.sync(fs, folder, path)
            (staged / path).unlink()

    def _staged(self, table: str) -> str:
        return f"{self.local}/staged/{table}"

    def _transact(
        self,
        table: str,
        actions: Callable[[DeltaTable], list[AddAction | RemoveAction]],
        app: str | None,
        version: int,
        turns: Mapping[str, int | None] = _NONE,
    ) -> bool:
        """Commit, and begin anew where someone else's commit came between.

        The last version is asked before every try: a try that seemed to fail may have succeeded.
        """
        taken = [Transaction(name, 0 if stood is None else stood + 1) for name, stood in turns.items()]
        mine = CommitProperties(app_transactions=[*([Transaction(app, version)] if app else []), *taken] or None)
        for attempt in range(TRIES):
            handle = self.latest(table)
            last = handle.transaction_version(app) if app else None
            if last is not None and last >= version:
                return False
            if moved := [name for name, stood in turns.items() if handle.transaction_version(name) != stood]:
                raise TurnError(f"table {table}: others write the same day ({moved[0]}); wait for them and try again")
            planned = actions(handle)
            try:
                handle.create_write_transaction(
                    planned, mode="append", schema=handle.schema(), partition_by=PARTITION, commit_properties=mine
                )
            except CommitFailedError:
                _pause(attempt)
            else:
                handle.update_incremental()
                return True
        raise LakeError(f"table {table}: no commit got through in {TRIES} tries; is another job rewriting it in a loop?")

    def _open(self, table: str) -> DeltaTable:
        if table not in TABLES:
            raise LakeError(f"no table {table!r}; there are {', '.join(TABLES)}")
        try:
            return DeltaTable(self._uri(table))
        except (TableNotFoundError, OSError) as error:
            raise LakeError(f"no lake at {self.root} (table {table} is missing): {str(error).splitlines()[0]}") from None

    def _uri(self, table: str) -> str:
        return f"{self.root}/{table}"


def _live(handle: DeltaTable) -> dict[str, Staged]:
    actions = handle.get_add_actions(flatten=True)
    names = ("path", "size_bytes", "partition.date", "partition.venue", "num_records")
    files = zip(*(actions[name].to_pylist() for name in names), strict=True)
    return {path: Staged("", path, size, str(date), venue, rows, "") for path, size, date, venue, rows in files}


def _widen(there: DeltaTable, table: Table) -> None:
    """Add the columns that a table of an older tapeflow lacks; its rows hold null in them."""
    known = {field.name for field in there.schema().fields}
    lacking = [field for field in table.lake_schema if field.name not in known]
    if lacking:
        there.alter.add_columns(Schema.from_arrow(pa.schema(lacking)).fields)


def _pause(attempt: int) -> None:
    time.sleep(random.uniform(0, min(0.5, 0.01 * 2 ** min(attempt, 6))))
