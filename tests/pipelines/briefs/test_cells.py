"""Facts of the cells of a result: units by column, ids that run on, SQL that gives the cell again."""

from __future__ import annotations

import datetime as dt

import duckdb
import polars as pl
import pytest

from pipelines.briefs.cells import MOST, Cells, unit_of
from pipelines.briefs.fact import Unit

AT = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)
FRAME = pl.DataFrame({"symbol": ["BTC-USDT", "BTC-USDT"], "close": [117.99, None], "pct": [0.973, 0.5], "trades": [3, 4]})


def test_each_cell_is_a_fact() -> None:
    cells = Cells(1, AT)
    assert cells.add(FRAME, "SELECT * FROM t", venue="okx", label="bar") == [
        {"symbol": "BTC-USDT", "close": "F1: 117.99 USDT", "pct": "F2: percentile 97.3", "trades": "F3: 3"},
        {"symbol": "BTC-USDT", "close": "F4: not available", "pct": "F5: percentile 50", "trades": "F6: 4"},
    ]
    assert list(Cells(7, AT).add(FRAME.head(1), "SELECT 1")[0].values())[1:] == [
        "F7: 117.99 USDT",
        "F8: percentile 97.3",
        "F9: 3",
    ]
    first = cells.facts["F1"]
    assert (first.venue, first.symbol, first.label, first.as_of, first.value) == ("okx", "BTC-USDT", "bar close", AT, 117.99)


def test_its_query_gives_the_cell_again() -> None:
    t = FRAME  # noqa: F841 - read by DuckDB
    cells = Cells(1, AT)
    cells.add(FRAME, "SELECT * FROM t ORDER BY trades")
    for fact in cells.facts.values():
        assert duckdb.execute(fact.query).fetchall() == [(fact.value,)]


@pytest.mark.parametrize(
    ("name", "value", "unit"),
    [
        ("close", 1.0, Unit.PRICE),
        ("notional", 1.0, Unit.NOTIONAL),
        ("buy_volume", 1.0, Unit.SIZE),
        ("spread_bps", 1.0, Unit.BPS),
        ("pct", 0.5, Unit.PERCENTILE),
        ("rvol_15m", 2.0, Unit.RATIO),
        ("trade_imbalance_5m", -0.5, Unit.SHARE),
        ("vpin_flag", 0.4, Unit.SCORE),
        ("n", 3, Unit.COUNT),
        ("anything", 0.25, Unit.SCORE),
        ("ts", AT, Unit.TIME),
        ("day", AT.date(), Unit.TIME),
        ("label", "x", Unit.WORD),
        ("flag", True, Unit.WORD),
    ],
)
def test_units_follow_from_columns(name: str, value: object, unit: Unit) -> None:
    assert unit_of(name, value) is unit


def test_odd_values_are_words_or_missing() -> None:
    cells = Cells(1, AT)
    frame = pl.DataFrame({"nan": [float("nan")], "flag": [True], "list": [[1, 2]], "day": [AT.date()]})
    (row,) = cells.add(frame, "SELECT 1")
    assert row["nan"].endswith("not available")
    assert row["flag"].endswith("true")
    assert row["day"].endswith("2026-11-20 00:00 UTC")
    assert cells.facts["F3"].unit is Unit.WORD


def test_only_so_many_cells_become_facts() -> None:
    cells = Cells(1, AT)
    shown_rows = cells.add(pl.DataFrame({"a": range(MOST), "b": range(MOST)}), "SELECT 1")
    assert len(shown_rows) == MOST // 2
    assert len(cells.facts) == MOST
