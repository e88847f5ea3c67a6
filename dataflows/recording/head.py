"""What each segment of the journal restates, so that it can be read alone: all that holds when it begins."""

from __future__ import annotations

from typing import Any

import msgspec

from dataflows.recording.clock import date_of
from pipelines.records import Instruments, Kind, Reference
from pipelines.store.segment import Record


class Head:
    """Remembers the settings, rules, instruments, reference volumes and open connections that were journaled.

    It is told of records once they are written, never ahead of them, and asked only between.
    """

    def __init__(self) -> None:
        self._held: dict[Any, tuple[str, int, int, bytes]] = {}

    def note(self, kind: int, payload: bytes, connection: int) -> None:
        """Take note of a record."""
        until = "9999"
        if kind in (Kind.SETTINGS, Kind.RULES):
            key: Any = kind
        elif kind == Kind.INSTRUMENTS:
            key = msgspec.json.decode(payload, type=Instruments).venue
        elif kind == Kind.REFERENCE:
            told = msgspec.json.decode(payload, type=Reference)
            key, until = (told.venue, told.symbol, told.date), told.date
        elif kind == Kind.CONNECT:
            key = connection
        else:
            if kind == Kind.DISCONNECT:
                self._held.pop(connection, None)
            return
        self._held[key] = (until, connection, kind, payload)

    def records(self, recv_ns: int) -> list[Record]:
        """Return the records for a segment that begins at `recv_ns`."""
        today = date_of(recv_ns).isoformat()
        held = sorted((h for h in self._held.values() if h[0] >= today), key=lambda h: _ORDER.index(h[2]))
        return [Record(recv_ns, connection, kind, payload) for _, connection, kind, payload in held]


_ORDER = (Kind.SETTINGS, Kind.RULES, Kind.INSTRUMENTS, Kind.REFERENCE, Kind.CONNECT)
