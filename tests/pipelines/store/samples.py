"""Rows for every table, made from its schema."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    from pipelines.schema import Table
    from pipelines.store.lake import Lake

DAY = dt.date(2024, 7, 19)


def moment(seconds: float, day: dt.date = DAY) -> dt.datetime:
    return dt.datetime(day.year, day.month, day.day, tzinfo=dt.UTC) + dt.timedelta(seconds=seconds)


def rows(table: Table, n: int = 10, *, every: float = 60.0, day: dt.date = DAY, **values: Any) -> pa.Table:
    """Return `n` rows, `every` seconds apart; values not given follow from the type and the row's number."""

    def value(field: pa.Field, i: int) -> Any:
        if field.name in values:
            given = values[field.name]
            return given[i] if isinstance(given, list) else given
        if field.name == "date":
            return day
        if pa.types.is_timestamp(field.type):
            return moment(i * every, day)
        if pa.types.is_floating(field.type):
            return 100.0 + i / 8
        if pa.types.is_boolean(field.type):
            return True
        if pa.types.is_integer(field.type):
            return i
        if pa.types.is_list(field.type):
            item = 1.5 if pa.types.is_floating(field.type.value_type) else "late"
            return [item] if i % 2 else []
        return {"venue": "demo", "symbol": "BTC-USDT", "bar": "1m", "quality": "complete"}.get(field.name, f"{field.name}-{i}")

    columns = {f.name: pa.array([value(f, i) for i in range(n)], f.type) for f in table.lake_schema}
    return pa.table(columns, schema=table.lake_schema)


def put(lake: Lake, table: Table, part: pa.Table) -> None:
    """Commit rows as one more version of application `test`."""
    last = lake.version(table.name, "test")
    version = 0 if last is None else last + 1
    assert lake.commit(table.name, "test", version, lake.stage(table.name, part, f"test-{version:08d}", {}))
