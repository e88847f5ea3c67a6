"""`tapeflow learn`: a file that settings can name, the verdict on later days, and what is refused."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import polars as pl
import pytest

from pipelines.learned_model import read
from pipelines.market import TABLES
from pipelines.schema import Table
from pipelines.settings import load
from pipelines.store.lake import Lake
from tapeflow.cli import main
from tests.pipelines.learned_samples import market
from tests.pipelines.store.samples import put

pytestmark = pytest.mark.usefixtures("place")

LAST = "2023-11-17"


def stored(table: Table, frame: pl.DataFrame, lake: Lake) -> None:
    """Put rows into a lake; columns that are not given are null."""
    schema = table.lake_schema
    given = frame.with_columns(date=pl.col("ts").dt.date(), bar=pl.lit("1m"))
    named = given.with_columns(pl.lit(None).alias(name) for name in schema.names if name not in given.columns)
    put(lake, table, named.select(schema.names).to_arrow().cast(schema))


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Make a lake of 12 recorded days of one instrument, and a day of another."""
    lake = Lake(tmp_path_factory.mktemp("learn") / "lake")
    lake.create()
    for symbol, days in (("X", 12), ("Y", 1)):
        features, bars = market(1, days, venue="okx", symbol=symbol)
        stored(TABLES["features"], features, lake)
        stored(TABLES["bars"], bars, lake)
    return str(lake.root)


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    capsys.readouterr()
    status = main(["learn", *argv])
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return status, out, err


def test_a_model_is_written_that_settings_can_name(filled: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "--lake", filled, "--last", LAST, "--symbol", "X")
    assert status == 0
    (path,) = Path().glob("learned-*.json")
    model = read(path)
    assert path.name == f"learned-{model.version}.json"
    assert (model.last, model.instruments, model.horizon) == (dt.date(2023, 11, 17), ("okx X",), "20m")
    first, second = out.splitlines()
    assert first.startswith(f"{path}: version {model.version}, learned from 2023-11-15 to {LAST}, alerts from 0.")
    assert second.startswith(f"after {LAST}: precision 0.")
    assert second.endswith("9.0 days: better than random alerts")
    Path("tapeflow.yaml").write_text(f"kernels: {{detectors: {{learned: {{model: {path}}}}}}}\n")
    assert load().kernels.detectors.learned.model == model


def test_without_later_days_or_with_few_it_says_so(filled: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = run(capsys, "--lake", filled, "--last", "2023-11-30", "--symbol", "X", "--out", "mine.json")
    assert status == 0
    assert "not judged: no recorded days after 2023-11-26, the last that was learned from" in out
    assert read(Path("mine.json")).last == dt.date(2023, 11, 26)
    _, out, _ = run(capsys, "--lake", filled, "--last", "2023-11-24", "--symbol", "X", "--out", "mine.json")
    assert "not measured (alerts on " in out


@pytest.mark.parametrize(
    ("argv", "status", "reason"),
    [
        (["--last", "soon"], 2, "--last soon: not a date"),
        (["--last", LAST, "--event", "crash"], 2, "is no event rule"),
        (["--last", LAST, "--horizon", "5m"], 2, "the horizon (5m) is shorter than an event"),
        (["--last", LAST, "--symbol", "Y", "--event", "move:60%/10m"], 1, "nothing learned: 0 events of move:60%/10m, needs 20"),
        (["--last", "2020-01-01", "--symbol", "X"], 1, "nothing learned: no recorded minute has"),
    ],
)
def test_what_cannot_be_is_refused(
    filled: str, capsys: pytest.CaptureFixture[str], argv: list[str], status: int, reason: str
) -> None:
    got, _, err = run(capsys, "--lake", filled, *argv)
    assert got == status
    assert reason in err
    assert not list(Path().glob("*.json"))
