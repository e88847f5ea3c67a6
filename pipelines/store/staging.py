"""Exactly once into the lake: rows are buffered, staged to files, and committed once the state that knows them is safe.

The caller alternates `add` with `snapshot`. A snapshot names every file that is staged and not yet committed; only
when it is durable may `publish` commit what was due. Begun again from a snapshot, `Staging` commits what was due and
deletes what was staged beyond it; begun from none, it refuses a lake that has rows of this writer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import pyarrow as pa

from pipelines.market import TABLES, TRADES
from pipelines.store.commits import Commits, TurnError, Turns
from pipelines.store.parquet import Staged

Due = Literal["nothing", "epoch", "minute", "all"]
ROWS = 100_000
"""Rows of a table that are staged to a file before their commit is due."""
VERSION = 1


class LakeAhead(Exception):
    """The lake holds rows of this writer that the given state does not know."""


class Staging:
    """The way of rows into the lake for one writer.

    Parameters
    ----------
    lake : Commits
    writer : str
        Names the writer in file names and in the tables' transactions.
    metadata : dict of str
        Stored in each file.
    state : dict or None
        The last durable snapshot.
    rerun : bool
        A job that always makes the same files is begun again from its start: tables that it had committed stay as
        they are.
    before_commit : callable
        Called with the files that are about to be committed; may refuse by raising. Returns, by table, the turns that are to be
        taken with them; it is called again where others have taken one of these meanwhile.

    Raises
    ------
    LakeAhead
        If the lake is ahead of `state`.
    """

    def __init__(
        self,
        lake: Commits,
        writer: str,
        metadata: dict[str, str],
        state: dict[str, Any] | None,
        *,
        rerun: bool = False,
        before_commit: Callable[[list[Staged]], dict[str, Turns]] = lambda _: {},
    ) -> None:
        self.lake = lake
        self.writer = writer
        self.metadata = metadata
        state = state or {"v": VERSION, "seq": 0, "due": {}, "staged": {}, "tail": {}}
        self.seq: int = state["seq"]
        self.due: dict[str, tuple[int, list[Staged]]] = state["due"]
        self.staged: dict[str, list[Staged]] = {t: list(f) for t, f in state["staged"].items()}
        self.tail: dict[str, list[bytes]] = {t: list(chunks) for t, chunks in state["tail"].items()}
        self.rows = {t: sum(_unpack(c).num_rows for c in chunks) for t, chunks in self.tail.items()}
        self.fresh: dict[str, list[pa.Table]] = {}
        self.before_commit = before_commit
        self.lake.create()
        self.settled = {t for t in TABLES if rerun and lake.version(t, self._app(t)) is not None}
        self._reconcile()

    def add(self, table: str, rows: pa.Table) -> None:
        """Buffer rows (columns of the table's `lake_schema`)."""
        if rows.num_rows and table not in self.settled:
            self.fresh.setdefault(table, []).append(rows)
            self.rows[table] = self.rows.get(table, 0) + rows.num_rows

    def snapshot(self, due: Due) -> dict[str, Any]:
        """Return the state; stage what is many, and mark as due what is to be committed.

        Parameters
        ----------
        due : {'nothing', 'epoch', 'minute', 'all'}
            `epoch`: tables that commit every epoch; `minute` and `all`: every table.
        """
        for table in {*self.rows, *self.staged}:
            now = due in ("minute", "all") or (due == "epoch" and TABLES[table].every_epoch)
            if self.rows.get(table) and (now or self.rows[table] >= ROWS):
                self._stage(table)
            if now and self.staged.get(table):
                earlier = self.due[table][1] if table in self.due else []
                self.due[table] = (self.seq, [*earlier, *self.staged.pop(table)])
        for table, tables in self.fresh.items():
            self.tail.setdefault(table, []).append(_pack(_whole(tables)))
        self.fresh = {}
        self.seq += 1
        return {
            "v": VERSION,
            "seq": self.seq,
            "due": dict(self.due),
            "staged": {t: list(f) for t, f in self.staged.items()},
            "tail": {t: list(c) for t, c in self.tail.items()},
        }

    def publish(self) -> dict[str, int]:
        """Commit what the last snapshot marked as due; return how many files of which tables.

        To be called once that snapshot is durable. Trades come first: whoever sees a row can see what it is made of.
        """
        done = {table: len(files) for table, (_, files) in self.due.items()}
        turns = self.before_commit(self.due_files()) if done else {}
        for table in sorted(self.due, key=lambda name: (name != TRADES.name, name)):
            while not self._has_committed(table, turns.get(table, {})):
                turns = self.before_commit(self.due_files())
        self.due = {}
        return done

    def _has_committed(self, table: str, turns: Turns) -> bool:
        """Commit what is due of a table; False: others were first to take a turn."""
        seq, files = self.due[table]
        try:
            self.lake.commit(table, self._app(table), seq, files, turns)
        except TurnError:
            return False
        return True

    def due_files(self) -> list[Staged]:
        """Return the files that the next `publish` commits."""
        return [f for _, files in self.due.values() for f in files]

    def staged_dates(self) -> set[str]:
        """Return the dates of staged files."""
        return {f.date for files in self.staged.values() for f in files}

    def _stage(self, table: str) -> None:
        chunks = [_unpack(c) for c in self.tail.pop(table, [])] + self.fresh.pop(table, [])
        files = self.lake.stage(table, _whole(chunks), f"{self.writer}-{self.seq:08d}", self.metadata)
        self.staged.setdefault(table, []).extend(files)
        self.rows[table] = 0
        pa.default_memory_pool().release_unused()  # else the process keeps what writing a file took for ever

    def _app(self, table: str) -> str:
        return f"{self.writer}/{table}"

    def _reconcile(self) -> None:
        """Commit what was due; delete what was staged beyond the state.

        A pending commit is one the state knows; whatever lies in the lake beyond it means the state is an old copy.
        """
        for table in TABLES:
            last = self.lake.version(table, self._app(table))
            if last is not None and last >= self.seq and table not in self.settled:
                raise LakeAhead(f"table {table} holds rows of {self.writer!r} up to {last}, the recovery store knows {self.seq}")
        self.publish()
        for table in TABLES:
            beyond = [p for p in self.lake.orphans(table, f"{self.writer}-") if _is_beyond(p, self.seq)]
            self.lake.discard(table, beyond)


def _is_beyond(path: str, seq: int) -> bool:
    number = path.rpartition("-")[2].removesuffix(".parquet")
    return number.isdigit() and int(number) >= seq


def _whole(parts: list[pa.Table]) -> pa.Table:
    """Return tables as one of a single piece: a minute comes in thousands, and each would be written with a head of its own."""
    return pa.concat_tables(parts).combine_chunks()


def _pack(rows: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
        writer.write_table(rows)
    return bytes(sink.getvalue())


def _unpack(chunk: bytes) -> pa.Table:
    return pa.ipc.open_stream(chunk).read_all()
