"""The commands that read the lake: what they print, and how they refuse."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.main import get_command

import tapeflow as tf
from pipelines.account_tables import SEALS
from pipelines.market import BARS, GAPS, TABLES, TRADES
from pipelines.store.lake import Lake, LakeError
from tapeflow import show
from tapeflow.cli import main
from tapeflow.commands import app
from tests.pipelines.store.samples import moment, put, rows

pytestmark = pytest.mark.usefixtures("place")


@pytest.fixture
def lake(place: Path) -> Lake:
    """Fill the lake of the default settings."""
    lake = Lake(place / "data" / "lake")
    lake.create()
    put(lake, TRADES, rows(TRADES, 4, counted=[True, True, True, False]))
    put(lake, TRADES, rows(TRADES, 2, venue="okx", symbol="ETH-USDT"))
    put(lake, BARS, rows(BARS, 4, quality=["complete", "complete", "gap", "late"]))
    return lake


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    capsys.readouterr()
    status = main(list(argv))
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return status, out, err


def test_tables(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "tables", "--json")
    listed = {row["table"]: row for row in json.loads(out)}
    assert status == 0
    assert list(listed) == list(TABLES)
    size = sum(Path(path).stat().st_size for path in lake.files("trades"))
    assert listed["trades"] == {
        "table": "trades",
        "rows": 6,
        "files": 2,
        "bytes": size,
        "min_ts": "2024-07-19T00:00:00Z",
        "max_ts": "2024-07-19T00:03:00Z",
    }
    assert listed["vpin"] == {"table": "vpin", "rows": 0, "files": 0, "bytes": 0, "min_ts": None, "max_ts": None}
    status, out, _ = run(capsys, "tables", "--lake", lake.root)
    assert status == 0
    assert "2024-07-19 00:03:00" in out


def test_sql_prints_a_table_json_or_csv(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    totals = "SELECT symbol, count(*) AS n, sum(trade_id) AS ids, max(ts) AS last, 'NaN'::float AS f"
    query = f"{totals} FROM trades GROUP BY symbol ORDER BY symbol"
    status, out, _ = run(capsys, "sql", query, "--json")
    assert status == 0
    assert json.loads(out) == [
        {"symbol": "BTC-USDT", "n": 4, "ids": 6, "last": "2024-07-19T00:03:00Z", "f": None},
        {"symbol": "ETH-USDT", "n": 2, "ids": 1, "last": "2024-07-19T00:01:00Z", "f": None},
    ]
    status, out, _ = run(capsys, "sql", "SELECT symbol, recv_ts, flags, counted FROM trades ORDER BY ALL LIMIT 1", "--csv")
    assert list(csv.reader(io.StringIO(out))) == [
        ["symbol", "recv_ts", "flags", "counted"],
        ["BTC-USDT", "2024-07-19T00:00:00Z", "[]", "true"],
    ]
    status, out, _ = run(capsys, "sql", query)
    assert [line.split()[1] for line in out.splitlines() if "USDT" in line] == ["BTC-USDT", "ETH-USDT"]


@pytest.mark.usefixtures("lake")
def test_a_table_for_people_is_cut_and_says_so(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(show, "SHOWN", 3)
    _, out, _ = run(capsys, "sql", "SELECT trade_id FROM trades ORDER BY 1")
    assert "... 3 more rows" in out
    assert len(json.loads(run(capsys, "sql", "SELECT trade_id FROM trades", "--json")[1])) == 6


@pytest.mark.usefixtures("lake")
def test_words_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "sql", "SELECT 'imbalance:dollar:1000', '[bold]x[/bold] [1]' AS \"[dim]b\"")
    assert all(text in out for text in ("imbalance:dollar:1000", "[bold]x[/bold] [1]", "[dim]b"))


@pytest.mark.usefixtures("lake")
@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("SELECT end FROM trades", 'syntax error at or near "end" LINE 1: SELECT end FROM trades; "end" is a word of SQL'),
        ("SELECT * FROM trade", "Table with name trade does not exist! There are trades, bars"),
        ("SELECT prise FROM trades", '"price"'),
        ("SELECT 1 +", "syntax error"),
        ("", "the query is empty; write one like select symbol, count(*) from trades group by symbol"),
        (";", "the query is empty"),
    ],
)
def test_wrong_sql_is_one_clear_line(capsys: pytest.CaptureFixture[str], query: str, told: str) -> None:
    status, out, err = run(capsys, "sql", query)
    assert (status, out) == (1, "")
    assert told in err
    assert err.count("\n") == 1


@pytest.mark.usefixtures("lake")
def test_sql_shows_which_tables_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    found = {row["name"] for row in json.loads(run(capsys, "sql", "SHOW TABLES", "--json")[1])}
    assert {*TABLES, "gaps_history"} <= found


def test_export(lake: Lake, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(lake, TRADES, rows(TRADES, 1, ts=moment(7200), seq=[9]))
    assert run(capsys, "export", "trades", "--symbol", "BTCUSDT", "--end", "2024-07-19T01:00Z", "-o", "x.csv")[0] == 0
    written = list(csv.DictReader(io.StringIO(Path("x.csv").read_text())))
    assert [row["seq"] for row in written] == ["0", "1", "2", "3"]
    assert written[1]["ts"] == "2024-07-19T00:01:00.000000Z"
    assert written[1]["flags"] == "late"
    assert run(capsys, "export", "bars", "-o", "x.parquet")[0] == 0
    assert pl.read_parquet("x.parquet").equals(lake.table("bars").sort("ts").collect())
    assert sorted(p.name for p in place.iterdir()) == ["data", "x.csv", "x.parquet"], "nothing half written is left"


@pytest.mark.usefixtures("lake")
@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["trades", "-o", "x.xlsx"], "x.xlsx: name a file that ends in .csv or .parquet"),
        (["trades", "-o", "no/where.csv"], "no is no folder"),
        (["trade", "-o", "x.csv"], "no table 'trade'; there are trades"),
        (["trades", "-o", "x.csv", "--symbol", "BTC-USD"], "unknown symbol 'BTC-USD'; did you mean BTC-USDT (demo)"),
        (["trades", "-o", "x.csv", "--venue", "oxk"], "no venue 'oxk' in this lake; did you mean okx?"),
        (["trades", "-o", "x.csv", "--start", "yesterday"], "start: 'yesterday' is no time; use 2024-07-19"),
    ],
)
def test_export_refuses_in_plain_words(capsys: pytest.CaptureFixture[str], argv: list[str], told: str) -> None:
    status, _, err = run(capsys, "export", *argv)
    assert status == 1
    assert told in err
    assert not list(Path().glob("*.csv"))


def test_coverage(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    ends = [moment(7), moment(60), moment(130), moment(190), moment(86_403), moment(320)]
    feeds = ["trades"] * 5 + ["book"]
    statuses = ["open", "repaired", "unfillable", "shed", "unfillable", "open"]
    put(lake, GAPS, rows(GAPS, 6, feed=feeds, status=statuses, end=ends, as_of=moment(9)))
    put(lake, SEALS, rows(SEALS, 1, venue="okx", symbol="ETH-USDT"))
    status, out, _ = run(capsys, "coverage", "--json")
    assert status == 0
    listed = json.loads(out)
    keys = ("date", "venue", "symbol", "trades", "minutes", "complete", "worst", "gap_seconds")
    assert [tuple(row[k] for k in keys) for row in listed] == [
        ("2024-07-19", "demo", "BTC-USDT", 3, 4, 0.5, "gap", 7 + 10 + 10 + 86_160),
        ("2024-07-19", "okx", "ETH-USDT", 2, 0, None, None, 0),
        ("2024-07-20", "demo", "BTC-USDT", 0, 0, None, None, 3),
    ]
    holes = ("open", "repaired", "unfillable", "sealed")
    assert [tuple(row[k] for k in holes) for row in listed] == [(1, 1, 3, False), (0, 0, 0, True), (0, 0, 0, False)]
    assert [row["first_trade"] for row in listed] == ["2024-07-19T00:00:00Z", "2024-07-19T00:00:00Z", None]
    assert [row["last_trade"] for row in listed] == ["2024-07-19T00:02:00Z", "2024-07-19T00:01:00Z", None]
    assert run(capsys, "coverage")[0] == 0


def test_a_missing_lake_says_what_makes_one(capsys: pytest.CaptureFixture[str], place: Path) -> None:
    for argv in (["tables"], ["sql", "SELECT 1"], ["coverage"], ["export", "bars", "-o", "x.csv"]):
        status, _, err = run(capsys, *argv)
        assert status == 1
        assert f"no lake at {place}/data/lake; `tapeflow up` makes one" in err
        assert f"no lake at {place}/data/demo/lake; `tapeflow up --demo` makes one" in run(capsys, *argv, "--demo")[2]
    assert not Path("data").exists()


def test_wrong_settings_are_all_told_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    Path("tapeflow.yaml").write_text("shard: 'NO GOOD'\nports: {dagster: 0}\nlog_level: loud\n")
    status, out, err = run(capsys, "tables")
    assert (status, out) == (2, "")
    told = err.splitlines()
    assert [line.split(": ")[:3] for line in told] == [
        ["tapeflow", "tapeflow.yaml", "shard"],
        ["tapeflow", "tapeflow.yaml", "ports.dagster"],
        ["tapeflow", "tapeflow.yaml", "log_level"],
    ]


def test_a_wrong_command_line_is_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "tabels")[0] == 2
    assert run(capsys, "export", "bars")[0] == 2
    assert run(capsys, "--help")[0] == 0


def _commands(group: Any, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], str]]:
    found: list[tuple[tuple[str, ...], str]] = []
    for name, command in group.commands.items():
        below = hasattr(command, "commands")
        found += _commands(command, (*path, name)) if below else [((*path, name), command.help or "")]
    return found


@pytest.mark.parametrize(("path", "text"), _commands(get_command(app)), ids=lambda v: " ".join(v) if isinstance(v, tuple) else "")
def test_every_command_has_help_with_an_example(path: tuple[str, ...], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"Example: tapeflow {' '.join(path)}" in text
    status, out, _ = run(capsys, *path, "--help")
    assert status == 0
    assert "Usage: tapeflow" in out


def test_open_finds_the_lake_of_the_settings(lake: Lake, place: Path) -> None:
    assert tf.open().root == str(place / "data" / "lake")
    assert tf.open(lake.root).bars("BTC-USDT", "1m").collect().height == 4
    with pytest.raises(LakeError, match=r"no lake at .*other; `tapeflow up` makes one"):
        tf.open("other")
    assert not Path("other").exists()


def test_the_package_is_light_to_import() -> None:
    """A notebook pays for polars and DuckDB when it asks for rows, and never for the engines."""
    heavy = ["polars", "duckdb", "bytewax", "dagster", "numba", "typer"]
    code = f"import sys, tapeflow; print([m for m in {heavy} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=600).stdout
    assert out.strip() == "[]"


def test_commands_do_not_load_the_engines() -> None:
    code = "import sys, tapeflow.cli; print([m for m in ('bytewax', 'dagster', 'polars', 'duckdb') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=600).stdout
    assert out.strip() == "[]"
