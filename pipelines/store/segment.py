"""A journal segment: its name, what a record looks like in it, how a group of them is laid out.

A segment is a sequence of records and nothing else. A record, all integers little endian, is

====== ========== ===== =====================================================================
offset field      bytes meaning
====== ========== ===== =====================================================================
0      len        4     bytes of the payload, at most `MAX_PAYLOAD`
4      crc32      4     CRC-32 (the one of zlib) of everything behind it: recv_ns to payload
8      recv_ns    8     when it was received, ns since 1970
16     connection 2     which connection it came from; 0 where none is meant
18     kind       1     `records.Kind`
19     payload    len   as the kind says
====== ========== ===== =====================================================================
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

HEADER: Final = 19
MAX_PAYLOAD: Final = 1 << 26
_CHECK = struct.Struct("<II")
_META = struct.Struct("<QHB")
_NAME = re.compile(r"seg-(\d{10})\.tfj")


class JournalError(Exception):
    """A journal that cannot be read or written as asked; the text says what to do."""


class Record(NamedTuple):
    """A journal record before it is written; see `records.Kind` for kinds and payloads."""

    recv_ns: int
    connection: int
    kind: int
    payload: bytes


def lay_out(records: Sequence[Record | tuple[int, int, int, bytes]], floor_ns: int = 0) -> bytes:
    """Return a group of records as bytes.

    A receive time below the one before it, or below `floor_ns`, is raised to it: a clock that was set back must not
    make journal time fall.

    Raises
    ------
    ValueError
        If a payload is longer than `MAX_PAYLOAD`.
    """
    parts: list[bytes] = []
    add, check, pack, crc32 = parts.append, _CHECK.pack, _META.pack, zlib.crc32  # looked up once: this is a hot loop
    for recv_ns, connection, kind, payload in records:
        floor_ns = recv_ns if recv_ns > floor_ns else floor_ns  # noqa: FURB136  a call to max costs a fifth of all this
        size = len(payload)
        if size > MAX_PAYLOAD:
            raise ValueError(f"a journal record was {size} bytes long; at most {MAX_PAYLOAD} fit")
        meta = pack(floor_ns, connection, kind)
        add(check(size, crc32(payload, crc32(meta))))
        add(meta)
        add(payload)
    return b"".join(parts)


def walk(path: Path, at: int = 0) -> Iterator[Record]:
    """Yield the records of a segment from `at` on, up to the first that is not whole or fails its checksum.

    For the few who read little: `journal.read` is many times as fast, at the price of compiled code in memory.
    """
    with path.open("rb") as file:
        file.seek(at)
        while len(head := file.read(HEADER)) == HEADER:
            length, crc = _CHECK.unpack_from(head)
            payload = file.read(length) if length <= MAX_PAYLOAD else b""
            if len(payload) < length or zlib.crc32(payload, zlib.crc32(head[8:])) != crc:
                return
            recv_ns, connection, kind = _META.unpack_from(head, 8)
            yield Record(recv_ns, connection, kind, payload)


def segments(folder: Path) -> list[Path]:
    """Return the segments of a journal, oldest first; none where the folder does not exist."""
    try:
        return sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))
    except FileNotFoundError:
        return []


def segment_number(name: str) -> int:
    """Return the number of a segment, 0 for a name that is none."""
    match = _NAME.fullmatch(name)
    return int(match[1]) if match else 0


def segment_name(number: int) -> str:
    """Return the file name of a segment."""
    return f"seg-{number:010d}.tfj"
