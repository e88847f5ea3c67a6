"""How signals are to be read: every column and detector says it, and the document is current."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from pipelines import alerts
from pipelines.detector_settings import BigTrade, Detectors, Posture
from pipelines.market import TABLES
from pipelines.schema import Column, Table
from pipelines.signals_doc import NOT_MEASURED, PARTS, SIGNALS, Measured, Precision, describe, sections

ROOT = Path(__file__).parents[2]
PRECISION = ROOT / "benchmarks" / "precision.json"
COLUMNS = [pytest.param(t, c, id=f"{t.name}.{c.name}") for t in map(TABLES.get, SIGNALS) if t for c in t.columns]


def recorded() -> Precision:
    return msgspec.json.decode(PRECISION.read_bytes(), type=Precision)


def test_the_description_of_the_signals_is_current() -> None:
    assert (ROOT / "docs" / "signals.md").read_text() == describe(recorded()), "run `make docs`"


@pytest.mark.parametrize(("table", "column"), COLUMNS)
def test_every_column_says_how_it_is_read(table: Table, column: Column) -> None:
    if column.name in {*table.key, "ts", "end"}:
        assert column.reading is None
        return
    assert column.reading is not None
    assert all(part.strip() for part in (column.doc, *column.reading))


@pytest.mark.parametrize("name", Detectors.model_fields)
def test_every_detector_says_how_it_is_read(name: str) -> None:
    told = sections(type(getattr(Detectors(), name)).__doc__ or "")
    assert told[""]
    assert [part for part in PARTS if not told.get(part)] == []


def test_every_detector_that_alerts_is_described() -> None:
    told = {name: sections(type(getattr(Detectors(), name)).__doc__ or "") for name in Detectors.model_fields}
    names = {alert for name, parts in told.items() for alert in parts.get("Alerts", name).rstrip(".").split(", ")}
    assert names == set(alerts.VERSIONS)


def test_every_figure_is_of_a_detector_that_there_is() -> None:
    assert {m.detector for m in recorded().detectors} <= set(alerts.VERSIONS)


def test_the_parts_of_a_docstring() -> None:
    assert sections("Says so.\n\n    Formula: a\n    b: c.\n    Read: d.\n") == {
        "": "Says so.",
        "Formula": "a b: c.",
        "Read": "d.",
    }
    assert sections(Posture.__doc__ or "")["Alerts"] == "new_trend, trend_reversal, trend_end."
    assert sections(BigTrade.__doc__ or "")["Unit"] == "standard deviations of ln(notional)."


def test_a_figure_stands_with_its_n_its_base_rate_and_its_interval() -> None:
    made = Measured("big_trade", "a", "demo", "BTC-USDT", 8.0, 16, 8, 0.5, 0.25, 0.75, 0.125)
    few = Measured("cascade_proxy", "a", "demo", "BTC-USDT", 2.0, 4, 1, 0.25, None, None, 0.125)
    text = describe(Precision("2026-01-01", "move:1%/10m", "10m", "default settings", ["a"], [made, few]))
    by_detector = {part.partition("\n")[0]: part for part in text.partition("## Detectors")[2].split("\n### ")}
    told = {name: part.partition("**Precision**: ")[2].partition("\n")[0] for name, part in by_detector.items()}
    assert told["big_trade"] == (
        "0.50 (n = 16, 8 followed; base rate 0.125; 95 % interval 0.25 to 0.75; demo BTC-USDT, 8.00 days)"
    )
    assert told["cascade_proxy"] == "0.25 (n = 4, 1 followed; base rate 0.125; no interval; demo BTC-USDT, 2.00 days)"
    assert told["dislocation"] == NOT_MEASURED
