"""All benchmarks, one table: `make bench`."""

from __future__ import annotations

from benchmarks import alert_latency, bytes_per_row, decoders, journal_to_lake, kernels, memory, pairs, signals
from benchmarks.report import HEAD, show

if __name__ == "__main__":
    print(HEAD, flush=True)
    # kernels and signals last: they bind themselves to one core
    for module in (bytes_per_row, decoders, journal_to_lake, alert_latency, memory, pairs, kernels, signals):
        show(module.run())
