"""From receipt of a big trade to its alert row in the sink, and on to the commit, at 2,000 trades a second.

The demo exchange, a recorder and a flow run as processes of their own; the detector is made eager, so that there are
alerts enough for a percentile. The first seconds, in which the flow catches up with what came while it started, do not count.

    python -m benchmarks.alert_latency
"""

from __future__ import annotations

import json
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
BEFORE = 15
RATE = 2_000
_EAGER = """
from pipelines.detector_settings import BigTrade, Detectors
from pipelines.settings import demo_settings, load

settings = demo_settings(load())
detectors = Detectors(big_trade=BigTrade(window=1000, z=2.0, floor=0.0))
settings = settings.model_copy(update={"kernels": settings.kernels.model_copy(update={"detectors": detectors})})
"""
_RECORDER = """
from dataflows import recorder

recorder.run(settings, lambda: settings)
"""
_FLOW = """
import json, time
from dataflows import lake_sink, live

write, publish = lake_sink.LakePart.write_batch, lake_sink.Staging.publish
received, handed, seen = {}, [], []

def write_batch(part, items):
    now = time.time()
    for item in items:
        tables = item.output.tables
        for name, rows in tables:
            if name == "trades":
                ids = zip(rows["symbol"].to_pylist(), rows["trade_id"].to_pylist(), strict=True)
                received.update(zip(ids, rows["recv_ts"].cast("int64").to_pylist(), strict=True))
        for name, rows in tables:
            if name == "alerts":
                details = map(json.loads, rows["details"].to_pylist())
                about = zip(rows["symbol"].to_pylist(), (d.get("last_id") for d in details), strict=True)
                handed.extend((received[key] / 1e6, now) for key in about if key in received)
    write(part, items)

def published(staging):
    due = len(handed) if "alerts" in staging.due else 0
    tables = publish(staging)
    now = time.time()
    seen.extend((at, there - at, now - there) for at, there in handed[:due])
    del handed[:due]
    return tables

lake_sink.LakePart.write_batch, lake_sink.Staging.publish = write_batch, published
live.run(settings)
print(json.dumps(seen))
"""


def measured(house: House) -> list[tuple[float, float, float]]:
    """Return for each alert when its trade was received, and how long it took to the sink and from there to the lake, s."""
    house.start("demo-exchange")
    wait_for(house.answers, "the exchange answers")
    house.processes["record"] = subprocess.Popen([sys.executable, "-c", _EAGER + _RECORDER], cwd=ROOT, env=house.env)
    command = [sys.executable, "-c", _EAGER + _FLOW]
    house.processes["run"] = flow = subprocess.Popen(command, cwd=ROOT, env=house.env, stdout=subprocess.PIPE)
    until = time.monotonic() + BEFORE + SECONDS
    wait_for(lambda: time.monotonic() > until, "the time to measure", BEFORE + SECONDS + 5)
    flow.send_signal(signal.SIGTERM)
    said, _ = flow.communicate(timeout=60)
    found: list[tuple[float, float, float]] = json.loads(said.splitlines()[-1])
    return found


def run() -> Iterator[Line]:
    """Measure."""
    with TemporaryDirectory() as folder:
        house = House(Path(folder) / "data", rate=RATE)
        try:
            seen = np.array(measured(house))
        finally:
            house.close()
    seen = 1000 * seen[seen[:, 0] > seen[0, 0] + BEFORE, 1:]
    p50, p99 = np.percentile(seen, [50, 99], axis=0).round()
    yield Line(f"receipt to alert row in the sink, {len(seen):,} alerts at {RATE:,} trades/s, p50", f"{p50[0]:.0f} ms")
    yield Line("the same, p99", f"{p99[0]:.0f} ms", "100 ms")
    yield Line("from there to committed, p50 and p99", f"{p50[1]:.0f} and {p99[1]:.0f} ms")


if __name__ == "__main__":
    show(run())
