"""`tapeflow reset --demo` deletes the demo's data and nothing else, and nothing that is in use."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from tapeflow.cli import main


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a data folder with rows of the demo and of others."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TAPEFLOW_DATA", str(tmp_path))
    for folder in ("lake", "demo/lake", "demo/status", "demo/journal/main", "demo/recovery/main"):
        (tmp_path / folder).mkdir(parents=True)
    for lock in ("status/up.lock", "journal/main/lock", "recovery/main/lock"):
        (tmp_path / "demo" / lock).touch()
    return tmp_path


def test_deletes_the_demo_alone(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reset", "--demo"]) == 0
    assert not (data / "demo").exists()
    assert (data / "lake").is_dir()
    assert main(["reset", "--demo"]) == 0
    assert "nothing to delete" in capsys.readouterr().out


@pytest.mark.parametrize("lock", ["status/up.lock", "journal/main/lock", "recovery/main/lock"])
def test_refuses_while_something_runs_on_it(data: Path, lock: str, capsys: pytest.CaptureFixture[str]) -> None:
    with (data / "demo" / lock).open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert main(["reset", "--demo"]) == 1
    assert (data / "demo" / "lake").is_dir()
    assert "stop it first" in capsys.readouterr().err


def test_asks_to_say_that_the_demo_is_meant(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reset"]) == 2
    assert (data / "demo" / "lake").is_dir()
    assert "reset --demo" in capsys.readouterr().err
