"""Minutes, alerts and events for the tests of research."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

TIME = pl.Datetime("us", "UTC")
MINUTE = 60_000_000
DAY = 1_700_006_400_000_000  # 2023-11-15, us
NOWHERE = {"venue": "demo", "symbol": "BTC-USDT"}


def bars(closes: Sequence[float | None], begin: int = DAY, quality: str = "complete", **instrument: str) -> pl.DataFrame:
    """Return a `1m` bar for each close, from `begin` on; None: that minute has none."""
    rows = [(begin + k * MINUTE, begin + (k + 1) * MINUTE, close) for k, close in enumerate(closes) if close is not None]
    frame = pl.DataFrame(rows, {"ts": pl.Int64, "end": pl.Int64, "close": pl.Float64}, orient="row")
    words = {**NOWHERE, **instrument, "quality": quality}
    return frame.with_columns(pl.col("ts", "end").cast(TIME), **{name: pl.lit(word) for name, word in words.items()})


def alerts(ends: Sequence[float], detector: str = "big_trade", origin: str = "live", **instrument: str) -> pl.DataFrame:
    """Return an alert at each of `ends`, minutes behind DAY."""
    frame = pl.DataFrame({"end": [DAY + round(m * MINUTE) for m in ends]}, {"end": pl.Int64})
    words = {**NOWHERE, **instrument, "detector": detector, "origin": origin}
    return frame.with_columns(pl.col("end").cast(TIME), version=pl.lit(1), **{name: pl.lit(word) for name, word in words.items()})


def spans(pairs: Sequence[tuple[float, float]], **instrument: str) -> pl.DataFrame:
    """Return (start, end), minutes behind DAY, as `events.find` and `events.watched` do."""
    frame = pl.DataFrame([(DAY + round(a * MINUTE), DAY + round(b * MINUTE)) for a, b in pairs], ["start", "end"], orient="row")
    return _named(frame.cast(pl.Int64), instrument)


def _named(frame: pl.DataFrame, instrument: dict[str, str]) -> pl.DataFrame:
    words = {name: pl.lit(word) for name, word in {**NOWHERE, **instrument}.items()}
    return frame.with_columns(pl.col("start", "end").cast(TIME), **words).select("venue", "symbol", "start", "end")


def minutes(frame: pl.DataFrame) -> list[tuple[float, float]]:
    """Return the (start, end) of spans in minutes behind DAY."""
    starts, ends = ((frame[name].dt.epoch("us") - DAY) / MINUTE for name in ("start", "end"))
    return list(zip(starts, ends, strict=True))
