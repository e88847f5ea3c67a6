"""Logs: JSON lines, as our processes write them and as the supervisor keeps them, in files that rotate by size."""

from __future__ import annotations

import datetime as dt
import json
import logging
import sys
from collections import deque
from logging.handlers import RotatingFileHandler
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES = 10_000_000
OLD_FILES = 5
LONGEST_LINE = 65_536
REMEMBERED = 5
"""The last lines kept in memory, to be told when a process dies."""


def configure(level: str) -> None:
    """Make this process log JSON lines from `level` on, to stderr: stdout is for what was asked for."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


class ProcessLog:
    """What a process writes to stdout and stderr, line by line; what is no JSON object yet becomes one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.last: deque[str] = deque(maxlen=REMEMBERED)
        self._file = RotatingFileHandler(
            path, maxBytes=MAX_BYTES, backupCount=OLD_FILES, encoding="utf-8", errors="replace", delay=True
        )
        self._rest = b""

    def feed(self, chunk: bytes) -> None:
        """Take bytes as they come and write the lines that are whole; a line over LONGEST_LINE bytes is cut into several."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        while len(self._rest) > LONGEST_LINE:
            lines.append(self._rest[:LONGEST_LINE])
            self._rest = self._rest[LONGEST_LINE:]
        for line in lines:
            self._write(line.decode(errors="replace").rstrip())

    def close(self) -> None:
        """Write what is left and close the file."""
        if self._rest:
            self.feed(b"\n")
        self._file.close()

    def _write(self, line: str) -> None:
        if not line:
            return
        record = _parsed(line)
        self.last.append(str(record.get("event", line)) if record else line)
        if record is None:
            now = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            line = json.dumps({"event": line, "timestamp": now}, ensure_ascii=False)
        self._file.handle(logging.makeLogRecord({"msg": line}))


def _parsed(line: str) -> dict[str, object] | None:
    if not line.startswith("{"):
        return None
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None
