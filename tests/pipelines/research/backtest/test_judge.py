"""A whole backtest over small made-up days: what is planted is found, the same is made again, the report says what it is."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import msgspec
import polars as pl
import pytest

from pipelines.backtest_table import BACKTESTS
from pipelines.research import events
from pipelines.research.backtest import falls, measures, protocol, report, rows
from pipelines.research.backtest.judge import Asked, Figure, Judged, judge
from pipelines.research.backtest.measures import BENCHMARKS
from pipelines.research.backtest.protocol import Cell, Grid
from pipelines.research.backtest.trades import Span
from tests.pipelines.research.backtest.made import BTC, CONTROL, SPAN, tape

GRID = Grid((50, 100), (25,), 2)
ASKED = Asked((BTC,), SPAN, CONTROL, GRID)
PLANTED = dt.datetime(2024, 3, 3, 14, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def judged() -> Judged:
    return judge(tape(), BTC, ASKED)


def figure(judged: Judged, *key: object) -> Figure:
    (one,) = [f for f in judged.figures if (f.period, f.measure, f.cell, f.metric) == key]
    return one


def test_the_fall_that_was_planted_is_the_event_and_vpin_led_it(judged: Judged) -> None:
    ((start, end),) = judged.events
    assert abs(start / 1e6 - PLANTED.timestamp()) <= 300
    assert start < end <= start + falls.WITHIN_US
    led = figure(judged, "span", "vpin", Cell(100, 25, 0), "recall")
    assert (led.value, led.n) == (1.0, 1)
    assert 0 < (figure(judged, "span", "vpin", Cell(100, 25, 0), "lead_s").value or 0) <= 6 * 3600


def test_events_are_found_before_any_vpin_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []

    def noted(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any) -> Any:
            order.append(name)
            return real(*given)

        return call

    for where, name in ((events, "find"), (measures, "windows")):
        monkeypatch.setattr(where, name, noted(name, getattr(where, name)))
    judge(tape(), BTC, ASKED)
    assert order[0] == "find"
    assert order[1:] == ["windows"] * len(GRID.cells())


def test_every_cell_and_every_benchmark_has_every_figure(judged: Judged) -> None:
    scored = {"false_per_day", "precision", "base_rate", "recall", "lead_s"}
    for cell in GRID.cells():
        for period in ("calm", "span"):
            metrics = {f.metric for f in judged.figures if (f.period, f.measure, f.cell) == (period, "vpin", cell)}
            alone = {"led_alone"} if period == "span" else set()
            assert metrics == {*scored, "slope", "slope_t", "r2_added", *alone}
    for name in BENCHMARKS:
        assert {f.metric for f in judged.figures if f.measure == name} == scored
    assert len({f[:4] for f in judged.figures}) == len(judged.figures)


def test_alarms_cost_about_what_was_asked(judged: Judged) -> None:
    """Levels come from the dates before, so what alarms cost on the few calm dates here only lies near it."""
    for name in BENCHMARKS:
        cost = figure(judged, "calm", name, None, "false_per_day").value
        assert cost is not None
        assert cost < 3 * protocol.ALARMS_A_DAY


def test_the_same_question_gets_the_same_answer(judged: Judged) -> None:
    again = judge(tape(), BTC, ASKED)
    assert msgspec.json.encode(rows.rows(ASKED, [again], "x").to_pylist(), enc_hook=str) == msgspec.json.encode(
        rows.rows(ASKED, [judged], "x").to_pylist(), enc_hook=str
    )
    other = judge(tape(seed=2), BTC, ASKED)
    assert rows.run_id(ASKED, [other], "x") != rows.run_id(ASKED, [judged], "x")


def test_of_days_not_asked_about_nothing_is_judged_and_later_days_change_no_calm_figure(judged: Judged) -> None:
    """The last two dates are taken away: what was said of the calm dates before stays as it was."""
    short = Span(SPAN.first, SPAN.last - dt.timedelta(days=2))
    made = tape()._replace(until=short.last)
    cut = judge(made, BTC, ASKED._replace(span=short))
    calm = [[f for f in one.figures if f.period == "calm"] for one in (judged, cut)]
    assert calm[0] == calm[1]
    assert cut.since == judged.since
    assert cut.events == judged.events


def test_rows_are_those_of_the_table(judged: Judged) -> None:
    table = rows.rows(ASKED, [judged], "made up")
    assert table.schema == BACKTESTS.lake_schema
    frame = pl.DataFrame(table)
    assert frame.height == len(judged.figures)
    assert frame.select(BACKTESTS.key).n_unique() == frame.height
    assert frame.select("v", "n", "start", "period", "metric").null_count().row(0) == (0, 0, 0, 0, 0)
    assert frame["protocol"].unique().to_list() == [protocol.digest()]
    starts = frame.filter(pl.col("measure") == "vpin").select("start", "first").unique().sort("start")
    assert starts["first"].to_list() == protocol.starts(2).tolist()


def test_the_report_of_made_up_days_says_so_first_and_shows_every_cell(judged: Judged) -> None:
    plots = report.pictures([judged], "seed 1")
    text = report.report(ASKED, [judged], "seed 1", "abc", 12.0, {name: f"{name}.svg" for name in plots})
    first, _, second = text.splitlines()[:3]
    assert "generated" in first
    assert "made up" in second
    assert "No figure below says anything of any market" in text
    assert "n = 1" in text
    assert protocol.digest() in text
    assert "What these numbers do not show" in text
    assert all(f"vpin {v} / {n}" in text for v in GRID.v for n in GRID.n)
    assert "Not the whole grid".lower() in text.lower()
    assert "Fewer than the 60 calm days" in text
    for svg in plots.values():
        ET.fromstring(svg)
        assert "GENERATED" in svg
        assert len(svg) < 15_000


def test_the_report_of_a_market_does_not(judged: Judged) -> None:
    text = report.report(ASKED, [judged], "", "abc", 12.0, dict.fromkeys(report.pictures([judged], ""), ""))
    assert text.startswith("# Backtest of VPIN as an alarm of falls: generated, 2024-03-01 to 2024-03-05\n")
    assert "made up" not in text


def test_without_an_event_there_is_nothing_to_illustrate() -> None:
    none = judge(tape(planted=False), BTC, ASKED)
    assert none.events == []
    assert none.illustration is None
    text = report.report(ASKED, [none], "seed 1", "abc", 12.0, dict.fromkeys(report.pictures([none], "seed 1"), ""))
    assert "nothing to show" in text


def test_starts_are_drawn_once_for_all() -> None:
    assert protocol.starts().tolist()[:4] == [1.0, 0.402978, 0.282001, 0.55184]
    assert protocol.starts(2).tolist() == protocol.starts().tolist()[:3]
    assert protocol.Grid().starts == 20


@pytest.mark.parametrize("text", ["50", "50/50", "50/50/21", "0/50/1", "50/x/1", "50/50/1,2", "/50/1"])
def test_a_grid_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"grid|buckets"):
        protocol.grid(text)


def test_a_grid_is_read() -> None:
    assert protocol.grid("50,25/10/3") == Grid((25, 50), (10,), 3)


def test_a_change_of_anything_fixed_changes_the_hash_of_the_protocol(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hashes = [protocol.digest.__wrapped__()]
    monkeypatch.setattr(protocol, "HORIZON_US", 2 * protocol.HORIZON_US)
    hashes.append(protocol.digest.__wrapped__())
    changed = tmp_path / "falls.py"
    changed.write_text(Path(falls.__file__).read_text().replace("FALL = 0.03", "FALL = 0.04"))
    monkeypatch.setattr(falls, "__file__", str(changed))
    hashes.append(protocol.digest.__wrapped__())
    assert len(set(hashes)) == 3
    assert hashes[0] == protocol.digest()
