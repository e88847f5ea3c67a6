"""Trade ids that a venue does not number: what stands for them in `trades.trade_id`."""

from __future__ import annotations

import re
from typing import Final

from pipelines.venues.columns import MAX_ID, Ints, microseconds

UUID: Final = "[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_UUID = re.compile(UUID)
_NUMBER = re.compile("[0-9]{1,19}")


def of_text(text: str) -> int:
    """Return the id that a text is: a number as it stands, of a UUID the first 63 bits; -1 if it is neither."""
    if _UUID.fullmatch(text):
        return int(text[:8] + text[9:13] + text[14:18], 16) >> 1
    number = int(text) if _NUMBER.fullmatch(text) else -1
    return number if number <= MAX_ID else -1


def of_lines(number: Ints, time: Ints) -> Ints:
    """Return ids for lines that are numbered anew each day: the milliseconds, then the number's last three digits.

    They rise with time, and two are alike only if a thousand trades fall into one millisecond.
    """
    ids: Ints = microseconds(time) // 1000 * 1000 + number % 1000
    return ids
