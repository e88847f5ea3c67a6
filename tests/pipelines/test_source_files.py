"""A file within a zip is read as it was packed, however it was packed; a damaged one is refused before its end is reached."""

from __future__ import annotations

import io
import random
import zipfile
from pathlib import Path

import pytest

from pipelines.sources import SourceError
from pipelines.sources.files import unpacked

LINES = b"".join(b"%d,91231.50,%d,true\n" % (k, k * 7919 % 100_003) for k in range(60_000))
"""More than is read, or unpacked, at once."""
PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)


def packed(content: bytes, packing: int = zipfile.ZIP_DEFLATED, extra: bytes = b"") -> bytearray:
    member = zipfile.ZipInfo("trades of a day.csv", (2026, 11, 20, 0, 0, 0))
    member.compress_type, member.extra = packing, extra
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        archive.writestr(member, content)
    return bytearray(whole.getvalue())


def read(folder: Path, content: bytes | bytearray, size: int = -1) -> bytes:
    path = folder / "x.zip"
    path.write_bytes(content)
    with unpacked(path) as stream:
        return b"".join(iter(lambda: stream.read(size), b""))


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("size", [-1, 4_097, 3 << 20])
def test_a_zip_gives_back_what_was_packed(tmp_path: Path, packing: int, size: int) -> None:
    assert read(tmp_path, packed(LINES, packing), size) == LINES


@pytest.mark.parametrize("content", [b"", b"1", random.Random(7).randbytes(300_000)], ids=["nothing", "a byte", "noise"])
def test_of_any_content(tmp_path: Path, content: bytes) -> None:
    assert read(tmp_path, packed(content)) == content


def test_fields_that_an_archiver_adds_are_passed_over(tmp_path: Path) -> None:
    assert read(tmp_path, packed(LINES, extra=b"\xfe\xca\x04\x00tape")) == LINES


@pytest.mark.parametrize("place", [0.02, 0.3, 0.6, 0.9])
def test_a_byte_that_changed_is_found(tmp_path: Path, place: float) -> None:
    content = packed(LINES)
    content[int(len(content) * place)] ^= 0x5A
    with pytest.raises(SourceError, match="damaged or cut short"):
        read(tmp_path, content)


def directory(content: bytearray, field: int) -> memoryview:
    """Return a number of 4 bytes in the zip's own account of its file."""
    at = content.rindex(b"PK\x01\x02") + field
    return memoryview(content)[at : at + 4]


def test_another_checksum_is_told(tmp_path: Path) -> None:
    content = packed(LINES)
    directory(content, 16)[0] ^= 1
    with pytest.raises(SourceError, match="its checksum is another"):
        read(tmp_path, content)


def test_a_file_that_ends_early_is_told(tmp_path: Path) -> None:
    content = packed(LINES)
    size = directory(content, 20)
    size[:] = (int.from_bytes(size, "little") - 1_000).to_bytes(4, "little")
    with pytest.raises(SourceError, match="it ends early"):
        read(tmp_path, content)
