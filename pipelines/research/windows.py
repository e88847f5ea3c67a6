"""Spans of time as whole microseconds, both ends included, in order and apart from each other."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


class Windows(NamedTuple):
    """Spans from `first` to `last`, us, both included."""

    first: Ints
    last: Ints


def union(first: Ints, last: Ints) -> Windows:
    """Return the spans that cover just what these cover; those that end before they begin cover nothing."""
    some = first <= last
    order = np.argsort(first[some], kind="stable")
    first, last = first[some][order], np.maximum.accumulate(last[some][order])
    apart = np.ones(first.size, np.bool_)
    apart[1:] = first[1:] > last[:-1]
    return Windows(first[apart], last[np.append(apart[1:], True)] if first.size else last)


def contains(windows: Windows, times: Ints) -> npt.NDArray[np.bool_]:
    """Whether each time lies in a span."""
    which = np.searchsorted(windows.first, times, "right") - 1
    inside = which >= 0
    inside[inside] = times[inside] <= windows.last[which[inside]]
    return inside


def places(windows: Windows, step: int, phase: int) -> int:
    """Return how many of the times `phase` + k `step`, k any whole number, lie in the spans."""
    return int(np.sum((windows.last - phase) // step + (phase - windows.first) // step + 1))
