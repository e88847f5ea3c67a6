"""Rows of a sealed day on their way into files: trades as they come, the other tables sorted at the end."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines import rows as to_rows
from pipelines.history.day import Day
from pipelines.history.unfinished import Unwritten
from pipelines.market import TABLES, TRADES
from pipelines.store import parquet
from pipelines.store.lake import Lake
from pipelines.store.parquet import Staged
from pipelines.tape import ROW, Rows

ROWS = parquet.ROW_GROUP
"""Trades of a symbol that are written at once."""
_STEP = ROWS // 16
_STORED = (
    *("ts", "trade_id", "seq", "recv_ns", "price", "size", "contracts", "side"),
    *("first_fill", "last_fill", "fills", "counted", "flags"),
)
_TEXT = pa.dictionary(pa.int32(), pa.string())
_SCHEMA = pa.schema([f.with_type(_TEXT) if pa.types.is_string(f.type) else f for f in TRADES.schema])
"""Of a file of one symbol: what is the same in each row is held once."""
MANY = 1_000_000
"""Rows of another table that are held at once."""


class Sheets:
    """Files of one day, staged.

    Parameters
    ----------
    lake : Lake
    day : Day
    names : dict of table to str
        File name without its suffix; several files of a table add a number.
    metadata : dict of str
        Of each file.
    unwritten : Unwritten or None
        Of a day that is not over: what is left to the flow, and gets into no file.
    """

    def __init__(
        self, lake: Lake, day: Day, names: dict[str, str], metadata: dict[str, str], unwritten: Unwritten | None = None
    ) -> None:
        self.lake, self.day, self.names, self.metadata, self.unwritten = lake, day, names, metadata, unwritten
        self.staged: dict[str, list[Staged]] = defaultdict(list)
        self._held: dict[str, list[pa.Table]] = defaultdict(list)
        self._rows: dict[str, int] = defaultdict(int)
        self._trades: dict[str, _Columns] = {}
        self._open: dict[str, _Growing] = {}

    def trades(self, symbol: str, tape: str, rows: Rows) -> None:
        """Take trades of a symbol, in tape order."""
        if symbol not in self._trades:
            self._trades[symbol] = _Columns(symbol, tape)
        columns = self._trades[symbol]
        while rows.size:
            rows = columns.fill(rows)
            if columns.filled == ROWS:
                if symbol not in self._open:
                    self._open[symbol] = _Growing(self.lake, self.day, self._name("trades", len(self._open)), self.metadata)
                self._open[symbol].write(columns)

    def add(self, table: str, rows: pa.Table) -> None:
        """Take rows of another table."""
        if self.unwritten is not None:
            rows = self.unwritten.take(table, rows)
        if not rows.num_rows:
            return
        self._held[table].append(rows)
        self._rows[table] += rows.num_rows
        if self._rows[table] >= MANY:
            self._stage(table)

    def finish(self) -> dict[str, list[Staged]]:
        """Write what is left; return all files."""
        opened = len(self._open)
        rest = {symbol: columns for symbol, columns in sorted(self._trades.items()) if columns.filled}
        for symbol, growing in self._open.items():
            if symbol in rest:
                growing.write(rest.pop(symbol))
            self.staged["trades"].append(growing.close())
        self._open.clear()
        if rest:
            rows = pa.concat_tables([columns.rows(self.day.venue) for columns in rest.values()])
            self.staged["trades"] += self.lake.stage("trades", rows, self._name("trades", opened), self.metadata)
        for table in list(self._held):
            self._stage(table)
        return dict(self.staged)

    def keep(self, tables: list[str]) -> None:
        """Take note that the files of these tables are in the lake."""
        for table in tables:
            self.staged.pop(table, None)

    def discard(self) -> None:
        """Delete what was written and is not in the lake."""
        for growing in self._open.values():
            self.staged["trades"].append(growing.close())
        self._open.clear()
        for table, files in self.staged.items():
            live = self.lake.live(table)
            self.lake.discard(table, [file.path for file in files if file.path not in live])

    def _stage(self, table: str) -> None:
        rows = pa.concat_tables(self._held.pop(table)).combine_chunks()
        self._rows[table] = 0
        self.staged[table] += self.lake.stage(table, rows, self._name(table, len(self.staged[table])), self.metadata)
        pa.default_memory_pool().release_unused()

    def _name(self, table: str, number: int) -> str:
        return f"{self.names[table]}{number:04d}"


class _Columns:
    """Trades of a symbol, column by column, until they are enough for a row group."""

    def __init__(self, symbol: str, tape: str) -> None:
        self.symbol, self.tape = symbol, tape
        self.filled = 0
        self._columns: dict[str, npt.NDArray[Any]] = {}

    def fill(self, rows: Rows) -> Rows:
        """Take as many rows as there is room for; return the others."""
        n = min(rows.size, ROWS - self.filled)
        for name in _STORED:
            room = self._columns.setdefault(name, np.empty(_STEP, ROW[name]))
            while room.size < self.filled + n:
                room = self._columns[name] = np.concatenate([room, np.empty_like(room)])
            room[self.filled : self.filled + n] = rows[name][:n]
        self.filled += n
        return rows[n:]

    def take(self) -> pa.Table:
        """Return the rows as a file of one symbol has them, and begin anew: they hold until the next are filled in."""
        columns = to_rows.trade_columns(self._filled())
        for name, text in (("symbol", self.symbol), ("tape", self.tape)):
            columns[name] = pa.DictionaryArray.from_arrays(np.zeros(self.filled, np.int32), [text])
        self.filled = 0
        return pa.table([columns[name] for name in _SCHEMA.names], schema=_SCHEMA)

    def rows(self, venue: str) -> pa.Table:
        """Return the rows as the lake has them."""
        columns = self._filled() | {"instrument": np.zeros(self.filled, np.int32)}
        return to_rows.trades(columns, [venue], [self.symbol], [self.tape])

    def _filled(self) -> dict[str, npt.NDArray[Any]]:
        return {name: column[: self.filled] for name, column in self._columns.items()}


class _Growing:
    """A file of trades of one symbol, written row group by row group."""

    def __init__(self, lake: Lake, day: Day, name: str, metadata: dict[str, str]) -> None:
        self.fs, self.folder = lake.folder("trades")
        self.day, self.metadata = day, metadata
        self.path = f"date={day.date}/venue={day.venue}/{name}.parquet"
        self.rows = 0
        self.sink = parquet.open_file(self.fs, f"{self.folder}/{self.path}")
        self.writer = pq.ParquetWriter(self.sink, _SCHEMA, **parquet.options(TRADES.schema))

    def write(self, columns: _Columns) -> None:
        rows = columns.take()
        self.writer.write_table(rows, row_group_size=rows.num_rows)
        self.rows += rows.num_rows

    def close(self) -> Staged:
        self.writer.add_key_value_metadata(self.metadata)
        self.writer.close()
        self.sink.close()
        parquet.sync(self.fs, self.folder, self.path)
        size = self.fs.get_file_info(f"{self.folder}/{self.path}").size
        with self.fs.open_input_file(f"{self.folder}/{self.path}") as source:
            stats = _statistics(pq.read_metadata(source))
        return Staged("trades", self.path, size, self.day.date.isoformat(), self.day.venue, self.rows, stats)


def _statistics(footer: pq.FileMetaData) -> str:
    """Return the Delta statistics of a file from its footer; see `parquet.statistics`."""
    low: dict[str, Any] = {}
    high: dict[str, Any] = {}
    nulls: dict[str, int] = {}
    types = {f.name: f.type for f in TABLES["trades"].schema}
    for group in range(footer.num_row_groups):
        for c in range(footer.num_columns):
            column = footer.row_group(group).column(c)
            name = column.path_in_schema.partition(".")[0]
            found = column.statistics
            if found is None or pa.types.is_nested(types[name]):
                nulls[name] = 0
                continue
            nulls[name] = nulls.get(name, 0) + found.null_count
            if found.has_min_max and not pa.types.is_boolean(types[name]):
                low[name] = min(low.get(name, found.min), found.min)
                high[name] = max(high.get(name, found.max), found.max)
    plain = {
        "minValues": {k: parquet.plain(v) for k, v in low.items()},
        "maxValues": {k: parquet.plain(v) for k, v in high.items()},
    }
    return json.dumps({"numRecords": footer.num_rows, **plain, "nullCount": nulls}, separators=(",", ":"))
