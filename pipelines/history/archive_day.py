"""The files of a venue's archive that hold a date, read as one tape."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pipelines.history.day import Day
from pipelines.market import Instrument
from pipelines.tape import Fault, Rows
from pipelines.venues.columns import Tape


class Hole(NamedTuple):
    """Ids `first` to `last` of an instrument that the files leave out, between trades at `ts` and `end` (us)."""

    instrument: int
    first: int
    last: int
    ts: int
    end: int


class Refusal(NamedTuple):
    """A line that was refused: of which file, and its text."""

    path: Path
    fault: Fault
    text: bytes


@dataclass
class ArchiveDay:
    """A day from files: see `DayTape`.

    Sizes are in units of base. A trade whose id follows a hole is flagged `after_gap`; a line that was refused has a void
    in its place if its id is known. What follows is known once `pieces` has yielded its first:

    Attributes
    ----------
    holes : list of Hole
        Where ids are contiguous.
    refused : list of Refusal
        The first of each file; `faults` is their number.
    faults : int
    duplicates : int
        Lines left out because their trade was there already.
    """

    day: Day
    tape: Tape
    instruments: tuple[Instrument, ...]
    source: str
    digest: str

    def pieces(self) -> Iterator[Rows]:
        """See `DayTape.pieces`.

        Raises
        ------
        SourceError
            If a file is damaged, or holds something else.
        """
        raise NotImplementedError


def archive_day(files: Sequence[Sequence[Path]], day: Day, instruments: Sequence[Instrument], tape: Tape) -> ArchiveDay:
    """Return the tape of a date from files, some for each instrument.

    Raises
    ------
    SourceError
        If a file cannot be read, or is of no known format.
    """
    raise NotImplementedError
