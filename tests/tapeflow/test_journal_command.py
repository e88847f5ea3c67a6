"""The command `tapeflow journal`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipelines.records import Kind
from pipelines.store.journal import segments
from pipelines.store.journal_writer import Writer
from pipelines.store.segment import Record
from tapeflow.cli import main
from tapeflow.journal_command import app

T = 1_700_000_000 * 10**9
run = CliRunner().invoke


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for k in range(2):
        with Writer(tmp_path) as writer:
            writer.write([Record(T + k * 10**9, 4, Kind.FRAME, b'{"k":%d}' % k), Record(T + k * 10**9, 0, Kind.HEARTBEAT, b"")])
    return tmp_path


def test_list(folder: Path) -> None:
    rows = json.loads(run(app, ["list", str(folder), "--json"]).stdout)
    assert [row["state"] for row in rows] == ["unread", "open"]
    assert "2023-11-14 22:13:20" in run(app, ["list", str(folder)]).stdout, "nothing is cut where the output is no terminal"


def test_verify_exits_1_on_damage_of_a_closed_segment(folder: Path) -> None:
    sound = run(app, ["verify", str(folder)])
    assert sound.exit_code == 0
    assert "frame 1, heartbeat 1" in sound.stdout
    path = segments(folder)[0]
    path.write_bytes(path.read_bytes()[:-1])
    result = run(app, ["verify", str(folder), "--json"])
    assert result.exit_code == 1
    assert json.loads(result.stdout)[0]["damage"][0]["reason"] == "torn tail"


def test_print(folder: Path) -> None:
    for start in ("2023-11-14T22:13:21", "2023-11-14T22:13:21Z", "2023-11-14T23:13:20.000001+01:00"):
        result = run(app, ["print", str(folder), "--start", start, "--kind", "frame", "--json"])
        assert [json.loads(line)["payload"] for line in result.stdout.splitlines()] == [{"k": 1}]
    day = ["--start", "2023-11-14", "--end", "2023-11-14", "--kind", "frame"]
    assert len(run(app, ["print", str(folder), *day]).stdout.splitlines()) == 2, "the same date as start and end is that day"
    assert run(app, ["print", str(folder), "--limit", "1"]).stdout.split()[-3:] == ["frame", '{"k":', "0}"]


def test_refusals_say_what_to_do_with_exit_status_2(folder: Path, tmp_path: Path) -> None:
    result = run(app, ["print", str(folder), "--kind", "frames"])
    assert result.exit_code == 2
    assert "unknown kind 'frames'; use frame, heartbeat" in result.stderr
    result = run(app, ["list", str(tmp_path / "nowhere")])
    assert result.exit_code == 2
    assert "no journal at" in result.stderr
    result = run(app, ["print", str(folder), "--start", "noon"])
    assert result.exit_code == 2
    assert "tapeflow: start: 'noon' is no time; use 2024-07-19" in result.stderr


@pytest.mark.parametrize("command", ["list", "verify", "print"])
def test_a_file_is_no_journal(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "file"
    file.write_text("")
    assert main(["journal", command, str(file)]) == 2
    assert f"no journal at {file}; start the recorder" in capsys.readouterr().err
