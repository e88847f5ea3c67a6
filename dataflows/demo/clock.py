"""Exchange time: the wall clock's, or faster; or that of a recording, which waits for its first listener."""

from __future__ import annotations

import time
from collections.abc import Callable


class Clock:
    """Exchange time in ms since 1970.

    Parameters
    ----------
    speed : float
        Exchange seconds per second.
    origin_ms : int, optional
        What it shows until `start` is called; by default it runs at once, from the wall clock's time.
    wall : callable
        Seconds since 1970.
    """

    def __init__(self, speed: float = 1.0, origin_ms: int | None = None, wall: Callable[[], float] = time.time) -> None:
        self._speed = speed
        self._wall = wall
        self._started = None if origin_ms is not None else wall()
        self._origin_ms = wall() * 1000 if origin_ms is None else float(origin_ms)
        self._ahead_ms = 0.0

    def start(self) -> None:
        """Begin to run, unless it does already."""
        if self._started is None:
            self._started = self._wall()

    def step(self, milliseconds: float) -> None:
        """Put the clock forward, or with a negative value back."""
        self._ahead_ms += milliseconds

    def now_ms(self) -> int:
        """Return exchange time."""
        elapsed = 0.0 if self._started is None else self._wall() - self._started
        return int(self._origin_ms + elapsed * 1000 * self._speed + self._ahead_ms)
