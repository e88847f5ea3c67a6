"""`tapeflow backtest`: on made-up days, on days of the lake, and what it refuses."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from pipelines import backtests
from pipelines.jobs import load
from pipelines.research.backtest.trades import Instrument
from pipelines.store.lake import Lake
from tapeflow.cli import main
from tests.pipelines.test_jobs import archive, job

SMALL = ("--from", "2024-03-01", "--to", "2024-03-03", "--control-from", "2024-02-10", "--grid", "50/25/1")
MADE_UP = (*SMALL, "--generated", "--scale", "0.002", "--symbols", "BTC-USDT")
DAYS = 4


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TAPEFLOW_CONFIG", raising=False)

    def command(*argv: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = main(["backtest", *argv])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return status, out, err

    return command


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, paths, first = tmp_path_factory.mktemp("backtest"), [], 1
    for day in range(DAYS):
        paths.append(folder / f"AAAUSDT-aggTrades-2023-11-{15 + day}.csv")
        first = archive(paths[-1], day, day, first, 1500)
    load(job(folder / "lake", *paths))
    return folder / "lake"


def test_made_up_days_are_told_to_be_made_up_and_kept_as_such(run: Any, tmp_path: Path) -> None:
    status, out, _ = run(*MADE_UP)
    assert status == 0
    assert out.startswith("GENERATED DAYS: nothing here says anything of a market\n")
    (report,) = (tmp_path / "data" / "backtests").glob("*/report.md")
    assert report.read_text().startswith("# Backtest on generated days: no market's\n")
    assert f"report: {report.relative_to(tmp_path)}" in out
    assert (report.parent / "BTC-USDT-slopes.svg").exists()
    kept = Lake(tmp_path / "data" / "lake").table("backtests").collect()
    assert kept["venue"].unique().to_list() == ["generated"]
    assert kept["generated"].null_count() == 0
    assert run(*MADE_UP)[0] == 0
    assert Lake(tmp_path / "data" / "lake").table("backtests").collect().equals(kept), "the same run is kept once"


def test_json_is_the_rows(run: Any) -> None:
    status, out, _ = run(*MADE_UP, "--json")
    rows = json.loads(out)
    assert status == 0
    assert {"vpin", "rv_1h", "events"} <= {row["measure"] for row in rows}


def test_days_of_the_lake_are_read_by_either_name(run: Any, filled: Path, tmp_path: Path) -> None:
    asked = ("--venue", "binance-usdm", "--from", "2023-11-18", "--to", "2023-11-18", "--control-from", "2023-11-15")
    for name in ("AAA-USDT-PERP", "AAAUSDT"):
        status, out, _ = run(*asked, "--symbols", name, "--lake", str(filled), "--grid", "25/10/1", "--out", str(tmp_path))
        assert status == 0
        assert "AAA-USDT-PERP" in out
        assert "GENERATED" not in out
    (report,) = tmp_path.glob("*/report.md")
    text = report.read_text()
    assert text.startswith("# Backtest of VPIN as an alarm of falls: binance-usdm, 2023-11-18 to 2023-11-18\n")
    assert "| AAA-USDT-PERP | 6,000 | 4 of 4 |" in text
    assert Lake(filled).table("backtests").collect()["generated"].null_count() > 0


def test_what_the_lake_lacks_is_named_with_the_command_that_fetches_it(run: Any, filled: Path) -> None:
    status, _, err = run("--venue", "binance-usdm", "--symbols", "AAAUSDT", "--lake", str(filled))
    assert status == 1
    assert "no trades of AAAUSDT at binance-usdm from 2022-08-02 to 2022-11-12" in err
    assert "`tapeflow backfill --venue binance-usdm --symbols AAAUSDT --from 2022-08-02 --to 2022-11-12`" in err
    status, _, err = run("--symbols", "BTC-USDT", "--lake", str(filled))
    assert status == 1
    assert "tapeflow backfill" in err


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("--from", "soon"), "--from soon: not a date"),
        (("--from", "0001-01-01"), "--from 0001-01-01: no trades are of that year"),
        (("--from", "2022-11-12", "--to", "2022-11-02"), "ends before it begins"),
        (("--control-to", "2022-11-02"), "must end before 2022-11-02"),
        (("--generated", "--grid", "50"), "--grid: '50' is no grid"),
        (("--symbols", " , "), "name at least one"),
    ],
)
def test_what_cannot_be_asked_is_refused(run: Any, argv: tuple[str, ...], said: str) -> None:
    status, _, err = run(*argv)
    assert status == 2
    assert said in err


def test_alerts_of_history_count_before_live_ones_and_the_newest_version(filled: Path) -> None:
    tape = backtests.LakeTape(str(filled), [dt.date(2023, 11, 15), dt.date(2023, 11, 18)])
    alerts = tape.alerts(Instrument("binance-usdm", "AAA-USDT-PERP"))
    assert alerts.height > 0
    assert alerts["origin"].unique().to_list() == ["history"]
    assert alerts.group_by("detector").agg(versions=alerts["version"].n_unique()).height == alerts["detector"].n_unique()
