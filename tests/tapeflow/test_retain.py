"""`tapeflow retain`: the plan, what is done about it, and that a dry run touches nothing."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.account_tables import QUARANTINE
from pipelines.feed_tables import QUOTES
from pipelines.market import TRADES
from pipelines.records import Kind
from pipelines.store.journal_writer import Writer
from pipelines.store.lake import Lake
from pipelines.store.retention import publish_consumed
from pipelines.store.segment import Record, segments
from tapeflow.cli import main
from tests.pipelines.store.samples import put, rows

pytestmark = pytest.mark.usefixtures("place")

TODAY = dt.datetime.now(dt.UTC).date()
OLD = TODAY - dt.timedelta(200)


@pytest.fixture
def lake(place: Path) -> Lake:
    """Fill a lake: quotes that may go, some that are not sealed, and a journal."""
    lake = Lake(place / "data" / "lake")
    lake.create()
    for days in (100, 90, 10):
        put(lake, QUOTES, rows(QUOTES, 5, day=TODAY - dt.timedelta(days)))
    put(lake, TRADES, rows(TRADES, 5, day=OLD))
    for table in (QUOTES, QUARANTINE):
        put(lake, table, rows(table, 5, day=OLD))
    folder = place / "data" / "journal" / "main"
    for days in (40, 30, 20, 0):
        at = int(dt.datetime.combine(TODAY - dt.timedelta(days), dt.time(), dt.UTC).timestamp()) * 10**9
        with Writer(folder) as writer:
            writer.write([Record(at, 0, Kind.HEARTBEAT, b"")])
    publish_consumed(folder, segments(folder)[-1].name, 0)
    return lake


def tree(folder: Path) -> dict[str, str]:
    """Return every file's path, time and contents."""
    return {
        str(path.relative_to(folder)): f"{path.stat().st_mtime_ns} {hashlib.sha256(path.read_bytes()).hexdigest()}"
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    capsys.readouterr()
    status = main(["retain", *argv])
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return status, out, err


def told(capsys: pytest.CaptureFixture[str], *argv: str) -> dict[str, Any]:
    status, out, _ = run(capsys, *argv, "--json")
    assert status == 0
    found: dict[str, Any] = json.loads(out)
    return found


def test_a_dry_run_tells_what_would_go_and_touches_nothing(lake: Lake, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = tree(place)
    plan = told(capsys, "--dry-run")
    assert plan["dry_run"] is True
    assert "done" not in plan
    assert [(s["table"], s["date"], s["venue"], s["files"], s["rows"]) for s in plan["goes"]] == [
        ("quotes", str(TODAY - dt.timedelta(days)), "demo", 1, 5) for days in (100, 90)
    ]
    assert sum(s["bytes"] for s in plan["goes"]) > 0
    assert {(s["table"], s["date"], s["reason"]) for s in plan["stays"]} == {
        ("quotes", str(OLD), "not sealed yet"),
        ("quarantine", str(OLD), "not sealed yet"),
    }
    assert plan["journal"]["segments"] == ["seg-0000000001.tfj", "seg-0000000002.tfj"]
    status, out, _ = run(capsys, "--dry-run")
    assert status == 0
    assert "would go:" in out
    assert "not sealed yet" in out
    assert "journal: 2 segments" in out
    assert "kept for ever: trades, bars," in out
    assert "seals" in out.rpartition("kept for ever:")[2]
    assert tree(place) == before


def test_without_it_what_may_go_is_removed_and_told(lake: Lake, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = told(capsys)
    assert [(r["table"], r["files"], r["rows"]) for r in done["done"]["removed"]] == [("quotes", 2, 10)]
    assert done["done"]["segments"] == done["journal"]["segments"]
    assert {f.date for f in lake.live("quotes").values()} == {str(OLD), str(TODAY - dt.timedelta(10))}
    assert len(segments(place / "data" / "journal" / "main")) == 2
    status, out, _ = run(capsys)
    assert status == 0
    assert out.startswith("nothing is past its limit and free to go")
    assert "stays, though past its limit:" in out


def test_without_a_lake_it_says_what_makes_one(capsys: pytest.CaptureFixture[str], place: Path) -> None:
    status, _, err = run(capsys, "--dry-run")
    assert status == 1
    assert "tapeflow up" in err
    assert list(place.iterdir()) == []


def test_bad_limits_are_told_with_the_other_faults(capsys: pytest.CaptureFixture[str], place: Path) -> None:
    (place / "tapeflow.yaml").write_text("retention: {quotes: -1, seals: 7}\nports: {demo: 0}\n")
    status, _, err = run(capsys)
    assert status == 2
    assert "retention: no limit can be set for seals" in err
    assert "ports.demo" in err
