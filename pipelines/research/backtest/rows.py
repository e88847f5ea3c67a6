"""Figures of a backtest as rows of table `backtests`, and their run: the hash of all of them."""

from __future__ import annotations

import datetime as dt
import hashlib

import msgspec
import pyarrow as pa

from pipelines.backtest_table import BACKTESTS
from pipelines.research.backtest import protocol
from pipelines.research.backtest.judge import Asked, Judged


def run_id(asked: Asked, judged: list[Judged], generated: str) -> str:
    """Return the run's name; the same figures of the same question have the same."""
    figures = [[one.instrument, one.figures] for one in judged]
    text = msgspec.json.encode([protocol.digest(), asked, generated, figures], enc_hook=_plain)
    return hashlib.sha256(text).hexdigest()[:16]


def rows(asked: Asked, judged: list[Judged], generated: str) -> pa.Table:
    """Return a row for each figure."""
    run, firsts = run_id(asked, judged, generated), protocol.starts(asked.grid.starts).tolist()
    spans = {"calm": asked.control, "span": asked.span}
    out = []
    for one in judged:
        for figure in one.figures:
            cell, span = figure.cell, spans[figure.period]
            out.append(
                {
                    "date": asked.span.first,
                    **one.instrument._asdict(),
                    "run": run,
                    **figure._asdict(),
                    "v": cell.v if cell else 0,
                    "n": cell.n if cell else 0,
                    "start": cell.start if cell else 0,
                    "first": firsts[cell.start] if cell else None,
                    "ts": _moment(span.first),
                    "end": _moment(span.last + dt.timedelta(days=1)),
                    "count": figure.n,
                    "why": figure.why or None,
                    "protocol": protocol.digest(),
                    "generated": generated or None,
                }
            )
    return pa.Table.from_pylist(out, BACKTESTS.lake_schema)


def _moment(date: dt.date) -> dt.datetime:
    return dt.datetime.combine(date, dt.time(), dt.UTC)


def _plain(value: object) -> object:
    """Return numpy's numbers as Python's."""
    return value.item() if hasattr(value, "item") else str(value)
