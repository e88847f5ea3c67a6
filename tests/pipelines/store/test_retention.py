"""What may be deleted from a journal."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from pipelines.records import Kind
from pipelines.settings import Journal
from pipelines.store.journal import segments
from pipelines.store.journal_writer import Writer
from pipelines.store.retention import Consumed, consumed, expire, expired, kept_from, publish_consumed, publish_sealed, sealed
from pipelines.store.segment import Record

DAY = 86_400 * 10**9
START = 20_000 * DAY  # 2024-10-04


def journal(folder: Path, days: int) -> list[str]:
    """Write a segment a day, the last record one ns before midnight."""
    for day in range(days):
        with Writer(folder) as writer:
            writer.write([Record(START + day * DAY, 0, Kind.HEARTBEAT, b""), Record(START + (day + 1) * DAY - 1, 0, 2, b"")])
    return [path.name for path in segments(folder)]


def test_old_segments_go_and_whole_dates_stay(tmp_path: Path) -> None:
    names = journal(tmp_path, 6)
    today = dt.date(2024, 10, 4) + dt.timedelta(5)
    first = today - dt.timedelta(3)
    assert [path.name for path in expired(tmp_path, first, names[-1])] == names[:1]
    assert expire(tmp_path, first, names[-1]) == names[:1]
    assert [path.name for path in segments(tmp_path)] == names[1:]
    assert expire(tmp_path, first, names[-1]) == []


def test_nothing_at_or_past_what_the_flow_has_consumed_goes(tmp_path: Path) -> None:
    names = journal(tmp_path, 4)
    later = dt.date(2030, 1, 1)
    assert expire(tmp_path, later, None) == []
    assert expire(tmp_path, later, names[2]) == names[:2]
    assert [path.name for path in segments(tmp_path)] == names[2:]


def test_progress_is_published_and_read(tmp_path: Path) -> None:
    assert consumed(tmp_path) is None
    publish_consumed(tmp_path, "seg-0000000003.tfj", 77)
    assert consumed(tmp_path) == Consumed("seg-0000000003.tfj", 77)
    (tmp_path / "consumed.json").write_text("{")
    assert consumed(tmp_path) is None


def test_segments_never_written_to_go_with_those_around_them(tmp_path: Path) -> None:
    first = journal(tmp_path, 1)
    Writer(tmp_path).close()
    last = journal(tmp_path, 2)[-2:]
    names = [path.name for path in segments(tmp_path)]
    assert expire(tmp_path, dt.date(2030, 1, 1), last[1]) == names[:3]
    assert names[0] == first[0]


def test_dates_that_are_not_sealed_are_kept_for_longer_but_not_for_ever() -> None:
    today, journal = dt.date(2024, 10, 20), Journal(keep_days=3, keep_unsealed_days=7)

    def first(sealed_through: int | None) -> int:
        return kept_from(journal, today, dt.date(2024, 10, sealed_through) if sealed_through else None).day

    assert first(19) == 17, "sealed or not, whole dates stay"
    assert first(16) == 17
    assert first(15) == 16, "the 16th is not sealed"
    assert first(2) == first(None) == 13


def test_how_far_all_is_sealed_is_published_and_read(tmp_path: Path) -> None:
    assert sealed(tmp_path) is None
    publish_sealed(tmp_path, dt.date(2024, 10, 4))
    assert sealed(tmp_path) == dt.date(2024, 10, 4)
    assert [path.name for path in tmp_path.iterdir()] == ["sealed.json"]
    (tmp_path / "sealed.json").write_text('{"through": 7}')
    assert sealed(tmp_path) is None
