"""`tapeflow score`: what it prints and keeps, and what it refuses."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.jobs import load
from pipelines.market import ALERTS, BARS
from pipelines.store.lake import Lake
from tapeflow.cli import main
from tests.pipelines.store.samples import DAY, moment, put, rows
from tests.pipelines.test_jobs import archive, job

DAYS = 8
MINUTES = DAYS * 1440


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill(tmp_path_factory.mktemp("score") / "lake")


def fill(root: Path, minutes: int = MINUTES) -> Path:
    """Make a lake of 8 days whose price is 102 from 12:00 to 13:00, else 100, and that alerts at 11:59 and at 18:00."""
    lake = Lake(root)
    lake.create()
    dates = [DAY + dt.timedelta(days=k // 1440) for k in range(minutes)]
    closes = [102.0 if 720 <= k % 1440 < 780 else 100.0 for k in range(minutes)]
    ends = [moment(60 * (k + 1)) for k in range(minutes)]
    put(lake, BARS, rows(BARS, minutes, date=dates, close=closes, end=ends))
    for symbol in ("BTC-USDT", "XRP-USDT"):
        days = DAYS if symbol == "BTC-USDT" else 1
        times = [moment(60 * m) for k in range(days) for at in (719, 1080) if (m := 1440 * k + at) <= minutes]
        about: dict[str, Any] = {"symbol": symbol, "detector": "big_trade", "version": 1, "origin": "live"}
        put(lake, ALERTS, rows(ALERTS, len(times), ts=times, end=times, date=[t.date() for t in times], **about))
    return Path(lake.root)


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    capsys.readouterr()
    status = main(["score", *argv])
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return status, out, err


def test_a_row_an_instrument_and_detector(filled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "--lake", str(filled))
    assert status == 0
    assert out.startswith("move:1%/10m, horizon 10m, alerts within 10m merged\n")
    lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in out.splitlines() if "USDT" in line]
    assert lines[0][:6] == ["demo", "BTC-USDT", "big_trade", "live", "7.99", "0.500 (0.500 to 0.500), 8 of 16"]
    assert lines[0][7:] == ["0.500 (0.500 to 0.500), 8 of 16", "120 (120 to 120)", "1 (1 to 1)"]
    assert lines[1][1:6] == ["XRP-USDT", "big_trade", "live", "0.00", "no alert can be judged, 0 of 0"]
    assert lines[1][6:] == ["", "no events, 0 of 0", "no event was foretold", "never watched for so long"]
    assert "--json gives each reason" in out


def test_json_has_the_columns_of_the_table(filled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("--symbol", "BTC-USDT", "--event", "move:1.5%/5m", "--horizon", "1h", "--cooldown", "90s", "--origin", "live")
    status, out, _ = run(capsys, "--lake", str(filled), *asked, "--json")
    found = json.loads(out)
    assert (status, len(found)) == (0, 1)
    assert (found[0]["event"], found[0]["horizon_s"], found[0]["cooldown_s"]) == ("move:1.5%/5m", 3600, 90)
    assert (found[0]["precision"], found[0]["precision_low"], found[0]["alerts"]) == (0.5, 0.5, 16)
    assert (found[0]["ts"], found[0]["end"]) == ("2024-07-19T00:00:00Z", "2024-07-27T00:00:00Z")
    assert found[0]["why"] == []


def test_only_a_part_may_be_scored(filled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    part = ("--symbol", "BTCUSDT", "--start", "2024-07-20", "--end", "2024-07-21T12:30", "--detector", "big_trade")
    found = json.loads(run(capsys, "--lake", str(filled), *part, "--json")[1])
    assert [(f["alerts"], f["hits"], f["events"]) for f in found] == [(3, 2, 3)]
    assert found[0]["why"][0] == "precision: alerts on 2 of the 7 days needed"


def test_a_score_up_to_a_time_is_the_same_without_later_rows(
    filled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    part = fill(tmp_path / "part", 3 * 1440 + 800)
    for rule in ("move:1%/10m", "rv:5%/10m", "jump:1%/5m"):
        asked = ("--event", rule, "--horizon", "1h", "--end", "2024-07-22T13:00", "--json")
        whole, known = (
            [{**f, "as_of": ""} for f in json.loads(run(capsys, "--lake", str(x), *asked)[1])] for x in (filled, part)
        )
        assert whole == known
        assert len(whole) == 2
        assert whole[0]["events"] > 0 or not rule.startswith("move")


def test_a_score_is_kept_and_the_newest_is_seen(filled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lake = Lake(filled)
    before = lake.table("scores_history").collect().height
    for _ in range(2):
        assert run(capsys, "--lake", str(filled), "--event", "rv:1%/10m", "--store", "--json")[0] == 0
    assert lake.table("scores_history").collect().height == before + 4
    kept = lake.table("scores", event="rv:1%/10m").sort("symbol").collect()
    assert kept["symbol"].to_list() == ["BTC-USDT", "XRP-USDT"]
    assert kept["as_of"].max() == lake.table("scores_history").collect()["as_of"].max()
    assert lake.sql("SELECT symbol FROM scores WHERE event = 'rv:1%/10m' ORDER BY ALL").fetchall() == [
        ("BTC-USDT",),
        ("XRP-USDT",),
    ]


def test_scores_stay_when_their_dates_are_loaded_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    day = tmp_path / "AAAUSDT-aggTrades-2023-11-15.csv"
    archive(day, 1, 0, 1)
    load(job(tmp_path / "lake", day))
    assert run(capsys, "--lake", str(tmp_path / "lake"), "--store")[0] == 0
    kept = Lake(tmp_path / "lake").table("scores").collect()
    archive(day, 2, 0, 1)
    load(job(tmp_path / "lake", day, replace=True))
    assert Lake(tmp_path / "lake").table("scores").collect().equals(kept)
    assert kept.height > 0


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(
    ("argv", "status", "told"),
    [
        (("--event", "crash"), 2, "'crash' is no event rule; write move:1%/10m, rv:5%/10m or jump:1%/5m"),
        (("--horizon", "soon"), 2, "'soon' is no span of time"),
        (("--cooldown", "0m"), 2, "'0m' is no span of time"),
        (("--horizon", "5m"), 2, "the horizon (5m) is shorter than an event of move:1%/10m may take"),
        (("--origin", "paper"), 2, "paper"),
        (("--detector", "oracle"), 1, "no alerts of detector 'oracle'; there are some of big_trade"),
        (("--origin", "history"), 1, "no alerts of origin 'history'; there are some of live"),
        (("--start", "2030-01-01"), 1, "no alerts there"),
        (("--symbol", "DOGE-USDT"), 1, "unknown symbol 'DOGE-USDT'"),
    ],
)
def test_what_cannot_be_scored_is_refused(
    filled: Path, capsys: pytest.CaptureFixture[str], argv: tuple[str, ...], status: int, told: str
) -> None:
    got, out, err = run(capsys, "--lake", str(filled), *argv)
    assert (got, out) == (status, "")
    assert told in err


@pytest.mark.usefixtures("place")
def test_without_a_lake_it_says_what_makes_one(capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = run(capsys)
    assert status == 1
    assert "`tapeflow up` makes one" in err
