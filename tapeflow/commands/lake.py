"""Commands that read the lake: tables, sql, export, coverage."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tapeflow import show
from tapeflow.commands import (
    DemoOption,
    EndOption,
    JsonOption,
    LakeOption,
    Refusal,
    StartOption,
    SymbolOption,
    VenueOption,
    app,
    open_lake,
)

if TYPE_CHECKING:
    import duckdb
    import polars as pl

COVERAGE = """
WITH t AS (
    SELECT date, venue, symbol, min(ts) AS first_trade, max(ts) AS last_trade, count(*) AS trades
    FROM trades WHERE counted GROUP BY ALL
),
b AS (
    SELECT date, venue, symbol, count(*) FILTER (bar = '1m') AS minutes,
        count(*) FILTER (bar = '1m' AND quality = 'complete') / nullif(minutes, 0) AS complete,
        max_by(quality, list_position(['complete', 'repaired', 'late', 'gap'], quality)) AS worst
    FROM bars GROUP BY ALL
),
g AS (
    SELECT venue, symbol, status, day::DATE AS date, day::DATE = ts::DATE AS begins, status NOT IN ('repaired') AS missing,
        epoch(least("end", day + INTERVAL 1 DAY) - greatest(ts, day)) AS seconds
    FROM (SELECT *, unnest(generate_series(date_trunc('day', ts), "end", INTERVAL 1 DAY)) AS day FROM gaps WHERE feed = 'trades')
    WHERE begins OR seconds > 0
),
h AS (
    SELECT date, venue, symbol, coalesce(sum(seconds) FILTER (missing), 0) AS gap_seconds,
        count(*) FILTER (begins AND status = 'open') AS open, count(*) FILTER (begins AND status = 'repaired') AS repaired,
        count(*) FILTER (begins AND status IN ('unfillable', 'shed')) AS unfillable
    FROM g GROUP BY ALL
),
s AS (SELECT DISTINCT date, venue, symbol, true AS sealed FROM seals)
SELECT date, venue, symbol, first_trade, last_trade, coalesce(trades, 0) AS trades, coalesce(minutes, 0) AS minutes, complete,
    worst, coalesce(gap_seconds, 0) AS gap_seconds, coalesce(open, 0) AS open, coalesce(repaired, 0) AS repaired,
    coalesce(unfillable, 0) AS unfillable, coalesce(sealed, false) AS sealed
FROM t FULL JOIN b USING (date, venue, symbol) FULL JOIN h USING (date, venue, symbol) FULL JOIN s USING (date, venue, symbol)
ORDER BY date, venue, symbol
"""


@app.command()
def tables(lake: LakeOption = None, demo: DemoOption = False, json: JsonOption = False) -> None:
    """List the tables: rows, files, bytes, first and last time.

    Example: tapeflow tables --json
    """
    found = open_lake(lake, demo=demo).summary()
    (show.as_json if json else show.as_table)(list(found[0]._fields), found)


@app.command()
def sql(
    query: Annotated[str, typer.Argument(help="A query in DuckDB's SQL; times are UTC.")],
    lake: LakeOption = None,
    demo: DemoOption = False,
    json: JsonOption = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
) -> None:
    """Ask the lake in SQL (DuckDB).

    `<table>_history` has every version of rows that change. The column "end" needs its quotes.

    Example: tapeflow sql "select symbol, count(*) from trades group by symbol"
    """
    import duckdb

    opened = open_lake(lake, demo=demo)
    try:
        found = opened.sql(query)
        rows = found.fetchall()
    except duckdb.Error as error:
        raise Refusal(_explain(error)) from None
    (show.as_json if json else show.as_csv if csv else show.as_table)(found.columns, rows)


@app.command()
def coverage(lake: LakeOption = None, demo: DemoOption = False, json: JsonOption = False) -> None:
    """Show what there is per date and symbol.

    First, last and number of counted trades; minutes with a bar, the share of these that is complete, and the worst
    quality of any bar; seconds between the trades around holes that were not repaired, and how many holes are open,
    repaired, unfillable (or shed for lack of disk); whether the date is sealed.

    Example: tapeflow coverage --demo
    """
    found = open_lake(lake, demo=demo).sql(COVERAGE)
    (show.as_json if json else show.as_table)(found.columns, found.fetchall())


@app.command()
def export(
    table: Annotated[str, typer.Argument(help="A table, like bars or gaps_history.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="x.csv or x.parquet.")],
    lake: LakeOption = None,
    demo: DemoOption = False,
    symbol: SymbolOption = None,
    venue: VenueOption = None,
    start: StartOption = None,
    end: EndOption = None,
) -> None:
    """Write a table, or a part, to CSV or Parquet.

    Example: tapeflow export bars --symbol BTC-USDT --start 2024-07-19 --end 2024-07-20 -o bars.csv
    """
    from rich.console import Console

    from pipelines.market import TABLES
    from pipelines.store.lake import HISTORY

    if output.suffix not in (".csv", ".parquet"):
        raise Refusal(f"{output}: name a file that ends in .csv or .parquet")
    if not output.parent.is_dir():
        raise Refusal(f"{output.parent} is no folder; make it first")
    frame = open_lake(lake, demo=demo).table(table, symbol=symbol, venue=venue, start=start, end=end)
    frame = frame.sort("date", "venue", *TABLES[table.removesuffix(HISTORY)].sort)
    partial = output.with_name(f".{output.name}.partial")
    with Console(stderr=True).status(f"writing {output}"):
        try:
            _write(frame, partial, csv=output.suffix == ".csv")
            partial.replace(output)
        finally:
            partial.unlink(missing_ok=True)


def _write(frame: pl.LazyFrame, path: Path, *, csv: bool) -> None:
    import polars.selectors as cs

    path.touch()  # says what is wrong with the place in plainer words than polars
    if csv:
        frame = frame.with_columns(cs.list().list.join(" "), cs.datetime().dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ"))
        frame.sink_csv(path)
    else:
        frame.sink_parquet(path, compression="zstd")


def _explain(error: duckdb.Error) -> str:
    """Return DuckDB's message as one line, with a hint where the cause is known."""
    from pipelines.market import TABLES

    message = " ".join(re.sub(r"^ *\^.*$", "", str(error), flags=re.MULTILINE).split())
    if 'near "end"' in message:
        return f'{message}; "end" is a word of SQL and needs its quotes'
    if "Table with name" in message:
        return f"{message.split(' Did you mean')[0]} There are {', '.join(TABLES)}"
    if "column" in message.lower():
        return f'{message}; `tapeflow sql "describe trades"` lists the columns of a table'
    return message
