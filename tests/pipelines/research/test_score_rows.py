"""Rows of table `scores`."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pyarrow as pa

from pipelines.research.rules import name, parse
from pipelines.research.score_rows import rows
from pipelines.research.scores import by_detector
from pipelines.score_table import SCORES
from tests.pipelines.research.minutes import MINUTE, alerts, spans

NOW = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
RULE = parse("move:1.0%/60m")


def made(alert_ends: list[float], watched: list[tuple[float, float]]) -> pa.Table:
    found = by_detector(alerts(alert_ends), spans([(45, 50)]), spans(watched), 10 * MINUTE, 5 * MINUTE)
    return rows(found, RULE, 10 * MINUTE, 5 * MINUTE, NOW)


def test_a_row_says_what_was_asked_and_what_came_out() -> None:
    table = made([45, 48, 60], [(0, 100)])
    assert table.schema == SCORES.lake_schema
    row = table.to_pylist()[0]
    assert {k: row[k] for k in ("date", "venue", "symbol", "detector", "version", "origin")} == {
        "date": dt.date(2023, 11, 15),
        "venue": "demo",
        "symbol": "BTC-USDT",
        "detector": "big_trade",
        "version": 1,
        "origin": "live",
    }
    assert (row["event"], row["horizon_s"], row["cooldown_s"], row["as_of"]) == ("move:1%/1h", 600, 300, NOW)
    assert row["end"] - row["ts"] == dt.timedelta(minutes=100)
    assert (row["alerts"], row["hits"], row["precision"], row["base_rate"]) == (2, 1, 0.5, 6 / 91)
    assert (row["recall"], row["lead_s"], row["precision_low"]) == (1.0, 300.0, None)
    assert row["why"][0] == "precision: alerts on 1 of the 7 days needed"


def test_nothing_is_nan_and_every_null_has_a_reason() -> None:
    for table in (made([45], []), made([45, 2000], [(0, 20_000)]), made([2000], [(0, 100)])):
        row = table.to_pylist()[0]
        nulls = {key.removesuffix("_low").removesuffix("_high") for key, value in row.items() if value is None}
        assert nulls == {line.partition(": ")[0] for line in row["why"]}
        numbers = pl.DataFrame(pl.from_arrow(table)).select(pl.col(pl.Float64).is_nan().any())
        assert not any(value for value in numbers.row(0))


def test_equal_rules_have_one_name() -> None:
    for text in ("move:1%/10m", "rv:0.5%/1h", "move:12.5%/1d", "jump:1%/5m"):
        assert name(parse(text)) == text
    assert name(parse("move:01.50%/60m")) == "move:1.5%/1h"
