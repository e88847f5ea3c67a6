"""Captures of WebSocket frames, one a line: after its receive time, or as JSON with `t`, `conn`, `ts` and `data`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final
from urllib.parse import parse_qsl, urlsplit

import msgspec
import numpy as np

from pipelines.market import Instrument
from pipelines.records import Batch, Book, Kind, headed
from pipelines.sources.files import blocks
from pipelines.sources.pieces import Piece, Position, Scan, SourceKind
from pipelines.venues.columns import UNREADABLE, Tape, nanoseconds
from pipelines.venues.venue import Venue

BLOCK: Final = 16_384

Received = tuple[int, bytes]
"""Receive time as it stands there (ms, us or ns since 1970), and the frame."""

_TIMED = re.compile(rb"(?:\d{13,18}|[1-8]\d{18}) ")
_TYPED = re.compile(rb'\{\s*"t"\s*:\s*"(?:header|http|connect|send|recv)"')


class _Line(msgspec.Struct, gc=False):
    t: str
    ts: float = 0.0
    data: str | None = None
    url: str = ""


_line = msgspec.json.Decoder(_Line)
_SILENT: Final = ("header", "connect", "send", "http")


def timed(line: bytes) -> Received | None:
    """Read `<receive time> <frame>`; a line of another form becomes a frame, which no decoder will take for a trade."""
    match = _TIMED.match(line)
    return (int(match[0]), line[match.end() :]) if match else (0, line)


def json_line(line: bytes) -> Received | None:
    """Read a line of a JSON capture; None if it bears no frame. One of another form becomes a frame, as in `timed`."""
    try:
        record = _line.decode(line)
    except UNREADABLE:
        return 0, line
    if record.t == "recv" and record.data is not None and 0 <= record.ts < 4.2e9:
        return round(record.ts * 1e6), record.data.encode()
    return None if record.t in _SILENT else (0, line)


def recognise(line: bytes) -> Callable[[bytes], Received | None] | None:
    """Return how to read a capture by its first line, None if it is none."""
    if _TIMED.match(line):
        return timed
    return json_line if _TYPED.match(line) else None


@dataclass(frozen=True)
class Capture:
    """A capture. `read` takes a line apart."""

    path: Path
    venue: Venue
    read: Callable[[bytes], Received | None]
    kind: ClassVar[SourceKind] = "frames"

    def scan(self) -> Scan:
        """See `SourceFile.scan`."""
        first_ns = 0
        symbols: dict[Tape, dict[str, None]] = {}
        quiet: dict[str, None] = {}
        instruments: list[Instrument] = []
        for lines in blocks(self.path, 0, BLOCK):
            for line in lines:
                received = self.read(line)
                if received is None:
                    instruments += self._described(line)
                    continue
                time, frame = received
                first_ns = first_ns or int(nanoseconds(np.array([time]))[0])
                for sight in self.venue.look([frame]).sights:
                    if sight.feed == "trades":
                        symbols.setdefault(sight.tape, {})[sight.symbol] = None
                    elif sight.symbol:
                        quiet[sight.symbol] = None
        return Scan(first_ns, {tape: list(names) for tape, names in symbols.items()}, instruments, list(quiet))

    def _described(self, line: bytes) -> list[Instrument]:
        record = _line.decode(line)
        if record.data is None or not any(request.path in record.url for request in self.venue.instruments_requests()):
            return []
        try:
            return self.venue.parse_instruments(record.data.encode())
        except ValueError:
            return []

    def pieces(self, number: int, start: int, size: int, tape: Tape, only: str | None) -> Iterator[Piece]:
        """See `SourceFile.pieces`; `Batch.offset` is the number of the line, from 1."""
        del tape  # the decoder takes the one and leaves the other
        for lines in blocks(self.path, start, size):
            found = [(k, r) for k, line in enumerate(lines, start + 1) if (r := self._record(line.rstrip(b"\r\n"), only))]
            start += len(lines)
            batch = Batch(
                recv_ns=nanoseconds(np.array([time for _, (_, time, _) in found], np.int64)),
                kind=np.array([kind for _, (kind, _, _) in found], np.uint8),
                connection=np.zeros(len(found), np.uint16),
                offset=np.array([k for k, _ in found], np.int64),
                payload=[payload for _, (_, _, payload) in found],
                segment=self.path.name,
                end=start + 1,
            )
            yield Piece(batch, None, Position(number, start))

    def _record(self, line: bytes, only: str | None) -> tuple[Kind, int, bytes] | None:
        """Read a line as a record: kind, receive time and payload; None if it bears none, or not of the symbol `only`."""
        received = self.read(line)
        if received is None:
            return self._book(line, only)
        if only is not None and any(sight.symbol != only for sight in self.venue.look([received[1]]).sights):
            return None
        return Kind.FRAME, *received

    def _book(self, line: bytes, only: str | None) -> tuple[Kind, int, bytes] | None:
        """Read an answer to `Venue.book_request`."""
        record = _line.decode(line)
        if record.t != "http" or record.data is None or not 0 <= record.ts < 4.2e9:
            return None
        try:
            url = urlsplit(record.url)
        except ValueError:
            return None
        for _, value in parse_qsl(url.query):
            request = self.venue.book_request(value) if only in (None, value) else None
            if request is not None and request.path == url.path and value in request.params.values():
                return Kind.BOOK, round(record.ts * 1e6), headed(Book(self.venue.name, value), record.data.encode())
        return None
