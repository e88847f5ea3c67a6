"""Times as text: RFC 3339, as Coinbase and Kraken write them, and decimal seconds, as Kraken's REST does."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

_SECOND = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}")
_FRACTION = re.compile(r"(?:\.([0-9]{1,9}))?(?:Z|\+00:00)")
_SECONDS = re.compile(r"([0-9]{9,10})(?:\.([0-9]{1,9}))?")
_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - both ends are UTC
_LOWEST: Final = np.frombuffer(b"0000-00-00T00:00:00.000000000", np.uint8)
_RANGE: Final = np.frombuffer(b"9999-99-99T99:99:99.999999999", np.uint8) - _LOWEST
_LONGEST: Final = _LOWEST.size


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


def all_rfc3339_us(texts: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return what `rfc3339_us` does of each of many texts; faster where all are since 1970 and end in a fraction and Z."""
    usual = texts if len(set(map(len, texts))) == 1 else [f"{text[:-1]:0<{_LONGEST}}{text[-1:]}" for text in texts]
    digits = len(usual[0]) - 1 if usual else 0
    block = np.frombuffer("".join(usual).encode(errors="replace"), np.uint8)
    if 20 < digits <= _LONGEST and block.size == len(usual) * (digits + 1):
        letters = block.reshape(-1, digits + 1)
        if (letters[:, -1] == ord("Z")).all() and (letters[:, :-1] - _LOWEST[:digits] <= _RANGE[:digits]).all():
            try:
                times = letters[:, : min(digits, 26)].copy().view(f"S{min(digits, 26)}").ravel().astype("M8[us]").astype(np.int64)
            except ValueError:
                pass
            else:
                if times.min() >= 0:
                    return times
    return np.fromiter(map(rfc3339_us, texts), np.int64, len(texts))


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
