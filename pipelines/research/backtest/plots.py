"""Small SVG plots of a backtest, as text: a few kB each."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence

import numpy as np

from pipelines.research.backtest.judge import Figure, Illustration
from pipelines.research.backtest.protocol import Cell
from pipelines.research.backtest.trades import Floats

WIDTH, HEIGHT = 560, 200
LEFT, RIGHT, TOP, BOTTOM = 52, 20, 22, 34
THIN = 2
"""Every second step is drawn."""
INK, VPIN, PLAIN, FALL = "#444", "#2563a8", "#c26a1a", "#f3d4d4"


def slopes(title: str, figures: Sequence[Figure]) -> str:
    """Return what VPIN adds, by V and n: the plain start with its interval, and the least and greatest of all starts."""
    by: dict[tuple[int, int], list[Figure]] = {}
    for one in figures:
        if one.cell and one.value is not None:
            by.setdefault((one.cell.v, one.cell.n), []).append(one)
    ends = [x for part in by.values() for one in part for x in (one.value, one.low, one.high) if x is not None]
    low, high = min([0.0, *ends]), max([0.0, *ends])
    axis = _Axis(low, high if high > low else low + 1)
    body = [axis.line(0.0, "0"), *(axis.line(x, f"{x:.2f}") for x in (low, high) if x)]
    step = (WIDTH - LEFT - RIGHT) / max(len(by), 1)
    for k, ((v, n), part) in enumerate(by.items()):
        x = LEFT + (k + 0.5) * step
        values = [one.value for one in part if one.value is not None]
        plain = next((one for one in part if one.cell == Cell(v, n, 0)), part[0])
        body.append(_bar(x - 5, axis.y(min(values)), axis.y(max(values)), PLAIN, 4))
        if plain.low is not None and plain.high is not None:
            body.append(_bar(x + 5, axis.y(plain.low), axis.y(plain.high), VPIN, 1.5))
        body.append(f'<circle cx="{x + 5:.1f}" cy="{axis.y(values[0]):.1f}" r="3" fill="{VPIN}"/>')
        body.append(_text(x, HEIGHT - BOTTOM + 14, f"{v} / {n}", "middle"))
    body.append(_text(LEFT, HEIGHT - 6, "buckets a day / buckets a window; blue: start of table vpin, 95 %; orange: all starts"))
    return _svg(title, body)


def around(title: str, one: Illustration) -> str:
    """Return the close, and the percentiles of VPIN and of realised volatility, around an event."""
    one = one._replace(**{name: getattr(one, name)[::THIN] for name in ("times", "closes", "vpin", "rv")})
    hours = (one.times - one.start) / 3.6e9
    x = LEFT + (hours - hours[0]) / (hours[-1] - hours[0]) * (WIDTH - LEFT - RIGHT)
    price, pct = _Axis(float(np.nanmin(one.closes)), float(np.nanmax(one.closes))), _Axis(0.0, 1.0)
    ends = np.interp([0.0, (one.end - one.start) / 3.6e9], hours, x)
    wide, high = max(ends[1] - ends[0], 1), HEIGHT - TOP - BOTTOM
    body = [
        f'<rect x="{ends[0]:.1f}" y="{TOP}" width="{wide:.1f}" height="{high}" fill="{FALL}"/>',
        pct.line(1.0, "1"),
        pct.line(0.0, "0"),
        *_path(x, one.closes, price, INK),
        *_path(x, one.rv, pct, PLAIN),
        *_path(x, one.vpin, pct, VPIN),
    ]
    body += [
        _text(float(np.interp(hour, hours, x)), HEIGHT - BOTTOM + 14, f"{hour:+d} h" if hour else "0", "middle")
        for hour in range(-24, 13, 6)
        if hours[0] <= hour <= hours[-1]
    ]
    begun = dt.datetime.fromtimestamp(one.start / 1e6, dt.UTC)
    body.append(_text(LEFT, HEIGHT - 6, f"from {begun:%Y-%m-%d %H:%M}; blue: VPIN, orange: rv_1h, as percentiles; grey: close"))
    return _svg(title, body)


class _Axis:
    """Where values stand, from the least at the bottom to the greatest at the top."""

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high if high > low else low + 1

    def y(self, value: float) -> float:
        return TOP + (self.high - value) / (self.high - self.low) * (HEIGHT - TOP - BOTTOM)

    def line(self, value: float, label: str) -> str:
        y = self.y(value)
        line = f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" stroke="#bbb" stroke-width="0.7"/>'
        return line + _text(LEFT - 5, y + 4, label, "end")


def _path(x: Floats, values: Floats, axis: _Axis, colour: str) -> Iterator[str]:
    """Yield a line for each run of known values."""
    known = ~np.isnan(values)
    edges = np.flatnonzero(np.diff(known, prepend=False, append=False))
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        points = " ".join(f"{x[k]:.0f},{axis.y(float(values[k])):.0f}" for k in range(begin, end))
        yield f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.2"/>'


def _bar(x: float, y: float, other: float, colour: str, width: float) -> str:
    return f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{x:.1f}" y2="{other:.1f}" stroke="{colour}" stroke-width="{width}"/>'


def _text(x: float, y: float, words: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{INK}">{words}</text>'


def _svg(title: str, body: list[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="10">'
    back = f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>'
    return "\n".join([head, back, _text(LEFT, 14, title), *body, "</svg>", ""])
