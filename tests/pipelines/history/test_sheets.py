"""Files of a sealed day: however its rows are shared out among them, they say the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
from polars.testing import assert_frame_equal

from pipelines.history import sheets
from pipelines.history.sheets import Sheets
from pipelines.market import TABLES, TRADES, Flag
from pipelines.store.lake import Lake
from pipelines.tape import Rows, empty
from tests.pipelines.history import days

SYMBOLS = ("AAA-USDT-PERP", "BBB-USDT-PERP")


def tape(n: int) -> Rows:
    rows = empty(n)
    rows["ts"], rows["recv_ns"] = days.day().us + 1000 * np.arange(n), 1
    rows["trade_id"] = rows["seq"] = np.arange(n)
    rows["price"], rows["size"], rows["side"] = 100.5, 0.25, 1
    rows["first_fill"][::2], rows["flags"][3::5] = 7, int(Flag.LATE | Flag.REPAIRED)
    rows["last_fill"][::2], rows["recv_ns"][::3] = 8, 0
    return rows


def written(folder: Path, *, piece: int, contracts: bool) -> tuple[pl.DataFrame, list[Path]]:
    """Write trades of two symbols, of one many; return what a lake reads of them, and the files."""
    lake = Lake(folder)
    lake.create()
    made = Sheets(lake, days.day(), {"trades": "seal-x"}, {"seal": "x"})
    for symbol, n in zip(SYMBOLS, (57, 9), strict=True):
        rows = tape(n)
        if contracts:
            rows["contracts"] = 3.0
        for begin in range(0, n, piece):
            made.trades(symbol, "agg", rows[begin : begin + piece])
    staged = made.finish()["trades"]
    lake.replace("trades", [], staged)
    found = lake.table("trades").sort("symbol", "seq").collect()
    return found, [folder / "trades" / file.path for file in staged]


@pytest.mark.parametrize("contracts", [False, True])
@pytest.mark.parametrize("piece", [1, 10, 57])
def test_row_groups_say_what_one_file_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, piece: int, contracts: bool) -> None:
    whole, (_,) = written(tmp_path / "whole", piece=piece, contracts=contracts)
    monkeypatch.setattr(sheets, "ROWS", 20)
    parts, (grown, rest) = written(tmp_path / "parts", piece=piece, contracts=contracts)
    assert whole.height == 66
    assert_frame_equal(parts, whole)
    assert pq.read_schema(grown).equals(pq.read_schema(rest))
    assert pq.read_schema(grown).names == TRADES.schema.names
    assert pq.ParquetFile(grown).num_row_groups == 3
    assert TABLES["trades"].schema.field("symbol").type == pq.read_schema(grown).field("symbol").type
