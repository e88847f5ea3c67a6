"""What commands cannot work with is refused before any work is done: one message, exit status 2."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipelines import sources
from tapeflow.cli import main

pytestmark = pytest.mark.usefixtures("place")
TAPE = "AAAUSDT-aggTrades-2023-11-15.csv"
DAYS = ("--from", "2022-11-02", "--to", "2022-11-02")
WRITE = [
    ("load", TAPE, "--venue", "binance-usdm"),
    ("replay", TAPE, "--venue", "binance-usdm"),
    ("backfill", "--venue", "binance-usdm", "--symbols", "AAAUSDT", *DAYS),
    ("backtest", "--generated", *DAYS),
]
READ = [
    ("seal",),
    ("tables",),
    ("sql", "select 1"),
    ("coverage",),
    ("export", "bars", "-o", "bars.csv"),
    ("fact", "F1"),
    ("ask", "why did VPIN rise on BTC last night?"),
    ("agents", "run", "rvol"),
    ("pairs", "A", "B"),
    ("score",),
    ("backtest",),
    ("learn", "--last", "2026-01-01"),
]


@pytest.mark.parametrize("lake", ["file", "file/lake"])
@pytest.mark.parametrize("argv", [*WRITE, *READ], ids=" ".join)
def test_a_lake_that_is_a_file(
    argv: tuple[str, ...], lake: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("file").write_text("")
    monkeypatch.setattr(sources, "open_source", lambda *_, **__: pytest.fail("the source was opened"))
    assert main([*argv, "--lake", lake]) == 2
    err = capsys.readouterr().err
    assert err.endswith(f"lake {lake}: {Path('file').absolute()} is a file; name a folder\n")
    assert err.count("\n") == 1


@pytest.mark.parametrize("argv", WRITE, ids=" ".join)
def test_a_lake_that_cannot_be_written(
    argv: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], place: Path
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)
    assert main([*argv, "--lake", "lake"]) == 2
    assert capsys.readouterr().err.endswith(f"lake lake: {place} cannot be written; name a folder that can\n")


def test_a_lake_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    Path("lake").mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert main(["tables", "--lake", "lake"]) == 2
    assert "lake cannot be read; name a folder that can" in capsys.readouterr().err


@pytest.mark.parametrize("command", [("run", "--until-end"), ("rebuild", "--from", "2026-11-20")], ids=" ".join)
def test_the_lake_of_the_settings_is_a_file(command: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    Path("data").mkdir()
    Path("data/lake").write_text("")
    assert main([*command]) == 2
    assert "lake data/lake: " in (err := capsys.readouterr().err)
    assert "is a file; name a folder" in err


def test_reports_that_cannot_be_written_are_not_made(capsys: pytest.CaptureFixture[str]) -> None:
    Path("file").write_text("")
    assert main(["backtest", "--generated", *DAYS, "--out", "file"]) == 2
    assert "--out file: " in capsys.readouterr().err
    assert not Path("data").exists()
