"""Bounded tapes as jobs: what a job is called, what it may touch, and how its rows get into the lake.

A job is named by the hash of its sources, venue, symbols and settings: killed and run again it ends in the same lake,
repeated after success it does nothing.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import polars as pl
import pyarrow as pa
import pyarrow.fs as pafs

from pipelines.engine import VERSION, Engine
from pipelines.market import TABLES
from pipelines.rules.book import Rules, canonical
from pipelines.seed import Seeds
from pipelines.settings import Kernels, digest
from pipelines.sources import Position, Source
from pipelines.store.commits import Turns, turn
from pipelines.store.lake import Lake
from pipelines.store.parquet import Staged, open_file
from pipelines.store.staging import Staging

PIECE = 16_384
"""Records a piece that is read and fed at once."""
WITH_SYMBOL = [
    t.name
    for t in TABLES.values()
    if any(c.name == "symbol" for c in t.columns) and t.name not in ("quarantine", "scores", "backtests")
]


class JobError(Exception):
    """A job that may not run as asked; the message says why and what to do."""


class Job(NamedTuple):
    """A bounded tape on its way into a lake.

    Attributes
    ----------
    source : Source
    kernels : Kernels
    lake : Lake
    complete : bool
        Every date of the tape is whole.
    replace : bool
        Rows of other writers for the same venue, symbols and dates may be replaced.
    rules : tuple of Rule
        The user's rules.
    """

    source: Source
    kernels: Kernels
    lake: Lake
    complete: bool
    replace: bool
    rules: Rules = ()

    @property
    def name(self) -> str:
        """The job's id."""
        parts = [self.source.digest.encode(), self.kernels.canonical(), str(self.complete).encode()]
        return digest(b"\0".join([*parts, canonical(self.rules)] if self.rules else parts))

    @property
    def writer(self) -> str:
        """The name under which its rows are written."""
        return f"job.{self.name}"

    @property
    def folder(self) -> Path:
        """Where its recovery store lies: beside the tables, or on this machine where they are in an object store."""
        return (self.lake.local or Path(self.lake.root) / "_jobs") / self.name

    @property
    def _mark(self) -> tuple[pafs.FileSystem, str]:
        """What tells that it is done: a file beside the tables."""
        fs, folder = self.lake.folder("_jobs")
        return fs, f"{folder}/{self.name}/done.json"

    @property
    def metadata(self) -> dict[str, str]:
        """What its files say of themselves."""
        return {
            "source": ",".join(p.name for p in self.source.paths),
            "settings_hash": digest(self.kernels.canonical()),
            "engine_version": str(VERSION),
        }

    def engine(self) -> Engine:
        """Return the engine at the start of the tape."""
        self.lake.create()
        first = first_us(self.source)
        engine = Engine(self.kernels, origin="history", complete=self.complete, seeds=Seeds(self.lake, first))
        engine.journal_ns = engine.begun_ns = first * 1000
        engine.tape_of_venue[self.source.venue] = self.source.tape
        engine.settle(self.kernels, first * 1000)
        engine.rule(self.rules, first * 1000)
        for instrument in self.source.instruments:
            engine.add(instrument, self.source.tape)
            engine.account.describe(instrument, first * 1000)
        told = json.dumps(self.metadata | {"digest": self.source.digest}).encode()
        engine.account.note(self.source.venue, "source", told, first * 1000)
        return engine

    def done(self) -> bool:
        """Whether it has succeeded before."""
        fs, mark = self._mark
        return bool(fs.get_file_info(mark).is_file)

    def finish(self) -> dict[str, int]:
        """Mark it done; return how many rows each table has of it."""
        rows = {t: n for t in TABLES if (n := sum(f.rows for f in self.lake.live(t).values() if _by(f.path) == self.writer))}
        fs, mark = self._mark
        with open_file(fs, mark) as file:
            file.write(json.dumps({"sources": self.metadata["source"], "rows": rows}).encode())
        return rows

    def refuse_conflicts(self, dates: set[str]) -> None:
        """Refuse to touch dates of which another writer holds rows of the same venue and symbols.

        Raises
        ------
        JobError
            Naming them.
        """
        found = [] if self.replace else self._conflicts(dates)
        if found:
            shown = ", ".join(found[:5]) + (f" and {len(found) - 5} more" if len(found) > 5 else "")
            raise JobError(f"the lake holds rows of another job or of the live flow for {shown}; use --replace to replace them")

    def _conflicts(self, dates: set[str]) -> list[str]:
        symbols = [i.symbol for i in self.source.instruments]
        files = [f for f in self.lake.live("trades").values() if any(self._meets(f, d) for d in dates)]
        there = {(f.date, s) for f in files for s in self._symbols(f.path) if s in symbols}
        return [f"{self.source.venue} {symbol} on {date}" for date, symbol in sorted(there)]

    def _symbols(self, path: str) -> list[str]:
        return pl.scan_parquet(f"{self.lake.root}/trades/{path}").select("symbol").unique().collect()["symbol"].to_list()

    def _meets(self, file: Staged, date: str) -> bool:
        return file.date == date and file.venue == self.source.venue and _by(file.path) != self.writer

    def before_commit(self, files: list[Staged]) -> dict[str, Turns]:
        """Make way for the job's rows, or refuse to commit them; return the turns of their days, which seals take as well.

        Raises
        ------
        JobError
            As `refuse_conflicts`.
        """
        days: dict[str, set[str]] = defaultdict(set)
        for file in files:
            days[file.table].add(turn(file.venue, file.date))
        turns = {table: self.lake.turns(table, sorted(names)) for table, names in days.items()}
        dates = {f.date for f in files if f.table == "trades"}
        self.refuse_conflicts(dates)
        if self._is_replaced():
            raise JobError(
                "trades of this load were replaced while it ran, as by a seal of the day; the lake has those, and keeps them"
            )
        if self.replace:
            self.clear(dates)
        return turns

    def _is_replaced(self) -> bool:
        """Whether its trades were committed, and are there no more: to take out what stands in their place would lose both."""
        there = self.lake.live("trades").values()
        return self.lake.version("trades", f"{self.writer}/trades") is not None and not any(
            _by(f.path) == self.writer for f in there
        )

    def clear(self, dates: set[str]) -> None:
        """Take other writers' rows of the same venue, symbols and dates out of the lake, table by table."""
        symbols = [i.symbol for i in self.source.instruments]
        for name in WITH_SYMBOL:
            for date in sorted(dates):
                for path in [f.path for f in self.lake.live(name).values() if self._meets(f, date)]:
                    self._take_out(name, path, date, symbols)

    def _take_out(self, name: str, path: str, date: str, symbols: list[str]) -> None:
        rows = pl.read_parquet(f"{self.lake.root}/{name}/{path}", hive_partitioning=False)
        ours = pl.col("symbol").is_in(symbols)
        if name == "alerts":
            ours &= pl.col("origin") == "history"
        kept = rows.filter(~ours)
        if kept.height == rows.height:
            return
        schema = TABLES[name].lake_schema
        table = kept.with_columns(date=pl.lit(date).str.to_date(), venue=pl.lit(self.source.venue)).to_arrow()
        table = table.select(schema.names).cast(schema)
        stem = path.rpartition("/")[2].removesuffix(".parquet")
        add = self.lake.stage(name, table, f"{stem}+{self.name}", self.metadata) if table.num_rows else []
        self.lake.replace(name, [path], add)


def load(job: Job, watch: Callable[[Position, int], None] = lambda *_: None, size: int = PIECE) -> None:
    """Run a job through the batch path: pieces into the engine, rows into files, one commit per table at the end.

    `watch` is called after each piece with the position reached and the rows stored.

    Raises
    ------
    JobError
        If the lake holds rows of others for the same dates.
    """
    engine = job.engine()
    staging = Staging(job.lake, job.writer, job.metadata, None, rerun=True, before_commit=job.before_commit)
    dates: set[str] = set()
    for piece in job.source.pieces(Position(0, 0), size):
        _take(staging, engine.feed_piece(piece, job.source.paths[piece.position.file].name).tables)
        staging.snapshot("nothing")
        if staging.staged_dates() - dates:
            dates |= staging.staged_dates()
            job.refuse_conflicts(dates)
        watch(piece.position, engine.stored)
    _take(staging, engine.finish().tables)
    staging.snapshot("all")
    staging.publish()


def _take(staging: Staging, tables: list[tuple[str, pa.Table]]) -> None:
    for table, rows in tables:
        staging.add(table, rows)


def _by(path: str) -> str:
    """Return the writer of a file, from its name."""
    return path.rpartition("/")[2].rpartition("-")[0]


def first_us(source: Source) -> int:
    """Return the time at which a tape begins: of its first record or row, us since 1970."""
    for piece in source.pieces(Position(0, 0), 1024):
        if piece.batch is not None and piece.batch.recv_ns.size:
            return int(piece.batch.recv_ns[0]) // 1000
        if piece.rows is not None and piece.rows.rows.size:
            return int(piece.rows.rows["ts"][0])
    return 0
