"""A file of trades as lines of CSV, read a block at a time: what is written as it should be by a kernel, the rest singly."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pipelines.kernels import csv_lines
from pipelines.kernels.csv_lines import CODES, LINE
from pipelines.sources import SourceError
from pipelines.sources.files import first_line, unpacked
from pipelines.sources.tables import EXCHANGES, TARDIS, archive_symbol, newest_first
from pipelines.tape import Fault, Rows
from pipelines.venues import csv_trades
from pipelines.venues import venue as venue_named
from pipelines.venues.columns import Ints
from pipelines.venues.csv_trades import Layout

BLOCK: Final = 1 << 22
"""Bytes read at once."""
LONGEST: Final = 1 << 16
"""Bytes in a line, beyond which a file is none of lines."""
_LF: Final = ord("\n")

Lines = npt.NDArray[np.void]
"""An array of `LINE`."""


class Block(NamedTuple):
    """A part of a file: trades and voids in the order of the file, what was refused, and lines of other symbols."""

    lines: Lines
    refused: list[tuple[Fault, bytes]]
    foreign: int


class CsvFile(NamedTuple):
    """A file whose format is known; `native` is the venue's own name of the symbol to take."""

    path: Path
    layout: Layout
    native: str
    backward: bool

    @property
    def mixed(self) -> bool:
        """Whether it may hold other symbols as well."""
        return self.layout is TARDIS

    def blocks(self, since: int, until: int) -> Iterator[Block]:
        """Yield its lines between two times (us since 1970, the second excluded).

        Raises
        ------
        SourceError
            If it is damaged, or no file of lines.
        """
        room = bytearray(LONGEST + BLOCK)
        view = memoryview(room)
        with unpacked(self.path) as stream:
            rest, number, before = 0, 1, 0
            while read := stream.readinto(view[rest : rest + BLOCK]):
                filled = rest + read
                cut = room.rfind(b"\n", 0, filled) + 1
                rest = filled - cut
                if rest > LONGEST:
                    raise SourceError(self.path, "holds lines without an end; fetch or copy it again")
                head = self._head(room) if number == 1 and cut else 0
                number += bool(head)
                if head < cut:
                    block, number, before = self._block(view[head:cut], number, before, since, until)
                    yield block
                view[:rest] = view[cut:filled]
            if rest:
                yield self._block(bytes(view[:rest]) + b"\n", number, before, since, until)[0]

    def _head(self, data: bytearray) -> int:
        header = self.layout.header
        return data.find(b"\n") + 1 if header and data.startswith(header) else 0

    def _block(self, data: bytes | memoryview, number: int, before: int, since: int, until: int) -> tuple[Block, int, int]:
        """Read complete lines; return them, the number of the next, and the time of the last."""
        text = np.frombuffer(data, np.uint8)
        text.flags.writeable = False
        count = np.count_nonzero(text == _LF)
        out, odd = np.empty(count + 1, LINE), np.empty((count, 4), np.int64)
        written, odds, foreign, number, before = csv_lines.read(
            text, _codes(self.layout), _bytes(self.native), since, until, number, out, odd, before
        )
        lines = out[:written] if 2 * written > count else out[:written].copy()  # a part keeps the whole in memory
        block = Block(lines, [], foreign)
        if odds:
            block = self._with_odd(block, data, odd[:odds], since, until)
        return block, number, before

    def _with_odd(self, block: Block, data: bytes | memoryview, odd: Ints, since: int, until: int) -> Block:
        """Return a block with the lines that the kernel has left, each read by what holds for all decoders."""
        texts = [bytes(data[begin:end]) for begin, end, _, _ in odd.tolist()]
        decoded = csv_trades.decode(b"".join(texts), self.layout, self.native)
        mine = decoded.symbols.index(self.native) if self.native in decoded.symbols else -1
        foreign = np.unique(decoded.rows["frame"][decoded.rows["instrument"] != mine]).size
        rows = decoded.rows[decoded.rows["instrument"] == mine]
        place = rows["frame"] - 1
        times = np.where(rows["ts"] > 0, rows["ts"], odd[place, 3])  # of a void whose own is not known: where it stands
        inside = (times >= since) & (times < until) | (times == 0)
        read = _lines(rows, odd[place, 2], times)[inside]
        stands = odd[:, 3].copy()
        stands[place] = times
        refused = [
            (fault._replace(frame=int(odd[fault.frame - 1, 2])), texts[fault.frame - 1].rstrip(b"\r\n"))
            for fault in decoded.faults
            if fault.symbol in ("", self.native) and (stands[fault.frame - 1] == 0 or since <= stands[fault.frame - 1] < until)
        ]
        lines = np.concatenate([block.lines, read])
        return Block(lines[np.argsort(lines["frame"], kind="stable")], refused, block.foreign + foreign)


def _lines(rows: Rows, numbers: Ints, times: Ints) -> Lines:
    lines = np.zeros(rows.size, LINE)
    for name in ("trade_id", "price", "size", "first_fill", "last_fill", "recv_ns", "side", "kind", "flags"):
        lines[name] = rows[name]
    lines["frame"], lines["ts"] = numbers, times
    return lines


def _codes(layout: Layout) -> Ints:
    return np.array([CODES.get(name, CODES[""]) for name in layout.columns], np.int64)


def _bytes(text: str) -> npt.NDArray[np.uint8]:
    return np.frombuffer(text.encode(), np.uint8)


def recognise(path: Path, venue: str, native: str) -> CsvFile:
    """Return a file of trades of an instrument by its format.

    Raises
    ------
    SourceError
        If it cannot be read, is of no known format, or of another venue or symbol by its name.
    """
    named = _named(path)
    if named and named != native:
        raise SourceError(path, f"is an archive of {named} by its name, not of {native}; put it where {named} belongs")
    line = first_line(path)
    if TARDIS.fits(line):
        _check_exchange(path, venue)
        return CsvFile(path, TARDIS, native, backward=False)
    layout = venue_named(venue).archive_layout(line)
    if layout is None:
        shown = line[:60].decode("utf-8", "replace")
        raise SourceError(path, f"is no archive of trades of {venue} (it begins {shown!r}); fetch it again")
    backward = not venue_named(venue).rules.contiguous and newest_first(path, layout)  # where ids are, they tell the order
    return CsvFile(path, layout, native, backward)


def _named(path: Path) -> str | None:
    """Return the symbol in the name of what a zip holds, or else of the file itself."""
    if path.suffix == ".zip":
        try:
            with zipfile.ZipFile(path) as archive:
                (member, *_) = (m for m in archive.namelist() if not m.endswith("/"))
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            raise SourceError(path, f"is damaged or cut short ({error}); fetch or copy it again") from None
        if named := archive_symbol(Path(member)):
            return named
    return archive_symbol(path)


def _check_exchange(path: Path, venue: str) -> None:
    with unpacked(path) as stream:
        exchange = next((text.partition(b",")[0] for text in stream if not TARDIS.header.startswith(text.rstrip())), b"")
    if exchange and EXCHANGES.get(exchange) != venue:
        raise SourceError(path, f"holds trades of {exchange.decode('utf-8', 'replace')[:40]!r}, not of {venue}")
