"""The lake: Delta tables under one root, read as polars frames or by SQL."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import DeltaTable

from pipelines.account_tables import INSTRUMENTS
from pipelines.kernel_names import checked_bar
from pipelines.market import TABLES
from pipelines.schema import Table
from pipelines.store import LakeError, names
from pipelines.store.commits import Commits
from pipelines.store.names import Known, Time
from pipelines.store.parquet import Staged

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    import duckdb
    import polars as pl

__all__ = ["Lake", "LakeError", "Staged", "Summary"]

HISTORY = "_history"
"""What follows a table's name to read every row of it, where the plain name gives the newest per key."""
TRIES = 3


class Summary(NamedTuple):
    """How much a table holds; times are the least and greatest `ts`, None without rows."""

    table: str
    rows: int
    files: int
    bytes: int
    min_ts: dt.datetime | None
    max_ts: dt.datetime | None


class Lake(Commits):
    """Every table of `market.TABLES` under one root: a local folder or an `s3://` URL.

    Reading creates nothing. `start` is inclusive, `end` exclusive, times without a zone are UTC, and a bare date
    (`2024-07-19`) is the start of that UTC day; the same bare date as `start` and `end` is that day. `venue` may be
    left out where only one has the symbol; the venue's own names (`BTCUSDT`) are accepted.
    A frame reads the newest state of its table each time it is collected.
    """

    def trades(
        self,
        symbol: str,
        venue: str | None = None,
        start: Time = None,
        end: Time = None,
        *,
        all: bool = False,  # noqa: A002
    ) -> pl.LazyFrame:
        """Return trades of an instrument in tape order; with `all`, also those that feed no bar.

        Raises
        ------
        LakeError
            If the symbol is unknown (with the nearest names) or is on several venues and `venue` was not given.
        """
        frame = self.table("trades", symbol=symbol, venue=venue, start=start, end=end)
        if not all:
            import polars as pl

            frame = frame.filter(pl.col("counted"))
        return frame.sort("date", "seq")

    def bars(self, symbol: str, bar: str = "1m", venue: str | None = None, start: Time = None, end: Time = None) -> pl.LazyFrame:
        """Return bars of an instrument by time; `bar` as in table `bars`: `1m`, `tick:500`, `volume` ...

        Raises
        ------
        LakeError
            As `trades`, and of a name that no bar can have.
        """
        try:
            checked_bar(bar)
        except ValueError as error:
            raise LakeError(str(error)) from None
        return self.table("bars", symbol=symbol, venue=venue, start=start, end=end, bar=bar).sort("ts", "first_id")

    def table(
        self,
        name: str,
        *,
        symbol: str | None = None,
        venue: str | None = None,
        start: Time = None,
        end: Time = None,
        **equal: object,
    ) -> pl.LazyFrame:
        """Return a table as a frame that opens only files that may hold what is asked for.

        Parameters
        ----------
        name
            Of tables whose rows are written again (`gaps`, `seals`) this gives the newest row per key, and
            `<name>_history` every row.
        symbol, venue, start, end
            What to keep; times are those of `ts`.
        **equal
            More columns and the value they must have, like `setting="v10x50"`.

        Raises
        ------
        LakeError
            If there is no such table, column, symbol or venue.
        """
        import polars as pl

        table, newest = _named(name)
        if self._snapshot(table.name) is None:
            frame = pl.LazyFrame(pa.Table.from_batches([], table.lake_schema))
        else:
            frame = pl.scan_delta(self._uri(table.name), use_pyarrow=self._is_quoted)
        for column, op, value in self._conditions(table, symbol, venue, start, end, equal):
            bound = pl.lit(value)
            here = pl.col(column)
            frame = frame.filter(here == bound if op == "=" else here >= bound if op == ">=" else here < bound)
        if newest:
            frame = frame.sort(_by_age(table)).unique(table.key, keep="last", maintain_order=True)
        return frame

    def files(
        self,
        table: str,
        *,
        symbol: str | None = None,
        venue: str | None = None,
        start: Time = None,
        end: Time = None,
    ) -> list[str]:
        """Return the paths or URLs of the data files that may hold what is asked for, from the table's log.

        Any reader of Parquet may be given these; the partition columns `date` and `venue` are in the path.

        Raises
        ------
        LakeError
            As `table`.
        """
        wanted = self._conditions(_named(table)[0], symbol, venue, start, end, {})
        delta = self._snapshot(_named(table)[0].name)
        if delta is None:
            return []
        predicate = " and ".join(f"{column} {op} {_literal(value)}" for column, op, value in wanted)
        found = delta.file_uris(file_pruning_predicate=predicate) if predicate else delta.file_uris()
        return sorted(unquote(uri) if self._is_quoted else uri for uri in found)

    @property
    def _is_quoted(self) -> bool:
        """Whether the log gives paths in another form than the file system: polars' own reader does not undo that."""
        return "://" not in self.root and quote(self.root) != self.root

    def sql(self, query: str) -> duckdb.DuckDBPyRelation:
        """Run SQL over all tables in DuckDB, in UTC, and return the rows (`.pl()`, `.df()`, `.fetchall()`, `.show()`).

        `end` is a word of SQL: write `"end"`.

        Raises
        ------
        duckdb.Error
            If the query is wrong.
        LakeError
            If it is empty.
        """
        import duckdb

        for attempt in range(TRIES):
            try:
                found = self.connect(query).sql(query)
                if found is None:
                    raise LakeError("the query is empty; write one like select symbol, count(*) from trades group by symbol")
                return found.materialize()
            except duckdb.IOException:  # a file was replaced and vacuumed since the log was read
                if attempt == TRIES - 1:
                    raise
        raise AssertionError

    def asof(
        self,
        left: pl.LazyFrame,
        right: pl.LazyFrame,
        by: Sequence[str] = ("venue", "symbol"),
        tolerance: str | dt.timedelta | None = None,
    ) -> pl.LazyFrame:
        """Put beside each row of `left` the newest row of `right` that was complete by then (`end` <= the row's `end`).

        Parameters
        ----------
        left, right
            Frames of the lake; columns of `right` that `left` has too get the suffix `_right`.
        by
            Columns that must be equal.
        tolerance
            How old the row of `right` may be, like `5m`.
        """
        import polars as pl

        right = right.drop("date", strict=False).with_columns(end_right=pl.col("end"))
        return left.sort("end").join_asof(
            right.sort("end"), on="end", by=list(by), strategy="backward", tolerance=tolerance, check_sortedness=False
        )

    def summary(self) -> list[Summary]:
        """Return how much each table holds, without opening a data file."""
        return [self._summary(name) for name in TABLES]

    def require(self) -> None:
        """Raise LakeError if there is no lake."""
        if not any(DeltaTable.is_deltatable(self._uri(name)) for name in TABLES):
            raise LakeError(f"no lake at {self.root}")

    def _summary(self, name: str) -> Summary:
        delta = self._snapshot(name)
        actions = pa.table(delta.get_add_actions(flatten=True)) if delta else None
        if actions is None or actions.num_rows == 0:
            return Summary(name, 0, 0, 0, None, None)
        rows, size = (pc.sum(actions[column]).as_py() for column in ("num_records", "size_bytes"))
        least, most = pc.min(actions["min.ts"]).as_py(), pc.max(actions["max.ts"]).as_py()
        return Summary(name, rows, actions.num_rows, size, least, most)

    def _snapshot(self, name: str) -> DeltaTable | None:
        """Return the table; None where the lake is older than the table."""
        if name not in self._handles and not DeltaTable.is_deltatable(self._uri(name)):
            self.require()
            return None
        return self.latest(name)

    def _conditions(
        self,
        table: Table,
        symbol: str | None,
        venue: str | None,
        start: Time,
        end: Time,
        equal: dict[str, Any],
    ) -> list[tuple[str, str, Any]]:
        for column in [*equal, *(["symbol"] if symbol else [])]:
            if column not in table.lake_schema.names:
                raise LakeError(f"table {table.name} has no column {column!r}; it has {', '.join(table.lake_schema.names)}")
        if symbol is not None:
            venue, symbol = self._instrument(symbol, venue)
        elif venue is not None:
            names.check_venue(venue, [*self._known(), Known("all", "")])
        since, until = names.bounds(start, end)
        wanted = [("venue", "=", venue), ("symbol", "=", symbol), ("ts", ">=", since), ("ts", "<", until)]
        return [c for c in [*wanted, *((k, "=", v) for k, v in equal.items())] if c[2] is not None]

    def _instrument(self, symbol: str, venue: str | None) -> tuple[str | None, str]:
        known = self._known()
        if not known:  # an empty lake: nothing is there, and nothing is wrong
            return venue, symbol
        try:
            found = names.resolve(symbol, venue, known)
            sure = venue is not None or not self._may_be_elsewhere(found, known)
        except LakeError:
            sure = False
        if not sure:
            found = names.resolve(symbol, venue, known | self._known(thorough=True))
        return found.venue, found.symbol

    def _may_be_elsewhere(self, found: Known, known: set[Known]) -> bool:
        """Return whether a venue whose instruments are not described may have the symbol in the middle of a file."""
        settled = {found.venue, *(k.venue for k in known if k.native)}
        elsewhere = f"symbol = {_literal(found.symbol)} AND venue NOT IN ({', '.join(map(_literal, sorted(settled)))})"
        tables = [self._snapshot(name) for name in ("trades", "bars")]
        return any(delta.file_uris(file_pruning_predicate=elsewhere) for delta in tables if delta)

    def _known(self, *, thorough: bool = False) -> set[Known]:
        """Return the lake's instruments: from table `instruments`, and from the statistics of files of trades and bars.

        A file of several symbols names only the first and the last there; `thorough` looks into it.
        """
        known: set[Known] = set()
        if self._snapshot(INSTRUMENTS.name):
            described = self.table(INSTRUMENTS.name).select("venue", "symbol", "native").unique().collect()
            known = {Known(*row) for row in described.iter_rows()}
        for name in ("trades", "bars"):
            delta = self._snapshot(name)
            if delta is None:
                continue
            actions = delta.get_add_actions(flatten=True)
            columns = (actions[c].to_pylist() for c in ("path", "partition.venue", "min.symbol", "max.symbol"))
            for path, venue, first, last in zip(*columns, strict=True):
                symbols = {first, last}
                if thorough and first != last:
                    fs, folder = self.folder(name)
                    column = pq.read_table(f"{folder}/{path}", columns=["symbol"], filesystem=fs, partitioning=None)
                    symbols = set(column["symbol"].unique().to_pylist())
                known |= {Known(venue, symbol) for symbol in symbols if symbol}
        return known

    def connect(self, query: str) -> duckdb.DuckDBPyConnection:
        """Return a database whose views are the tables that `query` may name; all of them for `show tables`."""
        import duckdb

        connection = duckdb.connect(config={"autoinstall_known_extensions": False})
        connection.execute("SET TimeZone = 'UTC'")
        for table in TABLES.values() if "tables" in query.lower() else tables_in(query):
            self.attach(connection, table)
        return connection

    def files_named(self, query: str) -> list[str]:
        """Return the paths or URLs of the data files of every table that `query` may name."""
        return [file for table in tables_in(query) for file in self.files(table.name)]

    def attach(self, connection: duckdb.DuckDBPyConnection, table: Table) -> None:
        """Make the views of a table: `<name>`, and `<name>_history` of every row of it."""
        columns = ", ".join(f'"{name}"' for name in table.lake_schema.names)
        files = self.files(table.name)
        if not files:
            connection.register(table.name + HISTORY, table.lake_schema.empty_table())
        elif "://" in self.root:  # DuckDB would have to download an extension to read these by itself
            connection.register(table.name + HISTORY, DeltaTable(self._uri(table.name)).to_pyarrow_dataset())
        else:
            paths = ", ".join(map(_literal, files))
            options = "hive_partitioning = true, hive_types = {date: DATE, venue: VARCHAR}"
            source = f"read_parquet([{paths}], {options})"
            if _is_narrow(files, table):
                connection.register(f"no_{table.name}", table.lake_schema.empty_table())
                source = f"(FROM read_parquet([{paths}], {options}, union_by_name = true) UNION ALL BY NAME FROM no_{table.name})"
            connection.execute(f'CREATE VIEW "{table.name}{HISTORY}" AS SELECT {columns} FROM {source}')
        newest = ""
        if table.newest:
            age = ", ".join(f'"{column}" DESC NULLS LAST' for column in _by_age(table))
            key = ", ".join(f'"{column}"' for column in table.key)
            newest = f"QUALIFY row_number() OVER (PARTITION BY {key} ORDER BY {age}) = 1"
        connection.execute(f'CREATE VIEW "{table.name}" AS SELECT {columns} FROM "{table.name}{HISTORY}" {newest}')


def tables_in(query: str) -> list[Table]:
    """Return the tables that a query may name."""
    words = {word.lower() for word in re.findall(r"\w+", query)}
    return [table for table in TABLES.values() if words & {table.name, table.name + HISTORY}]


def _is_narrow(files: Sequence[str], table: Table) -> bool:
    """Whether the oldest file lacks columns: an older tapeflow wrote it. To look into all of them would take long."""
    try:
        oldest = min(files, key=lambda path: Path(path).stat().st_mtime_ns)
        return not set(table.schema.names) <= set(pq.read_schema(oldest).names)
    except FileNotFoundError:  # vacuumed meanwhile: DuckDB will say so
        return False


def _named(name: str) -> tuple[Table, bool]:
    """Return the table of that name, and whether only the newest row per key is meant."""
    table = TABLES.get(name.removesuffix(HISTORY))
    if table is None:
        raise LakeError(f"no table {name!r}; there are {', '.join(TABLES)}")
    return table, table.newest and not name.endswith(HISTORY)


def _by_age(table: Table) -> list[str]:
    """Return the columns that order the versions of a row: `as_of`, and the others only to settle ties for good."""
    return ["as_of", *(c for c in reversed(table.schema.names) if c not in (*table.key, "as_of"))]


def _literal(value: Any) -> str:
    text = value.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if hasattr(value, "strftime") else str(value)
    return "'" + text.replace("'", "''") + "'"
