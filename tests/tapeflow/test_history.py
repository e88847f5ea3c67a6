"""`tapeflow backfill` and `seal`: what they do, print, and refuse."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from assets import finishing
from pipelines.store.lake import Lake
from tapeflow.cli import main
from tests.assets.conftest import NOW, Stream, trade
from tests.assets.test_history import DAYS, VENUE, Archive

RANGE = ("--venue", VENUE, "--symbols", "AAAUSDT", "--from", "2026-11-01", "--to", "2026-11-03")


@pytest.fixture(autouse=True)
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TAPEFLOW_CONFIG", raising=False)
    made = Archive()
    monkeypatch.setattr(finishing, "fetch_day", made.fetch)
    monkeypatch.setattr(finishing, "fetch_klines", lambda *_: ())
    return made


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    capsys.readouterr()
    status = main(list(argv))
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return status, out, err


def listed(out: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(out)
    return found


def test_a_bad_day_stops_no_other_and_is_named(archive: Archive, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    archive.broken = {DAYS[1]}
    status, out, err = run(capsys, "backfill", *RANGE, "--json")
    assert status == 1
    assert [(row["date"], row["status"]) for row in listed(out)] == [
        ("2026-11-01", "sealed"),
        ("2026-11-02", "failed"),
        ("2026-11-03", "sealed"),
    ]
    assert listed(out)[1]["error"] == f"no file of {DAYS[1]}"
    assert listed(out)[0]["rows"]["trades"] > 0
    command = next(line for line in err.splitlines() if line.strip().startswith("tapeflow backfill")).split()
    assert command == ["tapeflow", "backfill", "--venue", VENUE, "--symbols", "AAAUSDT", "--dates", "2026-11-02"]
    archive.broken, archive.asked = set(), []
    status, out, _ = run(capsys, *command[1:])
    assert (status, out, archive.asked) == (0, "1 sealed\n", [DAYS[1]])
    status, out, err = run(capsys, "seal")  # the third had read what was missing
    assert (status, out) == (0, "1 sealed\n")
    assert f"{DAYS[2]}  sealed, " in err
    archive.asked = []
    status, out, _ = run(capsys, "backfill", *RANGE)
    assert (status, out, archive.asked) == (0, "3 complete\n", [])
    assert len(Lake(tmp_path / "data" / "lake").table("trades").select("date").unique().collect()) == 3


def test_what_is_tried_again_is_of_the_same_lake(archive: Archive, capsys: pytest.CaptureFixture[str]) -> None:
    archive.broken = {DAYS[0]}
    some = ("backfill", "--venue", VENUE, "--symbols", "AAAUSDT", "--dates", "2026-11-01")
    for given, told in (("--lake", "an other"), "--lake 'an other'"), (("--demo",), "--demo"):
        status, _, err = run(capsys, *some, *given)
        assert status == 1
        assert err.splitlines()[-1] == f"  tapeflow {' '.join(some)} {told}"


def test_without_anything_due_seal_says_so(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    status, _, err = run(capsys, "seal")
    assert status == 1
    assert "no lake" in err
    Lake(tmp_path / "data" / "lake").create()
    assert run(capsys, "seal")[:2] == (0, "nothing is due\n")
    assert run(capsys, "seal", "--json")[:2] == (0, "[]\n")
    status, _, err = run(capsys, "seal", "--venue", "okz")
    assert status == 2
    assert "unknown venue 'okz'; use binance-spot" in err


def test_a_day_that_is_not_over_for_the_flow_is_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    stream = Stream(str(tmp_path / "data" / "lake"))
    stream.lake.create()
    stream.commit("trades", trade(1))
    status, out, err = run(capsys, "seal")
    assert (status, out) == (0, "nothing is due\n")
    assert f"not over for the flow, so not sealed (--force does): demo {NOW.date()}" in err
    assert run(capsys, "seal", "--venue", "okx")[2] == ""
    assert run(capsys, "seal", "--force")[:2] == (0, "1 sealed\n")


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (("--venue", "binance", "--dates", "2026-11-01"), "unknown venue 'binance'; use binance-spot, "),
        (("--venue", VENUE, "--symbols", "BTC-USDT", "--dates", "2026-11-01"), "did you mean BTC-USDT-PERP?"),
        (("--venue", VENUE, "--from", "2026-11-02", "--to", "2026-11-01"), "--from 2026-11-02 is after --to 2026-11-01"),
        (("--venue", VENUE, "--symbols", ",", "--dates", "2026-11-01"), "--symbols names none; leave it out"),
        (("--venue", VENUE, "--from", "2026-11-02"), "give --from and --to, or --dates"),
        (("--venue", VENUE, "--dates", "2026-11-01", "--to", "2026-11-01"), "give --from and --to, or --dates"),
        (("--venue", VENUE, "--dates", "yesterday"), "--dates yesterday: no date; write it like 2026-11-20"),
    ],
)
def test_what_cannot_be_meant_is_refused(capsys: pytest.CaptureFixture[str], argv: tuple[str, ...], told: str) -> None:
    status, out, err = run(capsys, "backfill", *argv)
    assert (status, out) == (2, "")
    assert told in err
    assert not Path("data").exists()


def test_a_day_that_has_not_begun_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    tomorrow = dt.datetime.now(dt.UTC).date() + dt.timedelta(days=1)
    _, _, err = run(capsys, "backfill", "--venue", VENUE, "--dates", str(tomorrow))
    assert "that day has not begun yet" in err or dt.datetime.now(dt.UTC).date() == tomorrow  # midnight has just passed
