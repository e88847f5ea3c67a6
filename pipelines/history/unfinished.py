"""A day that is sealed before its end: rows that the flow has yet to write are left to it, so that no key ever stands twice.

The flow commits trades before what is made of them, and the rows of a series (a kind of bar of a symbol, a VPIN setting, ...) in
order. So what it will write lies behind the last row that it has written, and all before that is made of trades that are here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Final

import polars as pl
import pyarrow as pa

from pipelines.history.day import DayTape
from pipelines.history.stale import is_finished
from pipelines.history.stored_day import StoredDay
from pipelines.history.stored_files import SEAL, files_of, is_sealed, read, symbols_in, writer_of
from pipelines.market import DAY_US, TABLES
from pipelines.store import LakeError
from pipelines.store.lake import Lake
from pipelines.store.parquet import Staged

_SERIES: Final = {"bars": ("symbol", "bar"), "vpin": ("symbol", "setting"), "features": ("symbol",), "posture": ("symbol",)}
"""What tells a series apart."""
_ORDER: Final = {"vpin": "bucket"}
"""By what the rows of a series follow each other, where that is not `ts`."""
GIVEN_UP_US: Final = 2 * DAY_US
"""So long after the beginning of a date no flow is taken to write it any more: one that stopped for good closes nothing."""


def is_unfinished(lake: Lake, tape: DayTape, now_us: int | None) -> bool:
    """Whether a flow may still write rows of the day that a tape of stored trades is made of; unknown: it may not."""
    day = tape.day
    if not isinstance(tape, StoredDay) or now_us is None or now_us >= day.us + GIVEN_UP_US:
        return False
    return bool(files_of(lake, "coverage", day)) and not is_finished(lake, day)


def is_settled(lake: Lake, tape: DayTape, sealed: Collection[str]) -> bool:
    """Whether its symbols are sealed, and all that the lake holds of them, alerts apart, a seal of this tape wrote."""
    symbols = {i.symbol for i in tape.instruments}
    if not symbols <= set(sealed):
        return False
    others = [f for f in files_of(lake, "trades", tape.day) if writer_of(f.path) != SEAL + tape.digest]
    others += [f for table in _SERIES for f in files_of(lake, table, tape.day) if not is_sealed(f.path)]
    return not any(symbols_in(lake, f.table, f) & symbols for f in others)


class Unwritten:
    """Rows of an unfinished day that are left to the flow.

    Parameters
    ----------
    held : dict of table to files
        What the lake has of the symbols that are sealed.

    Raises
    ------
    LakeError
        If trades came since the tape was read: `held` may be made of them.
    """

    def __init__(self, lake: Lake, tape: DayTape, held: Mapping[str, Sequence[Staged]], symbols: Sequence[str]) -> None:
        if isinstance(tape, StoredDay) and tape.files != tuple(f.path for f in files_of(lake, "trades", tape.day)):
            raise LakeError(f"table trades: {tape.day} is being written, and its trades were read too early; try again")
        self._written = {
            table: pl.DataFrame(read(lake, table, files, symbols).select(_key(table)))
            for table, files in held.items()
            if table not in ("trades", "alerts")
        }
        self._left: dict[str, list[pa.Table]] = defaultdict(list)

    def take(self, table: str, rows: pa.Table) -> pa.Table:
        """Return the rows that are not left to it: up to the last that it wrote of their series; alerts are its own."""
        if table not in self._written:
            return rows.slice(0, 0)
        series, order, key = [*_SERIES[table]], _ORDER.get(table, "ts"), _key(table)
        written = self._written[table]
        last = written.group_by(series).agg(last=pl.col(order).max())
        mine = pl.DataFrame(rows.select(key)).join(last, on=series, how="left", maintain_order="left")
        mine = mine.join(written.with_columns(there=True), on=key, how="left", maintain_order="left")
        closed = mine.select((pl.col(order) < pl.col("last")).fill_null(value=False) | pl.col("there").is_not_null()).to_series()
        self._left[table].append(rows.filter((~closed).to_arrow()))
        return rows.filter(closed.to_arrow())

    def left(self, table: str) -> pa.Table:
        """Return the rows of a table that are left to it."""
        return pa.concat_tables([TABLES[table].lake_schema.empty_table(), *self._left[table]])

    def counts(self, symbol: str) -> dict[str, int]:
        """Return how many rows of a symbol are left to it, by table."""
        found = {table: self.left(table)["symbol"].to_pylist().count(symbol) for table in self._written}
        return {table: n for table, n in found.items() if n}


def _key(table: str) -> list[str]:
    """Return the key of a row within its date."""
    return [name for name in TABLES[table].key if name not in ("date", "venue")]
