"""What Dagster shows of a finished day."""

from __future__ import annotations

import datetime as dt
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Any

import dagster as dg
import pytest

from assets import figures, pictures
from pipelines.history.day import Day
from pipelines.market import TABLES
from tests.assets.conftest import NOW, Stream, trade

if TYPE_CHECKING:
    from pipelines.store.lake import Lake

DAY = Day(NOW.date(), "demo")


def shown(lake: Lake, table: str) -> dict[str, Any]:
    return {name: getattr(value, "value", value) for name, value in figures.metadata(lake, DAY, table).items()}


def points(svg: str) -> str:
    return "".join(path.get("d") or "" for path in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}path"))


def test_of_trades_the_numbers_are_those_of_the_day(stream: Stream) -> None:
    stream.commit("trades", trade(1), trade(2, counted=False, flags=["late"]), trade(3, symbol="ETH-USDT", flags=["repaired"]))
    stream.commit("trades", trade(4), venue="okx")
    stream.commit("trades", trade(5, ts=NOW - dt.timedelta(days=1)))
    told = shown(stream.lake, "trades")
    assert told["dagster/partition_row_count"] == 3
    wanted = {"symbols": 2, "counted": 2, "notional": 100.0, "repaired": 1, "late": 1, "liquidation": 0}
    assert {name: told[name] for name in wanted} == wanted
    rows = figures.metadata(stream.lake, DAY, "trades")["rows_shown"].records
    assert sorted(r.data["trade_id"] for r in rows) == [1, 2, 3]


def test_of_alerts_only_those_of_history_are_the_day_s(stream: Stream) -> None:
    row = {"symbol": "BTC-USDT", "ts": NOW, "end": NOW, "detector": "big_trade", "severity": 2, "score": 1.0, "label": "x"}
    for n, origin in enumerate(("live", "history", "history")):
        stream.commit("alerts", {**row, "alert_id": str(n), "origin": origin})
    told = shown(stream.lake, "alerts")
    assert (told["alerts"], told["notices"], told["warnings"]) == (2, 0, 2)


@pytest.mark.parametrize("table", figures.FIGURES)
def test_an_empty_day_has_a_number_and_no_plot(stream: Stream, table: str) -> None:
    assert shown(stream.lake, table) == {"dagster/partition_row_count": 0}


@pytest.mark.parametrize("table", figures.FIGURES)
def test_a_row_of_nulls_is_shown(stream: Stream, table: str) -> None:
    """What is optional may be null in every row of a young instrument."""
    text = {"symbol": "BTC-USDT", "bar": "1m", "setting": "v10x50", "alert_id": "a", "origin": "history", "quality": "gap"}
    known = {name: value for name, value in text.items() if name in TABLES[table].lake_schema.names}
    stream.commit(table, {**known, "ts": NOW, "end": NOW, **({"flags": []} if table == "trades" else {})})
    told = figures.metadata(stream.lake, DAY, table)
    assert isinstance(told["plot"], dg.MarkdownMetadataValue)
    assert isinstance(told["rows_shown"], dg.TableMetadataValue)


@pytest.mark.parametrize(
    ("bounds", "told"),
    [
        ((89_999.5, 90_000.1), ("89.9995k", "90.0001k")),
        ((9_990.0, 10_020.0), ("9990", "10.02k")),
        ((0.68, 0.97), ("0.68", "0.97")),
        ((1.0, 1.0), ("1", "2")),
    ],
)
def test_the_ends_of_an_axis_can_be_told_apart(bounds: tuple[float, float], told: tuple[str, str]) -> None:
    svg = pictures.line("x", [(0, bounds[0]), (1, bounds[1])], (0, 1), [])
    assert all(f">{text}</text>" in svg for text in told)


def test_a_line_breaks_where_a_value_is_unknown() -> None:
    svg = pictures.line("x", [(0, 1.0), (1, None), (2, 3.0), (3, 2.0)], (0, 4), ["a", "b"])
    drawn = points(svg)
    assert drawn.count("L") == 1
    assert drawn.count("M") == 3  # the axes, and two pieces


def test_a_plot_stays_small_and_is_well_formed() -> None:
    svg = pictures.line("a < b & c", [(i, float(i % 7)) for i in range(86_400)], (0, 86_400), ["00:00"], (0.0, 7.0))
    ET.fromstring(svg)
    assert len(pictures.markdown(svg).value or "") < 20_000
    ET.fromstring(pictures.columns("empty", [], []))
    ET.fromstring(pictures.columns("t", [0.0] * 24, figures.HOURS))
