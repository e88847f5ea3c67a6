"""What an archive's files lack or hold in vain: holes in the ledger, refused lines in quarantine."""

from __future__ import annotations

from typing import Final

import polars as pl

from pipelines import ledger
from pipelines.history.archive_day import ArchiveDay
from pipelines.market import DAY_US
from pipelines.store.lake import Lake
from pipelines.tape_order import GapRow

REASON: Final = "not_in_archive"
"""`gaps.reason` of ids that the venue's own archive leaves out, so that no repair can bring them."""


def note(lake: Lake, tape: ArchiveDay, *, now_us: int) -> None:
    """Write down what the pieces of a day, all of them read, have left out; once for the same files.

    Holes that an issue of the files before had, and this one has not, are repaired.
    """
    app, metadata = f"archive.{tape.digest[:16]}", {"source": tape.source}
    lines = [GapRow(h.instrument, h.ts, h.end, h.first, h.last, REASON, "unfillable", now_us * 1000) for h in tape.holes]
    found = {(h.instrument, h.ts) for h in tape.holes}
    lines += [row._replace(status="repaired", as_of_ns=now_us * 1000) for row in _known(lake, tape) if row[:2] not in found]
    if lines and lake.version("gaps", app) is None:
        lake.commit("gaps", app, 0, lake.stage("gaps", ledger.gaps(lines, tape.instruments), app, metadata))
    if tape.refused and lake.version("quarantine", app) is None:
        symbols = {instrument.native: instrument.symbol for instrument in tape.instruments}
        where = [(r.path.name, r.fault.frame, r.text, tape.day.us * 1000) for r in tape.refused]
        rows = ledger.quarantine(tape.day.venue, [r.fault for r in tape.refused], where, symbols)
        lake.commit("quarantine", app, 0, lake.stage("quarantine", rows, app, metadata))


def _known(lake: Lake, tape: ArchiveDay) -> list[GapRow]:
    """Return the holes of a day that were noted of its archive."""
    here = lake.table("gaps").filter(
        pl.col("venue") == tape.day.venue,
        pl.col("reason") == REASON,
        pl.col("status") == "unfillable",
        pl.col("ts").dt.epoch("us") < tape.day.us + DAY_US,
        pl.col("end").dt.epoch("us") >= tape.day.us,
    )
    place = {instrument.symbol: k for k, instrument in enumerate(tape.instruments)}
    rows = here.select("symbol", pl.col("ts", "end").dt.epoch("us"), "from_id", "to_id").collect().iter_rows()
    return [
        GapRow(place[symbol], ts, end, first, last, REASON, "unfillable", 0)
        for symbol, ts, end, first, last in rows
        if symbol in place
    ]
