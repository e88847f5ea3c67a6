"""What a recorder that starts again must know of the journal: how far tapes went, open holes, the average volumes that hold."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from pipelines.records import Connect, Gap, Kind, Reference, Repair, split_head
from pipelines.store.segment import segments, walk

LIMIT_BYTES: Final = 256 << 20
RECENT: Final = 8192
"""Ids remembered of a tape."""
Tape = tuple[str, str]
"""Venue and native symbol."""
FrameIds = Callable[[str, bytes], Sequence[tuple[str, int, int]]]
"""Of a venue's frame, the native symbol and the first and last id of each trade in it."""
RestId = Callable[[str, bytes], int | None]
"""Of a venue's REST answer, the last id; None where it holds none."""


class Memory(NamedTuple):
    """What the journal remembers.

    Attributes
    ----------
    last : dict
        The greatest trade id that was journaled, per venue and native symbol.
    recent : dict
        Ids of the newest frames, oldest first: where ids do not follow each other, the greatest says nothing.
    open : list of Gap
        Holes that were opened and not closed. Where the last missing id was not known, `to_id` is the greatest id
        that came; a hole behind that is none.
    references : dict
        Average daily volumes per venue, native symbol and date: thresholds of a date do not change once they are told.
    """

    last: dict[Tape, int]
    recent: dict[Tape, list[int]]
    open: list[Gap]
    references: dict[tuple[str, str, str], Reference]


def recall(
    folder: Path, tapes: AbstractSet[Tape], frame_ids: FrameIds, rest_id: RestId, limit_bytes: int = LIMIT_BYTES
) -> Memory:
    """Read the newest segments back until the last id of every tape is known; beyond the newest, at most `limit_bytes`."""
    last: dict[Tape, int] = {}
    recent: dict[Tape, list[int]] = {}
    live: set[Tape] = set()  # a repair may be of an old hole and does not tell how far the tape went
    gaps: list[list[tuple[int, Gap]]] = []
    references: dict[tuple[str, str, str], Reference] = {}
    room = limit_bytes
    for path in reversed(segments(folder)):
        room -= path.stat().st_size
        if gaps and (room < 0 or tapes <= live):
            break
        found = _segment(path, frame_ids, rest_id)
        live |= found.frames.keys()
        for tape, number in [*found.frames.items(), *found.repairs.items()]:
            _raise(last, tape, number)
        for tape, ids in found.recent.items():
            recent[tape] = [*ids, *recent.get(tape, ())][-RECENT:]
        gaps.append(found.gaps)
        references = found.references | references
    held: dict[tuple[str, str, int | None], Gap] = {}
    for kind, gap in (change for changes in reversed(gaps) for change in changes):
        key = (gap.venue, gap.symbol, gap.from_id)
        if kind == Kind.GAP_OPEN:
            held[key] = gap
        else:
            held.pop(key, None)
    bounded = [_bounded(gap, last) for gap in held.values()]
    return Memory(last, recent, [gap for gap in bounded if gap.from_id and gap.to_id and gap.from_id <= gap.to_id], references)


class _Found(NamedTuple):
    frames: dict[Tape, int]
    recent: dict[Tape, deque[int]]
    repairs: dict[Tape, int]
    gaps: list[tuple[int, Gap]]
    references: dict[tuple[str, str, str], Reference]


def _segment(path: Path, frame_ids: FrameIds, rest_id: RestId) -> _Found:
    """Return the greatest ids, and the gaps opened and closed, and the references, of one segment."""
    found = _Found({}, defaultdict(lambda: deque(maxlen=RECENT)), {}, [], {})
    venues: dict[int, str] = {}
    for _, connection, kind, payload in walk(path):
        if kind == Kind.FRAME:
            venue = venues.get(connection, "")
            for symbol, _, last in frame_ids(venue, payload) if venue else ():
                _raise(found.frames, (venue, symbol), last)
                found.recent[venue, symbol].append(last)
        elif kind == Kind.CONNECT:
            venues[connection] = msgspec.json.decode(payload, type=Connect).venue
        elif kind == Kind.REPAIR:
            head, body = split_head(payload)
            repair = msgspec.json.decode(head, type=Repair)
            _raise(found.repairs, (repair.venue, repair.symbol), rest_id(repair.venue, body))
        elif kind == Kind.REFERENCE:
            reference = msgspec.json.decode(payload, type=Reference)
            found.references[reference.venue, reference.symbol, reference.date] = reference
        elif kind in (Kind.GAP_OPEN, Kind.GAP_CLOSE):
            found.gaps.append((kind, msgspec.json.decode(payload, type=Gap)))
    return found


def _raise(greatest: dict[Tape, int], tape: Tape, number: int | None) -> None:
    if number is not None:
        greatest[tape] = max(greatest.get(tape, number), number)


def _bounded(gap: Gap, last: dict[Tape, int]) -> Gap:
    end = gap.to_id if gap.to_id is not None else last.get((gap.venue, gap.symbol))
    return Gap(gap.venue, gap.symbol, gap.feed, gap.reason, gap.status, gap.from_id, end)
