"""Writing the journal: one writer at a time, whole groups, a new segment at every start."""

from __future__ import annotations

import fcntl
import os
import threading
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple, Self

from pipelines.store.retention import consumed
from pipelines.store.segment import HEADER, JournalError, Record, lay_out, segment_name, segment_number, segments


class JournalLocked(JournalError):
    """Another recorder writes to this journal."""


class WriteFailed(JournalError):
    """A group could not be written whole: `written` of its records are in the journal, the rest are not, none is torn."""

    def __init__(self, reason: str, written: int) -> None:
        super().__init__(reason)
        self.written = written


def lock(folder: Path) -> int:
    """Take the one writer's place in a journal; held until the descriptor is closed or the process ends.

    Raises
    ------
    JournalLocked
        If another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    fd = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(fd, 32, 0).decode(errors="replace").strip() or "unknown"
        os.close(fd)
        raise JournalLocked(
            f"{folder}: another recorder (process {holder}) writes to this journal; stop it, or set another `shard` or `data`"
        ) from None
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    return fd


class Group(NamedTuple):
    """Records as they will stand in a segment; groups are appended in the order they were made."""

    first_ns: int
    data: bytes
    records: Sequence[Record | tuple[int, int, int, bytes]]


class Writer:
    """The one writer of a journal.

    Receive times never fall: one below its predecessor's is raised to it. A segment's age is told by them, not by a clock.
    """

    def __init__(
        self,
        folder: Path,
        *,
        segment_bytes: int = 64 << 20,
        segment_ns: int = 15 * 60 * 10**9,
        head: Callable[[int], Sequence[Record]] = lambda _: (),
    ) -> None:
        """Lock the journal and open a new segment.

        Parameters
        ----------
        folder : Path
            Made where it does not exist.
        segment_bytes, segment_ns : int
            Size and age at which a segment is closed.
        head : callable
            Gives, for a receive time, the records that each further segment begins with, so that it can be read alone.

        Raises
        ------
        JournalLocked
            If another process writes to this journal.
        """
        self.folder = folder
        self._lock = lock(folder)
        self._segment_bytes = segment_bytes
        self._segment_ns = segment_ns
        self._head = head
        self._turn = threading.Lock()  # `sync` runs in another thread while `write` may change the segment
        self._fd = -1
        self._born_ns: int | None = None
        self._last_ns = 0
        self.size = 0
        self.written = 0
        try:
            for leftover in folder.glob("seg-*.new"):
                leftover.unlink()
            last = consumed(folder)
            names = [path.name for path in segments(folder)[-1:]] + ([last.segment] if last else [])
            self._open(max(map(segment_number, names), default=0) + 1, ())
        except BaseException:
            os.close(self._lock)
            raise

    def __enter__(self) -> Self:
        """Return the writer."""
        return self

    def __exit__(self, *_: object) -> None:
        """Sync and close."""
        self.close()

    def write(self, records: Sequence[Record | tuple[int, int, int, bytes]]) -> None:
        """Write records as one group; see `group` and `append`."""
        if records:
            self.append(self.group(records))

    def group(self, records: Sequence[Record | tuple[int, int, int, bytes]]) -> Group:
        """Lay out records, at least one, to be appended next.

        Raises
        ------
        ValueError
            If a payload is longer than a record can be.
        """
        first_ns, data = max(records[0][0], self._last_ns), lay_out(records, self._last_ns)
        self._last_ns = max(self._last_ns, *map(itemgetter(0), records))
        return Group(first_ns, data, records)

    def append(self, group: Group) -> None:
        """Write a group at once, in a new segment where the present one is full or old.

        Raises
        ------
        WriteFailed
            If the volume took only part of it; a record that was cut is removed again.
        """
        first_ns, data, records = group
        if self._born_ns is not None and (
            self.size + len(data) > self._segment_bytes or first_ns - self._born_ns >= self._segment_ns
        ):
            self._rotate(first_ns)
        written, fault = self._fill(memoryview(data))
        if fault is not None:
            ends = list(accumulate(HEADER + len(record[3]) for record in records))
            whole = bisect_right(ends, written)
            self._cut(ends[whole - 1] if whole else 0)
            if whole and self._born_ns is None:
                self._born_ns = first_ns
            raise WriteFailed(f"{self.folder / self.segment}: {fault}", whole)
        self._grow(written)
        if self._born_ns is None:
            self._born_ns = first_ns

    def sync(self) -> None:
        """Make durable what has been written; safe to call from another thread."""
        with self._turn:
            if self._fd < 0:
                return
            fd = os.dup(self._fd)
        try:
            os.fdatasync(fd)
        finally:
            os.close(fd)

    def close(self) -> None:
        """Sync, close the segment and give the journal free."""
        if self._fd < 0:
            return
        self.sync()
        with self._turn:
            os.close(self._fd)
            self._fd = -1
        os.close(self._lock)

    def _fill(self, view: memoryview) -> tuple[int, OSError | None]:
        done = 0
        try:
            while done < len(view):
                done += os.write(self._fd, view[done:])
        except OSError as error:
            return done, error
        return done, None

    def _cut(self, kept: int) -> None:
        os.ftruncate(self._fd, self.size + kept)
        self._grow(kept)

    def _grow(self, n: int) -> None:
        self.size += n
        self.written += n

    def _rotate(self, recv_ns: int) -> None:
        try:
            self._open(segment_number(self.segment) + 1, self._head(recv_ns))
        except OSError as error:
            raise WriteFailed(f"{self.folder}: no new segment: {error}", 0) from error

    def _open(self, number: int, head: Sequence[Record]) -> None:
        """Begin a segment; it appears under its name only with its head, because from then on the one before is closed."""
        name = segment_name(number)
        temporary = self.folder / f"seg-{number:010d}.new"
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            size = 0
            if head:
                view = memoryview(lay_out(head))
                while size < len(view):
                    size += os.write(fd, view[size:])
            self.sync()
            os.fsync(fd)
            temporary.rename(self.folder / name)
        except BaseException:
            os.close(fd)
            temporary.unlink(missing_ok=True)
            raise
        with self._turn:
            if self._fd >= 0:
                os.close(self._fd)
            self._fd = fd
        self.segment = name
        self.size = size
        self.written += size
        self._born_ns = head[0].recv_ns if head else None
        folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
