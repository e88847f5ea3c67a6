"""SQLite files that several processes make and open at once."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

BUSY_S = 30.0
"""Another process may hold a file this long."""
AGAIN_S = 0.05


def opened(path: Path, schema: str) -> sqlite3.Connection:
    """Open a file, and make its tables; who comes second waits, for a change of the journal's mode is refused and not queued."""
    path.parent.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
    deadline = time.monotonic() + BUSY_S
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.executescript(schema)
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                db.close()
                raise
            time.sleep(AGAIN_S)
        except sqlite3.DatabaseError:
            db.close()
            raise
        else:
            return db
