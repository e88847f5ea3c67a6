"""Compaction and vacuum change the files, never the rows."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.market import BARS, TRADES
from pipelines.store import upkeep
from pipelines.store.lake import Lake, LakeError
from tests.conftest import SHARED
from tests.pipelines.store.samples import put, rows


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(tmp_path / "lake")
    lake.create()
    return lake


def everything(lake: Lake, table: str = "trades") -> pl.DataFrame:
    return lake.table(table).collect().sort("venue", "symbol", "ts")


def test_compaction_keeps_every_row_and_sorts_them(lake: Lake) -> None:
    for i in range(6):
        first = rows(TRADES, 4, seq=[4 * i + k for k in range(4)], venue="okx" if i % 2 else "demo", symbol=f"A{i % 3}-USDT")
        put(lake, TRADES, first)
    before = everything(lake)
    assert upkeep.compact(lake, "trades") == 6
    assert len(lake.files("trades")) == 2
    assert everything(lake).equals(before)
    stored = pq.ParquetFile(lake.files("trades")[0]).read()
    assert stored.sort_by([("symbol", "ascending"), ("seq", "ascending")]).equals(stored)
    assert upkeep.compact(lake, "trades") == 0, "nothing is left to merge"


def test_compaction_keeps_what_the_files_say_of_themselves(lake: Lake) -> None:
    for i, said in enumerate(({"schema": "1", "source": "live"}, {"schema": "1", "source": "history"})):
        lake.commit("bars", "test", i, lake.stage("bars", rows(BARS, 2), f"x-{i}", said))
    upkeep.compact(lake, "bars")
    assert pq.read_metadata(lake.files("bars")[0]).metadata == {b"schema": b"1", b"source": b"history; live"}


def test_files_keep_their_writer_and_its_last_number(lake: Lake) -> None:
    """The names tell a restarted flow, a job and a rebuild whose rows these are."""
    names = ["main.1-00000007", "main.1-00000009", "job-00000001", "job-00000002", "main.1-00000003+job"]
    for i, name in enumerate(names):
        lake.commit("trades", "test", i, lake.stage("trades", rows(TRADES, 2), name, {}))
    assert upkeep.compact(lake, "trades") == 4
    stems = [Path(path).stem for path in lake.files("trades")]
    assert stems == ["job-000000002", "main.1-000000009", "main.1-00000003+job"]
    lake.commit("trades", "test", 9, lake.stage("trades", rows(TRADES, 2), "main.1-00000010", {}))
    upkeep.compact(lake, "trades")
    assert Path(lake.files("trades")[1]).stem == "main.1-0000000010"
    assert lake.summary()[0].rows == 12


def test_large_files_and_large_batches_are_left_apart(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(5):
        put(lake, TRADES, rows(TRADES, 10))
    monkeypatch.setattr(upkeep, "BATCH_ROWS", 20)
    assert upkeep.compact(lake, "trades") == 4, "two and two, and one that is left over"
    monkeypatch.setattr(upkeep, "LARGE_BYTES", 1)
    assert upkeep.compact(lake, "trades") == 0
    assert lake.summary()[0].rows == 50


def test_a_compaction_that_loses_against_a_seal_leaves_nothing_behind(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(2):
        put(lake, TRADES, rows(TRADES, 10))

    def lose(*_: object, **__: object) -> bool:
        raise LakeError("changed meanwhile")

    with monkeypatch.context() as beaten:
        beaten.setattr(Lake, "replace", lose)
        assert upkeep.compact(lake, "trades") == 0
    assert lake.orphans("trades", "") == []
    assert lake.summary()[0].rows == 20


def test_vacuum_leaves_young_and_staged_files_alone(lake: Lake) -> None:
    for _ in range(2):
        put(lake, TRADES, rows(TRADES, 10))
    replaced = [Path(path) for path in lake.files("trades")]
    staged = Path(lake.root, "trades", lake.stage("trades", rows(TRADES, 1), "staged", {})[0].path)
    upkeep.compact(lake, "trades")
    assert upkeep.vacuum(lake, "trades") == 0
    assert all(path.exists() for path in [*replaced, staged])


@pytest.mark.real
def test_compacted_trades_take_at_most_14_bytes_a_row(lake: Lake) -> None:
    """Two days of real aggTrades, committed a thousand at a time; most take half of that."""
    with gzip.open(SHARED / "trades/freqtrade_XRP_OLD-trades.json.gz") as file:
        info = [trade["info"] for trade in json.load(file)]
    n = len(info)
    ts = pa.array([int(t["T"]) * 1000 for t in info], pa.timestamp("us", tz="UTC"))
    ids = {k: [int(t[k]) for t in info] for k in "afl"}
    trades = rows(
        TRADES,
        n,
        date=[d.date() for d in ts.to_pylist()],
        ts=ts.to_pylist(),
        end=ts.to_pylist(),
        trade_id=ids["a"],
        first_fill=ids["f"],
        last_fill=ids["l"],
        fills=[last - first + 1 for first, last in zip(ids["f"], ids["l"], strict=True)],
        price=[float(t["p"]) for t in info],
        size=[float(t["q"]) for t in info],
        side=[-1 if t["m"] else 1 for t in info],
        contracts=None,
        recv_ts=None,
        flags=[[]] * n,
        tape="agg",
    )
    for first in range(0, n, 1000):
        put(lake, TRADES, trades.slice(first, 1000))
    upkeep.compact(lake, "trades")
    held = lake.summary()[0]
    assert held.rows == n
    assert held.bytes / held.rows <= 14, f"{held.bytes / held.rows:.2f} bytes a row"
