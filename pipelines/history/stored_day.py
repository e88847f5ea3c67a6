"""A day as the lake has it: live, repaired and late trades put into final tape order."""

from __future__ import annotations

from pipelines.history.day import Day, DayTape
from pipelines.store.lake import Lake


def stored_day(lake: Lake, day: Day) -> DayTape:
    """Return all trades that the lake holds of a day.

    Raises
    ------
    LakeError
        If it holds none.
    """
    raise NotImplementedError
