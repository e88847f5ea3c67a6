"""Retention carried out: what goes, what a run tells of it, and what others do meanwhile."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path
from typing import Any

import pytest

from pipelines.feed_tables import BOOK, QUOTES
from pipelines.history import expiry
from pipelines.history.day import Day
from pipelines.history.retention import Needs, needs
from pipelines.history.seal import seal
from pipelines.history.stale import stale
from pipelines.market import BARS, TABLES
from pipelines.records import Kind
from pipelines.retention_settings import Retention
from pipelines.settings import Settings, Venue
from pipelines.store import LakeError, upkeep
from pipelines.store.journal_writer import Writer
from pipelines.store.lake import Lake
from pipelines.store.retention import publish_consumed, sealed
from pipelines.store.segment import Record, segments
from tests import tapes
from tests.pipelines.history import days
from tests.pipelines.store.samples import put, rows

NOW = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)
FREE = Needs({}, {NOW.date(): "today"})
DAY_NS = 86_400 * 10**9


def age(back: int) -> dt.date:
    return NOW.date() - dt.timedelta(back)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path, venues={"demo": Venue(symbols=("BTC-USDT",))}, retention=Retention(quotes=30, book=10))


@pytest.fixture
def lake(settings: Settings) -> Lake:
    lake = Lake(settings.lake_root)
    lake.create()
    for table in (QUOTES, BOOK):
        for back in (40, 31, 30, 0):
            put(lake, table, rows(table, 4, day=age(back)))
    return lake


def dates(lake: Lake, table: str) -> list[int]:
    return sorted((NOW.date() - dt.date.fromisoformat(f.date)).days for f in lake.live(table).values())


def test_what_may_go_leaves_the_table_at_once_and_the_volume_later(
    lake: Lake, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = [Path(path) for path in lake.files("quotes", end=age(30))]
    size = sum(path.stat().st_size for path in old)
    version = lake.latest("quotes").version()
    done = expiry.retain(lake, settings, FREE, NOW)
    assert [(r.table, r.first, r.last, r.files, r.rows) for r in done.removed] == [
        ("quotes", age(40), age(31), 2, 8),
        ("book", age(40), age(30), 3, 12),
    ]
    assert done.removed[0].bytes == size
    assert dates(lake, "quotes") == [0, 30]
    assert lake.table("quotes").collect().height == 8
    assert lake.latest("quotes").version() == version + 1, "one commit"
    assert all(path.exists() for path in old), "who has begun to read may go on"
    assert done.deleted_files == 0
    assert expiry.last_run(settings) == done

    monkeypatch.setattr(upkeep, "VACUUM_HOURS", 0)
    again = expiry.retain(lake, settings, FREE, NOW)
    assert (again.removed, again.busy, again.deleted_files) == ([], [], 5)
    assert not any(path.exists() for path in old)
    assert dates(lake, "quotes") == [0, 30]


def test_a_table_that_was_emptied_is_vacuumed(lake: Lake, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    later = NOW + dt.timedelta(100)
    assert expiry.retain(lake, settings, Needs({}, {}), later).removed
    assert dates(lake, "quotes") == []
    monkeypatch.setattr(upkeep, "VACUUM_HOURS", 0)
    assert expiry.retain(lake, settings, Needs({}, {}), later).deleted_files == 8


def test_what_is_needed_stays(lake: Lake, settings: Settings) -> None:
    needed = FREE._replace(open={Day(age(40), "demo"): "an open gap"})
    plan, _ = expiry.planned(lake, settings, NOW.date())
    assert {(s.table, s.day.date) for s in plan.goes} > {("quotes", age(40)), ("book", age(40))}
    expiry.retain(lake, settings, needed, NOW)
    assert dates(lake, "quotes") == [0, 30, 40]
    assert dates(lake, "book") == [0, 40]


def test_files_that_were_merged_meanwhile_are_looked_up_again(
    lake: Lake, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(lake, QUOTES, rows(QUOTES, 4, day=age(40)))
    replace, tries = Lake.replace, []

    def late(self: Lake, table: str, *args: Any, **how: Any) -> bool:
        tries.append(table)
        if len(tries) == 1:
            with monkeypatch.context() as others:
                others.setattr(Lake, "replace", replace)
                assert upkeep.compact(Lake(self.root), "quotes") == (2, 1)
        return replace(self, table, *args, **how)

    monkeypatch.setattr(Lake, "replace", late)
    done = expiry.retain(lake, settings, FREE, NOW)
    assert tries == ["quotes", "quotes", "book"]
    assert done.removed[0].rows == 12
    assert dates(lake, "quotes") == [0, 30]


def test_a_table_that_others_rewrite_again_and_again_is_left_and_named(
    lake: Lake, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = Lake.replace

    def busy(self: Lake, table: str, *args: Any, **how: Any) -> bool:
        if table == "quotes":
            raise LakeError("changed meanwhile")
        return replace(self, table, *args, **how)

    monkeypatch.setattr(Lake, "replace", busy)
    done = expiry.retain(lake, settings, FREE, NOW)
    assert done.busy == ["quotes"]
    assert [r.table for r in done.removed] == ["book"]
    assert dates(lake, "quotes") == [0, 30, 31, 40]


def test_no_note_and_a_damaged_one_are_none(settings: Settings) -> None:
    assert expiry.last_run(settings) is None
    (settings.data / "status").mkdir(parents=True)
    (settings.data / "status" / "retention.json").write_text("{")
    assert expiry.last_run(settings) is None


def journal(folder: Path, dates: int) -> list[str]:
    """Write a segment a day, the last begun at `NOW`'s date; all consumed but the last."""
    for back in range(dates - 1, -1, -1):
        with Writer(folder) as writer:
            at = int(dt.datetime.combine(age(back), dt.time(), dt.UTC).timestamp()) * 10**9
            writer.write([Record(at, 0, Kind.HEARTBEAT, b""), Record(at + DAY_NS - 1, 0, Kind.HEARTBEAT, b"")])
    names = [path.name for path in segments(folder)]
    publish_consumed(folder, names[-1], 0)
    return names


@pytest.mark.parametrize(
    ("open_ages", "kept"),
    [((0,), 5), ((0, 5), 7), ((0, 30), 5), ((0, 8), 9), ((0, 1), 5)],
    ids=["all sealed", "one lacks", "lacks what the journal does not hold", "lacks too long", "young"],
)
def test_the_journal_keeps_what_an_unsealed_date_may_need(
    lake: Lake, settings: Settings, open_ages: tuple[int, ...], kept: int
) -> None:
    """And the segment before that, which may reach into it."""
    names = journal(settings.journal_dir, 10)
    needed = Needs({Day(age(n), "demo"): "not sealed yet" for n in open_ages}, {})
    going = [path.name for path in expiry.old_segments(settings, needed)]
    assert sealed(settings.journal_dir) is None, "to look writes nothing"
    done = expiry.retain(lake, settings, needed, NOW)
    left = [path.name for path in segments(settings.journal_dir)]
    assert left == names[-kept:]
    assert done.segments == going == names[:-kept]
    assert done.journal_bytes > 0


def test_the_journal_keeps_what_the_flow_has_not_read(lake: Lake, settings: Settings) -> None:
    names = journal(settings.journal_dir, 10)
    publish_consumed(settings.journal_dir, names[2], 0)
    expiry.retain(lake, settings, Needs({Day(age(0), "demo"): ""}, {}), NOW)
    assert [path.name for path in segments(settings.journal_dir)] == names[2:]


def test_a_date_sealed_after_retention_is_the_same_as_without(tmp_path: Path) -> None:
    """What was removed is beyond the reach of all that is still to be made, and makes no seal stale."""
    whole = Lake(tmp_path / "whole")
    whole.create()
    tapes_of = {shift: days.tape_of(days.archived(tmp_path, shift, n=600), shift) for shift in (0, 1, 20, 40)}
    for shift in (0, 1, 20):
        seal(whole, tapes_of[shift], tapes.KERNELS, sealed_at_us=days.NOW)
    shutil.copytree(whole.root, tmp_path / "kept")
    kept = Lake(tmp_path / "kept")
    limits = dict.fromkeys(("trades", "bars", "vpin", "features", "posture", "coverage", "quotes"), 1)
    today = days.day(41).date
    needed = needs(kept, today)
    removed, _ = expiry.remove(kept, needed, limits, today)
    assert {(r.table, r.first, r.last) for r in removed} >= {(t, days.day(0).date, days.day(1).date) for t in ("trades", "bars")}
    assert {f.date for f in kept.live("bars").values()} == {str(days.day(20).date)}
    assert stale(kept) == []
    for lake in (whole, kept):
        seal(lake, tapes_of[40], tapes.KERNELS, sealed_at_us=days.NOW)
    for name in days.TABLES_OF_A_DAY:
        one, other = (lake.table(name, date=days.day(40).date).collect().sort(*TABLES[name].key, "end") for lake in (whole, kept))
        assert one.height > 0
        assert one.equals(other), name
    assert stale(kept) == stale(whole) == []


def test_a_rebuild_finds_the_dates_before_the_journal(lake: Lake, settings: Settings) -> None:
    """It may begin at any date that the journal holds, and reads 31 dates before that one."""
    journal(settings.journal_dir, 6)
    for back in range(30, 42):
        put(lake, BARS, rows(BARS, 2, day=age(back)))
    short = settings.model_copy(update={"retention": Retention(bars=1)})
    plan, needed = expiry.planned(lake, short, NOW.date())
    assert {share.day.date for share in plan.goes if share.table == "bars"} == {age(back) for back in range(37, 42)}
    assert needed.reading[age(5)] == "the journal may be read again from there"
    assert {kept.reason for kept in plan.stays if kept.share.day.date == age(32)} == {
        f"read by {age(5)}: the journal may be read again from there"
    }
