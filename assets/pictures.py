"""What Dagster shows as Markdown: plain text, and plots as SVG in a data URI, below 20 kB each, for events keep them for ever."""

import base64
from collections.abc import Sequence

import dagster as dg

WIDTH, HEIGHT = 640, 180
LEFT, RIGHT, TOP, BOTTOM = 56, 8, 22, 20
POINTS = 288
"""Points of a line that are drawn at most."""
LETTER = 6.2
INK, LINE, BAND = "#334155", "#2563eb", "#dbeafe"

Line = Sequence[tuple[float, float | None]]
"""x and y; where y is None the line is broken."""


def markdown(svg: str) -> dg.MarkdownMetadataValue:
    """Return a picture as Dagster shows it."""
    return dg.MetadataValue.md(f"![plot](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})")


def fenced(text: str) -> str:
    """Return text as Markdown in which nothing is markup."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}text\n{text}\n{fence}"


def columns(title: str, heights: Sequence[float], labels: Sequence[str]) -> str:
    """Draw one column per value; every sixth, and the first, has its label below."""
    top = max(heights, default=0) or 1.0
    step = (WIDTH - LEFT - RIGHT) / max(len(heights), 1)
    parts = []
    for i, (height, label) in enumerate(zip(heights, labels, strict=True)):
        x, tall = LEFT + i * step, (HEIGHT - TOP - BOTTOM) * height / top
        parts.append(
            f'<rect x="{x + 1:.1f}" y="{HEIGHT - BOTTOM - tall:.1f}" width="{step - 2:.1f}" height="{tall:.1f}" fill="{LINE}"/>'
        )
        if i % max(1, len(heights) // 4) == 0:
            parts.append(_text(x, HEIGHT - 6, label))
    return _frame(title, (0.0, top), parts)


def bars(title: str, lengths: Sequence[float], labels: Sequence[str], texts: Sequence[str]) -> str:
    """Draw one bar per value, one below the other: its label before it, its text behind."""
    most, row = max(lengths, default=0) or 1.0, 16
    left, right = max(84, 22 + _width(labels)), max(90, 8 + _width(texts))
    tall = TOP + row * len(lengths) + 6
    parts = [_text(LEFT - 48, 14, title)]
    for i, (length, label, text) in enumerate(zip(lengths, labels, texts, strict=True)):
        y, wide = TOP + row * i, max(0.5, (WIDTH - left - right) * length / most)
        parts.append(f'<rect x="{left}" y="{y}" width="{wide:.1f}" height="{row - 4}" fill="{LINE}"/>')
        parts.append(_text(LEFT - 48, y + 10, label) + _text(left + wide + 4, y + 10, text))
    return _canvas(tall, "".join(parts))


def line(
    title: str, points: Line, span: tuple[float, float], labels: Sequence[str], bounds: tuple[float, float] | None = None
) -> str:
    """Draw a line over `span` of x, its `labels` spread evenly below; `bounds` of y, else those of the points."""
    shown = points[:: max(1, -(-len(points) // POINTS))]
    known = [y for _, y in shown if y is not None]
    low, high = bounds or (min(known, default=0.0), max(known, default=1.0))
    high = high if high > low else low + 1.0
    wide, tall = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    path, pen = [], "M"
    for x, y in shown:
        if y is None:
            pen = "M"
            continue
        path.append(f"{pen}{LEFT + wide * (x - span[0]) / (span[1] - span[0]):.1f} {TOP + tall * (high - y) / (high - low):.1f}")
        pen = "L"
    drawn = f'<path d="{"".join(path)}" fill="none" stroke="{LINE}" stroke-width="1.5" stroke-linecap="round"/>'
    below = [_text(LEFT + wide * i / len(labels), HEIGHT - 6, label) for i, label in enumerate(labels)]
    return _frame(title, (low, high), [drawn, *below])


def _frame(title: str, bounds: tuple[float, float], parts: Sequence[str]) -> str:
    base = HEIGHT - BOTTOM
    axes = f'<path d="M{LEFT} {TOP}V{base}H{WIDTH - RIGHT}" fill="none" stroke="{BAND}"/>'
    low, high = _ends(*bounds)
    texts = _text(LEFT, 14, title) + _text(2, TOP + 8, high) + _text(2, base, low)
    return _canvas(HEIGHT, "".join([axes, texts, *parts]))


def _canvas(height: float, drawn: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}"'
        f' font-family="sans-serif" font-size="11" fill="{INK}"><rect width="{WIDTH}" height="{height}" fill="#fff"/>'
        f"{drawn}</svg>"
    )


def _text(x: float, y: float, text: str) -> str:
    safe = text.replace("&", "&amp;").replace("<", "&lt;")
    return f'<text x="{x:.0f}" y="{y:.0f}">{safe}</text>'


def _width(texts: Sequence[str]) -> float:
    """Return the room that the longest needs, of letters of the usual width."""
    return LETTER * max(map(len, texts), default=0)


def _ends(low: float, high: float) -> tuple[str, str]:
    """Return the ends of an axis with as many digits as tell them apart, and one more."""
    differ = next((digits for digits in range(3, 9) if _short(low, digits) != _short(high, digits)), 9)
    return _short(low, differ + 1), _short(high, differ + 1)


def _short(value: float, digits: int) -> str:
    for unit, least, name in ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e3, 1e4, "k")):
        if abs(value) >= least:
            return f"{value / unit:.{digits}g}{name}"
    return f"{value:.{digits}g}"
