"""Tells a socket that is open and dead from one that is merely quiet."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from pipelines.feeds import QUIET, Feed

TICK_S: Final = 0.25
"""How often a socket is looked at. Looks are counted, not seconds: a look that comes late finds nothing it could blame."""
PING_TICKS: Final = 8
STALLED: Final = 16
"""Looks without a frame or a pong after which a socket is dead."""
FIRST_DATA: Final = 40
"""Looks within which the first trade is due."""
EXPECTED: Final = 16
"""Looks with data that there should have been, as often as in the last minute, for silence to be told a fault of the feed."""
_SETTLED: Final = 20
_MINUTE: Final = 240


class Pulse:
    """How often one feed of a socket shows data.

    Looks with data are counted, not data: a burst says nothing of how often to expect some.
    """

    def __init__(self) -> None:
        self._shown = 0
        self._silent = 0
        self._recent: deque[bool] = deque(maxlen=_MINUTE)

    def silent(self, shown: int) -> bool:
        """Take how much has come so far; return whether the silence since is a fault."""
        fresh = shown > self._shown
        self._shown = shown
        self._silent = 0 if fresh else self._silent + 1
        self._recent.append(fresh)
        rate = sum(self._recent) / max(len(self._recent) - self._silent, _SETTLED)
        return self._silent >= STALLED and rate * self._silent >= EXPECTED


class Liveness:
    """What is known of one open socket.

    Parameters
    ----------
    feeds : iterable of Feed
        What it carries; the silence of liquidations and funding means nothing.
    patience : int
        By how much to prolong the wait for the first trade: a quiet instrument is no fault.
    """

    def __init__(self, feeds: Iterable[Feed], patience: int = 1) -> None:
        self._pulses = {feed: Pulse() for feed in feeds if feed not in QUIET}
        self._first_data = FIRST_DATA * patience
        self._ticks = 0
        self._frames = 0
        self._pongs = 0
        self._still = 0

    def look(self, frames: int, pongs: int, shown: Mapping[Feed, int] | None, unseen: Collection[Feed] = ()) -> str | None:
        """Take how much has come so far; return what is wrong, or None.

        Parameters
        ----------
        frames, pongs : int
            Of whatever kind.
        shown : mapping of Feed to int, optional
            Data per feed; None while nobody can tell, which blames no feed.
        unseen : collection of Feed
            What is shed unseen, and not blamed either.
        """
        alive = frames > self._frames or pongs > self._pongs
        self._frames, self._pongs = frames, pongs
        self._still = 0 if alive else self._still + 1
        if self._still >= STALLED:
            return "stalled"
        if shown is None:
            return None
        self._ticks += 1
        if "trades" in self._pulses and "trades" not in unseen and not shown.get("trades"):
            return "no_data" if self._ticks >= self._first_data else None
        pulses = [(feed, pulse) for feed, pulse in self._pulses.items() if feed not in unseen]
        silent = [feed for feed, pulse in pulses if pulse.silent(shown.get(feed, 0))]
        return f"silent: {', '.join(silent)}" if silent else None
