"""Rows on the screen, as JSON or as CSV."""

from __future__ import annotations

import csv
import datetime as dt
import decimal
import json
import math
import sys
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    Row = Sequence[Any]

SHOWN = 500
"""Rows of a table on the screen; JSON and CSV give all."""
WIDE = 10_000
"""Characters a line may have where the output is no terminal: nothing is cut off or wrapped for a file."""


def as_json(columns: Sequence[str], rows: Sequence[Row]) -> None:
    """Print a list of objects; times as ISO text in UTC."""
    print(json.dumps([dict(zip(columns, map(plain, row), strict=True)) for row in rows], default=str))


def as_object(found: dict[str, Any]) -> None:
    """Print an object; times as ISO text in UTC."""
    print(json.dumps(plain(found), default=str))


def as_csv(columns: Sequence[str], rows: Sequence[Row]) -> None:
    """Print CSV with a header; lists as JSON, null as nothing."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([json.dumps(v, default=str) if isinstance(v, list | dict | bool) else v for v in map(plain, row)])


def as_table(columns: Sequence[str], rows: Sequence[Row]) -> None:
    """Print a table for people: numbers to the right, null as nothing."""
    console = Console(markup=False, emoji=False, width=None if sys.stdout.isatty() else WIDE)
    table = Table(header_style="bold")
    for i, column in enumerate(columns):
        number = any(isinstance(row[i], int | float | decimal.Decimal) for row in rows[:SHOWN])
        table.add_column(column, justify="right" if number else "left", overflow="fold")
    for row in rows[:SHOWN]:
        table.add_row(*map(_cell, row))
    console.print(table)
    if len(rows) > SHOWN:
        console.print(f"... {len(rows) - SHOWN:,} more rows; --csv or --json print all")


def plain(value: Any) -> Any:
    """Return a value as JSON has it: times as ISO text with `Z`, what is no number as null."""
    match value:
        case dt.datetime():
            return value.isoformat().replace("+00:00", "Z")
        case dt.date() | dt.time():
            return value.isoformat()
        case float() if not math.isfinite(value):
            return None
        case decimal.Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case list() | tuple():
            return [plain(v) for v in value]
        case dict():
            return {str(k): plain(v) for k, v in value.items()}
    return value


def _cell(value: Any) -> str:
    match value:
        case None:
            return ""
        case dt.datetime():
            return value.isoformat(" ").removesuffix("+00:00")
        case bool():
            return str(value).lower()
        case float():
            return f"{value:.10g}"
        case list():
            return " ".join(map(_cell, value))
    return str(value)
