"""Segments of a journal as a bounded tape: every record, heartbeats and settings included."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import msgspec

from pipelines.market import Instrument
from pipelines.records import Batch, Instruments, Kind
from pipelines.sources.pieces import Piece, Position, Scan, SourceError, SourceKind
from pipelines.store.journal import contents
from pipelines.venues.columns import Tape
from pipelines.venues.venue import Venue

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Segment:
    """A journal segment. Instruments, settings and kind of tape are records of the journal itself."""

    path: Path
    venue: Venue
    kind: ClassVar[SourceKind] = "journal"

    def _batches(self) -> Iterator[Batch]:
        for item in contents(self.path):
            if isinstance(item, Batch):
                yield item
            else:
                log.warning("journal: %s:%d: %d bytes passed over: %s", *item)

    def scan(self) -> Scan:
        """See `SourceFile.scan`; reads no further than the first trade, before which its instruments were named."""
        first_ns = 0
        instruments: dict[str, list[Instrument]] = {}
        for batch in self._batches():
            first_ns = first_ns or int(batch.recv_ns[0])
            for kind, payload in zip(batch.kind.tolist(), batch.payload, strict=True):
                if kind == Kind.INSTRUMENTS:
                    said = self._read(payload)
                    instruments[said.venue] = [Instrument(said.venue, *msgspec.structs.astuple(i)) for i in said.instruments]
                elif kind == Kind.FRAME and (sights := [s for s in self.venue.look([payload]).sights if s.feed == "trades"]):
                    if self.venue.name not in instruments:
                        names = " and ".join(instruments) or "no named venue"
                        raise SourceError(self.path, f"is a journal of {names}, not of {self.venue.name}; change --venue")
                    mine = instruments[self.venue.name]
                    return Scan(first_ns, {sights[0].tape: [i.native for i in mine]}, mine)
        return Scan(first_ns, {}, instruments.get(self.venue.name, []))

    def _read(self, payload: bytes) -> Instruments:
        try:
            return msgspec.json.decode(payload, type=Instruments)
        except msgspec.MsgspecError as error:
            raise SourceError(self.path, f"holds a record of instruments that cannot be read: {error}") from None

    def pieces(self, number: int, start: int, size: int, tape: Tape, only: str | None) -> Iterator[Piece]:
        """See `SourceFile.pieces`; offsets are bytes, and batches are as large as they were read."""
        del size, tape, only
        for batch in self._batches():
            if batch.end > start:
                yield Piece(batch, None, Position(number, batch.end))
