"""Compaction and vacuum change the files, never the rows."""

from __future__ import annotations

import gzip
import json
import os
import random
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.market import BARS, TABLES, TRADES
from pipelines.schema import Table
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
    assert upkeep.compact(lake, "trades") == (6, 2)
    assert len(lake.files("trades")) == 2
    assert everything(lake).equals(before)
    stored = pq.ParquetFile(lake.files("trades")[0]).read()
    assert stored.sort_by([("symbol", "ascending"), ("seq", "ascending")]).equals(stored)
    assert upkeep.compact(lake, "trades") == (0, 0), "nothing is left to merge"


def test_compaction_keeps_what_the_files_say_of_themselves(lake: Lake) -> None:
    for i, said in enumerate(({"schema": "1", "source": "live"}, {"schema": "1", "source": "history"})):
        lake.commit("bars", "test", i, lake.stage("bars", rows(BARS, 2), f"x-{i}", said))
    upkeep.compact(lake, "bars")
    assert pq.read_metadata(lake.files("bars")[0]).metadata == {b"schema": b"1", b"source": b"history; live"}


def test_files_keep_their_writer_and_its_last_number(lake: Lake) -> None:
    """The names tell a restarted flow, a job and a rebuild whose rows these are."""
    names = ["main.1-00000007", "main.1-00000009", "job-00000001", "job-00000002", "main.1-00000003+job"]
    names += ["seal.7-00000000", "seal.7-00000001"]
    for i, name in enumerate(names):
        lake.commit("trades", "test", i, lake.stage("trades", rows(TRADES, 2), name, {}))
    assert upkeep.compact(lake, "trades") == (4, 2)
    stems = [Path(path).stem for path in lake.files("trades")]
    assert stems == ["job-000000002", "main.1-000000009", "main.1-00000003+job", *names[-2:]]
    lake.commit("trades", "test", 9, lake.stage("trades", rows(TRADES, 2), "main.1-00000010", {}))
    upkeep.compact(lake, "trades")
    assert Path(lake.files("trades")[1]).stem == "main.1-0000000010"
    assert lake.summary()[0].rows == 16


def test_large_files_and_large_batches_are_left_apart(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(5):
        put(lake, TRADES, rows(TRADES, 10))
    monkeypatch.setattr(upkeep, "BATCH_ROWS", 20)
    assert upkeep.compact(lake, "trades") == (4, 2), "two and two, and one that is left over"
    monkeypatch.setattr(upkeep, "BATCH_ROWS", 50)
    monkeypatch.setattr(upkeep, "BATCH_BYTES", max(file.size for file in lake.live("trades").values()))
    assert upkeep.compact(lake, "trades") == (0, 0), "no two files are within the bytes"
    monkeypatch.setattr(upkeep, "BATCH_BYTES", 1 << 20)
    monkeypatch.setattr(upkeep, "LARGE_BYTES", 1)
    assert upkeep.compact(lake, "trades") == (0, 0)
    assert lake.summary()[0].rows == 50


def test_a_compaction_that_loses_against_a_seal_leaves_nothing_behind(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(2):
        put(lake, TRADES, rows(TRADES, 10))

    def lose(*_: object, **__: object) -> bool:
        raise LakeError("changed meanwhile")

    with monkeypatch.context() as beaten:
        beaten.setattr(Lake, "replace", lose)
        assert upkeep.compact(lake, "trades") == (0, 0)
    assert lake.orphans("trades", "") == []
    assert lake.summary()[0].rows == 20


def test_vacuum_leaves_young_and_staged_files_alone(lake: Lake) -> None:
    for _ in range(2):
        put(lake, TRADES, rows(TRADES, 10))
    replaced = [Path(path) for path in lake.files("trades")]
    staged = Path(lake.root, "trades", lake.stage("trades", rows(TRADES, 1), "staged", {})[0].path)
    upkeep.compact(lake, "trades")
    assert upkeep.vacuum(lake, "trades") == (0, 0)
    assert all(path.exists() for path in [*replaced, staged])


def test_vacuum_deletes_what_was_replaced_an_hour_ago_and_counts_it_once(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(2):
        put(lake, TRADES, rows(TRADES, 10))
    replaced = [Path(path) for path in lake.files("trades")]
    size = sum(path.stat().st_size for path in replaced)
    upkeep.compact(lake, "trades")
    staged = Path(lake.root, "trades", lake.stage("trades", rows(TRADES, 1), "test-00000002", {})[0].path)
    monkeypatch.setattr(upkeep, "VACUUM_HOURS", 0)
    assert upkeep.vacuum(lake, "trades") == (2, size)
    assert not any(path.exists() for path in replaced)
    assert staged.exists()
    version = lake.latest("trades").version()
    assert upkeep.vacuum(lake, "trades") == (0, 0), "the log names them still"
    assert lake.latest("trades").version() == version, "nothing to do, nothing written"
    assert lake.summary()[0].rows == 20


def test_what_a_killed_compaction_left_is_deleted_a_day_later_and_what_is_staged_is_not(lake: Lake) -> None:
    for i in range(3):
        staged = lake.stage("trades", rows(TRADES, 10), f"main.0-{i:08d}", {})
        lake.commit("trades", "main.0/trades", i, staged)
    folder = Path(lake.root, "trades", staged[0].path).parent
    lake.replace("trades", list(lake.live("trades"))[:1], [])  # the log knows it still
    for name in ("main.0-000000002", "main.0-00000001+x", "main.0-00000002+x-00000001", "main.0-00000003", "new.0-00000000"):
        shutil.copy(folder / "main.0-00000002.parquet", folder / f"{name}.parquet")
    shutil.copy(folder / "main.0-00000002.parquet", folder / "main.0-0000000001.parquet")
    for path in folder.glob("*.parquet"):
        hours = 23 if path.stem == "main.0-0000000001" else 25
        os.utime(path, (time.time() - 3600 * hours,) * 2)
    before = {path.stem for path in folder.glob("*.parquet")}
    upkeep.compact(lake, "trades")
    after = {path.stem for path in folder.glob("*.parquet")}
    assert before - after == {"main.0-000000002"}, "a merged file that was not committed, and old enough"


def test_files_the_log_has_forgotten_are_deleted(lake: Lake) -> None:
    """Nobody vacuumed for days: the log no longer names what was taken out."""
    staged = lake.stage("trades", rows(TRADES, 10), "main.0-00000004", {})
    lake.commit("trades", "main.0/trades", 4, staged)
    kept = Path(lake.root, "trades", staged[0].path)
    forgotten, pending = (kept.with_stem(f"main.0-{i:08d}") for i in (3, 5))
    for path in (forgotten, pending):
        shutil.copy(kept, path)
        os.utime(path, (time.time() - 90_000,) * 2)
    upkeep.compact(lake, "trades")
    assert [path.exists() for path in (kept, forgotten, pending)] == [True, False, True]


def test_files_of_an_older_tapeflow_are_merged_with_new_ones(lake: Lake) -> None:
    """They lack a column."""
    for i in range(2):
        staged = lake.stage("trades", rows(TRADES, 3, seq=[3 * i + k for k in range(3)]), f"main.0-{i:08d}", {})
        if i == 0:
            path = Path(lake.root, "trades", staged[0].path)
            pq.write_table(pq.read_table(path, partitioning=None).drop_columns("fills"), path)
            staged = [staged[0]._replace(size=path.stat().st_size)]
        lake.commit("trades", "main.0/trades", i, staged)
    assert upkeep.compact(lake, "trades") == (2, 1)
    assert everything(lake).sort("seq")["fills"].to_list() == [None, None, None, 0, 1, 2]


def test_compaction_and_a_writer_beside_it_both_get_through(lake: Lake) -> None:
    """Appends conflict with commits that remove files; each begins anew until it is through."""
    files, merged = 0, 0

    def write() -> None:
        nonlocal files
        own = Lake(lake.root)
        while files < (40 if merged else 4000):  # a machine may leave the other thread no time at first
            made = rows(TRADES, 5, seq=list(range(5 * files, 5 * files + 5)))
            assert own.commit("trades", "main.0/trades", files, own.stage("trades", made, f"main.0-{files:08d}", {}))
            files += 1

    with ThreadPoolExecutor(1) as pool:
        writer = pool.submit(write)
        while not writer.done():
            merged += upkeep.compact(lake, "trades").files
        writer.result()
    assert merged > 0
    upkeep.compact(lake, "trades")
    assert len(lake.live("trades")) == 1
    assert everything(lake)["seq"].sort().to_list() == list(range(5 * files))


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


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES.keys())
def test_merged_files_hold_their_rows_in_the_order_of_the_table(lake: Lake, table: Table) -> None:
    """As CONTRACT says: by symbol, bar or setting, and time; trades by symbol and seq."""
    draw = random.Random(table.name)
    for _ in range(3):
        put(lake, table, rows(table, 40, every=draw.uniform(1, 9), **_shuffled(table, draw)))
    before = lake.table(f"{table.name}_history" if table.newest else table.name).collect()
    assert upkeep.compact(lake, table.name) == (3, 1)
    after = lake.table(f"{table.name}_history" if table.newest else table.name).collect()
    assert sorted(map(repr, after.rows())) == sorted(map(repr, before.rows()))
    stored = pl.DataFrame(pq.ParquetFile(lake.files(table.name)[0]).read().select(list(table.sort)))
    assert stored.equals(stored.sort(table.sort, maintain_order=True))


def _shuffled(table: Table, draw: random.Random) -> dict[str, Any]:
    """Values in no order for the columns that rows are sorted by."""
    words = {"symbol": ["A-USDT", "B-USDT", "C-USDT"], "bar": ["1m", "1h"], "setting": ["adv50x50", "v10x50"], "kind": ["x", "y"]}
    made: dict[str, Any] = {}
    for name in table.sort:
        field = table.schema.field(name)
        if name in words:
            made[name] = [draw.choice(words[name]) for _ in range(40)]
        elif pa.types.is_integer(field.type) and name != "n":  # the number of rows is called so
            made[name] = [draw.randrange(100) for _ in range(40)]
    return made
