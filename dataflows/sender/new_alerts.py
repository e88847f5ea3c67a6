"""Rows newly committed to the lake's table of alerts, each once, whatever is rewritten there meanwhile."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.instants import us
from pipelines.market import ALERTS
from pipelines.store import LakeError

if TYPE_CHECKING:
    from pipelines.store.lake import Lake

OVERLAP_US = 600_000_000
"""A row may come so much later than newer ones of its venue; ids are remembered as long."""
FIRST_US = 600_000_000
"""The first start begins with what was committed this long ago."""
ROUNDED_US = 1000
"""Statistics of a file may be rounded to this."""


class Cursor(msgspec.Struct):
    """How far the table was read; times in us since 1970.

    Attributes
    ----------
    floor : dict
        By venue: rows with `end` up to this were seen, or are too old to tell.
    seen : dict
        Venue and `end` of the rows above that were seen, by id.
    """

    floor: dict[str, int] = {}
    seen: dict[str, tuple[str, int]] = {}


class _File(NamedTuple):
    path: str
    venue: str
    changed_ms: int
    newest: int


class NewAlerts:
    """Reads live alerts as they are committed.

    Only files that were not there before are opened, and what compaction rewrites is known again by its ids: no clock is
    held against event time, which in the demo may be that of another year.

    Parameters
    ----------
    lake
    cursor
        What `cursor()` gave, or None at the very first start.
    now_us
    """

    def __init__(self, lake: Lake, cursor: dict[str, Any] | None, now_us: int) -> None:
        self._lake = lake
        self._cursor = None if cursor is None else msgspec.convert(cursor, Cursor)
        self._first_ms = (now_us - FIRST_US) // 1000
        self._version: int | None = None
        self._known: set[str] = set()

    def cursor(self) -> dict[str, Any] | None:
        """Return what must be kept, as JSON has it; None before there is a lake."""
        kept: dict[str, Any] | None = msgspec.to_builtins(self._cursor)
        return kept

    def read(self) -> list[dict[str, Any]]:
        """Return new rows by time; none while there is no lake."""
        try:
            handle = self._lake.latest(ALERTS.name)
        except LakeError:
            return []
        version = handle.version()
        if version == self._version:
            return []
        files = _files(pa.table(handle.get_add_actions(flatten=True)))
        first = self._cursor is None
        cursor = self._cursor or Cursor({f.venue: f.newest for f in sorted(files, key=_newest) if f.changed_ms < self._first_ms})
        rows = [row for file in files if self._is_fresh(file, cursor) for row in self._rows(file)]
        new = [row for row in rows if _end(row) > cursor.floor.get(row["venue"], 0) and row["alert_id"] not in cursor.seen]
        self._cursor, self._version, self._known = _moved(cursor, new), version, {file.path for file in files}
        if first:  # of these only the last minutes are told
            new = [row for row in new if _end(row) > self._cursor.floor[row["venue"]]]
        return sorted(new, key=lambda row: (row["end"], row["alert_id"]))

    def _is_fresh(self, file: _File, cursor: Cursor) -> bool:
        return file.path not in self._known and file.newest + ROUNDED_US > cursor.floor.get(file.venue, 0)

    def _rows(self, file: _File) -> list[dict[str, Any]]:
        fs, folder = self._lake.folder(ALERTS.name)
        try:
            rows = pq.read_table(f"{folder}/{file.path}", filesystem=fs, partitioning=None)
        except FileNotFoundError:  # compacted and vacuumed meanwhile: another file has its rows
            return []
        return [{**row, "venue": file.venue} for row in rows.filter(pc.field("origin") == "live").to_pylist()]


def _moved(cursor: Cursor, new: list[dict[str, Any]]) -> Cursor:
    """Return the cursor behind `new`."""
    seen = cursor.seen | {row["alert_id"]: (row["venue"], _end(row)) for row in new}
    floor = dict(cursor.floor)
    for venue, end in seen.values():
        floor[venue] = max(floor.get(venue, 0), end - OVERLAP_US)
    return Cursor(floor, {name: (venue, end) for name, (venue, end) in seen.items() if end > floor[venue]})


def _files(actions: pa.Table) -> list[_File]:
    if not actions.num_rows:
        return []
    columns = (actions[name].to_pylist() for name in ("path", "partition.venue", "modification_time", "max.end"))
    return [_File(path, venue, _us(changed) // 1000, _us(newest)) for path, venue, changed, newest in zip(*columns, strict=True)]


def _newest(file: _File) -> int:
    return file.newest


def _end(row: dict[str, Any]) -> int:
    return _us(row["end"])


def _us(time: dt.datetime | int) -> int:
    """Return a time in us since 1970; the log's own are in ms."""
    return time * 1000 if isinstance(time, int) else us(time.replace(tzinfo=time.tzinfo or dt.UTC))
