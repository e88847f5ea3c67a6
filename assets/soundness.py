"""What must hold for every row of a table, tried on the data files that are new."""

from typing import NamedTuple

import polars as pl
from deltalake import DeltaTable
from polars.exceptions import PolarsError

from pipelines.market import TABLES
from pipelines.schema import Table

FILES_AT_ONCE = 500
"""The newest files that one examination reads, so that a sensor's tick stays within its minute."""

RULES: dict[str, tuple[str, ...]] = {
    "trades": ("price > 0", "size > 0", "side in (-1, 1)", "tape in ('agg', 'fill')", '"end" = ts', "fills > 0"),
    "bars": (
        "high >= open and high >= close and high >= low",
        "low <= open and low <= close",
        "buy_volume >= 0 and buy_volume <= volume",
        "trades > 0",
        '"end" >= ts',
        "quality in ('complete', 'repaired', 'gap', 'late')",
    ),
    "vpin": (
        "bucket_volume > 0",
        "buy_volume >= 0 and buy_volume <= bucket_volume",
        "imbalance >= 0 and imbalance <= bucket_volume",
        "vpin_flag is null or (vpin_flag >= 0 and vpin_flag <= 1)",
        "pct is null or (pct >= 0 and pct <= 1)",
    ),
    "alerts": ("severity in (1, 2, 3)", "origin in ('live', 'history')"),
    "gaps": ("status in ('open', 'repaired', 'unfillable', 'shed')", "from_id is null or to_id is null or from_id <= to_id"),
    "klines": ("high >= low", "volume >= 0"),
}
"""In SQL, per table; a rule that comes out as null is broken."""


class Verdict(NamedTuple):
    """What an examination found: `faults` tells, for each thing wrong, in how many rows."""

    rows: int
    files: int
    faults: dict[str, int]


def examine(table: DeltaTable, name: str, paths: list[str]) -> Verdict:
    """Try the newest of the data files `paths` against the schema and the rules of table `name`.

    Files that are no longer in the table are passed over: what replaced them is examined in its turn.
    """
    live = set(table.get_add_actions(flatten=True)["path"].to_pylist())
    files = [f"{table.table_uri.rstrip('/')}/{path}" for path in paths if path in live][-FILES_AT_ONCE:]
    if not files:
        return Verdict(0, 0, {})
    frame = pl.scan_parquet(files, hive_schema={"date": pl.Date, "venue": pl.String})
    try:
        return _judge(frame, TABLES[name], len(files))
    except PolarsError as error:
        return Verdict(0, len(files), {f"unreadable, or unlike the others: {str(error).splitlines()[0]}": 1})


def _judge(frame: pl.LazyFrame, table: Table, files: int) -> Verdict:
    alien = _alien(frame.collect_schema(), table)
    if alien:
        return Verdict(0, files, dict.fromkeys(alien, 1))
    floats = [c.name for c in table.columns if pl.Schema(table.schema).get(c.name) == pl.Float64]
    wrong = {f"breaks {rule}": pl.sql_expr(rule).fill_null(value=False).not_() for rule in RULES.get(table.name, ())}
    wrong |= {f"{name} is NaN or infinite": pl.col(name).is_finite().not_() for name in floats}
    wrong |= {f"{name} is null": pl.col(name).is_null() for name in (*table.key, "ts", "end")}
    counts = frame.select(
        pl.len().alias("rows"),
        (pl.len() - pl.struct(table.key).hash().n_unique()).alias("repeats a key"),
        *(expression.sum().alias(fault) for fault, expression in wrong.items()),
    ).collect(engine="streaming")
    found: dict[str, int] = counts.row(0, named=True)
    if found["repeats a key"]:  # or two keys share a hash: hashes take a third of the memory
        found["repeats a key"] = found["rows"] - int(frame.select(pl.struct(table.key).n_unique()).collect().item())
    return Verdict(found.pop("rows"), files, {fault: n for fault, n in found.items() if n})


def _alien(found: pl.Schema, table: Table) -> list[str]:
    """Name the columns that are missing, unknown or of another type."""
    wanted = pl.Schema(table.lake_schema)
    return [
        *(f"{name} is {found[name]}, not {kind}" for name, kind in wanted.items() if name in found and found[name] != kind),
        *(f"no column {name}" for name in wanted if name not in found),
        *(f"unknown column {name}" for name in found if name not in wanted),
    ]
