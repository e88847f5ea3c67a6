"""Tells a socket that is open and dead from one that is merely quiet."""

from __future__ import annotations

from collections import deque
from typing import Final

TICK_S: Final = 0.25
"""How often a socket is looked at. Looks are counted, not seconds: a look that comes late finds nothing it could blame."""
PING_TICKS: Final = 8
STALLED: Final = 16
"""Looks without a frame or a pong after which a socket is dead."""
FIRST_DATA: Final = 40
"""Looks within which the first frame of trades is due."""
EXPECTED: Final = 20
"""Frames that should have come, at the rate of the last minute, for silence with pongs to be told a fault of the feed."""


class Liveness:
    """What is known of one open socket.

    Parameters
    ----------
    trades : bool
        It carries trades, whose silence means something.
    patience : int
        By how much to prolong the wait for the first frame: a quiet instrument is no fault.
    """

    def __init__(self, *, trades: bool, patience: int = 1) -> None:
        self._trades = trades
        self._first_data = FIRST_DATA * patience
        self._ticks = 0
        self._frames = 0
        self._pongs = 0
        self._still = 0
        self._silent = 0
        self._recent: deque[int] = deque(maxlen=240)

    def look(self, frames: int, pongs: int) -> str | None:
        """Take how many frames and pongs have come so far; return what is wrong, or None."""
        fresh = frames - self._frames
        alive = fresh > 0 or pongs > self._pongs
        self._frames, self._pongs = frames, pongs
        self._ticks += 1
        self._still = 0 if alive else self._still + 1
        if self._still >= STALLED:
            return "stalled"
        if not self._trades:
            return None
        if frames == 0:
            return "no_data" if self._ticks >= self._first_data else None
        if fresh:
            self._silent = 0
            self._recent.append(fresh)
            return None
        self._silent += 1
        self._recent.append(0)
        rate = sum(self._recent) / max(len(self._recent) - self._silent, FIRST_DATA)
        return "silent" if self._silent >= STALLED and rate * self._silent >= EXPECTED else None
