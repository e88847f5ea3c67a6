"""The logs of supervised processes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import structlog

from tapeflow import logs
from tapeflow.logs import ProcessLog

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def records(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_plain_lines_become_json_and_json_stays_as_it_is(tmp_path: Path) -> None:
    log = ProcessLog(tmp_path / "flow.log")
    log.feed(b'Traceback "x"\n{"event": "gap", "from_id": 7}\n{broken\n[1]\n\n')
    log.close()
    first, second, third, fourth = records(log.path)
    assert first["event"] == 'Traceback "x"'
    assert first["timestamp"].endswith("Z")
    assert second == {"event": "gap", "from_id": 7}
    assert third["event"] == "{broken"
    assert fourth["event"] == "[1]"
    assert list(log.last) == ['Traceback "x"', "gap", "{broken", "[1]"]


def test_lines_come_together_from_pieces_and_bad_bytes_are_replaced(tmp_path: Path) -> None:
    log = ProcessLog(tmp_path / "flow.log")
    for piece in (b"o", b"ne\ntw", b"o\xff\nthree"):
        log.feed(piece)
    log.close()
    assert [r["event"] for r in records(log.path)] == ["one", "two\ufffd", "three"]


def test_an_endless_line_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "LONGEST_LINE", 10)
    log = ProcessLog(tmp_path / "flow.log")
    log.feed(b"x" * 25)
    log.close()
    assert [len(r["event"]) for r in records(log.path)] == [10, 10, 5]


def test_files_rotate_by_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MAX_BYTES", 500)
    monkeypatch.setattr(logs, "OLD_FILES", 2)
    log = ProcessLog(tmp_path / "flow.log")
    for i in range(50):
        log.feed(f"line {i}\n".encode())
    log.close()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["flow.log", "flow.log.1", "flow.log.2"]
    assert all(p.stat().st_size <= 500 for p in tmp_path.iterdir())
    assert records(log.path)[-1]["event"] == "line 49"


def test_our_processes_log_json_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("info")
    log = structlog.get_logger()
    log.debug("hidden")
    log.info("gap", from_id=7)
    try:
        int("bad")
    except ValueError:
        log.exception("failed")
    structlog.reset_defaults()
    said = capsys.readouterr()
    first, second = (json.loads(line) for line in said.err.splitlines())
    assert said.out == ""
    assert first["event"] == "gap"
    assert first["from_id"] == 7
    assert first["level"] == "info"
    assert first["timestamp"].endswith("Z")
    assert "ValueError: invalid literal" in second["exception"]
