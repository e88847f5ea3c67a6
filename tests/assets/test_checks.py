"""The checks of the live tables."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import polars as pl
import pytest

from assets import checks, deltalog, soundness
from assets.live import live_assets
from assets.soundness import Verdict
from pipelines.market import TABLES
from tests.assets.conftest import NOW, Stream, gap, trade

if TYPE_CHECKING:
    from assets.resources import LiveLake

BAR = {
    "symbol": "BTC-USDT",
    "bar": "1m",
    "ts": NOW,
    "first_id": 1,
    "end": NOW,
    "open": 2.0,
    "high": 3.0,
    "low": 1.0,
    "close": 2.0,
    "volume": 5.0,
    "buy_volume": 5.0,
    "trades": 1,
    "quality": "complete",
}
BUCKET = {
    "symbol": "BTC-USDT",
    "setting": "v10x50",
    "bucket": 0,
    "ts": NOW,
    "end": NOW,
    "bucket_volume": 10.0,
    "buy_volume": 10.0,
    "imbalance": 10.0,
}


def examine(lake: LiveLake, table: str) -> Verdict:
    opened = deltalog.open_table(lake.root, table)
    assert opened
    return soundness.examine(opened, table, [file.path for file in deltalog.added(opened, None)])


@pytest.mark.parametrize("table", TABLES)
def test_rules_read_their_columns(table: str, tmp_path: Path) -> None:
    """A rule that names no column of its table would break the examination, not find a fault."""
    frame = pl.DataFrame(schema=pl.Schema(TABLES[table].lake_schema)).lazy()
    assert frame.select(pl.sql_expr(rule) for rule in soundness.RULES.get(table, ("true",))).collect().height in (0, 1)


@pytest.mark.parametrize(("table", "row"), [("trades", trade(1)), ("bars", BAR), ("vpin", BUCKET), ("gaps", gap("open", 1, 1))])
def test_sound_rows_pass(lake: LiveLake, stream: Stream, table: str, row: dict[str, Any]) -> None:
    stream.commit(table, row)
    assert examine(lake, table) == Verdict(1, 1, {})


@pytest.mark.parametrize(
    ("table", "row", "fault"),
    [
        ("trades", trade(1, price=0.0), "breaks price > 0"),
        ("trades", trade(1, price=None), "breaks price > 0"),
        ("trades", trade(1, side=0), "breaks side in (-1, 1)"),
        ("trades", {**trade(1), "trade_id": None}, "trade_id is null"),
        ("bars", {**BAR, "high": 1.5}, "breaks high >= open and high >= close and high >= low"),
        ("bars", {**BAR, "buy_volume": 5.1}, "breaks buy_volume >= 0 and buy_volume <= volume"),
        ("vpin", {**BUCKET, "vpin_flag": 1.2}, "breaks vpin_flag is null or (vpin_flag >= 0 and vpin_flag <= 1)"),
    ],
)
def test_what_is_wrong_with_a_row_is_named(lake: LiveLake, stream: Stream, table: str, row: dict[str, Any], fault: str) -> None:
    stream.commit(table, row)
    assert examine(lake, table).faults == {fault: 1}


def test_a_key_must_not_come_twice(lake: LiveLake, stream: Stream) -> None:
    stream.commit("trades", trade(1), trade(2))
    stream.commit("trades", trade(2))
    stream.commit("trades", trade(2), venue="binance-spot")
    assert examine(lake, "trades") == Verdict(4, 3, {"repeats a key": 1})


def test_buckets_are_counted_from_0_in_each_date(lake: LiveLake, stream: Stream) -> None:
    stream.commit("vpin", BUCKET)
    stream.commit("vpin", {**BUCKET, "ts": NOW - timedelta(days=1), "end": NOW - timedelta(days=1)})
    assert examine(lake, "vpin") == Verdict(2, 2, {})


def rewrite(lake: LiveLake, change: pl.Expr, drop: str | None = None) -> None:
    path = max(Path(lake.root, "trades").rglob("*.parquet"))
    frame = pl.read_parquet(path, hive_partitioning=False).with_columns(change)
    (frame.drop(drop) if drop else frame).write_parquet(path)


def test_nan_and_infinity_are_found(lake: LiveLake, stream: Stream) -> None:
    """The lake stores neither; only what came by another way can hold them."""
    stream.commit("trades", trade(1), trade(2))
    rewrite(lake, pl.Series("contracts", [float("nan"), float("inf")]).alias("contracts"))  # type: ignore[arg-type]
    assert examine(lake, "trades").faults == {"contracts is NaN or infinite": 2}


def test_another_schema_is_found(lake: LiveLake, stream: Stream) -> None:
    stream.commit("trades", trade(1))
    rewrite(lake, pl.col("price").cast(pl.Float32), drop="fills")
    assert set(examine(lake, "trades").faults) == {"price is Float32, not Float64", "no column fills"}


def test_files_that_differ_are_found(lake: LiveLake, stream: Stream) -> None:
    stream.commit("trades", trade(1))
    stream.commit("trades", trade(2))
    rewrite(lake, pl.col("price").cast(pl.Float32))
    (fault,) = examine(lake, "trades").faults
    assert fault.startswith("unreadable, or unlike the others")


def test_a_gap_may_be_open_for_ten_minutes(lake: LiveLake, stream: Stream) -> None:
    def closed() -> bool:
        (found,) = (e for e in checks.state(lake, NOW.timestamp()) if e.check_name == "closed")
        return found.passed

    stream.commit("gaps", gap("open", 9, 9))
    assert closed()
    stream.commit("gaps", gap("open", 11, 11))
    assert not closed()
    stream.commit("gaps", gap("repaired", 11, 3))
    assert closed()


def test_by_hand_they_run_on_the_newest_files(lake: LiveLake, stream: Stream) -> None:
    stream.commit("trades", trade(1, price=-1.0))
    stream.commit("gaps", gap("open", 1, 1))
    defs = dg.Definitions(
        assets=live_assets(lake.root),
        asset_checks=[checks.live_checks],
        jobs=[dg.define_asset_job("by_hand", dg.AssetSelection.all_asset_checks())],
        resources={"lake": lake},
    )
    with dg.DagsterInstance.ephemeral() as instance:
        result = defs.resolve_job_def("by_hand").execute_in_process(instance=instance)
        found = {(e.asset_key.path[1], e.check_name): e.passed for e in result.get_asset_check_evaluations()}
    assert result.success
    assert len(found) == len(checks.SPECS)
    assert found["trades", "sound"] is False
    assert found["gaps", "sound"] is True
    assert found["trades", "flowing"] is True
