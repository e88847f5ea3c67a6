"""Measures that need quotes, for minutes of the tape: they wait until the quotes of the minute are over, too.

Trades and quotes close their minutes apart, each by what comes next or by the clock, so that what is found does not
depend on which came first, nor on how the records were cut. Everything begins anew with each UTC date.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from pipelines.best_quotes import Passed
from pipelines.kernels import ofi, spreads
from pipelines.kernels.features import WIDTHS
from pipelines.kernels.minutes import MINUTE
from pipelines.market import DAY_US
from pipelines.tape import TRADE, Rows

HORIZONS_S = (5, 30)
COLUMNS = (
    *(f"ofi_{w}m" for w in WIDTHS),
    "spread_bps",
    "microprice",
    "effective_spread_bps_1m",
    *(f"realised_spread_bps_{tau}s" for tau in HORIZONS_S),
)
IDLE = 30 * MINUTE
"""Of an instrument that does not trade, quotes are kept for so long (us): no trade comes later than that."""
_LONGEST = max(WIDTHS) * MINUTE
_NONE = (math.nan,) * len(COLUMNS)


@dataclass
class _Side:
    """What is known of an instrument's quotes, and of the trades they are held against."""

    passed: int = 0
    done: int = 0
    minutes: list[tuple[int, int, float, float, float, float]] = field(default_factory=list)
    mids: npt.NDArray[np.void] = field(default_factory=lambda: np.zeros(0, ofi.MID))
    paid: npt.NDArray[np.void] = field(default_factory=lambda: np.zeros(0, spreads.PAID))


class QuoteFeatures:
    """The measures of all instruments; plain and picklable."""

    def __init__(self) -> None:
        self.sides: dict[int, _Side] = {}

    def trades(self, rows: Rows) -> None:
        """Take the trades that are quoted of rows in tape order."""
        rows = rows.compress(rows["quoted"] & (rows["kind"] == TRADE) & rows["counted"])
        for i in np.unique(rows["instrument"]).tolist():
            mine = rows.compress(rows["instrument"] == i)
            paid = np.zeros(mine.size, spreads.PAID)
            for name in ("eff", "ts", "price", "side"):
                paid[name] = mine[name]
            side = self.sides.setdefault(i, _Side())
            side.paid = np.concatenate([side.paid, paid])

    def quotes(self, passed: Iterable[Passed]) -> None:
        """Take minutes of quotes that are over."""
        for minutes, mids in passed:
            for i, *minute in minutes.tolist():
                side = self.sides.setdefault(i, _Side())
                side.minutes.append(tuple(minute))
                side.passed = minute[1]
            for i in np.unique(mids["instrument"]).tolist():
                side = self.sides.setdefault(i, _Side())
                side.mids = np.concatenate([side.mids, mids[mids["instrument"] == i]])
                if not side.paid.size:
                    _forget(side, side.passed - IDLE)

    def concerns(self, i: int, ts: int) -> bool:
        """Whether the minute at `ts` (us), which is over on the tape, holds trades that quotes stood before."""
        side = self.sides.get(i)
        return side is not None and bool(((side.paid["eff"] >= ts) & (side.paid["eff"] < ts + MINUTE)).any())

    def ready(self, i: int, ts: int) -> bool:
        """Whether the quotes of the minute at `ts` (us) are over."""
        return self.sides[i].passed >= ts + MINUTE

    def measure(self, i: int, ts: int) -> tuple[float, ...]:
        """Return the `COLUMNS` of the minute at `ts` (us), in order of time; NaN: not known. Forget what is not needed again."""
        side, end = self.sides[i], ts + MINUTE
        day = ts // DAY_US * DAY_US
        begin = max(side.done, day)
        paid = side.paid[side.paid["eff"] >= day]
        flows = [_flow(side, end, w) for w in WIDTHS]
        standing = next((m[4:] for m in side.minutes if m[0] <= ts < m[1]), (math.nan, math.nan))
        since, mids = np.ascontiguousarray(side.mids["ts"]), np.ascontiguousarray(side.mids["mid"])
        effective = spreads.effective_spread_bps(paid, since, mids, ts, end)
        realised = [spreads.realised_spread_bps(paid, since, mids, tau * 1_000_000, begin, end) for tau in HORIZONS_S]
        side.done = end
        side.paid = paid[paid["eff"] + max(HORIZONS_S) * 1_000_000 >= end]
        _forget(side, min(int(side.paid["ts"].min(initial=end)), end))
        return (*flows, *standing, effective, *realised)


def _forget(side: _Side, before: int) -> None:
    """Forget quotes that no minute or trade from `before` (us) on needs."""
    side.minutes = [m for m in side.minutes if m[1] > before - _LONGEST]
    side.mids = side.mids[max(0, int(np.searchsorted(side.mids["ts"], before)) - 1) :]


def _flow(side: _Side, end: int, w: int) -> float:
    """Return the OFI of the `w` minutes before `end`; NaN where that of one is not known."""
    total = 0.0
    begin = end - w * MINUTE
    covered = 0
    for ts, until, first, rest, *_ in side.minutes:
        of_rest = (min(until, end) - max(ts + MINUTE, begin)) // MINUTE
        if begin <= ts < end:
            total += first
            covered += 1
        if of_rest > 0:
            total += rest
            covered += of_rest
    return total if covered == w else math.nan
