"""What a day's trades come to, counted as they are written: to hold what is made of them against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pipelines.tape import TRADE, Rows

Ints = npt.NDArray[np.int64]

SPLIT: Final = 31
"""Lots are summed in two parts of so many bits, so that a sum of many cannot overflow."""
WIDE: Final = 1 << 51
"""So many lots no longer come back to the last one out of a float64."""


@dataclass
class Tally:
    """Trades of an instrument, in tape order.

    Attributes
    ----------
    rows, voids, counted : int
        All trades; places of refused ones; those that feed bars.
    fills, lots, buy_lots : int
        Of counted trades, sizes in units of 10 ** -places.
    places, slack : int
        How far the sums may be off, for trades of so many lots that a float64 does not tell them apart.
    holes : list of int64, (n, 4)
        First and last id that is missing, times of the trades before and behind, us; where ids are contiguous.
    """

    contiguous: bool
    rows: int = 0
    voids: int = 0
    counted: int = 0
    fills: int = 0
    lots: int = 0
    buy_lots: int = 0
    places: int = 0
    holes: list[Ints] = field(default_factory=list)
    slack: int = 0
    _repeated: int = 0
    _last: tuple[int, int] | None = None
    _ids: list[Ints] = field(default_factory=list)

    def add(self, rows: Rows, which: slice | Ints, places: int) -> None:
        """Count those of `rows` that are of the instrument, whose sizes have so many decimals at most."""

        def column(name: str) -> npt.NDArray[Any]:
            return np.ascontiguousarray(rows[name][which])  # to copy it and count takes a third of counting in place

        traded = column("kind") == TRADE
        count = int(traded.sum())
        self.rows += count
        self.voids += traded.size - count
        counted = traded & column("counted")
        taken = slice(None) if counted.all() else counted
        self._count([column(name)[taken] for name in ("size", "side", "fills")], places)
        if self.contiguous:
            self._follow([column(name) for name in ("trade_id", "span", "ts")])
        else:
            self._ids.append(column("trade_id")[traded])

    @property
    def repeated(self) -> int:
        """Trades whose id another one before has."""
        if self.contiguous or not self._ids:
            return self._repeated
        ids = np.sort(np.concatenate(self._ids))
        return int((ids[1:] == ids[:-1]).sum())

    def _count(self, columns: Sequence[npt.NDArray[Any]], places: int) -> None:
        size, side, fills = columns
        if places > self.places:
            finer = 10 ** (places - self.places)
            self.lots, self.buy_lots, self.slack = self.lots * finer, self.buy_lots * finer, self.slack * finer
            self.places = places
        lots = np.rint(size * 10.0**self.places).astype(np.int64)
        self.counted += size.size
        self.fills += int(fills.sum())
        self.lots += total(lots)
        self.buy_lots += total(lots * (side > 0))
        if lots.max(initial=0) >= WIDE:
            self.slack += int((lots // WIDE).sum())

    def _follow(self, columns: Sequence[Ints]) -> None:
        """Note ids that are left out, or stand twice; a refused trade that has its id leaves none out."""
        if self.voids:
            known = columns[0] >= 0
            columns = [column[known] for column in columns]
        ids, spans, ts = columns
        if not ids.size:
            return
        last_id, last_ts = self._last or (int(ids[0] - spans[0]), int(ts[0]))
        before = np.concatenate([[last_id], ids[:-1]])
        first = ids - spans + 1
        self._repeated += int((first <= before).sum())
        at = np.flatnonzero(first > before + 1)
        if at.size:
            times = np.concatenate([[last_ts], ts[:-1]])
            self.holes.append(np.column_stack([before[at] + 1, first[at] - 1, times[at], ts[at]]))
        self._last = int(ids[-1]), int(ts[-1])


def total(lots: Ints) -> int:
    """Return a sum, however large."""
    return (int((lots >> SPLIT).sum()) << SPLIT) + int((lots & ((1 << SPLIT) - 1)).sum())
