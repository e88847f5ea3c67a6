"""Finding the records in the bytes of a journal segment, at several million a second."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from pipelines.store.segment import HEADER, MAX_PAYLOAD

WHOLE: Final = 0
"""Every byte scanned belongs to a whole record."""
SHORT: Final = 1
"""The last record is cut off by the end of the bytes."""
BAD: Final = 2
"""A record is all there and its checksum or length is wrong."""

_Bytes = npt.NDArray[np.uint8]
_Ints = npt.NDArray[np.int64]


def _tables() -> npt.NDArray[np.uint32]:
    """Return the tables of slicing-by-8 for the reflected polynomial 0xEDB88320."""
    tables = np.zeros((8, 256), np.uint32)
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ (0xEDB88320 if value & 1 else 0)
        tables[0, byte] = value
    for k in range(1, 8):
        tables[k] = (tables[k - 1] >> 8) ^ tables[0, tables[k - 1] & 255]
    return tables


_T = _tables()


@njit(cache=True, nogil=True)
def crc32(data: _Bytes, begin: int, end: int) -> int:
    """Return the CRC-32 of `data[begin:end]`, equal to `zlib.crc32`."""
    crc = np.uint32(0xFFFFFFFF)
    i = begin
    while i + 8 <= end:
        low = crc ^ (
            np.uint32(data[i])
            | np.uint32(data[i + 1]) << np.uint32(8)
            | np.uint32(data[i + 2]) << np.uint32(16)
            | np.uint32(data[i + 3]) << np.uint32(24)
        )
        crc = (
            _T[7, low & np.uint32(255)]
            ^ _T[6, (low >> np.uint32(8)) & np.uint32(255)]
            ^ _T[5, (low >> np.uint32(16)) & np.uint32(255)]
            ^ _T[4, low >> np.uint32(24)]
            ^ _T[3, data[i + 4]]
            ^ _T[2, data[i + 5]]
            ^ _T[1, data[i + 6]]
            ^ _T[0, data[i + 7]]
        )
        i += 8
    while i < end:
        crc = _T[0, (crc ^ data[i]) & np.uint32(255)] ^ (crc >> np.uint32(8))
        i += 1
    return int(crc ^ np.uint32(0xFFFFFFFF))


@njit(cache=True, nogil=True)
def _load(data: _Bytes, at: int, width: int) -> int:
    value = np.int64(0)
    for k in range(width):
        value |= np.int64(data[at + k]) << np.int64(8 * k)
    return int(value)


class Scan(NamedTuple):
    """The whole records at the beginning of some bytes, and why the scan ended.

    Attributes
    ----------
    begin : int64, (n + 1,)
        Where each record begins; the last is where the scan ended.
    recv_ns, connection, kind
        As in `records.Batch`.
    status : int
        `WHOLE`, `SHORT` or `BAD`: what lies where the scan ended.
    """

    begin: _Ints
    recv_ns: _Ints
    connection: npt.NDArray[np.uint16]
    kind: npt.NDArray[np.uint8]
    status: int


@njit(cache=True, nogil=True)
def _scan(
    data: _Bytes, at: int, begin: _Ints, recv_ns: _Ints, connection: npt.NDArray[np.uint16], kind: npt.NDArray[np.uint8]
) -> tuple[int, int]:
    size = data.size
    n = 0
    status = WHOLE
    while at < size and n < recv_ns.size:
        if at + HEADER > size:
            status = SHORT
            break
        length = _load(data, at, 4)
        if length > MAX_PAYLOAD:
            status = BAD
            break
        end = at + HEADER + length
        if end > size:
            status = SHORT
            break
        if crc32(data, at + 8, end) != _load(data, at + 4, 4):
            status = BAD
            break
        begin[n] = at
        recv_ns[n] = _load(data, at + 8, 8)
        connection[n] = _load(data, at + 16, 2)
        kind[n] = data[at + 18]
        n += 1
        at = end
    begin[n] = at
    return n, status


def scan(data: bytes | memoryview, max_records: int = 1 << 62, at: int = 0) -> Scan:
    """Find and check the whole records of `data` from `at` on; stop at `max_records` or at the first that is not whole."""
    room = min(max_records, (len(data) - at) // HEADER + 1)
    begin = np.empty(room + 1, np.int64)
    recv_ns = np.empty(room, np.int64)
    connection = np.empty(room, np.uint16)
    kind = np.empty(room, np.uint8)
    n, status = _scan(np.frombuffer(data, np.uint8), at, begin, recv_ns, connection, kind)
    return Scan(begin[: n + 1], recv_ns[:n], connection[:n], kind[:n], status)


@njit(cache=True, nogil=True)
def _resume(data: _Bytes, at: int, kinds: int) -> int:
    size = data.size
    while at + HEADER <= size:
        length = _load(data, at, 4)
        end = at + HEADER + length
        kind = data[at + 18]
        if 1 <= kind <= kinds and end <= size and crc32(data, at + 8, end) == _load(data, at + 4, 4):
            return at
        at += 1
    return -1


def resume(data: bytes, at: int, kinds: int) -> int:
    """Return where the next record with a right checksum begins at or after `at`, or -1 (kinds run from 1 to `kinds`)."""
    return int(_resume(np.frombuffer(data, np.uint8), at, kinds)) if data else -1
