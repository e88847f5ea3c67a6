"""Scores as rows of table `scores`."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pyarrow as pa

from pipelines.research import rules
from pipelines.research.rules import Rule
from pipelines.research.scores import Estimate, Scored
from pipelines.score_table import SCORES


def rows(found: list[Scored], rule: Rule, horizon_us: int, cooldown_us: int, as_of: dt.datetime) -> pa.Table:
    """Return a row for each score."""
    asked = {
        "event": rules.name(rule),
        "horizon_s": horizon_us // 1_000_000,
        "cooldown_s": cooldown_us // 1_000_000,
        "as_of": as_of,
    }
    return pa.Table.from_pylist([_row(one) | asked for one in found], SCORES.lake_schema)


def _row(found: Scored) -> dict[str, Any]:
    row: dict[str, Any] = {"date": found.start.date(), "ts": found.start, "why": [], **found._asdict()}
    for name, figure in row.pop("score")._asdict().items():
        if not isinstance(figure, Estimate):
            row[name] = figure
            continue
        row |= {name: figure.value, f"{name}_low": figure.low, f"{name}_high": figure.high}
        if figure.why:
            row["why"].append(f"{name}: {figure.why}")
    if found.score.base_rate is None:
        row["why"].append("base_rate: never watched for so long")
    return row
