"""The exchange's archive: finished UTC days of aggTrades as zips, beside them their SHA-256, as USD-M publishes them."""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import re
import zipfile
from functools import lru_cache
from typing import Final

from dataflows.demo import wire
from dataflows.demo.clock import Clock
from dataflows.demo.rest import Answer
from dataflows.demo.tape import DAY_MS, Tape

ROOT: Final = "/data/futures/um/daily/aggTrades/"
KEPT: Final = 4
"""Zips kept in memory; the same day gives the same bytes."""
BLOCK: Final = 50_000
_PATH = re.compile(ROOT + r"([A-Z0-9]+)/\1-aggTrades-(\d{4}-\d{2}-\d{2})\.zip(\.CHECKSUM)?")
_EPOCH: Final = dt.date(1970, 1, 1)


class Archive:
    """The archive of a tape."""

    def __init__(self, tape: Tape, clock: Clock) -> None:
        self._tape, self._clock = tape, clock
        self._zip = lru_cache(KEPT)(self._made)

    def answer(self, path: str) -> Answer:
        """Answer a GET of a path below `ROOT`: of a day that is over, the zip or its checksum."""
        match = _PATH.fullmatch(path)
        start = _start(match[2]) if match else None
        if match is None or start is None or match[1] not in self._tape.listings:
            return Answer(404, b"", {})
        native = match[1]
        stop = self._tape.id_at(native, start + DAY_MS)
        first = max(self._tape.id_at(native, start), self._tape.id_at(native, 0))
        over = self._clock.now_ms() >= start + DAY_MS and self._tape.unpublished(native, self._clock.now_ms()) >= stop
        if not over or first >= stop:
            return Answer(404, b"", {})
        content, digest = self._zip(native, match[2], first, stop)
        if match[3]:
            return Answer(200, f"{digest}  {native}-aggTrades-{match[2]}.zip\n".encode(), {"Content-Type": "text/plain"})
        return Answer(200, content, {"Content-Type": "application/zip", "ETag": f'"{digest[:32]}"'})

    def _made(self, native: str, date: str, first: int, stop: int) -> tuple[bytes, str]:
        """Return the zip of a day, and its SHA-256."""
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            name = zipfile.ZipInfo(f"{native}-aggTrades-{date}.csv")  # of no time, so that the bytes are a function of the day
            name.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(name, "w", force_zip64=True) as lines:
                lines.write(wire.ARCHIVE_HEADER)
                for begin in range(first, stop, BLOCK):
                    trades = self._tape.trades(native, begin, min(stop, begin + BLOCK))
                    lines.write(wire.archive_lines(self._tape.listings[native], trades))
        content = packed.getvalue()
        return content, hashlib.sha256(content).hexdigest()


def _start(date: str) -> int | None:
    """Return the start of a UTC date in ms since 1970; None if there is no such date."""
    try:
        return (dt.date.fromisoformat(date) - _EPOCH).days * DAY_MS
    except ValueError:
        return None
