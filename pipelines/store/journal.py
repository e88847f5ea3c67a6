"""Reading the journal: a folder of segments `seg-<10 digits>.tfj`, written by one recorder, tailed by the flow.

Numbers rise; only the newest segment grows, and a recorder that starts opens a new one, so that bytes behind a torn
tail are never mistaken for its continuation. `segment` has the layout of a record, `journal_writer` writes them.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

from pipelines.records import Batch, Kind
from pipelines.store.scan import SHORT, WHOLE, resume, scan
from pipelines.store.segment import HEADER, JournalError, segments

__all__ = ["Damage", "JournalError", "Tail", "behind", "contents", "is_segment", "read", "segments"]

READ_BYTES: Final = 8 << 20
_LAST_KIND = max(Kind)
log = logging.getLogger(__name__)


class Damage(NamedTuple):
    """Bytes of a segment that are no record and were passed over."""

    segment: str
    offset: int
    length: int
    reason: str


def is_segment(path: Path) -> bool:
    """Tell whether a file begins with a whole journal record, whatever its name."""
    try:
        batch = read(path, max_records=1)
    except OSError:
        return False
    return batch is not None and 1 <= int(batch.kind[0]) <= _LAST_KIND


def _load(path: Path, offset: int, size: int) -> bytes:
    """Return up to `size` bytes from `offset` on; more where the first record there is longer."""
    with path.open("rb", buffering=0) as file:
        there = os.fstat(file.fileno()).st_size - offset
        data = os.pread(file.fileno(), max(min(size, there), 0), offset)
        need = HEADER + int.from_bytes(data[:4], "little")
        return os.pread(file.fileno(), need, offset) if len(data) < need <= there else data


def _read(path: Path, offset: int, max_records: int, max_bytes: int) -> tuple[Batch | None, int]:
    data = _load(path, offset, max_bytes)
    found = scan(data, max_records)
    if not found.recv_ns.size:
        return None, found.status
    begin = found.begin.tolist()
    payload = [data[at + HEADER : end] for at, end in pairwise(begin)]
    end = offset + begin[-1]
    offsets = found.begin[:-1] + offset
    return Batch(found.recv_ns, found.kind, found.connection, offsets, payload, path.name, end), found.status


def read(path: Path, offset: int = 0, max_records: int = 1 << 62, max_bytes: int = READ_BYTES) -> Batch | None:
    """Read whole records of a segment.

    Parameters
    ----------
    path : Path
        A segment.
    offset : int
        Where a record begins, in bytes.
    max_records, max_bytes : int
        Where to stop; the first record is read however long it is.

    Returns
    -------
    Batch or None
        The records up to the first that is not whole or fails its checksum; None where that is the first.
    """
    return _read(path, offset, max_records, max_bytes)[0]


def _damage(path: Path, offset: int, status: int, *, final: bool) -> Damage | None:
    """Return what to pass over at `offset`; None where nothing lies there or, unless `final`, where it may still grow."""
    if status == WHOLE or (status == SHORT and not final):
        return None
    data = _load(path, offset, 1 << 62)
    at = resume(data, 1, _LAST_KIND)
    if at < 0 and not final:
        return None
    reason = "torn tail" if status == SHORT and at < 0 else "damaged record"
    return Damage(path.name, offset, at if at >= 0 else len(data), reason)


def contents(path: Path) -> Iterator[Batch | Damage]:
    """Yield all that a segment holds: its records, and the bytes that are none."""
    offset = 0
    while True:
        batch, status = _read(path, offset, 1 << 62, READ_BYTES)
        damage = None if batch is not None else _damage(path, offset, status, final=True)
        if batch is not None:
            yield batch
            offset = batch.end
        elif damage is not None:
            yield damage
            offset += damage.length
        else:
            return


class Tail:
    """Follows a journal from a position on, across segments, for as long as it grows.

    A torn tail is passed over only when a newer segment exists: until then it may be a record that is being written.
    A damaged record is passed over up to the next one that is right. Both are logged and told in `damage`.

    Attributes
    ----------
    segment, offset : str, int
        Where the next batch begins; `segment` is empty before the first.
    damage : list of Damage
        What was passed over since this tail began.
    """

    def __init__(self, folder: Path, segment: str = "", offset: int = 0) -> None:
        """Begin at `offset` of `segment`, or at the oldest segment where it is empty.

        Raises
        ------
        JournalError
            If `segment` does not exist: it was deleted before it was read.
        """
        self.folder = folder
        self.segment = segment
        self.offset = offset
        self.damage: list[Damage] = []
        if segment and not (folder / segment).exists():
            raise self._gone()

    def next(self, max_bytes: int = READ_BYTES) -> Batch | None:
        """Return the next records, or None where nothing whole has been written yet."""
        while True:
            newer = self._newer()  # looked at before the read: what is read then is all that this segment will ever hold
            if not self.segment:
                if newer is None:
                    return None
                self.segment = newer
                continue
            batch, status = self._read(max_bytes)
            if batch is not None:
                self.offset = batch.end
                return batch
            damage = _damage(self.folder / self.segment, self.offset, status, final=newer is not None)
            if damage is not None:
                log.warning("journal: %s:%d: %d bytes passed over: %s", *damage)
                self.damage.append(damage)
                self.offset += damage.length
            elif newer is None:
                return None
            else:
                self.segment, self.offset = newer, 0

    def __iter__(self) -> Iterator[Batch]:
        """Yield batches until nothing whole is left for now."""
        while (batch := self.next()) is not None:
            yield batch

    def _newer(self) -> str | None:
        """Return the oldest segment behind the present one; its being there means that the present one is closed."""
        return next((path.name for path in segments(self.folder) if path.name > self.segment), None)

    def _read(self, max_bytes: int) -> tuple[Batch | None, int]:
        try:
            return _read(self.folder / self.segment, self.offset, 1 << 62, max_bytes)
        except FileNotFoundError:
            raise self._gone() from None

    def _gone(self) -> JournalError:
        return JournalError(
            f"{self.folder / self.segment} was deleted before it was read; "
            "run `tapeflow rebuild` to begin again from what the journal still holds"
        )


def behind(folder: Path, segment: str, offset: int) -> int:
    """Return how many bytes of the journal lie behind a position."""
    ahead = [path for path in segments(folder) if path.name >= segment]
    return sum(path.stat().st_size for path in ahead) - (offset if ahead and ahead[0].name == segment else 0)
