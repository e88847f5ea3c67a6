"""An archive that issues a file again: it is noticed, nothing changes by itself, and the command that is told takes it anew."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from assets.download import Patience
from assets.finishing import Ask, House, finish_all
from assets.reissues import Found, reissues, result
from tapeflow.cli import main
from tests.archive import days
from tests.archive.server import Shelf, serve
from tests.archive.test_backfill import DATES, DAYS, VENUE, daily, lake, monthly, packed, quick, rows

__all__ = ["quick"]
QUICK = Patience(attempts=2, first_s=0.01, most_s=0.01)


@pytest.fixture
def shelf() -> Shelf:
    made = Shelf()
    for date in DATES[:3]:
        made.checked(daily(date), packed(daily(date), days.agg(days.day(date))))
    return made


@pytest.fixture
def at(shelf: Shelf, tmp_path: Path) -> Iterator[House]:
    with serve(shelf) as url:
        made = lake(tmp_path / "data", url)
        assert [o.status for o in finish_all(made, DAYS[:3], Ask())] == ["sealed"] * 3
        yield made


def issue_anew(shelf: Shelf) -> None:
    path = daily(DATES[1])
    shelf.checked(path, packed(path, days.agg(days.day(DATES[1], seed=1))))


def test_a_file_that_was_issued_anew_is_told_and_taken_by_the_command_that_is_named(
    at: House, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert reissues(at.settings, at.lake, DATES[0], QUICK) == (3, {}, {})
    issue_anew(shelf)
    before, fetched = rows(at), shelf.count(daily(DATES[1]))
    found = reissues(at.settings, at.lake, DATES[0], QUICK)
    assert found == Found(3, {DAYS[1]: [daily(DATES[1]).rpartition("/")[2]]}, {})
    assert (rows(at), shelf.count(daily(DATES[1]))) == (before, fetched)
    told = result(found)
    assert not told.passed
    command = f"tapeflow backfill --venue {VENUE} --dates {DATES[1]} --force"
    assert command in str(told.description)
    monkeypatch.setattr("tapeflow.commands.history.settings", lambda **_: at.settings)
    assert main(command.split()[1:]) == 0
    assert rows(at) != before
    assert result(reissues(at.settings, at.lake, DATES[0], QUICK)).passed


def test_days_before_those_asked_for_are_left_alone(at: House, shelf: Shelf) -> None:
    issue_anew(shelf)
    assert reissues(at.settings, at.lake, DATES[2], QUICK) == (1, {}, {})


def test_days_whose_files_are_not_kept_are_not_said_to_have_been_asked_about(at: House) -> None:
    for path in (at.settings.data / "archive").rglob("*.zip"):
        path.unlink()
    assert reissues(at.settings, at.lake, DATES[0], QUICK) == (0, {}, {})


def test_an_archive_that_does_not_answer_is_told_and_no_alarm(at: House, shelf: Shelf) -> None:
    shelf.status = {f"{daily(date)}.CHECKSUM": 503 for date in DATES}
    found = reissues(at.settings, at.lake, DATES[0], QUICK)
    assert (found.asked, found.renewed) == (0, {})
    assert "503" in found.silent[VENUE]
    assert shelf.count(f"{daily(DATES[0])}.CHECKSUM") == 1 + QUICK.attempts
    told = result(found)
    assert told.passed
    assert "not asked" in str(told.description)


@pytest.mark.parametrize("tags", [True, False], ids=["tags", "no tags"])
def test_an_archive_without_checksums_is_asked_for_its_tags(tags: bool, shelf: Shelf, tmp_path: Path) -> None:
    for date in DATES:
        shelf.files.pop(f"{daily(date)}.CHECKSUM", None)
    shelf.tags = tags
    with serve(shelf) as url:
        made: Any = lake(tmp_path / "data", url)
        assert [o.status for o in finish_all(made, DAYS[:2], Ask())] == ["sealed"] * 2
        assert reissues(made.settings, made.lake, DATES[0], QUICK) == (2, {}, {})
        path = daily(DATES[1])
        shelf.put(path, packed(path, days.agg(days.day(DATES[1], seed=1))))
        assert set(reissues(made.settings, made.lake, DATES[0], QUICK).renewed) == ({DAYS[1]} if tags else set())


def test_each_day_of_a_month_that_was_issued_anew_is_told_until_it_is_taken_again(tmp_path: Path) -> None:
    """The first of them brings the new file; the others are made of the old one, which is kept no more."""
    shelf, october, path = Shelf(), DAYS[3:5], monthly(DATES[4])

    def issue(seed: int) -> None:
        shelf.checked(path, packed(path, days.agg([one for day in october for one in days.day(day.date, seed=seed)])))

    issue(0)
    with serve(shelf) as url:
        at = lake(tmp_path / "data", url)
        assert [o.status for o in finish_all(at, october, Ask())] == ["sealed"] * 2
        assert reissues(at.settings, at.lake, DATES[3], QUICK) == (2, {}, {})
        issue(1)
        left = [*october]
        while left:
            assert [*reissues(at.settings, at.lake, DATES[3], QUICK).renewed] == left
            (outcome,) = finish_all(at, [left.pop(0)], Ask(force=True))
            assert (outcome.status, outcome.error) == ("sealed", "")
        assert reissues(at.settings, at.lake, DATES[3], QUICK) == (2, {}, {})
