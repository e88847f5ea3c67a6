"""Which days are finished, which are not sealed yet, and which seals no longer hold."""

from __future__ import annotations

from collections.abc import Collection

from pipelines.history.day import Day, DayTape
from pipelines.store.lake import Lake


def is_finished(lake: Lake, day: Day) -> bool:
    """Whether every flow that records the venue says that its time is past 00:15 of the next date."""
    raise NotImplementedError


def unsealed(lake: Lake, venues: Collection[str] | None = None) -> list[Day]:
    """Return the days of which the lake holds trades of a symbol without a seal, in order; finished or not."""
    raise NotImplementedError


def stale(lake: Lake, venues: Collection[str] | None = None) -> list[tuple[Day, str]]:
    """Return the sealed days that are to be sealed again, in order, each with the reason in words."""
    raise NotImplementedError


def is_current(lake: Lake, tape: DayTape) -> bool:
    """Whether the day is sealed from this very tape, nothing came later, and no earlier date has changed since."""
    raise NotImplementedError
