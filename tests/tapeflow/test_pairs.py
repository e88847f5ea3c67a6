"""`tapeflow pairs`: what it prints, what it stores, and how it refuses."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.market import BARS
from pipelines.store.lake import Lake
from tapeflow.cli import main
from tests.pipelines.research.legs import walks
from tests.pipelines.store.samples import DAY, moment, put, rows

COUNT = 200


@pytest.fixture(autouse=True)
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """Fill the lake of the default settings: two legs that hang together, one that does not, one elsewhere, one that stands."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TAPEFLOW_CONFIG", raising=False)
    lake = Lake(tmp_path / "data" / "lake")
    lake.create()
    y, x = walks(1, COUNT)
    other, _ = walks(2, COUNT)
    fill(lake, "BTC-USDT", np.exp(y).tolist())
    fill(lake, "ETH-USDT", np.exp(x).tolist())
    fill(lake, "SOL-USDT", np.exp(other).tolist())
    fill(lake, "FTT-USDT", [1.0] * COUNT)
    fill(lake, "ETH-USD", np.exp(x).tolist(), venue="okx")
    return lake


def fill(lake: Lake, symbol: str, closes: list[float], venue: str = "demo") -> None:
    ends = [moment((k + 1) * 60) for k in range(len(closes))]
    part = rows(BARS, len(closes), symbol=symbol, venue=venue, bar="1m", end=ends, close=closes, day=DAY)
    put(lake, BARS, part)


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    capsys.readouterr()
    status = main(["pairs", *argv])
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return status, out, err


def listed(capsys: pytest.CaptureFixture[str], *argv: str) -> list[dict[str, Any]]:
    status, out, _ = run(capsys, *argv, "--json")
    assert status == 0
    found: list[dict[str, Any]] = json.loads(out)
    return found


def test_two_symbols_give_every_measure(capsys: pytest.CaptureFixture[str]) -> None:
    (row,) = listed(capsys, "BTC-USDT", "ETH-USDT", "--interval", "1m", "--window", "60")
    assert (row["venue"], row["y"], row["x"], row["points"], row["tested"]) == ("demo", "BTC-USDT", "ETH-USDT", COUNT, 1)
    assert row["beta"] == pytest.approx(0.8, abs=0.05)
    assert row["ts"] == "2024-07-19T00:00:00Z"
    assert row["end"] == "2024-07-19T03:20:00Z"
    assert row["eg_p"] < 0.01
    status, out, _ = run(capsys, "BTC-USDT", "ETH-USDT", "--interval", "1m")
    assert status == 0
    assert all(name in out for name in ("beta_huber", "eg_reverse_p", "half_life_hours"))
    assert "note: 1m bars over 0.139 days; tests of cointegration want 15m to 1h over 30 days" in out


def test_a_measure_that_does_not_exist_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "BTC-USDT", "FTT-USDT", "--interval", "1m")
    line = next(line for line in out.splitlines() if " beta_tls " in line)
    assert "x is constant" in line


def test_three_symbols_or_all_give_a_table_of_pairs(capsys: pytest.CaptureFixture[str]) -> None:
    three = listed(capsys, "SOL-USDT", "ETH-USDT", "BTC-USDT", "--interval", "1m", "--lags", "2")
    assert [(r["y"], r["x"]) for r in three] == [("SOL-USDT", "ETH-USDT"), ("SOL-USDT", "BTC-USDT"), ("ETH-USDT", "BTC-USDT")]
    assert {r["tested"] for r in three} == {3}
    assert {r["lags"] for r in three} == {2}
    assert len(listed(capsys, "--all", "--venue", "demo", "--interval", "1m", "--lags", "2")) == 6
    status, out, _ = run(capsys, "--all", "--venue", "demo", "--interval", "1m", "--lags", "2")
    assert status == 0
    assert "3 of 6 pairs tested" in out
    assert "p_bonferroni" in out


def test_a_span_is_kept_to(capsys: pytest.CaptureFixture[str]) -> None:
    (row,) = listed(
        capsys, "BTC-USDT", "ETH-USDT", "--interval", "1m", "--start", "2024-07-19T01:00Z", "--end", "2024-07-19T02:00Z"
    )
    assert (row["points"], row["ts"], row["end"]) == (60, "2024-07-19T01:00:00Z", "2024-07-19T02:00:00Z")
    assert row["z"] is None


def test_rows_are_stored_once(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ("--all", "--venue", "demo", "--interval", "1m", "--lags", "2", "--store")
    rows = listed(capsys, *argv)
    assert listed(capsys, *argv) == rows
    kept = Lake(lake.root).table("pairs").sort("y", "x").collect()
    assert kept.height == 6
    assert kept["date"].unique().to_list() == [dt.date(2024, 7, 19)]
    assert kept["run"].unique().to_list() == [rows[0]["run"]]
    listed(capsys, *argv, "--window", "30")
    assert Lake(lake.root).table("pairs").collect().height == 12


@pytest.mark.parametrize(
    ("argv", "status", "told"),
    [
        ([], 2, "name two symbols or more, or say --all"),
        (["BTC-USDT"], 2, "name two symbols or more"),
        (["BTC-USDT", "BTC-USDT"], 2, "name two symbols or more"),
        (["BTC-USDT", "BTCUSDT"], 1, "1 symbols with 1m bars in that span; a pair needs two"),
        (["BTC-USDT", "ETH-USD"], 2, "the symbols are on demo, okx; both legs need one clock: choose with --venue"),
        (["--all"], 2, "the symbols are on demo, okx"),
        (["BTC-USDT", "ETH-USDT", "--window", "2"], 2, "--window 2: a window of 2 points; the least is 3"),
        (["BTC-USDT", "ETH-USDT", "--interval", "7m"], 2, "--interval 7m: there are 1s, 1m"),
        (["BTC-USDT", "ETH-USDT", "--interval", "1h"], 1, "no 1h bars of BTC-USDT, ETH-USDT in that span; `tapeflow coverage`"),
        (["BTC-USDT", "XRP-USDT"], 1, "unknown symbol 'XRP-USDT'"),
        (["BTC-USDT", "ETH-USDT", "--lags", "-1"], 2, ""),
        (["BTC-USDT", "ETH-USDT", "--lake", "nowhere"], 1, "no lake at"),
    ],
)
def test_it_refuses_in_plain_words(capsys: pytest.CaptureFixture[str], argv: list[str], status: int, told: str) -> None:
    argv = argv if "--interval" in argv else [*argv, "--interval", "1m"]
    found, out, err = run(capsys, *argv)
    assert (found, out) == (status, "")
    assert told in err
