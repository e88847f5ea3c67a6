"""The lines of a day, put into tape order: what comes in order stays as it is, the rest is read by an index.

They are kept in memory as far as there is room, before that in a file: a day of any size takes no more memory than a large one.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryFile
from typing import Final

import numpy as np

from pipelines.history.csv_file import Lines
from pipelines.kernels.csv_lines import LINE
from pipelines.tape import TRADE
from pipelines.venues.columns import Ints

PIECE: Final = 65_536
ROOM: Final = 8_000_000
"""Lines of a day that are kept in memory: 512 MB."""


class Spill:
    """Lines of one instrument, appended, then read in tape order.

    Tape order is by id where ids are contiguous, else by time and place in the file. Where lines came out of it, or ids do
    not rise, an id or time and a place of each line are held in memory.

    Parameters
    ----------
    folder : Path
        Where the file is, which has no name and goes with the process.
    room : int
        Lines that are kept in memory.
    contiguous : bool
    """

    def __init__(self, folder: Path, room: int, *, contiguous: bool) -> None:
        self.size = 0
        self.duplicates = 0
        self._room = room
        self._held: list[Lines] = []
        self._written = 0
        self._file = TemporaryFile(dir=folder)  # noqa: SIM115 - `close` closes it
        self._key = "trade_id" if contiguous else "ts"
        self._contiguous = contiguous
        self._ordered = True
        self._last = -1
        self._backward: list[tuple[int, int]] = []

    def append(self, lines: Lines, *, backward: bool = False) -> None:
        """Add lines; `backward`: of a file whose newest line comes first."""
        if not lines.size:
            return
        keys = lines[self._key]
        rises = keys[1:] > keys[:-1] if self._contiguous else keys[1:] >= keys[:-1]
        begins = keys[0] > self._last if self._contiguous else keys[0] >= self._last
        self._ordered = self._ordered and bool(begins) and bool(rises.all()) and not backward
        self._last = int(keys[-1])
        if backward:
            self._backward.append((self.size, self.size + lines.size))
        self._held.append(lines)
        self.size += lines.size
        if self.size - self._written > self._room:
            self._write()

    def close(self) -> None:
        """Give the file up."""
        self._file.close()

    def pieces(self) -> Iterator[Lines]:
        """Yield the lines in tape order, each trade once, a piece at a time."""
        if not self.size:
            return
        ids = np.zeros(0, np.int64) if self._ordered and self._contiguous else self._column("trade_id")
        if self._ordered and (self._contiguous or np.unique(ids).size == ids.size):
            yield from self._stored()
            return
        order = self._order(ids)
        self._write()
        with mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ) as stored:
            lines = np.frombuffer(stored, LINE)
            for begin in range(0, order.size, PIECE):
                yield lines[order[begin : begin + PIECE]]
            del lines

    def _stored(self) -> Iterator[Lines]:
        self._file.seek(0)
        for begin in range(0, self._written, PIECE):
            yield np.fromfile(self._file, LINE, min(PIECE, self._written - begin))
        yield from self._held

    def _write(self) -> None:
        """Put into the file what is in memory."""
        for lines in self._held:
            self._file.write(np.ascontiguousarray(lines).data)
        self._file.flush()
        self._held, self._written = [], self.size

    def _column(self, name: str) -> Ints:
        parts = [lines[name].copy() for lines in self._stored()]
        return np.concatenate(parts)

    def _order(self, ids: Ints) -> Ints:
        """Return the places of the lines in tape order, without those whose trade has been before."""
        if self._contiguous:
            order = np.lexsort((self._column("kind") != TRADE, ids))  # of those of one id a trade before a void
            keep = np.ones(order.size, np.bool_)
            keep[1:] = ids[order[1:]] != ids[order[:-1]]
        else:
            place = np.arange(self.size)
            for begin, end in self._backward:
                place[begin:end] = place[begin:end][::-1].copy()
            order = np.lexsort((place, self._column("ts")))
            keep = np.zeros(order.size, np.bool_)
            keep[np.unique(ids[order], return_index=True)[1]] = True
        self.duplicates = int(order.size - keep.sum())
        found: Ints = order[keep]
        return found
