"""`docs/signals.md`: how to read each column of bars, vpin, features and posture, and each detector.

Generated from the tables' readings, the docstrings of the detectors' settings, and what was measured
(`python -m pipelines.signals_doc benchmarks/precision.json`).
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
from pydantic import BaseModel

from pipelines import detection, feature_detection, features
from pipelines.alerts import SEVERE
from pipelines.detector_settings import Detectors
from pipelines.kernels import alarm, atr, bvc, imbalance, lee_mykland, minutes
from pipelines.market import TABLES
from pipelines.schema import Column, Reading
from pipelines.settings import Kernels

SIGNALS: Final = ("bars", "vpin", "features", "posture")
PARTS: Final = ("Formula", "Unit", "Source", "Null", "Read", "Beware")
NOT_MEASURED: Final = "not measured"
_SECTION: Final = re.compile(rf"^({'|'.join((*PARTS, 'Alerts'))}): ", re.MULTILINE)


class Measured(msgspec.Struct, forbid_unknown_fields=True):
    """What alerts of a detector were worth on a recording; `low` and `high` are the 95 % interval, if there is one."""

    detector: str
    recording: str
    venue: str
    symbol: str
    days: float
    alerts: int
    hits: int
    precision: float
    low: float | None
    high: float | None
    base_rate: float | None
    horizon: str = ""
    """Where it is another than that of all."""


class Precision(msgspec.Struct, forbid_unknown_fields=True):
    """What was measured, by which event rule and horizon, and when."""

    measured: str
    event: str
    horizon: str
    settings: str
    recordings: list[str]
    detectors: list[Measured]


def sections(docstring: str) -> dict[str, str]:
    """Return the parts of a detector's docstring by their word; that before the first is under the empty word."""
    pieces = _SECTION.split(inspect.cleandoc(docstring))
    by_word = dict(zip(["", *pieces[1::2]], [pieces[0], *pieces[2::2]], strict=True))
    return {word: " ".join(text.split()) for word, text in by_word.items()}


def describe(precision: Precision) -> str:
    """Return the document."""
    return "\n".join([*_head(precision), *_columns(), *_detectors(precision), *_begins()]) + "\n"


def _head(precision: Precision) -> Iterator[str]:
    yield "# Signals"
    yield ""
    yield "Generated from the code by `make docs`; do not edit. Types and inputs of columns are in [tables.md](tables.md)."
    yield ""
    yield (
        "Nothing here is advice. A measure says what was; whether anything follows it has to be measured, on many days, against"
        " chance and against plain volume and volatility. Each entry says what has been measured, with the number of alerts (n);"
        f" `{NOT_MEASURED}` means that nobody knows."
    )
    yield ""
    yield (
        f"Measured {precision.measured} on {', '.join(f'`{name}`' for name in precision.recordings)}: event"
        f" `{precision.event}`, horizon {precision.horizon}, {precision.settings}; definitions in [scoring.md](scoring.md)."
        " Recordings of trades are short: below 7 days there is no interval, and no figure of theirs is evidence that a detector"
        " works. Recordings of minutes last weeks, but know no sides and no quotes, so they judge only what needs prices and"
        " volumes; days are summed over instruments. A detector beats chance where the low end of its interval lies above the"
        " base rate, which says nothing of size, costs or another period. Volatile hours follow each other: whether plain"
        " volatility would do as much was not measured. Figures with a horizon of their own: [learned.md](learned.md)."
    )


def _columns() -> Iterator[str]:
    for name in SIGNALS:
        table = TABLES[name]
        yield from ("", f"## {name}", "", table.doc, "", f"Key: `{', '.join(table.key)}`.")
        families: dict[Reading, list[Column]] = {}
        for column in table.columns:
            if column.reading:
                families.setdefault(column.reading, []).append(column)
        for reading, columns in families.items():
            yield from ("", f"### {name}: {', '.join(f'`{c.name}`' for c in columns)}", "")
            yield from (f"- **`{c.name}`**: {c.doc}" for c in columns)
            yield from _entry(reading)
            yield f"- **Precision**: {NOT_MEASURED}"


def _entry(reading: Reading) -> Iterator[str]:
    yield f"- **Unit**: {reading.unit}"
    yield f"- **Source**: {reading.source}"
    yield f"- **Null**: {reading.null}"
    yield f"- **Read**: {reading.read}"
    yield f"- **Does not say**: {reading.beware}"


def _detectors(precision: Precision) -> Iterator[str]:
    notice, warning, severe = SEVERE
    yield from ("", "## Detectors", "")
    yield (
        "Rows of table `alerts`. Each holds a point against a baseline strictly before it; points that alerted stay in the"
        f" baseline. Severity is 1, 2, 3 from {notice:g}, {warning:g}, {severe:g} times the threshold, unless the entry says"
        " otherwise. Detectors with `false_alarms_per_day` are tuned: the level of a date is what scores of up to"
        f" {alarm.DATES} earlier dates ({detection.DATES} of big_trade) reached so many times a day (peaks over"
        f" {alarm.APART} minutes apart), never below the least level (`least`, or the threshold among the settings);"
        " `rearm` is the hysteresis."
    )
    for name, field in Detectors.model_fields.items():
        kind = field.annotation
        assert isinstance(kind, type)
        assert issubclass(kind, BaseModel)
        told = sections(kind.__doc__ or "")
        yield from ("", f"### {name}", "", told[""], "", f"- **Formula**: {told['Formula']}")
        yield from _entry(Reading(*(told[part] for part in PARTS[1:])))
        yield f"- **Settings**: {', '.join(_settings(kind))}"
        names = told.get("Alerts", name).rstrip(".").split(", ")
        if names != [name]:
            yield f"- **Alerts**: {', '.join(f'`{alert}`' for alert in names)}"
        yield f"- **Precision**: {_precision(names, precision)}"


def _settings(kind: type[BaseModel]) -> Iterator[str]:
    for name, field in kind.model_fields.items():
        yield f"`{name}` {field.default:g}" if isinstance(field.default, int | float) else f"`{name}` {field.default}"


def _precision(names: list[str], precision: Precision) -> str:
    found = [m for m in precision.detectors if m.detector in names]
    return "; ".join(_line(m, named=len(names) > 1) for m in found) or NOT_MEASURED


def _line(m: Measured, *, named: bool) -> str:
    name = f"`{m.detector}` " if named else ""
    where = f"{m.venue} {m.symbol}, {m.days:.2f} days" + (f", horizon {m.horizon}" if m.horizon else "")
    interval = "no interval" if m.low is None else f"95 % interval {m.low:.2f} to {m.high:.2f}"
    base = "unknown" if m.base_rate is None else f"{m.base_rate:.3f}"
    return f"{name}{m.precision:.2f} (n = {m.alerts}, {m.hits} followed; base rate {base}; {interval}; {where})"


def _begins() -> Iterator[str]:
    kernels, of = Kernels(), Detectors()
    yield from ("", "## What a date begins with", "")
    yield (
        "At 00:00 UTC every recursion restarts from stored rows of the dates before, so a date can be computed alone. W of each;"
        " with fewer rows a measure is null, or as its entry says."
    )
    yield from ("", "| what | W |", "|---|---|")
    rows: dict[str, Any] = {
        "time, tick, volume, dollar bars, fixed imbalance and run bars": "0: begin anew",
        "imbalance and run bars of adaptive threshold": f"{imbalance.WINDOW} bars (10 x {imbalance.LENGTH})",
        "`vpin_flag`, `vpin_bvc`, null band": "n buckets of the setting (50)",
        "`pct`": f"{kernels.percentile_window:,} values of VPIN",
        "sigma of `vpin_bvc`": f"{bvc.SIGMA} changes, from stored minutes of up to 31 dates",
        "windows of features": f"{minutes.KEPT} minutes; none once {minutes.FAR:,} had no trades",
        "ATR": f"{atr.BARS} bars of its width (10 x {atr.LENGTH})",
        "`rv_1d` to `jump_5m`": f"{lee_mykland.K + 1} closes of 5 minutes",
        "`rvol_tod_1m`": f"{features.DATES} complete dates, at least {features.LEAST_DATES}",
        "measures of quotes": "0: begin anew",
        "big_trade": f"{of.big_trade.window:,} sweeps",
        "volume_surge": f"{of.volume_surge.window} bars",
        "cascade_proxy": f"{of.cascade_proxy.window} minutes",
        "detectors on features, posture": f"{feature_detection.WARM_US // alarm.MINUTE} minutes",
        "cooldowns of the others": "0: begin anew; an alarm that fired and never fell back has still fired",
        "level of big_trade": f"the trades of {detection.DATES} dates",
        "levels of tuned detectors": f"{alarm.DATES} dates of the {alarm.LOOK_BACK} days before",
    }
    yield from (f"| {what} | {w} |" for what, w in rows.items())


if __name__ == "__main__":
    sys.stdout.write(describe(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Precision)))
