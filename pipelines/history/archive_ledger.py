"""What the account keeps of a day's archive: ids that its files leave out, lines that were refused."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines import ledger
from pipelines import rows as to_rows
from pipelines.history.archive_day import ArchiveDay
from pipelines.history.stored_files import files_of, read
from pipelines.store.lake import Lake


def account(lake: Lake, tape: ArchiveDay, now_us: int) -> dict[str, pa.Table]:
    """Return rows of `gaps` and `quarantine` that the lake does not have yet, once the pieces of the tape have been read."""
    found = {"gaps": _gaps(tape, now_us), "quarantine": _quarantine(tape)}
    return {table: fresh for table, rows in found.items() if (fresh := _fresh(lake, tape, table, rows)).num_rows}


def _gaps(tape: ArchiveDay, now_us: int) -> pa.Table:
    """Return the holes of the archive: nobody has what they lack."""
    ts = np.array([max(hole.ts, tape.day.us) for hole in tape.holes], np.int64)
    n = len(tape.holes)
    return to_rows.table(
        "gaps",
        {
            "date": to_rows.date(ts),
            "venue": to_rows.constant(tape.day.venue, n),
            "symbol": [tape.instruments[hole.instrument].symbol for hole in tape.holes],
            "feed": to_rows.constant("trades", n),
            "ts": to_rows.time(ts),
            "end": to_rows.time(np.array([hole.end for hole in tape.holes], np.int64)),
            "from_id": [hole.first for hole in tape.holes],
            "to_id": [hole.last for hole in tape.holes],
            "reason": to_rows.constant("missing_ids", n),
            "status": to_rows.constant("unfillable", n),
            "as_of": to_rows.time(np.full(n, now_us)),
        },
    )


def _quarantine(tape: ArchiveDay) -> pa.Table:
    """Return the lines that were refused, with file and number."""
    symbols = {i.native: i.symbol for i in tape.instruments}
    where = [(r.path.name, r.fault.frame, r.text, tape.day.us * 1000) for r in tape.refused]
    return ledger.quarantine(tape.day.venue, [r.fault for r in tape.refused], where, symbols)


def _fresh(lake: Lake, tape: ArchiveDay, table: str, rows: pa.Table) -> pa.Table:
    """Return the rows that the day does not have."""
    key = {"gaps": ("symbol", "from_id", "to_id", "status"), "quarantine": ("segment", "offset", "part")}[table]
    known = read(lake, table, files_of(lake, table, tape.day))
    there = set(zip(*(known[name].to_pylist() for name in key), strict=True))
    fresh = [row not in there for row in zip(*(rows[name].to_pylist() for name in key), strict=True)]
    return rows.filter(pc.equal(pa.array(fresh, pa.bool_()), pa.scalar(True)))
