"""The comparison of a day's live rows with its sealed ones: read from files, kept until the seal is written."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
import polars as pl
import polars.selectors as cs
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as pafs

from pipelines.history import differences, earlier
from pipelines.history.day import Day, DayTape
from pipelines.history.differences import Causes, Difference
from pipelines.history.in_force import InForce
from pipelines.history.rebuild import DERIVED, Quoted, Rebuilt
from pipelines.history.stored_day import StoredDay
from pipelines.history.stored_files import files_of, is_sealed, read
from pipelines.history.unfinished import Unwritten
from pipelines.market import DAY_US, TABLES
from pipelines.quote_features import COLUMNS as QUOTED
from pipelines.store.lake import Lake
from pipelines.store.parquet import Staged

READ_BY_LATER = ("bars", "vpin", "features")
"""Tables that later dates read, beside trades."""
_ORDERED = ["trade_id", "ts", "price", "size", "side", "counted", "seq"]

Files = Mapping[str, Sequence[Staged]]
"""By table."""


class Sides(NamedTuple):
    """What is compared.

    Attributes
    ----------
    whole : dict of symbol to bool
    held, staged : files by table
        What the lake holds of these symbols, and what is about to replace it.
    before : dict of symbol to dict
        Details of the newest seals.
    unwritten : Unwritten or None
        Rows that are left to the flow, of a day that is not over; they are told as `open`.
    """

    tape: DayTape
    inforce: InForce
    whole: dict[str, bool]
    held: Files
    staged: Files
    made: Rebuilt
    before: dict[str, dict[str, Any]]
    unwritten: Unwritten | None = None


def quoted(features: pa.Table) -> Quoted:
    """Return what rows of `features` say of quotes."""
    frame = pl.DataFrame(features.select(["symbol", "ts", *QUOTED]))
    frame = frame.filter(pl.any_horizontal(pl.col(QUOTED).is_not_null())).with_columns(pl.col("ts").dt.epoch("us"))
    frame = frame.with_columns(pl.col(QUOTED).fill_null(float("nan")))
    return {(symbol, ts): tuple(values) for symbol, ts, *values in frame.iter_rows()}


def details(lake: Lake, sides: Sides, watch: Callable[[int], None]) -> dict[str, dict[str, Any]]:
    """Return the comparison by symbol; where nothing live is left to compare, that of the seal before."""
    day, symbols = sides.tape.day, [i.symbol for i in sides.tape.instruments]
    live = {table: [f for f in files if not is_sealed(f.path)] for table, files in sides.held.items()}
    compared = any(live[table] for table in DERIVED if table != "alerts")
    seals, unsealed = earlier.newest_seals(lake, day.venue), earlier.writers(lake, day.venue)
    reached = _reached(lake, day)
    causes = {s: Causes(earlier=earlier.may_differ(day, s, seals, unsealed), reached=reached) for s in symbols}
    found: dict[str, dict[str, Any]] = {s: {} for s in symbols}
    for symbol in symbols:
        for reason, times in sides.made.events[symbol].items():
            causes[symbol].add(reason, times)
        causes[symbol].add("settings", [change.us for change in sides.inforce.changes[1:]])
        trades = _trades(lake, sides, live["trades"], symbol, causes[symbol])
        if trades is not None:
            found[symbol]["trades"] = trades.compact()
    for table in DERIVED if compared else ():
        old = _by_symbol(_derived(table, read(lake, table, live[table], symbols)))
        new = _by_symbol(sides.made.alerts if table == "alerts" else read(lake, table, sides.staged.get(table, [])))
        sealed = _sealed_before(lake, sides, table)
        nothing = pl.DataFrame(TABLES[table].lake_schema.empty_table())
        for symbol in symbols:
            mine, ours = old.get(symbol, nothing), new.get(symbol, nothing)
            if table == "bars":
                differences.clock_causes(mine, ours, causes[symbol])
                if not sides.whole[symbol] and ours.height:
                    causes[symbol].begins = int(ours["ts"].dt.epoch("us").min())  # type: ignore[arg-type]
            told = differences.compare(table, mine, ours if table == "alerts" else _not_in(ours, sealed, table), causes[symbol])
            told.only_sealed += Counter(open=sides.unwritten.counts(symbol).get(table, 0) if sides.unwritten else 0)
            before = sides.before.get(symbol, {}).get("tables", {}).get(table, {}) if sealed.height else {}
            found[symbol][table] = _together(before, told.compact())
            watch(0)
    return {s: _merged(sides.before.get(s, {}), found[s], sides.made.refused) for s in symbols}


def _sealed_before(lake: Lake, sides: Sides, table: str) -> pl.DataFrame:
    """Return the keys of rows that stand in place of live ones since the day was sealed before: they have been compared then."""
    files = [] if table == "alerts" else [f for f in sides.held[table] if is_sealed(f.path)]
    return pl.DataFrame(read(lake, table, files).select(TABLES[table].key))


def _not_in(rows: pl.DataFrame, sealed: pl.DataFrame, table: str) -> pl.DataFrame:
    return rows.join(sealed, on=TABLES[table].key, how="anti") if sealed.height else rows


def _together(before: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """Return two comparisons of parts of a table as one; what was left to the flow then is in the second."""
    told: dict[str, Any] = {"equal": before.get("equal", 0) + now["equal"]}
    for name in ("changed", "only_live", "only_sealed", "columns"):
        then = {reason: n for reason, n in before.get(name, {}).items() if reason != "open"}
        if counts := Counter(then) + Counter(now.get(name, {})):
            told[name] = dict(sorted(counts.items()))
    if shown := [*before.get("unexplained", []), *now.get("unexplained", [])][: differences.SHOWN]:
        told["unexplained"] = shown
    return told


def _reached(lake: Lake, day: Day) -> int | None:
    """Return up to where the slowest flow has come that recorded a date (us), None if that is its end."""
    told = pl.DataFrame(read(lake, "coverage", files_of(lake, "coverage", day), columns=("shard", "end")))
    ends = told.group_by("shard").agg(pl.col("end").max().dt.epoch("us"))["end"].to_list()
    return min(ends) if ends and min(ends) < day.us + DAY_US else None


def _merged(before: dict[str, Any], tables: dict[str, Any], refused: int) -> dict[str, Any]:
    """Return details of tables that were compared now, of the others as they were told before."""
    told = {**before.get("tables", {}), **tables}
    return {"tables": told, **({"refused": refused} if refused else {})} if told or refused else {}


def _trades(lake: Lake, sides: Sides, live: Sequence[Staged], symbol: str, causes: Causes) -> Difference | None:
    """Compare trades of a symbol, and add what that says of causes; None where no live ones are left."""
    if not live:
        return None
    if isinstance(sides.tape, StoredDay):
        of = sides.tape.found[symbol]
        told = Difference(of.rows - of.counted)
        told.changed, told.only_live = +Counter(late=of.counted), +Counter(twice=of.twice)
        return told
    old = pl.DataFrame(read(lake, "trades", live, [symbol], _ORDERED))
    new = pl.DataFrame(read(lake, "trades", sides.staged.get("trades", []), [symbol], _ORDERED))
    differences.trade_causes(old, new, causes)
    return differences.compare_trades(old, new)


def _derived(table: str, rows: pa.Table) -> pa.Table:
    """Return the rows that sealing makes again: agents look at the lake, and not at a tape."""
    return rows.filter(pc.not_equal(rows["source"], "agent")) if table == "alerts" else rows


def _by_symbol(rows: pa.Table) -> dict[str, pl.DataFrame]:
    parts = pl.DataFrame(rows).partition_by("symbol", as_dict=True)
    return {str(symbol): frame for (symbol,), frame in parts.items()}


def digests(lake: Lake, staged: Files, tape: DayTape, totals: Mapping[str, tuple[int, float, float]]) -> dict[str, str]:
    """Return by symbol the digest of what later dates read of this one."""
    hashes = {i.symbol: hashlib.sha256(tape.digest.encode()) for i in tape.instruments}
    for symbol, of in hashes.items():
        of.update(repr(totals.get(symbol)).encode())
    for table in READ_BY_LATER:
        for symbol, frame in _by_symbol(read(lake, table, staged.get(table, []))).items():
            rows = frame.sort(*TABLES[table].key[1:], "end").drop("date", "venue", "symbol").select(pl.all().to_physical())
            filled = rows.with_columns(cs.boolean().fill_null(value=False), cs.numeric().fill_null(0), cs.string().fill_null(""))
            for column, nulls in zip(filled, rows.select(pl.all().is_null()), strict=True):
                hashes[symbol].update(_bytes(column, nulls))
    return {symbol: of.hexdigest()[:16] for symbol, of in hashes.items()}


def _bytes(column: pl.Series, nulls: pl.Series) -> bytes:
    """Return the values of a column, and where it holds none, as bytes."""
    places = nulls.to_numpy().tobytes() if nulls.any() else b""
    if column.dtype == pl.String:
        return places + "\0".join(column.to_list()).encode()
    return places + np.ascontiguousarray(column.to_numpy()).tobytes()


def kept(lake: Lake, day: Day, name: str) -> dict[str, dict[str, Any]] | None:
    """Return the comparison that an attempt at seal `name` left when it was killed."""
    fs, path = _place(lake, day, name)
    if not fs.get_file_info(path).is_file:
        return None
    with fs.open_input_stream(path) as file:
        try:
            found: dict[str, dict[str, Any]] = msgspec.json.decode(file.read())
        except msgspec.DecodeError:  # killed while it was written: nothing had been committed
            return None
    return found


def keep(lake: Lake, day: Day, name: str, told: dict[str, dict[str, Any]]) -> None:
    """Leave the comparison where a later attempt finds it."""
    fs, path = _place(lake, day, name)
    fs.create_dir(path.rpartition("/")[0], recursive=True)
    with fs.open_output_stream(path) as file:
        file.write(msgspec.json.encode(told))


def forget(lake: Lake, day: Day, name: str) -> None:
    """Delete what `keep` left."""
    fs, path = _place(lake, day, name)
    if fs.get_file_info(path).is_file:
        fs.delete_file(path)


def _place(lake: Lake, day: Day, name: str) -> tuple[pafs.FileSystem, str]:
    fs, folder = lake.folder("trades")
    return fs, f"{folder.removesuffix('/trades')}/_seals/{day.venue}-{day.date}-{name}.json"
