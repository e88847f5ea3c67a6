"""What is known of instruments at a time, as sheets of facts."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipelines.briefs.sheet import Sentence, Sheet

if TYPE_CHECKING:
    from pipelines.settings import Settings
    from pipelines.store.lake import Lake


def collect(lake: Lake, instruments: Sequence[tuple[str, str]], at: dt.datetime, settings: Settings, kind: str) -> list[Sheet]:
    """Return a sheet for each instrument (venue, symbol), made of rows with `end` <= `at` alone."""
    return [
        Sheet(venue=v, symbol=s, at=at, facts=(), sufficient=False, state=(Sentence("not collected yet"),))
        for v, s in instruments
    ]


def watched(lake: Lake, settings: Settings, at: dt.datetime) -> list[tuple[str, str]]:
    """Return the instruments (venue, symbol) that briefs are about."""
    return [(venue, symbol) for venue, chosen in settings.venues.items() for symbol in chosen.symbols]
