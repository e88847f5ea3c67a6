"""A bounded tape from files: their formats recognised by content, several files joined into one tape."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pipelines.market import Instrument
from pipelines.sources.captures import Capture
from pipelines.sources.captures import recognise as recognise_capture
from pipelines.sources.files import first_line, magic
from pipelines.sources.journals import Segment
from pipelines.sources.pieces import Piece, Position, Scan, SourceError, SourceFile, SourceKind
from pipelines.sources.tables import DUMP, TARDIS, Ccxt, Csv, archive_symbol, is_whole, newest_first
from pipelines.store.journal import is_segment, segments
from pipelines.venues import venue as venue_named
from pipelines.venues.columns import Tape
from pipelines.venues.venue import Venue

__all__ = ["Piece", "Position", "Source", "SourceError", "open_source"]

START: Final = Position(0, 0)
SIZE: Final = 16_384
"""Lines in a piece: few enough for a decoder to work in the processor's cache."""
FORMATS: Final = (
    "lines of <receive time> <frame>, JSON-lines captures, the venue's own archives of trades (Binance, OKX, Bybit), "
    "tardis trades, ccxt trades, journal segments"
)


@dataclass(frozen=True)
class Source:
    """A bounded tape.

    Attributes
    ----------
    paths : tuple of Path
        The files, in the order of the tape.
    kind : {'frames', 'rows', 'journal'}
        What the pieces hold.
    tape : {'agg', 'fill'}
    venue : str
    instruments : tuple of Instrument
        What trades on it, or is named by its other feeds; of a journal, what it names first.
    digest : str
        SHA-256, in hex, over contents, venue and symbols.
    """

    paths: tuple[Path, ...]
    kind: SourceKind
    tape: Tape
    venue: str
    instruments: tuple[Instrument, ...]
    digest: str
    _files: tuple[SourceFile, ...]
    _only: str | None

    @property
    def whole(self) -> bool:
        """Whether every file is a venue's archive of whole days, by its name."""
        return self.kind == "rows" and all(is_whole(path) for path in self.paths)

    def pieces(self, start: Position = START, size: int = SIZE) -> Iterator[Piece]:
        """Yield the tape from a position on, up to `size` lines at a time (of a journal, as it was read).

        Raises
        ------
        SourceError
            If a file has become unreadable since the source was opened.
        """
        for number, file in enumerate(self._files):
            if number >= start.file:
                offset = start.offset if number == start.file else 0
                yield from file.pieces(number, offset, size, self.tape, self._only)


def open_source(paths: Sequence[Path], *, venue: str, symbol: str | None = None) -> Source:
    """Recognise files and join them into one tape, in the order of their first times.

    Every file is read once to its end, so that a damaged one is refused before anything is made of it.

    Parameters
    ----------
    paths : sequence of Path
        Files, or the folder of a journal.
    venue : str
        Where it was traded.
    symbol : str, optional
        The one to take: normalised, or the venue's own name.

    Raises
    ------
    SourceError
        Naming the file, what was wrong and what to do.
    ValueError
        If there are no paths, or the venue or the symbol is unknown.
    """
    place = venue_named(venue)
    wanted, unknown = _guessed(place, symbol)
    found = [file for path in paths for file in _recognise(path, place, wanted)]
    if not found:
        raise ValueError("no files: name at least one")
    kind = found[0].kind
    if kind == "journal" and wanted is not None:
        raise SourceError(found[0].path, "is a journal, which is taken whole; leave out --symbol")
    for file in found:
        if file.kind != kind:
            raise SourceError(file.path, f"holds {file.kind}, {found[0].path} {kind}: they are no one tape; take each alone")
    pairs = sorted(((file, file.scan()) for file in found), key=lambda pair: pair[1].first_ns)
    files, scans = [file for file, _ in pairs], [scan for _, scan in pairs]
    if unknown is not None:
        wanted = _described(symbol, scans)
        if wanted is None:
            raise unknown
    tape = _tape(files, scans, venue)
    instruments = _instruments(files[0].path, place, tape, scans, wanted)
    several = len({name for scan in scans for name in (*scan.symbols.get(tape, []), *scan.quiet)}) > 1
    return Source(
        paths=tuple(file.path for file in files),
        kind=kind,
        tape=tape,
        venue=place.name,
        instruments=tuple(instruments),
        digest=_digest(files, place, instruments),
        _files=tuple(files),
        _only=wanted if several else None,
    )


def _guessed(venue: Venue, symbol: str | None) -> tuple[str | None, ValueError | None]:
    """Return the venue's own name of a symbol, or as it was written and why the venue cannot tell."""
    try:
        return (venue.guess(symbol).native if symbol else None), None
    except ValueError as error:
        return symbol, error


def _described(symbol: str | None, scans: Sequence[Scan]) -> str | None:
    """Return the venue's own name of a symbol by what the files describe; None: they do not."""
    return next((i.native for scan in scans for i in scan.instruments if symbol in (i.native, i.symbol)), None)


def _recognise(path: Path, venue: Venue, wanted: str | None) -> list[SourceFile]:
    """Return a file by its format; of a journal's folder, all segments."""
    if path.is_dir():
        found = segments(path)
        if not found:
            raise SourceError(path, "is a folder without journal segments; name the files in it that are to be read")
        return [Segment(segment, venue) for segment in found]
    if not magic(path):
        raise SourceError(path, "is empty")
    if is_segment(path):
        return [Segment(path, venue)]
    line = first_line(path)
    if read := recognise_capture(line):
        return [Capture(path, venue, read)]
    if line.startswith(b"["):
        return [Ccxt(path, venue)]
    for layout in (TARDIS, DUMP):
        if layout.fits(line):
            return [Csv(path, venue, layout, "")]
    return [_archive(path, venue, line, wanted)]


def _archive(path: Path, venue: Venue, line: bytes, wanted: str | None) -> Csv:
    """Return a venue's archive; where its lines do not name the symbol, its file's name or `wanted` does."""
    layout = venue.archive_layout(line)
    if layout is None:
        shown = line[:60].decode("utf-8", "replace")
        raise SourceError(path, f"is of no known format (it begins {shown!r}); known are {FORMATS}")
    backward = newest_first(path, layout)
    if "symbol" in layout.columns:
        return Csv(path, venue, layout, "", backward)
    named = archive_symbol(path)
    if named and wanted and named != wanted:
        raise SourceError(path, f"is an archive of {named} by its name, not of {wanted}; change --symbol")
    symbol = wanted or named
    if symbol is None:
        raise SourceError(path, "is an archive whose name tells no symbol; say which with --symbol")
    return Csv(path, venue, layout, symbol, backward)


def _tape(files: Sequence[SourceFile], scans: Sequence[Scan], venue: str) -> Tape:
    """Return the kind of tape: of captures that hold both, `agg`."""
    tapes = {tape for scan in scans for tape in scan.symbols}
    if not tapes and files[0].kind != "journal":
        others = ", nor do the other files" if len(files) > 1 else ""
        raise SourceError(files[0].path, f"holds no trades of {venue}{others}; is it of another venue, or of other channels?")
    tape: Tape = "fill" if tapes == {"fill"} else "agg"
    for file, scan in zip(files, scans, strict=True):
        if scan.symbols and tape not in scan.symbols:
            raise SourceError(file.path, "holds single fills, another file aggregates: they are no one tape; take each alone")
    return tape


def _instruments(path: Path, venue: Venue, tape: Tape, scans: Sequence[Scan], wanted: str | None) -> list[Instrument]:
    """Return the instruments on the tape, those that trade first: as the source describes them, else by their names."""
    described = {i.native: i for scan in scans for i in scan.instruments}
    natives = list(dict.fromkeys(name for scan in scans for name in scan.symbols.get(tape, [])))
    if wanted is not None:
        if wanted not in natives:
            raise SourceError(path, f"holds no trades of {wanted}, but of {', '.join(natives[:10])}; change --symbol")
        natives = [wanted]
    else:
        natives = list(dict.fromkeys([*natives, *(name for scan in scans for name in scan.quiet)]))
    try:
        return [described.get(name) or venue.guess(name) for name in natives]
    except ValueError as error:
        remedy = "leave it out: take another with --symbol" if len(natives) > 1 else "take a capture that holds this list"
        raise SourceError(path, f"{error}, and the files do not; {remedy}") from None


def _digest(files: Sequence[SourceFile], venue: Venue, instruments: Sequence[Instrument]) -> str:
    total = hashlib.sha256()
    for text in (venue.name, *(i.symbol for i in instruments)):
        total.update(text.encode() + b"\0")
    for file in files:
        with file.path.open("rb") as content:
            total.update(hashlib.file_digest(content, "sha256").digest())
    return total.hexdigest()
