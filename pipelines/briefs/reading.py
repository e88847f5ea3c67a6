"""Rows of the lake as they were known at a time; every number of a brief is made of what is read here."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import duckdb

from pipelines.store.lake import Lake, tables_in

if TYPE_CHECKING:
    import polars as pl

TRIES = 3


def moment(time: dt.datetime) -> str:
    """Return a time as SQL has it."""
    return f"TIMESTAMPTZ '{time.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S.%f}+00'"


def text(value: str) -> str:
    """Return a text as SQL has it."""
    return "'" + value.replace("'", "''") + "'"


class Reader:
    """SQL over the lake's tables, each as it is when first asked for; a query asked again gives the same rows.

    Parameters
    ----------
    lake
    at
        What is read is to lie before this; queries say so themselves.
    """

    def __init__(self, lake: Lake, at: dt.datetime) -> None:
        self.at = at
        self._lake = lake
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._attached: set[str] = set()
        self._held: dict[str, str] = {}
        self._seen: dict[str, pl.DataFrame] = {}

    def rows(self, query: str) -> pl.DataFrame:
        """Return the rows of a query.

        Raises
        ------
        duckdb.Error
            If the query is wrong.
        """
        if query not in self._seen:
            self._seen[query] = self._rows(query)
        return self._seen[query]

    def hold(self, table: str, query: str) -> None:
        """Read a part of a table once: queries that stay within it open no file again, and find what they would find.

        `table` is read under the name that queries use, `<name>_history` of tables that are written again.
        """
        self._held[table] = query

    def _rows(self, query: str) -> pl.DataFrame:
        for attempt in range(TRIES):
            try:
                found: pl.DataFrame = self._connected(query).sql(query).pl()
            except duckdb.IOException:  # a file was replaced and vacuumed since the log was read
                self._connection = None
                if attempt == TRIES - 1:
                    raise
            else:
                return found
        raise AssertionError

    def _connected(self, query: str) -> duckdb.DuckDBPyConnection:
        """Return the database, with the tables that a query names."""
        if self._connection is None:
            self._connection, self._attached = self._lake.connect(""), set()
        for table in tables_in(query):
            if table.name not in self._attached:
                self._lake.attach(self._connection, table)
                self._attached.add(table.name)
                for name in {table.name, f"{table.name}_history"} & self._held.keys():
                    self._connection.execute(f"CREATE TABLE {name}_held AS {self._held[name]}")
                    self._connection.execute(f"CREATE OR REPLACE TEMP VIEW {name} AS FROM {name}_held")
        return self._connection
