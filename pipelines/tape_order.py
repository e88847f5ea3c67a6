"""What the ways of putting trades into tape order have in common: the limits, an interruption, lines of the gap ledger."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipelines.tape import ROW, Rows, joined

Ids = npt.NDArray[np.int64]

WAIT_NS = 10_000_000_000
WAIT_ROWS = 50_000
"""A trade waits for what is missing before it for so long in journal time, and behind so many others, at most."""


class GapRow(NamedTuple):
    """A line of the gap ledger: ids `first` to `last` of an instrument, and what became of them.

    `ts` is the time of the last trade before, `end` that of the first after; ids are None where they are not contiguous.
    """

    instrument: int
    ts: int
    end: int
    first: int | None
    last: int | None
    reason: str
    status: str
    as_of_ns: int


@dataclass
class Notes:
    """What is told besides the tape.

    Attributes
    ----------
    ledger : list of GapRow
    strays : list of Rows
        Trades refused because their id was absurd.
    duplicates : int
        Trades dropped because their id had been seen.
    """

    ledger: list[GapRow] = field(default_factory=list)
    strays: list[Rows] = field(default_factory=list)
    duplicates: int = 0


def as_rows(released: list[Rows]) -> Rows:
    """Return rows one by one as an array."""
    return joined([np.zeros(0, ROW), *released])
