"""What a journal holds, for people: the segments, whether they are sound, and their records as text."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from pipelines.records import Batch, Kind, split_head
from pipelines.store.journal import Damage, contents, read, segments
from pipelines.store.retention import consumed


class Segment(NamedTuple):
    """A segment at a glance. `first` is None where it is empty; `state` is open, unread, reading or consumed."""

    segment: str
    bytes: int
    first: dt.datetime | None
    state: str


class Check(NamedTuple):
    """A segment read through. `damage` lists what is no record; a torn tail of an open segment may still be being written."""

    segment: str
    bytes: int
    records: int
    kinds: dict[str, int]
    first: dt.datetime | None
    last: dt.datetime | None
    damage: list[Damage]


def instant(ns: int) -> dt.datetime:
    """Return a receive time as datetime, cut to microseconds."""
    return dt.datetime.fromtimestamp(0, dt.UTC) + dt.timedelta(microseconds=ns // 1000)


def listing(folder: Path) -> list[Segment]:
    """Return the segments of a journal, oldest first, without reading them through."""
    at = consumed(folder)
    paths = segments(folder)
    return [Segment(p.name, p.stat().st_size, _first(p), _state(p, paths[-1], at.segment if at else "")) for p in paths]


def _first(path: Path) -> dt.datetime | None:
    batch = read(path, max_records=1, max_bytes=4096)
    return instant(int(batch.recv_ns[0])) if batch else None


def _state(path: Path, newest: Path, at: str) -> str:
    if path == newest:
        return "open"
    return "reading" if path.name == at else "consumed" if path.name < at else "unread"


def verify(path: Path) -> Check:
    """Read a segment through and check every record."""
    kinds: Counter[str] = Counter()
    damage: list[Damage] = []
    times: list[int] = []
    for part in contents(path):
        if isinstance(part, Damage):
            damage.append(part)
            continue
        values, counts = np.unique(part.kind, return_counts=True)
        kinds.update({kind_name(int(v)): int(c) for v, c in zip(values, counts, strict=True)})
        times += [int(part.recv_ns[0]), int(part.recv_ns[-1])]
    first, last = (instant(times[0]), instant(times[-1])) if times else (None, None)
    return Check(path.name, path.stat().st_size, kinds.total(), dict(kinds), first, last, damage)


def kind_name(kind: int) -> str:
    """Return the name of a kind in lower case; a number that is none as text."""
    return Kind(kind).name.lower() if kind in Kind.__members__.values() else str(kind)


def entries(
    folder: Path, start_ns: int = 0, end_ns: int = 1 << 62, kinds: Collection[Kind] = tuple(Kind)
) -> Iterator[dict[str, Any]]:
    """Yield the records received from `start_ns` up to, not including, `end_ns` as JSON-able objects, in journal order."""
    for path in _within(segments(folder), start_ns, end_ns):
        for part in contents(path):
            if isinstance(part, Damage):
                where = {"segment": part.segment, "offset": part.offset}
                yield {**where, "kind": "damage", "reason": part.reason, "bytes": part.length}
                continue
            wanted = (part.recv_ns >= start_ns) & (part.recv_ns < end_ns) & np.isin(part.kind, [int(k) for k in kinds])
            yield from (_entry(part, int(i)) for i in np.flatnonzero(wanted))


def _within(paths: list[Path], start_ns: int, end_ns: int) -> list[Path]:
    """Leave out the segments that end before `start_ns` or begin at or after `end_ns`, as told by their first records."""
    firsts = [int(batch.recv_ns[0]) if (batch := read(p, max_records=1, max_bytes=4096)) else 0 for p in paths]
    following = [*firsts[1:], 1 << 62]
    return [
        p
        for p, first, after in zip(paths, firsts, following, strict=True)
        if first < end_ns and (after >= start_ns or after == 0)
    ]


def _entry(batch: Batch, i: int) -> dict[str, Any]:
    recv_ns, kind, payload = int(batch.recv_ns[i]), int(batch.kind[i]), batch.payload[i]
    entry: dict[str, Any] = {
        "segment": batch.segment,
        "offset": int(batch.offset[i]),
        "recv_ns": recv_ns,
        "received": instant(recv_ns).isoformat(),
        "connection": int(batch.connection[i]),
        "kind": kind_name(kind),
    }
    if kind in (Kind.REPAIR, Kind.KLINES, Kind.BOOK, Kind.FUNDING, Kind.NEWS):
        head, body = split_head(payload)
        return entry | {"head": _json(head), "body": _json(body)}
    return entry | ({"payload": _json(payload)} if payload else {})


def _json(data: bytes) -> Any:
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return data.decode(errors="replace")
