"""The learned detector in the flow: alerts by hand, live equals batch, cuts and restores, models that do not fit."""

from __future__ import annotations

import json
import math
import pickle
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.alerts import Alert
from pipelines.detector_settings import Detectors, Learned
from pipelines.feature_tables import VERSION
from pipelines.learned import LearnedAlarms
from pipelines.learned_model import Model
from pipelines.market import DAY_US
from pipelines.minute_measures import COLUMNS, Measured
from pipelines.records import Kind
from pipelines.research import learned as research
from pipelines.settings import Kernels
from tests import tapes
from tests.pipelines.learned_samples import MODEL

MINUTE = 60_000_000
AT = tapes.DAY + DAY_US - 20 * MINUTE


def table(rows: list[tuple[int, int, float, float]]) -> pa.Table:
    """Return rows of `features`: instrument, ts, and the two figures; NaN: null."""
    whose, ts, mom, rvol = (list(column) for column in zip(*rows, strict=True)) if rows else ([], [], [], [])
    of = [tapes.INSTRUMENTS[i] for i in whose]
    return pa.table(
        {
            "venue": pa.array([x.venue for x in of], pa.string()),
            "symbol": pa.array([x.symbol for x in of], pa.string()),
            "ts": pa.array(ts, pa.timestamp("us", "UTC")),
            "mom_bps_1m": pa.array(mom, pa.float64(), from_pandas=True),
            "rvol_1m": pa.array(rvol, pa.float64(), from_pandas=True),
        }
    )


def measured(rows: list[tuple[int, int, float, float]]) -> Measured:
    """Return the same rows as the flow has them."""
    whose, ts, mom, rvol = (np.array(column) for column in zip(*rows, strict=True))
    values = np.full((len(rows), len(COLUMNS)), np.nan)
    values[:, COLUMNS.index("mom_bps_1m")], values[:, COLUMNS.index("rvol_1m")] = mom, rvol
    return Measured(whose, ts, values)


def fresh(model: Model | None = MODEL) -> LearnedAlarms:
    made = LearnedAlarms(model)
    made.grow(2)
    return made


def take(made: LearnedAlarms, rows: list[tuple[int, int, float, float]]) -> list[Alert]:
    return made.feed(measured(rows), tapes.INSTRUMENTS)


def test_an_alert_says_what_it_is_made_of() -> None:
    made = fresh()
    # log odds 0.25 + (ln e^2 - 1) / 2 + 0.5 ln 1 = 0.75
    (alert,) = take(made, [(1, AT, -math.exp(2), 1.0), (1, AT + MINUTE, math.nan, 9.0)])
    assert (alert.ts, alert.end, alert.detector, alert.version) == (AT, AT + MINUTE, "learned", MODEL.version)
    assert alert.instrument == tapes.INSTRUMENTS[1]
    assert alert.score == pytest.approx(1 / (1 + math.exp(-0.75)))
    assert (alert.threshold, alert.severity) == (0.6, 1)
    told = json.loads(alert.details)
    assert told["terms"] == pytest.approx({"mom_bps_1m": 0.5, "rvol_1m": 0.0})
    assert told["learned"] == ["2023-11-01", "2023-11-14"]


def test_the_id_is_made_of_model_and_minute_never_of_the_score() -> None:
    ids = []
    for mom, model in ((50.0, MODEL), (60.0, MODEL), (50.0, MODEL.model_copy(update={"level": 0.61}))):
        made = fresh(model)
        ids.append(take(made, [(0, AT, mom, 1.0)])[0].alert_id)
    assert ids[0] == ids[1] != ids[2]


def test_rows_whose_bars_closed_before_there_was_a_model_give_nothing() -> None:
    made = fresh(None)
    made.configure(MODEL, np.array([AT, 0]))
    rows = [(0, AT, 50.0, 1.0), (1, AT, 50.0, 1.0), (0, AT + MINUTE, 50.0, 1.0)]
    assert [(alert.ts, alert.instrument) for alert in take(made, rows)] == [
        (AT, tapes.INSTRUMENTS[1]),
        (AT + MINUTE, tapes.INSTRUMENTS[0]),
    ]


@pytest.mark.parametrize("model", [None, MODEL.model_copy(update={"features": VERSION + 1})])
def test_no_model_or_one_of_other_features_finds_nothing(model: Model | None) -> None:
    made = fresh(model)
    assert take(made, [(0, AT, 50.0, 1.0)]) == []


Rows = list[tuple[int, int, float, float]]


def tape(seed: int, n: int = 120) -> Rows:
    """Return minutes of two instruments over a midnight, some with nulls."""
    rng = np.random.default_rng(seed)
    mom, rvol = rng.normal(0, 8, n), rng.lognormal(0, 1, n)
    mom[rng.random(n) < 0.1] = np.nan
    ts = AT + np.arange(n) // 2 * MINUTE
    return list(zip((np.arange(n) % 2).tolist(), ts.tolist(), mom.tolist(), rvol.tolist(), strict=True))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 5), st.lists(st.integers(0, 120), max_size=6).map(sorted), st.booleans())
def test_cuts_and_restores_change_no_bit(seed: int, cuts: list[int], restored: bool) -> None:
    rows, made = tape(seed), fresh()
    whole = take(made, rows)
    made, found = fresh(), []
    edges = [0, *cuts, len(rows)]
    for begin, end in pairwise(edges):
        part = rows[begin:end]
        if part:
            found += take(made, part)
        if restored:
            made = pickle.loads(pickle.dumps(made))
    assert sorted(found, key=lambda a: (a.ts, a.instrument)) == sorted(whole, key=lambda a: (a.ts, a.instrument))
    assert whole


@pytest.mark.parametrize("seed", range(3))
def test_live_equals_batch_to_the_last_bit(seed: int) -> None:
    rows, made = tape(seed, 400), fresh()
    live = []
    for row in rows:
        live += take(made, [row])
    frame = pl.DataFrame(table(rows)).with_columns(end=pl.col("ts") + pl.duration(minutes=1)).sample(400, shuffle=True, seed=1)
    batch = research.alerts(MODEL, frame).sort("ts", "symbol")
    told = sorted(((a.ts, a.instrument.symbol, a.score) for a in live), key=lambda a: a[:2])
    assert told == list(zip(batch["ts"].dt.epoch("us"), batch["symbol"], batch["score"], strict=True))
    assert len(told) > 10


def kernels(model: Model | None) -> Kernels:
    return Kernels(bars=("1m",), vpin=(), detectors=Detectors(learned=Learned(model=model)))


def line(at: int, kind: Kind, payload: bytes) -> tapes.Line:
    return at * 1000, kind, payload


def test_in_the_engine_the_model_comes_by_the_journal_and_lands_in_inputs() -> None:
    """A quiet tape, then a minute of large moves: alerts only once the journal has named a model."""
    price = {k: 100 + (3 if k >= 30 and k % 4 else 0) for k in range(60)}
    lines = [line(tapes.DAY + 1, Kind.SETTINGS, kernels(MODEL).canonical())]
    for k, (second, at) in enumerate((s, tapes.DAY + s * 10_000_000) for s in range(360)):
        trade = tapes.agg_trade("AAAUSDT", k, at // 1000, str(price[second // 6]), "1")
        lines.append(line(at + 20_000, Kind.FRAME, trade))

    def run(first: Model | None, cuts: list[int]) -> dict[str, pa.Table]:
        return tapes.feed(tapes.journal_engine(kernels(first)), lines if first is None else lines[1:], cuts)

    whole = run(None, [])
    found: list[dict[str, Any]] = whole["alerts"].filter(pa.compute.equal(whole["alerts"]["detector"], "learned")).to_pylist()
    assert found
    assert {row["version"] for row in found} == {MODEL.version}
    assert MODEL.terms[0].model_dump_json() in whole["inputs"]["value"][0].as_py()
    assert run(None, [*range(1, 360, 7)])["alerts"] == whole["alerts"]
    assert run(MODEL, [])["alerts"] == whole["alerts"]


def test_of_an_old_journal_the_settings_hold_and_the_model_is_quarantined() -> None:
    engine = tapes.journal_engine(kernels(None))
    old = kernels(MODEL.model_copy(update={"features": VERSION + 1})).model_copy(update={"percentile_window": 77})
    got = tapes.feed(engine, [line(tapes.DAY, Kind.SETTINGS, old.canonical())])
    assert engine.signals.kernels.percentile_window == 77
    (row,) = got["quarantine"].to_pylist()
    assert "learn it again with `tapeflow learn`" in row["reason"]
    assert engine.signals.learned.model is None
