"""Bytewax sources: the journal as it grows, and bounded tapes. Both rewind to where their state says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition

from pipelines.records import Batch
from pipelines.sources import Piece, Position, Source
from pipelines.store.journal import Tail

POLL = timedelta(milliseconds=5)
READ_BYTES = 4 << 20
"""Of the journal a batch, at the most."""


class Item(NamedTuple):
    """What a source emits.

    Attributes
    ----------
    piece : Piece or Batch or None
        Input; None: a sign of life that lets the sink commit.
    segment, offset : str, int
        Where the next one begins.
    flush : bool
        The end: everything is to be staged at the next snapshot.
    """

    piece: Piece | Batch | None
    segment: str
    offset: int
    flush: bool = False


class _Ending:
    """The end of a bounded run: flush, wait for the snapshot, one more item so that the sink commits, stop."""

    def __init__(self) -> None:
        self.step = 0

    def next(self, segment: str, offset: int) -> list[Item]:
        if self.step == 0:
            self.step = 1
            return [Item(None, segment, offset, flush=True)]
        if self.step == 1:
            return []
        if self.step == 2:
            self.step = 3
            return [Item(None, segment, offset)]
        raise StopIteration

    def snapped(self) -> None:
        if self.step == 1:
            self.step = 2


class JournalPart(StatefulSourcePartition[Item, tuple[str, int]]):
    """Tails the journal of one shard."""

    def __init__(self, folder: Path, at: tuple[str, int], stop: Callable[[], bool], *, until_end: bool) -> None:
        self.tail = Tail(folder, *at)
        self.stop = stop
        self.until_end = until_end
        self.ending: _Ending | None = None
        self.idle = False

    def next_batch(self) -> list[Item]:
        """Return what has been written since, up to 4 MiB."""
        if self.ending is None:
            stopping = self.stop()
            batch = None if stopping else self.tail.next(READ_BYTES)
            self.idle = batch is None
            if batch is not None:
                return [Item(batch, self.tail.segment, self.tail.offset)]
            if not (stopping or self.until_end):
                return []
            self.ending = _Ending()
        return self.ending.next(self.tail.segment, self.tail.offset)

    def next_awake(self) -> datetime | None:
        """Poll again soon where nothing was there."""
        return datetime.now(UTC) + POLL if self.idle or self.ending else None

    def snapshot(self) -> tuple[str, int]:
        """Return where the next batch begins."""
        if self.ending:
            self.ending.snapped()
        return self.tail.segment, self.tail.offset


class JournalSource(FixedPartitionedSource[Item, tuple[str, int]]):
    """The journal of one shard; `start` is where to begin without a state."""

    def __init__(self, shard: str, folder: Path, start: tuple[str, int], stop: Callable[[], bool], *, until_end: bool) -> None:
        self.shard, self.folder, self.start, self.stop, self.until_end = shard, folder, start, stop, until_end

    def list_parts(self) -> list[str]:
        """Return the one partition."""
        return [self.shard]

    def build_part(self, step_id: str, for_part: str, resume_state: tuple[str, int] | None) -> JournalPart:
        """Go on from `resume_state`."""
        return JournalPart(self.folder, resume_state or self.start, self.stop, until_end=self.until_end)


class TapePart(StatefulSourcePartition[Item, tuple[int, int]]):
    """Reads a bounded tape from a position on."""

    def __init__(self, source: Source, at: tuple[int, int], size: int) -> None:
        self.at = at
        self.names = [path.name for path in source.paths]
        self.pieces: Iterator[Piece] = source.pieces(Position(*at), size)
        self.ending: _Ending | None = None

    def next_batch(self) -> list[Item]:
        """Return the next piece."""
        if self.ending is None:
            piece = next(self.pieces, None)
            if piece is not None:
                self.at = (piece.position.file, piece.position.offset)
                return [Item(piece, self.names[piece.position.file], piece.position.offset)]
            self.ending = _Ending()
        return self.ending.next("", 0)

    def next_awake(self) -> datetime | None:
        """Poll soon while waiting for the last snapshot."""
        return datetime.now(UTC) + POLL if self.ending else None

    def snapshot(self) -> tuple[int, int]:
        """Return where the next piece begins."""
        if self.ending:
            self.ending.snapped()
        return self.at


class TapeSource(FixedPartitionedSource[Item, tuple[int, int]]):
    """A bounded tape, in pieces of `size` records."""

    def __init__(self, source: Source, size: int) -> None:
        self.source, self.size = source, size

    def list_parts(self) -> list[str]:
        """Return the one partition."""
        return ["tape"]

    def build_part(self, step_id: str, for_part: str, resume_state: tuple[int, int] | None) -> TapePart:
        """Go on from `resume_state`."""
        return TapePart(self.source, resume_state or (0, 0), self.size)
