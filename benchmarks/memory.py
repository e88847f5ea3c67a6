"""Resident memory of recorder and flow with 10 symbols, after a minute at 500 trades a second from the demo exchange.

python -m benchmarks.memory
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.report import Line, show
from tests.faults.house import House, wait_for

SYMBOLS = [f"{name}-USDT" for name in ("BTC", "ETH", "SOL", "XRP", "ADA", "DOGE", "LTC", "LINK", "AVAX", "DOT")]
SECONDS = 60


def resident(pid: int) -> float:
    """Return the resident memory of a process, MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024


def run() -> Iterator[Line]:
    """Measure."""
    with TemporaryDirectory() as folder:
        house = House(Path(folder) / "data", rate=500)
        house.env["TAPEFLOW_DEMO__SYMBOLS"] = json.dumps(SYMBOLS)
        try:
            house.begin()
            until = time.monotonic() + SECONDS
            wait_for(lambda: time.monotonic() > until, "a minute", SECONDS + 5)
            recorder, flow = (resident(house.processes[name].pid) for name in ("record", "run"))
            trades = house.rows("trades")
        finally:
            house.close()
    yield Line(f"recorder, {len(SYMBOLS)} symbols, {trades:,} trades", f"{recorder:.0f} MB")
    yield Line("flow", f"{flow:.0f} MB")
    yield Line("recorder plus flow", f"{recorder + flow:.0f} MB", "400 MB")


if __name__ == "__main__":
    show(run())
