"""What may be deleted from a journal: what is old enough and what the flow will never read again."""

from __future__ import annotations

import datetime as dt
import itertools
from pathlib import Path

import msgspec

from pipelines.store.segment import segments, walk


class Consumed(msgspec.Struct, frozen=True):
    """How far the flow has come for good: nothing before it will be read again."""

    segment: str
    offset: int


def publish_consumed(folder: Path, segment: str, offset: int) -> None:
    """Tell retention how far the flow has come; call it when the position is durable in the recovery store."""
    target = folder / "consumed.json"
    temporary = target.with_suffix(".tmp")
    temporary.write_bytes(msgspec.json.encode(Consumed(segment, offset)))
    temporary.replace(target)


def consumed(folder: Path) -> Consumed | None:
    """Return how far the flow has come; None where it never said, or where the file is damaged."""
    try:
        return msgspec.json.decode((folder / "consumed.json").read_bytes(), type=Consumed)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def expire(folder: Path, keep_days: int, today: dt.date, consumed_segment: str | None) -> list[str]:
    """Delete the oldest segments of a journal.

    Parameters
    ----------
    folder : Path
    keep_days : int
        A segment goes when the one behind it begins on a UTC date more than `keep_days` before `today`.
    today : date
        The UTC date of the journal's clock.
    consumed_segment : str or None
        Where the flow is; that segment and all behind it stay. None: the flow never said, nothing goes.

    Returns
    -------
    list of str
        The names of the segments deleted, oldest first.
    """
    gone: list[str] = []
    if consumed_segment is None:
        return gone
    for path, behind in itertools.pairwise(segments(folder)):
        begun = next(walk(behind), None)  # a segment that was never written to says nothing
        if path.name >= consumed_segment or (begun and _date(begun.recv_ns) >= today - dt.timedelta(keep_days)):
            break
        path.unlink()
        gone.append(path.name)
    return gone


def _date(ns: int) -> dt.date:
    return dt.datetime.fromtimestamp(ns // 10**9, dt.UTC).date()
