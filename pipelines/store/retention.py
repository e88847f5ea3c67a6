"""What may be deleted from a journal: what is old enough, and what neither the flow nor a rebuild will read again."""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
from collections.abc import Iterable
from pathlib import Path

import msgspec

from pipelines.settings import Journal
from pipelines.store.segment import segments, walk


class Consumed(msgspec.Struct, frozen=True):
    """How far the flow has come for good: nothing before it will be read again."""

    segment: str
    offset: int


class Sealed(msgspec.Struct, frozen=True):
    """Every date up to this one is sealed."""

    through: dt.date


def publish_consumed(folder: Path, segment: str, offset: int) -> None:
    """Tell retention how far the flow has come; call it when the position is durable in the recovery store."""
    _publish(folder / "consumed.json", Consumed(segment, offset))


def consumed(folder: Path) -> Consumed | None:
    """Return how far the flow has come; None where it never said, or where the file is damaged."""
    try:
        return msgspec.json.decode((folder / "consumed.json").read_bytes(), type=Consumed)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def publish_sealed(folder: Path, through: dt.date) -> None:
    """Tell retention that every date up to `through` is sealed: nobody will rebuild it from the journal."""
    _publish(folder / "sealed.json", Sealed(through))


def sealed(folder: Path) -> dt.date | None:
    """Return the date up to which all are sealed; None where nobody said, or where the file is damaged."""
    try:
        return msgspec.json.decode((folder / "sealed.json").read_bytes(), type=Sealed).through
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def kept_from(journal: Journal, today: dt.date, sealed_through: dt.date | None) -> dt.date:
    """Return the first UTC date that a journal keeps.

    Parameters
    ----------
    journal : Journal
        Its settings.
    today : date
        The UTC date of the journal's clock.
    sealed_through : date or None
        Dates behind it are kept for longer, but not for ever: where nobody seals, the volume must not fill.
    """
    anyway = today - dt.timedelta(journal.keep_days)
    unsealed = sealed_through + dt.timedelta(1) if sealed_through else dt.date.min
    return min(anyway, max(unsealed, today - dt.timedelta(journal.keep_unsealed_days)))


def expired(folder: Path, first: dt.date, consumed_segment: str | None) -> list[Path]:
    """Return the segments of a journal that may be deleted, oldest first.

    Parameters
    ----------
    folder : Path
    first : date
        A segment may go when the one behind it begins on an earlier UTC date.
    consumed_segment : str or None
        Where the flow is; that segment and all behind it stay. None: the flow never said, nothing goes.
    """
    gone: list[Path] = []
    if consumed_segment is None:
        return gone
    for path, behind in itertools.pairwise(segments(folder)):
        date = begun(behind)
        if path.name >= consumed_segment or (date and date >= first):
            break
        gone.append(path)
    return gone


def expire(folder: Path, first: dt.date, consumed_segment: str | None) -> list[str]:
    """Delete what `expired` returns, and return the names."""
    gone = expired(folder, first, consumed_segment)
    for path in gone:
        path.unlink(missing_ok=True)  # recorder and `tapeflow retain` may both be at it
    return [path.name for path in gone]


def size(paths: Iterable[Path]) -> int:
    """Return the bytes of files; one that was deleted meanwhile has none."""
    total = 0
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_size
    return total


def _publish(target: Path, said: msgspec.Struct) -> None:
    temporary = target.with_suffix(".tmp")
    temporary.write_bytes(msgspec.json.encode(said))
    temporary.replace(target)


def begun(segment: Path) -> dt.date | None:
    """Return the UTC date of a segment's first record; None where it was never written to."""
    record = next(walk(segment), None)
    return dt.datetime.fromtimestamp(record.recv_ns // 10**9, dt.UTC).date() if record else None
