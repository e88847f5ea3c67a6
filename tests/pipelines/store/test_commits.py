"""The lake's log: what is committed is there once, whatever is killed, repeated or done at the same time."""

from __future__ import annotations

import datetime as dt
import multiprocessing
import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from pipelines.market import TABLES, TRADES
from pipelines.store.lake import Lake, LakeError, Staged

DAY = dt.date(2024, 7, 19)


def trades(ids: range, venue: str = "demo", symbol: str = "BTC-USDT", day: dt.date = DAY) -> pa.Table:
    start = dt.datetime(day.year, day.month, day.day, tzinfo=dt.UTC)
    times = [start + dt.timedelta(microseconds=1_001 * i) for i in ids]
    rows = [
        {
            "date": day,
            "venue": venue,
            "symbol": symbol,
            "trade_id": i,
            "ts": t,
            "end": t,
            "seq": i,
            "price": 100.0 + i,
            "size": 0.5,
        }
        | {"side": 1, "tape": "agg", "fills": 1, "counted": True, "flags": ["late"] if i % 2 else []}
        for i, t in zip(ids, times, strict=True)
    ]
    return pa.Table.from_pylist(rows, schema=TRADES.lake_schema)


def put(lake: Lake, version: int, rows: pa.Table, app: str = "main/trades") -> list[Staged]:
    files = lake.stage("trades", rows, f"main-{version:08d}", {})
    assert lake.commit("trades", app, version, files)
    return files


def ids(lake: Lake) -> list[int]:
    found: list[int] = DeltaTable(f"{lake.root}/trades").to_pyarrow_table(columns=["trade_id"])["trade_id"].to_pylist()
    return sorted(found)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(tmp_path / "lake")
    lake.create()
    return lake


def test_a_version_is_committed_once(lake: Lake) -> None:
    files = put(lake, 1, trades(range(10)))
    assert not lake.commit("trades", "main/trades", 1, files)
    assert not Lake(lake.root).commit("trades", "main/trades", 1, files), "nor by a restarted process"
    assert not lake.commit("trades", "main/trades", 0, files), "nor under an older version"
    assert lake.version("trades", "main/trades") == 1
    assert ids(lake) == list(range(10))


def test_applications_do_not_share_versions(lake: Lake) -> None:
    put(lake, 1, trades(range(5)))
    assert lake.version("trades", "other/trades") is None
    assert lake.commit("trades", "other/trades", 1, lake.stage("trades", trades(range(5, 9)), "other-1", {}))
    assert ids(lake) == list(range(9))


def test_a_staged_file_is_seen_only_after_its_commit(lake: Lake) -> None:
    files = lake.stage("trades", trades(range(10)), "main-1", {})
    assert ids(lake) == []
    lake.commit("trades", "main/trades", 1, files)
    assert ids(lake) == list(range(10))


def test_rows_are_split_by_date_and_venue_and_sorted(lake: Lake) -> None:
    two_days = [trades(range(5), day=DAY + dt.timedelta(days=d), venue=v) for d in (1, 0) for v in ("okx", "demo")]
    rows = pa.concat_tables([*two_days, trades(range(5), symbol="ADA-USDT")])
    files = lake.stage("trades", rows.take(list(reversed(range(len(rows))))), "x", {"schema": "7"})
    assert [(f.date, f.venue, f.rows) for f in files] == [
        ("2024-07-19", "demo", 10),
        ("2024-07-19", "okx", 5),
        ("2024-07-20", "demo", 5),
        ("2024-07-20", "okx", 5),
    ]
    assert files[0].path == "date=2024-07-19/venue=demo/x.parquet"
    path = Path(lake.root, "trades", files[0].path)
    stored = pq.ParquetFile(path).read()
    assert stored.schema.equals(TRADES.schema), "partition columns are in the path only"
    assert stored["symbol"].to_pylist() == ["ADA-USDT"] * 5 + ["BTC-USDT"] * 5
    assert stored["seq"].to_pylist() == [*range(5)] * 2
    assert pq.read_metadata(path).metadata[b"schema"] == b"7"
    assert path.stat().st_size == files[0].size


def test_floats_that_are_not_finite_become_null(lake: Lake) -> None:
    rows = trades(range(3))
    rows = rows.set_column(rows.column_names.index("price"), "price", pa.array([float("nan"), float("inf"), 1.0]))
    put(lake, 1, rows)
    stored = DeltaTable(f"{lake.root}/trades").to_pyarrow_table()
    assert stored.sort_by("seq")["price"].to_pylist() == [None, None, 1.0]


def test_rows_of_another_table_are_refused(lake: Lake) -> None:
    with pytest.raises(ValueError, match=r"table bars: rows lack .*open"):
        lake.stage("bars", trades(range(3)), "x", {})


def test_a_lost_staged_file_is_not_committed(lake: Lake) -> None:
    files = lake.stage("trades", trades(range(3)), "x", {})
    Path(lake.root, "trades", files[0].path).unlink()
    with pytest.raises(LakeError, match="missing"):
        lake.commit("trades", "main/trades", 1, files)
    assert lake.version("trades", "main/trades") is None


def test_what_a_kill_left_behind_is_found_and_discarded(lake: Lake) -> None:
    done = put(lake, 1, trades(range(3)))
    lake.stage("trades", trades(range(3, 6)), "main-00000002", {})
    lake.stage("trades", trades(range(3, 6)), "other-00000002", {})
    left = lake.orphans("trades", "main-")
    assert left == ["date=2024-07-19/venue=demo/main-00000002.parquet"]
    lake.discard("trades", [*left, "date=2024-07-19/venue=demo/main-never.parquet"])
    assert lake.orphans("trades", "main-") == []
    assert len(lake.orphans("trades", "other-")) == 1, "another shard's file stays"
    with pytest.raises(LakeError, match="stays"):
        lake.discard("trades", [done[0].path])
    assert ids(lake) == [0, 1, 2]


def test_replace_is_one_commit_by_name(lake: Lake) -> None:
    old = put(lake, 1, trades(range(10)))
    other = Lake(lake.root)
    new = other.stage("trades", trades(range(10, 20)), "sealed", {})
    put(lake, 2, trades(range(30, 33)))
    assert other.replace("trades", [f.path for f in old], new, app="seal/2024-07-19", version=1)
    assert ids(lake) == [*range(10, 20), *range(30, 33)], "what was added meanwhile stays"
    assert not other.replace("trades", [f.path for f in old], new, app="seal/2024-07-19", version=1)
    with pytest.raises(LakeError, match="changed meanwhile"):
        other.replace("trades", [f.path for f in old], [])
    put(lake, 3, trades(range(40, 41)))
    assert ids(lake) == [*range(10, 20), *range(30, 33), 40]


def test_commits_get_through_beside_concurrent_removes(lake: Lake) -> None:
    """A file-removing commit makes every append fail that did not see it: 40 appends beside a loop of replaces."""
    put(lake, 0, trades(range(1_000, 1_001), day=DAY - dt.timedelta(days=1)), app="seal")
    done = threading.Event()
    failures: list[BaseException] = []
    replaced = 0

    def remove() -> None:
        nonlocal replaced
        sealer = Lake(lake.root)
        try:
            while not done.is_set():
                path = next(p for p in sealer.live("trades") if "2024-07-18" in p)
                again = sealer.stage("trades", trades(range(1_000, 1_001), day=DAY - dt.timedelta(days=1)), f"s{replaced}", {})
                sealer.replace("trades", [path], again)
                replaced += 1
        except BaseException as error:  # noqa: BLE001 - of another thread; told below
            failures.append(error)

    sealer = threading.Thread(target=remove)
    sealer.start()
    version = 0
    while (version < 40 or replaced < 5) and not failures:
        put(lake, version, trades(range(version, version + 1)))
        version += 1
    done.set()
    sealer.join()
    assert not failures
    assert ids(lake) == [*range(version), 1_000]


def _create(root: str, barrier: object) -> None:
    barrier.wait()  # type: ignore[attr-defined]  # multiprocessing's Barrier has no public type
    Lake(root).create()


def test_two_processes_create_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2)
    children = [context.Process(target=_create, args=(str(tmp_path / "lake"), barrier)) for _ in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0, 0]
    lake = Lake(tmp_path / "lake")
    for name in TABLES:
        assert lake.live(name) == {}
        assert DeltaTable(f"{lake.root}/{name}").version() == 0


def test_a_table_of_an_older_tapeflow_gets_the_columns_it_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = TABLES["trades"]
    with monkeypatch.context() as before:
        before.setitem(TABLES, "trades", whole._replace(columns=whole.columns[:-1]))
        older = Lake(tmp_path / "lake")
        older.create()
        put(older, 1, trades(range(3)).drop_columns([whole.columns[-1].name]))
    lake = Lake(tmp_path / "lake")
    lake.create()
    lake.create()
    put(lake, 2, trades(range(3, 6)))
    assert ids(lake) == list(range(6))
    added = lake.table("trades").sort("trade_id").collect()[whole.columns[-1].name]
    assert added.is_null().to_list() == [True] * 3 + [False] * 3
    assert lake.sql("select count(*) from trades").fetchall() == [(6,)]


def test_a_missing_lake_is_named_and_not_created(tmp_path: Path) -> None:
    lake = Lake(tmp_path / "nowhere")
    with pytest.raises(LakeError, match=r"no lake at .*nowhere"):
        lake.live("trades")
    assert not (tmp_path / "nowhere").exists()
    with pytest.raises(LakeError, match="no table 'trade'; there are trades"):
        lake.live("trade")
