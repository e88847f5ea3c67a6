"""Files as lines, whatever they are packed in: nothing, gzip, zstd, or a zip of one file."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Final

import pyarrow as pa

from pipelines.sources.pieces import SourceError

_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_ZIP: Final = b"PK\x03\x04"
_PARQUET: Final = b"PAR1"
_BUFFER: Final = 1 << 20


def magic(path: Path) -> bytes:
    """Return the first four bytes of a file."""
    try:
        with path.open("rb") as file:
            return file.read(4)
    except OSError as error:
        raise SourceError(path, f"cannot be read: {error.strerror}; check the path") from None


@contextmanager
def unpacked(path: Path) -> Iterator[io.BufferedReader]:
    """Open a file for reading, unpacked.

    Raises
    ------
    SourceError
        If it is damaged, cut short, or of a kind that no tape is read from; also while it is being read.
    """
    head = magic(path)
    if head == _PARQUET:
        raise SourceError(path, "Parquet is no source of a tape; give the capture or archive it was made from")
    try:
        if head == _ZIP:
            with zipfile.ZipFile(path) as archive:
                members = [m for m in archive.infolist() if not m.is_dir()]
                if len(members) != 1:
                    raise SourceError(path, f"holds {len(members)} files instead of one; unpack it and name them")
                with archive.open(members[0]) as member:
                    yield io.BufferedReader(member, _BUFFER)  # type: ignore[arg-type]  # a reader of bytes, not typed as raw
        else:
            packing = "gzip" if head.startswith(_GZIP) else "zstd" if head == _ZSTD else None
            with pa.input_stream(str(path), compression=packing, buffer_size=_BUFFER) as stream:
                yield io.BufferedReader(stream, _BUFFER)
    except (OSError, EOFError, RuntimeError, zlib.error, zipfile.BadZipFile) as error:
        raise SourceError(path, f"is damaged or cut short ({error}); fetch or copy it again") from None


def blocks(path: Path, start: int, size: int) -> Iterator[list[bytes]]:
    """Yield a file's lines, ends included, from line `start` (0 is the first) on, up to `size` at a time."""
    with unpacked(path) as stream:
        for _ in islice(stream, start):
            pass
        while lines := list(islice(stream, size)):
            yield lines


def first_line(path: Path) -> bytes:
    """Return the first line that is neither blank nor a comment, without its end; of one that long, 64 kB.

    Raises
    ------
    SourceError
        If there is none.
    """
    with unpacked(path) as stream:
        while line := stream.readline(1 << 16):
            if line.strip() and not line.startswith(b"#"):
                return line.rstrip(b"\r\n")
    raise SourceError(path, "is empty")
