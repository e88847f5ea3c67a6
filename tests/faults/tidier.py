"""A process to be killed: compacts a lake that it also adds to, or lets one date after the other go, a line of input each."""

from __future__ import annotations

import datetime as dt
import sys

from pipelines.feed_tables import QUOTES
from pipelines.store import upkeep
from pipelines.store.lake import Lake
from tests.pipelines.store.samples import DAY, rows

WRITER = "main.0"
ROWS = 20
"""Rows of a file; `seq` counts them on from file to file."""
FILES = 5
"""Files between two compactions."""


def compact(lake: Lake, end: int) -> None:
    """Add files up to `end`, and merge them as they come."""
    sys.stdout.write("begun\n")
    sys.stdout.flush()
    app = f"{WRITER}/quotes"
    last = lake.version("quotes", app)
    for number in range(end):
        sys.stdin.readline()
        if last is not None and number <= last:
            continue
        first = number * ROWS
        made = rows(QUOTES, ROWS, seq=list(range(first, first + ROWS)))
        lake.commit("quotes", app, number, lake.stage("quotes", made, f"{WRITER}-{number:08d}", {}))
        if number % FILES == FILES - 1:
            upkeep.compact(lake, "quotes")
            upkeep.vacuum(lake, "quotes")
    upkeep.compact(lake, "quotes")
    upkeep.vacuum(lake, "quotes")


def retain(lake: Lake, dates: int) -> None:
    """Let the first `dates` dates go, one by one."""
    from pipelines.history.expiry import remove  # takes seconds, which a compaction is spared
    from pipelines.history.retention import Needs

    sys.stdout.write("begun\n")
    sys.stdout.flush()
    for shift in range(1, dates + 1):
        sys.stdin.readline()
        remove(lake, Needs({}, {}), {"quotes": 1}, DAY + dt.timedelta(shift + 1))
        upkeep.vacuum(lake, "quotes")


if __name__ == "__main__":
    upkeep.VACUUM_HOURS = upkeep.SWEEP_HOURS = 0
    what, root, count = sys.argv[1:]
    opened = Lake(root)
    opened.require()
    (compact if what == "compact" else retain)(opened, int(count))
