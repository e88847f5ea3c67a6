"""Best quotes of all instruments, followed minute by minute; trades learn the middle that stood before them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipelines.kernels import ofi
from pipelines.kernels.spread import TOP
from pipelines.tape import CLOCK, Rows, empty

_END = np.iinfo(np.int64).max // 2
"""Later than any time, us."""


class Passed(NamedTuple):
    """Minutes of quotes that are over (`ofi.QUOTED`), and changes of the middle (`ofi.MID`), in order per instrument."""

    minutes: npt.NDArray[np.void]
    mids: npt.NDArray[np.void]


class BestQuotes:
    """The best quote of each instrument; from quotes, or from the top of its book where the venue sends none."""

    def __init__(self) -> None:
        self.states = np.zeros(0, ofi.BEST)
        self.tops = np.zeros(0, TOP)
        self._passed: list[Passed] = []

    def grow(self, n: int) -> None:
        """Make room for `n` instruments."""
        fresh = np.zeros(n - len(self.states), ofi.BEST)
        fresh["mid"] = np.nan
        self.states = np.concatenate([self.states, fresh])

    def watch(self, rows: Rows, venue_of: npt.NDArray[np.int64]) -> None:
        """Take `tops` and rows in order of receipt; set `mid` of trades."""
        self.grow(venue_of.size)
        tops, self.tops = self.tops, self.tops[:0]
        if not (tops.size or self.states["minute"].any()):
            return
        most = 2 * tops.size + self.states.size * int((rows["kind"] == CLOCK).sum())
        out, mids = np.zeros(most, ofi.QUOTED), np.zeros(most, ofi.MID)
        closed, changes = ofi.best_quotes(tops, rows, venue_of, self.states, out, mids)
        self._passed.append(Passed(out[:closed], mids[:changes]))

    def lose(self, quoted: Iterable[int], booked: Iterable[int]) -> None:
        """Note that no more is heard of these instruments' quotes, or of their books."""
        gone = [*quoted, *(i for i in booked if i < len(self.states) and not self.states["quoted"][i])]
        gone = [i for i in gone if self.states["known"][i]]
        mids = np.zeros(len(gone), ofi.MID)
        mids["instrument"], mids["ts"], mids["mid"] = gone, self.states["now"][gone], np.nan
        self.states["known"][gone], self.states["whole"][gone], self.states["mid"][gone] = False, False, np.nan
        self._passed.append(Passed(np.zeros(0, ofi.QUOTED), mids))

    def finish(self) -> None:
        """End a bounded tape: nothing is waited for any more."""
        beats = np.zeros(self.states.size, TOP)
        beats["instrument"], beats["ts"], beats["of_book"] = np.arange(beats.size), _END, ~self.states["quoted"]
        self.tops = beats[self.states["minute"] > 0]
        self.watch(empty(0), np.zeros(self.states.size, np.int64))

    def take(self) -> list[Passed]:
        """Return what is over since the last call."""
        passed, self._passed = self._passed, []
        return passed
