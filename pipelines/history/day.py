"""A UTC date of one venue, and the tape it is rebuilt from."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import NamedTuple, Protocol

from pipelines.market import DAY_US, Instrument
from pipelines.tape import Rows
from pipelines.venues.columns import Tape


class Day(NamedTuple):
    """A UTC date of one venue."""

    date: dt.date
    venue: str

    @property
    def us(self) -> int:
        """Its start, us since 1970."""
        return (self.date - dt.date(1970, 1, 1)).days * DAY_US

    def __str__(self) -> str:
        return f"{self.venue} {self.date}"


class DayTape(Protocol):
    """All trades of a day, in tape order, as far as they are known."""

    @property
    def day(self) -> Day:
        """Which day."""

    @property
    def tape(self) -> Tape:
        """Whether its rows are aggregates or fills."""

    @property
    def instruments(self) -> tuple[Instrument, ...]:
        """What is traded on it, as far as its rows go."""

    @property
    def source(self) -> str:
        """For `seals.source`: the names of the archive's files, or `live`."""

    @property
    def digest(self) -> str:
        """Of everything it is made of: the same digest makes the same rows."""

    def pieces(self) -> Iterator[Rows]:
        """Yield the rows of `tape.ROW`, in tape order; `instrument` is the place in `instruments`.

        `counted`, `flags` and `recv_ns` are set; each piece fits into memory, the whole may not.
        """
