"""The checks of a sealed day, made before its seal is written and kept in it (`seals.details`, under `checks`).

Two of three: that the day is whole in itself (`sound`), and that it is what the venue says (`matches_venue`). The third,
that it is what the stream wrote, is the comparison that sealing makes anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl
import pyarrow as pa

from pipelines.history import klines, sound
from pipelines.history.day import DayTape
from pipelines.history.in_force import InForce
from pipelines.history.stored_files import read
from pipelines.history.tally import Tally
from pipelines.market import TABLES, Instrument
from pipelines.settings import Kernels
from pipelines.store.lake import Lake
from pipelines.store.parquet import Staged
from pipelines.venues import venue as venue_named


def of_day(
    lake: Lake,
    tape: DayTape,
    held: InForce,
    whole: Mapping[str, bool],
    staged: Mapping[str, Sequence[Staged]],
    tallies: Mapping[str, Tally],
    left: Callable[[str], pa.Table] | None = None,
) -> dict[str, dict[str, Any]]:
    """Return the checks by symbol; the ledger is to have the day's holes already.

    What is `left` of a table to the flow, of a day that is not over, counts as its rows do.
    """
    by_table = {name: _by_symbol(lake, name, staged.get(name, ()), left) for name in ("bars", "vpin")}
    settings = [change.kernels for change in held.changes]
    found = {}
    for instrument in tape.instruments:
        symbol = instrument.symbol
        tables = {name: rows.get(symbol, pl.DataFrame(TABLES[name].lake_schema.empty_table())) for name, rows in by_table.items()}
        soundness = sound.examine(lake, tape.day, symbol, tallies[symbol], tables, settings)
        found[symbol] = {
            "sound": soundness.compact(),
            "matches_venue": _matches(lake, tape, instrument, tables["bars"], settings, whole=whole[symbol]),
        }
    return found


def _matches(
    lake: Lake, tape: DayTape, instrument: Instrument, bars: pl.DataFrame, settings: Sequence[Kernels], *, whole: bool
) -> dict[str, Any]:
    candles = klines.candles(lake, tape.day, instrument.symbol)
    if not candles.height:
        archived = venue_named(tape.day.venue).archive_klines(instrument.native, tape.day.date) is not None
        return {"not_compared": klines.how_to_get(tape.day.venue, tape.day.date, archived=archived)}
    minutes = bars.filter(pl.col("bar") == "1m")
    cut = minutes.height and not whole  # the first minute of a recording is
    since = int(minutes["end"].dt.epoch("us").min()) if cut else 0  # type: ignore[arg-type]
    agreed = None
    if all("1m" in kernels.bars for kernels in settings):
        agreed = klines.agreement(bars, candles, tape.tape, inverse=instrument.inverse, since=since)
    return {"nothing_common": "no bars of 1m, or no minute that both have"} if agreed is None else agreed.compact()


def may_compare(lake: Lake, tape: DayTape, details: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether a sealed day that could not be compared with the venue's candles can be now."""
    lacking = [s for s, told in details.items() if "not_compared" in told.get("checks", {}).get("matches_venue", {})]
    return any(klines.candles(lake, tape.day, symbol).height for symbol in lacking)


def _by_symbol(
    lake: Lake, table: str, files: Sequence[Staged], left: Callable[[str], pa.Table] | None
) -> dict[str, pl.DataFrame]:
    frame = pl.DataFrame(pa.concat_tables([read(lake, table, files), *([left(table)] if left else [])]))
    return {str(symbol): rows for (symbol,), rows in frame.partition_by("symbol", as_dict=True).items()}
