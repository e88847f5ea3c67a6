"""What alerts on closed minutes were worth on recordings that hold minutes alone, for weeks; part of `benchmarks.precision`.

These files know neither sides nor notional, so only detectors that need prices and volumes are judged here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import polars as pl

from pipelines import alerts
from pipelines.detection import Surges
from pipelines.detector_settings import Detectors
from pipelines.feature_detection import FeatureAlarms
from pipelines.kernels.bar import BAR
from pipelines.market import Instrument
from pipelines.research import events, rules, scores
from pipelines.signals_doc import Measured
from tests import recorded_minutes

NEED_PRICES_ALONE: Final = ("volume_surge", "rvol_spike", "volatility_jump", "cusum_break")


def found(bars: pl.DataFrame) -> pl.DataFrame:
    """Return the alerts of one instrument at default settings, as rows of table `alerts`."""
    settings = Detectors()
    it = Instrument(bars["venue"][0], bars["symbol"][0], bars["symbol"][0], "", "")
    closed = np.zeros(bars.height, BAR)
    closed["ts"], closed["end"] = (bars[name].dt.epoch("us").to_numpy() for name in ("ts", "end"))
    volume = bars["volume"].to_numpy()
    surges, minutes = Surges(settings.volume_surge), FeatureAlarms(settings)
    surges.grow(1)
    minutes.grow(1)
    told = surges.feed(closed, volume, [it]) + minutes.feed(recorded_minutes.measured(bars).standing(), [it])[1]
    return pl.DataFrame(alerts.rows(told, "history")).filter(pl.col("detector").is_in(NEED_PRICES_ALONE))


def measured(event: str, horizon: str) -> Iterator[Measured]:
    """Score each detector on each recording, all instruments of it together."""
    rule, span = rules.parse(event), rules.span_us(horizon)
    recordings = {
        recorded_minutes.FTX: recorded_minutes.ftx(),
        " ".join(recorded_minutes.BINANCE_US.values()): recorded_minutes.binance_us(),
        recorded_minutes.USDM: recorded_minutes.usdm(),
    }
    for names, parts in recordings.items():
        found_here = pl.concat([found(bars) for bars in parts])
        happened = pl.concat([events.find(rule, bars) for bars in parts])
        watched = pl.concat([events.watched(rule, bars) for bars in parts])
        symbols = parts[0]["symbol"][0] if len(parts) == 1 else f"{len(parts)} symbols"
        for name in NEED_PRICES_ALONE:
            score = scores.score(found_here.filter(detector=name), happened, watched, span)
            if (share := score.precision.value) is not None:
                figures = (score.days, score.alerts, score.hits, share, score.precision.low, score.precision.high)
                yield Measured(name, names, parts[0]["venue"][0], symbols, *figures, score.base_rate)
