"""Times of rows as integers."""

from __future__ import annotations

import datetime as dt
from typing import Final

EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def us(time: dt.datetime | int) -> int:
    """Return a time of a row in us since 1970, exactly; an integer is such a time already."""
    return time if isinstance(time, int) else (time - EPOCH) // dt.timedelta(microseconds=1)
