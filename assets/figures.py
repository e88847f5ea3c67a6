"""What Dagster shows of a finished day, table by table: headline numbers, one small plot, a few rows."""

import datetime as dt
from collections.abc import Callable
from typing import Any, NamedTuple

import dagster as dg
import polars as pl

from assets import pictures
from pipelines.history.day import Day
from pipelines.market import DAY_US, TABLES
from pipelines.store.lake import Lake

HOURS = [f"{hour:02}:00" for hour in range(24)]
QUARTERS = ["00:00", "06:00", "12:00", "18:00"]
PREVIEW = {
    "trades": ("symbol", "ts", "trade_id", "price", "size", "side", "flags"),
    "bars": ("symbol", "bar", "ts", "open", "close", "volume", "quality"),
    "vpin": ("symbol", "setting", "bucket", "end", "vpin_flag", "pct"),
    "features": ("symbol", "ts", "mom_bps_5m", "rvol_5m", "atr_5m", "rv_1h"),
    "alerts": ("symbol", "ts", "detector", "severity", "score", "threshold", "label"),
    "posture": ("symbol", "ts", "p_up", "state", "action", "confidence"),
}
"""Columns of the few rows that are shown."""
ROWS = 5


class Figures(NamedTuple):
    """Numbers by name, and the plot."""

    numbers: dict[str, float]
    plot: str


def metadata(lake: Lake, day: Day, table: str) -> dict[str, Any]:
    """Return what is shown of a table's rows of a day; nothing but the number of rows where there is none."""
    frame = _rows(lake, day, table)
    count = int(frame.select(pl.len()).collect().item())
    told: dict[str, Any] = {"dagster/partition_row_count": count}
    if count:
        found = FIGURES[table](frame, day)
        told |= found.numbers | {"plot": pictures.markdown(found.plot), "rows_shown": _preview(frame, table)}
    return told


def _rows(lake: Lake, day: Day, table: str) -> pl.LazyFrame:
    frame = lake.table(table, date=day.date).filter(pl.col("venue") == day.venue)
    return frame.filter(pl.col("origin") == "history") if table == "alerts" else frame


def _preview(frame: pl.LazyFrame, table: str) -> dg.TableMetadataValue:
    """Return the first rows by the table's own order."""
    first = frame.select(PREVIEW[table]).bottom_k(ROWS, by=[c for c in TABLES[table].sort if c in PREVIEW[table]]).collect()
    records = [{name: _plain(value) for name, value in row.items()} for row in first.iter_rows(named=True)]
    columns = [dg.TableColumn(name, str(dtype)) for name, dtype in first.schema.items()]
    return dg.MetadataValue.table([dg.TableRecord(r) for r in records], dg.TableSchema(columns))


def _plain(value: Any) -> str | float | bool | None:
    if isinstance(value, list):
        return " ".join(map(str, value))
    if isinstance(value, dt.datetime):
        return f"{value:%H:%M:%S.%f}"[:-3]
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def _hour() -> pl.Expr:
    return pl.col("ts").dt.hour().cast(pl.Int64).alias("hour")


def _by_hour(frame: pl.LazyFrame) -> list[float]:
    found = dict(frame.group_by(_hour()).agg(pl.len()).collect().iter_rows())
    return [float(found.get(hour, 0)) for hour in range(24)]


def _leader(frame: pl.LazyFrame) -> str:
    """Return the symbol with the most rows; of equals, the first by name."""
    most = frame.group_by("symbol").agg(pl.len().alias("n")).sort("n", "symbol", descending=[True, False]).collect()
    return str(most["symbol"][0])


def _line(title: str, frame: pl.LazyFrame, column: str, day: Day, bounds: tuple[float, float] | None = None) -> str:
    points = frame.select(pl.col("end").dt.epoch("us"), column).sort("end").collect().rows()
    return pictures.line(title, points, (day.us, day.us + DAY_US), QUARTERS, bounds)


def _numbers(frame: pl.LazyFrame, **expressions: pl.Expr) -> dict[str, float]:
    row = frame.select(**expressions).collect().row(0, named=True)
    return {name: value if isinstance(value, int) else float(f"{value:.6g}") for name, value in row.items() if value is not None}


def _trades(frame: pl.LazyFrame, day: Day) -> Figures:
    flagged = {word: pl.col("flags").list.contains(word).sum() for word in ("repaired", "late", "liquidation")}
    numbers = _numbers(
        frame,
        symbols=pl.col("symbol").n_unique(),
        counted=pl.col("counted").sum(),
        notional=(pl.col("price") * pl.col("size")).filter(pl.col("counted")).sum(),
        **flagged,
    )
    return Figures(numbers, pictures.columns(f"trades an hour, {day}", _by_hour(frame), HOURS))


def _bars(frame: pl.LazyFrame, day: Day) -> Figures:
    minutes = pl.col("bar") == "1m"
    numbers = _numbers(frame, minutes=minutes.sum(), complete_share=(pl.col("quality") == "complete").filter(minutes).mean())
    shown = frame.filter(pl.col("bar") == "5m")
    if shown.limit(1).collect().is_empty():
        return Figures(numbers, pictures.columns(f"bars an hour, {day}", _by_hour(frame), HOURS))
    symbol = _leader(shown)
    return Figures(numbers, _line(f"close of {symbol}, 5m, {day}", shown.filter(pl.col("symbol") == symbol), "close", day))


def _vpin(frame: pl.LazyFrame, day: Day) -> Figures:
    numbers = _numbers(frame, buckets=pl.len(), highest_vpin=pl.col("vpin_flag").max(), highest_pct=pl.col("pct").max())
    symbol = _leader(frame)
    setting = str(frame.filter(pl.col("symbol") == symbol).select(pl.col("setting").first()).collect().item())
    shown = frame.filter(pl.col("symbol") == symbol, pl.col("setting") == setting)
    return Figures(
        numbers, _line(f"VPIN of {symbol}, {setting}, {day}", shown, "vpin_flag", day, (0.0, numbers.get("highest_vpin", 1.0)))
    )


def _features(frame: pl.LazyFrame, day: Day) -> Figures:
    numbers = _numbers(frame, minutes=pl.len(), highest_rvol=pl.col("rvol_5m").max(), highest_rv_1h=pl.col("rv_1h").max())
    symbol = _leader(frame)
    shown = frame.filter(pl.col("symbol") == symbol)
    return Figures(numbers, _line(f"momentum over 15 minutes of {symbol}, bps, {day}", shown, "mom_bps_15m", day))


def _alerts(frame: pl.LazyFrame, day: Day) -> Figures:
    named = {name: (pl.col("severity") == level).sum() for level, name in ((1, "notices"), (2, "warnings"), (3, "severe"))}
    numbers = _numbers(frame, alerts=pl.len(), **named)
    return Figures(numbers, pictures.columns(f"alerts an hour, {day}", _by_hour(frame), HOURS))


def _posture(frame: pl.LazyFrame, day: Day) -> Figures:
    numbers = _numbers(frame, changes=(pl.col("action") != "hold").sum(), flat_share=(pl.col("state") == "flat").mean())
    symbol = _leader(frame)
    shown = frame.filter(pl.col("symbol") == symbol)
    return Figures(numbers, _line(f"p_up of {symbol}, {day}", shown, "p_up", day, (0.0, 1.0)))


FIGURES: dict[str, Callable[[pl.LazyFrame, Day], Figures]] = {
    "trades": _trades,
    "bars": _bars,
    "vpin": _vpin,
    "features": _features,
    "alerts": _alerts,
    "posture": _posture,
}
