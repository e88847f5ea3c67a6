"""What the detectors' alerts were worth on recordings in `../shared/data`; writes `benchmarks/precision.json`.

Default settings, and rule and horizon of `tapeflow score`'s own defaults, fixed before anything was looked at. Nothing is
tuned here. After it, `make docs` puts the figures into `docs/signals.md`.

    python -m benchmarks.precision
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Final

import msgspec
import polars as pl
import pyarrow as pa

from benchmarks import learned, minutes_precision
from pipelines.engine import Engine
from pipelines.learned import NAME as LEARNED
from pipelines.learned_model import built_in
from pipelines.research import events, rules, scores
from pipelines.settings import Kernels
from pipelines.signals_doc import Measured, Precision
from pipelines.sources import open_source
from tests import recorded_minutes
from tests.conftest import SHARED

HERE: Final = Path(__file__).with_name("precision.json")
EVENT: Final = "move:1%/10m"
HORIZON: Final = "10m"
RECORDINGS: Final = {
    "trades/freqtrade_XRP_OLD-trades.json.gz": "binance-spot",
    "trades/tardis_binance-futures_BTCUSDT_trades_20200222.csv.gz": "binance-usdm",
    "captures/usdm_btcusdt_20240718.gz captures/usdm_btcusdt_20240719.gz": "binance-usdm",
    "captures/usdm_ethusdt_20240718.gz captures/usdm_ethusdt_20240719.gz": "binance-usdm",
    "captures/spot_btcusdt_20240808.gz captures/spot_btcusdt_20240809.gz": "binance-spot",
}
"""Files that make one tape, and whose they are."""


def tables(names: str, venue: str) -> dict[str, pl.DataFrame]:
    """Return the alerts and bars of a recording."""
    source = open_source([SHARED / name for name in names.split()], venue=venue)
    engine = Engine(Kernels(), origin="history")
    engine.tape_of_venue[source.venue] = source.tape
    for instrument in source.instruments:
        engine.add(instrument, source.tape)
    made: dict[str, list[pa.Table]] = {"alerts": [], "bars": []}
    outs = [*(engine.feed_piece(piece, names).tables for piece in source.pieces()), engine.finish().tables]
    for name, table in (pair for out in outs for pair in out):
        made.get(name, []).append(table)
    return {name: pl.DataFrame(pa.concat_tables(parts)) for name, parts in made.items() if parts}


def measured(names: str, venue: str) -> list[Measured]:
    """Score the detectors of whose alerts on a recording some can be judged."""
    made = tables(names, venue)
    if "alerts" not in made:
        return []
    bars = made["bars"].filter(pl.col("bar") == "1m")
    rule, horizon = rules.parse(EVENT), rules.span_us(HORIZON)
    found = scores.by_detector(made["alerts"], events.find(rule, bars), events.watched(rule, bars), horizon)
    return [
        _told(one.detector, names, (one.venue, one.symbol), one.score, share)
        for one in found
        if (share := one.score.precision.value) is not None and one.detector != LEARNED
    ]


def of_learned() -> list[Measured]:
    """Score the learned detector: on recorded minutes of days after its own, and of no others."""
    model = built_in()
    found = learned.judged(model)
    files = {
        "ftx": (recorded_minutes.FTX, ("ftx", "BTC-PERP")),
        "binance_us": (" ".join(recorded_minutes.BINANCE_US.values()), ("binanceus", "BTCUSD and BTCUSDT")),
        "usdm": (recorded_minutes.USDM, ("binance-usdm", "14 symbols")),
    }
    made = [
        _told(LEARNED, names, who, found[name], share)
        for name, (names, who) in files.items()
        if (share := found[name].precision.value) is not None
    ]
    return [msgspec.structs.replace(one, horizon=model.horizon) for one in made]


def _told(detector: str, names: str, who: tuple[str, str], score: scores.Score, share: float) -> Measured:
    precision = score.precision
    figures = (score.days, score.alerts, score.hits, share, precision.low, precision.high, score.base_rate)
    return Measured(detector, names, who[0], who[1], *figures)


def run() -> Precision:
    """Measure all."""
    found = [one for names, venue in RECORDINGS.items() for one in measured(names, venue)]
    found += [*minutes_precision.measured(EVENT, HORIZON), *of_learned()]
    today = dt.datetime.now(dt.UTC).date().isoformat()
    files = list(dict.fromkeys([*RECORDINGS, *(one.recording for one in found)]))
    return Precision(today, EVENT, HORIZON, "default settings", files, found)


if __name__ == "__main__":
    HERE.write_bytes(msgspec.json.format(msgspec.json.encode(run()), indent=1) + b"\n")
