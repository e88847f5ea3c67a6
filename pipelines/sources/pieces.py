"""What a bounded tape is cut into, and what every format of file can tell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from pipelines.market import Instrument
from pipelines.records import Batch
from pipelines.tape import Decoded
from pipelines.venues.columns import Tape

SourceKind = Literal["frames", "rows", "journal"]


class SourceError(ValueError):
    """Files that cannot be used as a tape: which, what was wrong, what to do."""

    def __init__(self, path: Path, fault: str) -> None:
        super().__init__(f"{path}: {fault}")
        self.path = path


class Position(NamedTuple):
    """Where a tape has been read to: which file, and how much of it.

    `offset` counts what the format counts: lines, elements of an array, bytes of a journal segment.
    """

    file: int
    offset: int


class Piece(NamedTuple):
    """A part of a tape: a batch of frames or records, or rows already decoded.

    Attributes
    ----------
    batch : Batch or None
    rows : Decoded or None
    position : Position
        Just behind this piece.
    refused : tuple of bytes
        The text that each of `rows.faults` is about.
    """

    batch: Batch | None
    rows: Decoded | None
    position: Position
    refused: tuple[bytes, ...] = ()


class Scan(NamedTuple):
    """What a first reading of a file found.

    Attributes
    ----------
    first_ns : int
        Time of the first trade or record, ns since 1970; 0 if it says none.
    symbols : dict
        The venue's own names that trade, by tape.
    instruments : list of Instrument
        As the venue described them in the file itself.
    quiet : sequence of str
        Those that other feeds name, whether they trade or not.
    """

    first_ns: int
    symbols: dict[Tape, list[str]]
    instruments: list[Instrument]
    quiet: Sequence[str] = ()


class SourceFile(Protocol):
    """A file of a recognised format."""

    @property
    def path(self) -> Path:
        """Where it is."""

    @property
    def kind(self) -> SourceKind:
        """What its pieces hold."""

    def scan(self) -> Scan:
        """Read the file once, to its end.

        Raises
        ------
        SourceError
            If it cannot be.
        """

    def pieces(self, number: int, start: int, size: int, tape: Tape, only: str | None) -> Iterator[Piece]:
        """Yield the file in pieces.

        Parameters
        ----------
        number : int
            Of the file, for `Position.file`.
        start : int
            `Position.offset` to go on from.
        size : int
            Most lines or elements in a piece.
        tape : {'agg', 'fill'}
        only : str or None
            The venue's own name of the one symbol to take; None takes all.
        """
