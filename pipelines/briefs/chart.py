"""The chart of a message: price and VPIN of an instrument up to a time, with its alerts, as PNG, for Slack takes no SVG."""

from __future__ import annotations

import datetime as dt
import io
from typing import TYPE_CHECKING, Any

import polars as pl

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from pipelines.store.lake import Lake

SPAN = dt.timedelta(hours=4)
HOLE = dt.timedelta(minutes=3)
"""Bars further apart than this are not joined by a line."""
MARGIN = dt.timedelta(minutes=5)
INK, LINE, FLOW, FAINT = "#334155", "#2563eb", "#7c3aed", "#cbd5e1"
MARKS = {1: "#94a3b8", 2: "#f59e0b", 3: "#dc2626"}
"""Colours of alerts by severity."""
INCHES, DOTS = (8.0, 4.4), 120


def chart(lake: Lake, venue: str, symbol: str, at: dt.datetime) -> bytes:
    """Draw the last hours up to `at`, from rows with `end` <= `at` alone; nothing where there is no bar."""
    bars, vpin, alerts = (_rows(lake, name, venue, symbol, at) for name in ("bars", "vpin", "alerts"))
    minutes = bars.filter(pl.col("bar") == "1m").sort("end").select("end", "close")
    if minutes.is_empty():
        return b""
    return drawn(f"{symbol} {venue}", minutes, _of_one_setting(vpin), alerts.select("end", "severity"), at)


def described(symbol: str) -> str:
    """Return what the chart shows, in words."""
    return (
        f"{symbol}: price by minute, and percentile of VPIN, over the hours before; marks at the top are alerts, red the severe"
    )


def drawn(title: str, minutes: pl.DataFrame, vpin: pl.DataFrame, alerts: pl.DataFrame, at: dt.datetime) -> bytes:
    """Return a PNG; the same rows give the same bytes.

    Parameters
    ----------
    title
    minutes
        `end`, `close`; by time.
    vpin
        `end`, `pct`; by time; may be empty.
    alerts
        `end`, `severity`.
    at
        The right edge.
    """
    import matplotlib.dates as mdates  # noqa: PLC0415 - it takes a second to load, and few processes draw
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=INCHES, dpi=DOTS, layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[2, 1])
    _line(above, minutes, "close", LINE)
    _line(below, vpin.with_columns(pl.col("pct") * 100), "pct", FLOW, holes=False)
    below.set_ylim(0, 100)
    below.set_ylabel("VPIN percentile", color=INK, fontsize=9)
    above.set_ylabel("price", color=INK, fontsize=9)
    above.set_title(f"{title}, to {at:%Y-%m-%d %H:%M} UTC", loc="left", color=INK, fontsize=11)
    for end, severity in alerts.sort("severity", "end").iter_rows():
        above.plot(
            [end], [1.0], "v", color=MARKS.get(severity, FAINT), markersize=3 + severity, transform=above.get_xaxis_transform()
        )
    first = max(at - SPAN, minutes["end"][0] - MARGIN)
    for axes in (above, below):
        axes.grid(color=FAINT, linewidth=0.4, alpha=0.6)
        axes.tick_params(colors=INK, labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_xlim(first, at)
    above.ticklabel_format(axis="y", useOffset=False, style="plain")
    below.xaxis.set_major_formatter(mdates.DateFormatter("%H:%M", tz=dt.UTC))
    if vpin.is_empty():
        below.text(0.5, 0.5, "not available", transform=below.transAxes, ha="center", va="center", color=INK, fontsize=9)
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()


def _line(axes: Axes, rows: pl.DataFrame, column: str, colour: str, *, holes: bool = True) -> None:
    """Draw a line that is broken where rows lack or, with `holes`, are far apart."""
    times: list[Any] = []
    values: list[float | None] = []
    for end, value in rows.select("end", column).iter_rows():
        if holes and times and end - times[-1] > HOLE:
            times.append(end)
            values.append(None)
        times.append(end)
        values.append(value)
    axes.plot(times, [float("nan") if value is None else value for value in values], color=colour, linewidth=1.3, zorder=2)


def _rows(lake: Lake, name: str, venue: str, symbol: str, at: dt.datetime) -> pl.DataFrame:
    """Return the rows of an instrument that were complete within the span."""
    rows = lake.table(name, symbol=symbol, venue=venue, start=at - 2 * SPAN)
    return rows.filter(pl.col("end") > at - SPAN, pl.col("end") <= at).collect()


def _of_one_setting(vpin: pl.DataFrame) -> pl.DataFrame:
    """Return the percentiles of the setting that has the most of them."""
    known = vpin.filter(pl.col("pct").is_not_null())
    if known.is_empty():
        return known.select("end", "pct")
    counts = known.group_by("setting").len().sort(["len", "setting"], descending=[True, False])
    return known.filter(pl.col("setting") == counts["setting"][0]).sort("end").select("end", "pct")
