"""The files of a venue's archive that hold a date, read as one tape.

Each instrument's files are read once to their end and what is of the date is kept (`spill`), so that a damaged file is
refused before anything is made of it, and lines out of order, or in two files, come out in order and once.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from pipelines.contracts import in_base
from pipelines.history.csv_file import CsvFile, Lines, recognise
from pipelines.history.day import Day
from pipelines.history.merge import merged
from pipelines.history.spill import ROOM, Spill
from pipelines.kernels import csv_lines
from pipelines.market import DAY_US, Flag, Instrument
from pipelines.sources import SourceError
from pipelines.tape import ROW, TRADE, Fault, Rows
from pipelines.venues import venue as venue_named
from pipelines.venues.columns import Ints, Tape

MARGIN_US: Final = 60_000_000
"""Trades so near to the date are read as well, to tell a hole at its edge from a trade of the day beside it."""
SHOWN: Final = 1_000
"""Refused lines of an instrument that are kept."""


class Hole(NamedTuple):
    """Ids `first` to `last` of an instrument that the files leave out, between trades at `ts` and `end` (us)."""

    instrument: int
    first: int
    last: int
    ts: int
    end: int


class Refusal(NamedTuple):
    """A line that was refused: of which file, why, and its text."""

    path: Path
    fault: Fault
    text: bytes


@dataclass
class ArchiveDay:
    """A day from files: see `DayTape`.

    Sizes are in units of base. The first counted trade after a hole is flagged `after_gap`; a line that was refused has a
    void in its place if its id is known. What follows is complete once `pieces` has ended:

    Attributes
    ----------
    checksums : tuple of str, per instrument
        SHA-256 of each of its files.
    holes : list of Hole
        Where ids are contiguous.
    refused : list of Refusal
        The first ones of each instrument; `faults` is the number of all.
    faults : int
    duplicates : int
        Lines left out because their trade was there already.
    """

    day: Day
    tape: Tape
    instruments: tuple[Instrument, ...]
    source: str
    digest: str
    files: tuple[tuple[CsvFile, ...], ...]
    checksums: tuple[tuple[str, ...], ...]
    holes: list[Hole] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    faults: int = 0
    duplicates: int = 0

    def pieces(self) -> Iterator[Rows]:
        """See `DayTape.pieces`.

        Raises
        ------
        SourceError
            If a file is damaged, or holds something else.
        """
        self.holes, self.refused, self.faults, self.duplicates = [], [], 0, 0
        contiguous = venue_named(self.day.venue).rules.contiguous
        with ExitStack() as open_files:
            spills = []
            for files in self.files:
                spill = open_files.enter_context(closing(Spill(_folder(files), ROOM // len(self.files), contiguous=contiguous)))
                self._fill(spill, files)
                spills.append(spill)
            streams = [self._of_date(i, spill, contiguous=contiguous) for i, spill in enumerate(spills)]
            for lines, instrument in merged(streams):
                yield self._rows(lines, instrument)
            self.duplicates = sum(spill.duplicates for spill in spills)

    def _fill(self, spill: Spill, files: Sequence[CsvFile]) -> None:
        """Read the files of an instrument."""
        since, until = self.day.us - MARGIN_US, self.day.us + DAY_US + MARGIN_US
        kept: list[Refusal] = []
        for file in files:
            read = foreign = 0
            for block in file.blocks(since, until):
                spill.append(block.lines, backward=file.backward)
                read += block.lines.size
                foreign += block.foreign
                self.faults += len(block.refused)
                kept += [Refusal(file.path, fault, text) for fault, text in block.refused[: SHOWN - len(kept)]]
            if foreign and not (file.mixed and read):
                raise SourceError(file.path, f"holds {foreign} trades of others than {file.native}; fetch the file anew")
        self.refused += kept

    def _of_date(self, i: int, spill: Spill, *, contiguous: bool) -> Iterator[Lines]:
        """Yield the lines of an instrument in tape order, and note the holes among their ids."""
        begin, end = self.day.us, self.day.us + DAY_US
        last_id, last_ts, cut = -1, 0, False
        for lines in spill.pieces():
            if contiguous:
                ids, ts = lines["trade_id"], lines["ts"]
                before = np.concatenate([[last_id if last_id >= 0 else ids[0] - 1], ids[:-1]])
                after = np.flatnonzero(ids != before + 1)
                if after.size or cut:
                    times = np.concatenate([[last_ts], ts[:-1]])
                    found = [Hole(i, int(before[k]) + 1, int(ids[k]) - 1, int(times[k]), int(ts[k])) for k in after]
                    self.holes += [hole for hole in found if hole.ts < end and hole.end >= begin]
                    cut = _flag(lines, after, cut=cut)
                last_id, last_ts = int(ids[-1]), int(ts[-1])
            inside = (lines["ts"] >= begin) & (lines["ts"] < end)
            yield lines if inside.all() else lines[inside]

    def _rows(self, lines: Lines, instrument: Ints) -> Rows:
        rows = np.empty(lines.size, ROW)
        csv_lines.to_rows(lines, instrument, rows)
        odd = in_base(rows, self.instruments)
        for k in np.flatnonzero(odd).tolist():
            file = self.files[int(instrument[k])][0]
            fault = Fault(int(lines["frame"][k]), "its contracts come to no size that can be kept exactly", file.native)
            self.faults += 1
            self.refused.append(Refusal(file.path, fault, b""))
        return rows


def _flag(lines: Lines, after: Ints, *, cut: bool) -> bool:
    """Flag the first trade after each hole; return whether one is still to be flagged in the lines to come."""
    traded = np.flatnonzero(lines["kind"] == TRADE)
    begins = np.concatenate([[0], after]) if cut else after
    at = np.searchsorted(traded, begins)
    lines["flags"][traded[at[at < traded.size]]] |= int(Flag.AFTER_GAP)
    return bool((at == traded.size).any())


def _folder(files: Sequence[CsvFile]) -> Path:
    """Return the folder for a spill file: on the disk of the files if it can be written to."""
    folder = files[0].path.parent if files else Path(tempfile.gettempdir())
    return folder if os.access(folder, os.W_OK) else Path(tempfile.gettempdir())


def archive_day(files: Sequence[Sequence[Path]], day: Day, instruments: Sequence[Instrument], tape: Tape) -> ArchiveDay:
    """Return the tape of a date from files, some for each instrument, in the order in which they count.

    Raises
    ------
    SourceError
        If a file cannot be read, or is of no known format, or of another tape, venue or symbol.
    """
    known = tuple(
        tuple(recognise(path, day.venue, instrument.native) for path in paths)
        for paths, instrument in zip(files, instruments, strict=True)
    )
    for file in (file for some in known for file in some):
        if file.layout.tape != tape:
            held = "single fills" if file.layout.tape == "fill" else "aggregates"
            raise SourceError(file.path, f"holds {held}, which are no tape of kind {tape}")
    checksums = tuple(tuple(_sha256(file.path) for file in some) for some in known)
    return ArchiveDay(
        day=day,
        tape=tape,
        instruments=tuple(instruments),
        source=",".join(file.path.name for some in known for file in some),
        digest=_digest(checksums, day, instruments, tape),
        files=known,
        checksums=checksums,
    )


def span(path: Path, venue: str, native: str) -> tuple[int, int] | None:
    """Return the first and the last time of a file (us since 1970), None if it holds no trade; it is read to its end.

    Raises
    ------
    SourceError
        If it is damaged, or holds something else.
    """
    first, last = np.iinfo(np.int64).max, -1
    for block in recognise(path, venue, native).blocks(0, np.iinfo(np.int64).max):
        ts = block.lines["ts"][block.lines["ts"] > 0]
        if ts.size:
            first, last = min(first, int(ts.min())), max(last, int(ts.max()))
    return (first, last) if last >= 0 else None


def _digest(checksums: Sequence[Sequence[str]], day: Day, instruments: Sequence[Instrument], tape: Tape) -> str:
    total = hashlib.sha256("\0".join([day.venue, str(day.date), tape]).encode())
    for some, instrument in zip(checksums, instruments, strict=True):
        total.update(repr(instrument).encode())
        for checksum in some:
            total.update(bytes.fromhex(checksum))
    return total.hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
