"""All benchmarks, one table: `make bench`."""

from __future__ import annotations

from benchmarks import alert_latency, bytes_per_row, journal_to_lake, kernels, memory, pairs
from benchmarks.report import HEAD, show

if __name__ == "__main__":
    print(HEAD, flush=True)
    # kernels last: it binds itself to one core
    for module in (bytes_per_row, journal_to_lake, alert_latency, memory, pairs, kernels):
        show(module.run())
