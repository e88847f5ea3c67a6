"""The events, by a rule on prices alone, fixed before VPIN is looked at: falls that begin with a jump.

A fall begins with a return of five minutes that is a jump down by the test of Lee and Mykland (1 % for a false one in a
day), and is complete with the first close, at most an hour after the jump began, that is 3 % below the close at its begin.
Of a UTC date and instrument the first counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import polars as pl

from pipelines.market import DAY_US
from pipelines.research import events
from pipelines.research.rules import MINUTE_US, Jump, Minutes

FALSE_JUMP = 0.01
FALL = 0.03
WITHIN_US = 60 * MINUTE_US
_NEARLY = 1 - 1e-9  # a fall of exactly the least size counts, however its ratio is rounded


class Falls(NamedTuple):
    """See the module; the members are as `rules.Rule` says."""

    share: float = FALL
    within_us: int = WITHIN_US

    @property
    def warm_up_us(self) -> int:
        """See `Rule`."""
        return self._jumps.warm_up_us

    @property
    def _jumps(self) -> Jump:
        return Jump(FALSE_JUMP, 5 * MINUTE_US)

    def find(self, watched: list[Minutes]) -> Iterator[tuple[int, int]]:
        """Yield the falls; see `Rule`."""
        date, over = -1, 0
        for minutes in watched:
            for start, _ in self._jumps.find([minutes]):
                end = self._complete(minutes, start)
                if end and start // DAY_US != date and start >= over:
                    date, over = start // DAY_US, end
                    yield start, end

    def _complete(self, minutes: Minutes, start: int) -> int:
        """Return when the fall from `start` is complete; 0: it is none."""
        at = int(np.searchsorted(minutes.ends, start))
        after = minutes.closes[at + 1 : at + 1 + self.within_us // MINUTE_US] / minutes.closes[at] - 1
        jump = after[:5]
        far = np.flatnonzero(-after >= self.share * _NEARLY)
        if jump.size < 5 or jump[4] >= 0 or not far.size:
            return 0
        return int(minutes.ends[at + 1 + max(int(far[0]), 4)])


def calm(found: pl.DataFrame, watched: pl.DataFrame) -> pl.DataFrame:
    """Return the parts of `watched` that lie on dates on which no fall begins or ends; of one instrument, all as in `scores`."""
    busy = sorted({us // DAY_US for name in ("start", "end") for us in found[name].dt.epoch("us")})
    spans = []
    for begun, until in watched.select(pl.col("start", "end").dt.epoch("us")).iter_rows():
        edges = [begun, *(edge for date in busy for edge in (date * DAY_US, (date + 1) * DAY_US)), until]
        clipped = np.clip(np.array(edges, np.int64), begun, until).reshape(-1, 2)
        spans += [span for span in clipped.tolist() if span[0] < span[1]]
    frame = pl.DataFrame(spans, {"start": pl.Int64, "end": pl.Int64}, orient="row")
    who = [pl.lit(watched[name][0] if watched.height else "", pl.String).alias(name) for name in events.INSTRUMENT]
    return frame.select(*who, pl.col("start", "end").cast(pl.Datetime("us", "UTC")))


def whole_days(watched: pl.DataFrame) -> int:
    """Return how many whole UTC dates are watched."""
    spans = watched.select(pl.col("start", "end").dt.epoch("us")).iter_rows()
    return sum(max(0, end // DAY_US - -(-start // DAY_US)) for start, end in spans)
