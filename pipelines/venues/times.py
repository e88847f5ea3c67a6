"""Times as text: RFC 3339, as Coinbase and Kraken write them, and decimal seconds, as Kraken's REST does."""

from __future__ import annotations

import re
from datetime import datetime
from functools import lru_cache
from typing import Final

_SECOND = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}")
_FRACTION = re.compile(r"(?:\.([0-9]{1,9}))?(?:Z|\+00:00)")
_SECONDS = re.compile(r"([0-9]{9,10})(?:\.([0-9]{1,9}))?")
_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - both ends are UTC


def rfc3339_us(text: str) -> int:
    """Return a UTC time like `2026-11-20T20:00:00.010123Z` in us since 1970: finer digits are cut, as in `recv_ns`.

    What lies before 1970 becomes 0 (the year 1 stands for "no time"), what is no such text -1.
    """
    fraction = _FRACTION.fullmatch(text, 19)
    second = _second(text[:19])
    if fraction is None or second is None:
        return -1
    digits = fraction[1] or ""
    return max(second * 1_000_000 + int(digits[:6].ljust(6, "0")), 0)


def seconds_us(text: str) -> int:
    """Return a time in decimal seconds since 1970 in us, finer digits cut; -1 if it is none."""
    seconds = _SECONDS.fullmatch(text)
    return int(seconds[1] + (seconds[2] or "")[:6].ljust(6, "0")) if seconds else -1


@lru_cache(maxsize=1024)
def _second(text: str) -> int | None:
    if not _SECOND.fullmatch(text):
        return None
    try:
        since = datetime.fromisoformat(text) - _EPOCH
    except ValueError:
        return None
    return since.days * 86_400 + since.seconds
