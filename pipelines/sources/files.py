"""Files as lines, whatever they are packed in: nothing, gzip, zstd, or a zip of one file."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

import pyarrow as pa
from isal import igzip_lib, isal_zlib

from pipelines.sources.pieces import SourceError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_ZIP: Final = b"PK\x03\x04"
_PARQUET: Final = b"PAR1"
_BUFFER: Final = 1 << 20
_PACKED: Final = 1 << 16
"""Bytes of a deflated file that are read at once."""
_NAME: Final = 26
"""Where the header of a file within a zip has the lengths of what stands before its bytes: its name, and extra fields."""


class _Inflated(io.RawIOBase):
    """A deflated file within a zip, by ISA-L, which takes half the time of zlib; checked at its end."""

    def __init__(self, packed: BinaryIO, member: zipfile.ZipInfo) -> None:
        packed.seek(member.header_offset + _NAME)
        packed.seek(sum(struct.unpack("<HH", packed.read(4))), io.SEEK_CUR)
        self._packed, self._left = packed, member.compress_size
        self._inflater = igzip_lib.IgzipDecompressor(igzip_lib.DECOMP_DEFLATE)
        self._sum, self._expected = 0, member.CRC

    def readable(self) -> bool:
        """See `RawIOBase`."""
        return True

    def readinto(self, room: WriteableBuffer, /) -> int:
        """See `RawIOBase`."""
        view, data = memoryview(room), b""
        while not data and not self._inflater.eof:
            piece = b""
            if self._inflater.needs_input:
                piece = self._packed.read(min(_PACKED, self._left))
                self._left -= len(piece)
                if not piece:
                    raise EOFError("it ends early")
            data = self._inflater.decompress(piece, len(view))
        self._sum = isal_zlib.crc32(data, self._sum)
        if self._inflater.eof and self._sum != self._expected:
            raise zipfile.BadZipFile("its checksum is another")
        view[: len(data)] = data
        return len(data)


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
                with archive.open(members[0]) as member, path.open("rb") as packed:
                    deflated = members[0].compress_type == zipfile.ZIP_DEFLATED
                    raw = _Inflated(packed, members[0]) if deflated else member
                    yield io.BufferedReader(raw, _BUFFER)  # type: ignore[arg-type]  # `member` is not typed as raw
        else:
            packing = "gzip" if head.startswith(_GZIP) else "zstd" if head == _ZSTD else None
            with pa.input_stream(str(path), compression=packing, buffer_size=_BUFFER) as stream:
                yield io.BufferedReader(stream, _BUFFER)
    except (OSError, EOFError, RuntimeError, igzip_lib.error, zipfile.BadZipFile) as error:  # type: ignore[misc]  # its stub errs
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
