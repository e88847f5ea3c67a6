"""What a benchmark tells: lines of a Markdown table."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable
from typing import NamedTuple

HEAD = "| what | reached | goal |\n|---|--:|--:|"


class Line(NamedTuple):
    """What was measured, what came out, and what was wanted (empty: nothing)."""

    what: str
    reached: str
    goal: str = ""


def show(lines: Iterable[Line]) -> None:
    """Print lines as they come."""
    for line in lines:
        print(f"| {line.what} | {line.reached} | {line.goal} |", flush=True)


def median(measure: Callable[[], float], runs: int) -> float:
    """Return the median of several runs, after one that does not count."""
    measure()
    return statistics.median(measure() for _ in range(runs))
