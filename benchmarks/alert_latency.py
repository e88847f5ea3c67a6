"""From receipt of a big trade to its alert row in the sink, and on to the commit, at 2,000 trades a second.

python -m benchmarks.alert_latency
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.report import Line, show
from tests.faults.house import ROOT, House, wait_for

SECONDS = 60
RATE = 2_000
_FLOW = """
import json, sys, time
import dataflows.live as live
from dataflows import lake_sink
from pipelines.settings import demo_settings, load

write, publish = lake_sink.LakePart.write_batch, lake_sink.Staging.publish
received, pending, seen = {}, [], []

def write_batch(part, items):
    now = time.time()
    for item in items:
        for name, rows in item.output.tables:
            if name == "trades":
                keys = zip(rows["symbol"].to_pylist(), rows["trade_id"].to_pylist())
                received.update(zip(keys, rows["recv_ts"].cast("int64").to_pylist()))
        for name, rows in item.output.tables:
            if name == "alerts":
                for row in rows.to_pylist():
                    about = (row["symbol"], json.loads(row["details"]).get("last_id"))
                    if about in received:
                        pending.append((received[about] / 1e6, now))
    write(part, items)

def published(staging):
    due = pending[:] if "alerts" in staging.due else []
    tables = publish(staging)
    now = time.time()
    for at, handed in due:
        seen.append((handed - at, now - handed))
        pending.remove((at, handed))
    return tables

lake_sink.LakePart.write_batch, lake_sink.Staging.publish = write_batch, published
live.run(demo_settings(load()))
print(json.dumps(seen))
"""


def run() -> Iterator[Line]:
    """Measure."""
    with TemporaryDirectory() as folder:
        house = House(Path(folder) / "data", rate=RATE)
        try:
            house.start("demo-exchange")
            wait_for(house.answers, "the exchange answers")
            house.start("record")
            flow = subprocess.Popen([sys.executable, "-c", _FLOW], cwd=ROOT, env=os.environ | house.env, stdout=subprocess.PIPE)
            until = time.monotonic() + SECONDS
            wait_for(lambda: time.monotonic() > until, "a minute", SECONDS + 5)
            flow.send_signal(signal.SIGTERM)
            said, _ = flow.communicate(timeout=60)
        finally:
            house.close()
    seen = np.array(json.loads(said.splitlines()[-1])) * 1000
    p50, p99 = np.percentile(seen[:, 0], [50, 99])
    yield Line(f"receipt to alert row in the sink, {len(seen)} alerts at {RATE:,} trades/s, p50", f"{p50:.0f} ms")
    yield Line("the same, p99", f"{p99:.0f} ms", "100 ms")
    p50, p99 = np.percentile(seen[:, 1], [50, 99])
    yield Line("from there to committed, p50 and p99", f"{p50:.0f} and {p99:.0f} ms")


if __name__ == "__main__":
    show(run())
