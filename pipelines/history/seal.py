"""Sealing: a finished day becomes final rows, in one commit a table, and every difference from live rows is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from pipelines.history.day import Day, DayTape
from pipelines.rules.book import Rules
from pipelines.settings import Kernels
from pipelines.store.lake import Lake

Watch = Callable[[str, int], None]
"""Called with the step (`read`, `write`, `compare`, `commit`) and the trades done so far."""


class Totals(NamedTuple):
    """What a sealed day holds of one symbol: counted trades, base volume, quote notional, and the digest of its rows."""

    trades: int
    volume: float
    notional: float
    digest: str


class Written(NamedTuple):
    """What was committed to a table."""

    rows: int
    bytes: int


class Sealed(NamedTuple):
    """What sealing a day did.

    Attributes
    ----------
    day : Day
    skipped : bool
        It was sealed before from the same tape, settings and earlier dates: nothing was done, `tables` is empty.
    tables : dict of table to Written
    symbols : dict of symbol to Totals
    differences : dict of table to counts
        As in `seals.details`: `equal`, and by reason `changed`, `only_live`, `only_sealed`.
    seconds : dict of step to seconds
    """

    day: Day
    skipped: bool
    tables: dict[str, Written]
    symbols: dict[str, Totals]
    differences: dict[str, dict[str, object]]
    seconds: dict[str, float]


def seal(
    lake: Lake,
    tape: DayTape,
    kernels: Kernels,
    rules: Rules = (),
    *,
    sealed_at_us: int,
    watch: Watch = lambda *_: None,
) -> Sealed:
    """Replace the rows of a day by those made of `tape`; of other symbols, and live alerts, none is touched.

    Killed anywhere and run again it ends in the same lake; run again after success it does nothing.

    Parameters
    ----------
    kernels, rules
        Of a date that was recorded live, those that table `inputs` says were in force are taken instead.
    sealed_at_us
        Now, us since 1970: `as_of` of the seal.

    Raises
    ------
    LakeError
        If others rewrite the same rows in a loop.
    """
    raise NotImplementedError
