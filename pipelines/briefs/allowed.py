"""Which SQL may be asked for a model or a question: one query over the lake's tables that gives the same rows again."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator
from typing import Any, Final

import duckdb

from pipelines.market import TABLES
from pipelines.store.lake import HISTORY

LONGEST: Final = 10_000
"""Characters of a query."""
NAMES: Final = frozenset(name + end for name in TABLES for end in ("", HISTORY))
READS: Final = frozenset(
    {
        *("SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"),
        *("BASE_TABLE", "SUBQUERY", "JOIN", "EXPRESSION_LIST", "EMPTY", "TABLE_FUNCTION"),
        *("ORDER_MODIFIER", "LIMIT_MODIFIER", "LIMIT_PERCENT_MODIFIER", "DISTINCT_MODIFIER"),
        *("ORDER_DEFAULT", "ASCENDING", "DESCENDING"),
    }
)
"""Parts of a query that read; whatever DuckDB learns besides these is refused."""
EXPRESSIONS: Final = frozenset(
    {
        *("COLUMN_REF", "CONSTANT", "STAR", "FUNCTION", "OPERATOR", "WINDOW", "CASE", "CAST", "COMPARISON", "CONJUNCTION"),
        *("BETWEEN", "SUBQUERY", "COLLATE", "LAMBDA", "LAMBDA_REF", "POSITIONAL_REFERENCE", "TYPE"),
    }
)
ROWS: Final = frozenset({"generate_series", "range", "unnest"})
"""Functions that may stand where a table does."""
MACROS: Final = re.compile(r"(array|list|map|json|regexp_split)_\w+|if|nullif|split_part|fdiv|fmod|geomean|geometric_mean|\w+avg")
CLOCKS: Final = re.compile(r"(now|today|ago|age|current_\w+|get_current_\w+|local_?time\w*|transaction_timestamp)")
_FUNCTIONS: Final = """
SELECT DISTINCT function_name, function_type = 'macro' FROM duckdb_functions()
WHERE function_type IN ('scalar', 'aggregate', 'window', 'macro') AND coalesce(stability, 'CONSISTENT') = 'CONSISTENT'
"""


class Refused(Exception):
    """A query that is not run; the message says why, and what may be asked instead."""


def checked(query: str) -> None:
    """Let a query pass that reads the lake's tables and nothing else, and depends on neither clock nor chance.

    What is allowed is listed; everything else is refused, known or not. The engine is locked besides: see `sandbox`.

    Raises
    ------
    Refused
        With the first thing that may not be.
    """
    if len(query) > LONGEST:
        raise Refused(f"a query of more than {LONGEST:,} characters is not read")
    names: set[str] = set()
    tables: list[str] = []
    for node in _nodes(_select(query)):
        names |= {entry["key"].lower() for entry in _common(node)}
        if table := _table(node):
            tables.append(table)
    if strange := [table for table in tables if table.lower() not in NAMES | names]:
        raise Refused(f"there is no table {strange[0]!r}; there are {', '.join(TABLES)}")


def grounded(query: str) -> None:
    """Let a query pass each column of which reads a column of a table, or counts rows: a written number is no measurement.

    A stranger who wants to be told a number of his own can still compute one; the query is shown beside the answer.

    Raises
    ------
    Refused
        If a part of it gives what it was given.
    """
    for node in _nodes(_select(query)):
        if node.get("type") in {"EMPTY", "EXPRESSION_LIST", "TABLE_FUNCTION"} and "class" not in node:
            raise Refused("every part of the query reads a table of the lake")
        for column in node.get("select_list", []):
            inside = list(_nodes(column))
            if not any(n.get("class") in {"COLUMN_REF", "STAR"} or n.get("function_name") == "count_star" for n in inside):
                raise Refused("each column reads a column of a table, or counts rows: a written number is no measurement")


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Yield all parts of a query."""
    stack = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, list):
            stack += node
        elif isinstance(node, dict):
            yield node
            stack += node.values()


def _select(query: str) -> dict[str, Any]:
    """Return the query as DuckDB's parser understands it."""
    try:
        with _parser() as parser:
            (text,) = parser.execute("SELECT json_serialize_sql(?)", [query]).fetchone() or ("",)
        parsed: dict[str, Any] = json.loads(text)
    except (duckdb.Error, RecursionError, ValueError):
        raise Refused("this is no query that can be read") from None
    if parsed["error"]:
        if parsed["error_type"] == "parser":
            raise Refused(f"this is no SQL: {parsed['error_message']}")
        raise Refused("only a SELECT is run: nothing is written, copied, attached, installed, loaded or set")
    if len(parsed["statements"]) != 1:
        raise Refused("one statement at a time")
    statement: dict[str, Any] = parsed["statements"][0]
    return statement


def _common(node: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the common table expressions that a part of a query names."""
    entries: list[dict[str, Any]] = (node.get("cte_map") or {}).get("map", [])
    if strange := [entry["key"] for entry in entries if not re.fullmatch(r"\w+", entry["key"])]:
        raise Refused(f"{strange[0]!r} is no name for a part of a query")
    return entries


def _table(node: dict[str, Any]) -> str | None:
    """Judge a part of a query; return the name of the table that it reads."""
    kind, place = node.get("type"), node.get("class")
    if not isinstance(kind, str):
        return None
    if node.get("sample"):
        raise Refused("a sample gives other rows each time")
    if place is None and kind not in READS:
        raise Refused(f"{kind.lower().replace('_', ' ')} is not run; ask with SELECT")
    if place is not None and place not in EXPRESSIONS:
        raise Refused(f"{str(place).lower()} is not allowed in a query")
    if place is None and kind == "TABLE_FUNCTION":
        name = node["function"]["function_name"].lower()
        if name not in ROWS:
            raise Refused(f"{name}() is not read from; there are the lake's tables, {', '.join(sorted(ROWS))}")
    elif place == "COLUMN_REF":
        _no_clock(node["column_names"][0].lower())
    elif place is not None and "function_name" in node:
        _function(node)
    if place is not None or kind != "BASE_TABLE":
        return None
    if len(node["qualified_name"]["path"]) != 1 or node["at_clause"]:
        raise Refused("tables are named alone, like bars")
    return str(node["table_name"])


def _function(node: dict[str, Any]) -> None:
    name = node["function_name"].lower()
    _no_clock(name)
    if len((node.get("qualified_name") or {}).get("path", [name])) != 1 or name not in _functions() | ROWS:
        raise Refused(f"{name}() may not be called: it is unknown, reaches outside, or gives another value each time")


def _no_clock(name: str) -> None:
    if CLOCKS.fullmatch(name):
        raise Refused(f"{name} depends on when it is asked; write the time itself, like TIMESTAMPTZ '2026-11-20 12:00+00'")


@functools.cache
def _functions() -> frozenset[str]:
    """Return the functions whose value depends on their arguments alone."""
    with _parser() as parser:
        found = parser.execute(_FUNCTIONS).fetchall()
    return frozenset(name.lower() for name, is_macro in found if not is_macro or MACROS.fullmatch(name))


def _parser() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(config={"enable_external_access": False, "autoload_known_extensions": False, "threads": 1})
    connection.execute("SET lock_configuration = true")
    return connection
