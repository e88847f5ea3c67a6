"""The recorder's clock: the machine's, or for the demo exchange one that runs faster."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable


def scaled(speed: float, exchange_ns: int, wall_ns: Callable[[], int] = time.time_ns) -> Callable[[], int]:
    """Return a clock that reads `exchange_ns` now and runs `speed` times as fast as `wall_ns`."""
    begin = wall_ns()
    return lambda: exchange_ns + int((wall_ns() - begin) * speed)


def date_of(ns: int) -> dt.date:
    """Return the UTC date of a time in ns since 1970."""
    return dt.datetime.fromtimestamp(ns // 10**9, dt.UTC).date()
