"""What the engine notes beside the rows it computes: inputs, instruments, the venue's candles, refused input."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from pipelines import ledger
from pipelines.market import Instrument
from pipelines.settings import digest
from pipelines.tape import Fault


class Account:
    """Notes each thing once; plain and picklable.

    Attributes
    ----------
    refused : int
        Rows of quarantine written so far.
    """

    def __init__(self) -> None:
        self.refused = 0
        self._seen: set[tuple[str, str]] = set()
        self._candles_until: dict[tuple[str, str, str], int] = {}
        self._out: list[tuple[str, pa.Table]] = []

    def take(self) -> list[tuple[str, pa.Table]]:
        """Return the (table, rows) noted since the last call."""
        out, self._out = self._out, []
        return out

    def _is_new(self, kind: str, value: bytes) -> bool:
        key = (kind, digest(value))
        new = key not in self._seen
        self._seen.add(key)
        return new

    def note(self, venue: str, kind: str, value: bytes, journal_ns: int, *, again: bool = False) -> None:
        """Write an input to table `inputs`; `again`: it may be one that was in force before, and is once more."""
        if self._is_new(kind, venue.encode() + value) or again:
            self._out.append(("inputs", ledger.inputs(venue, kind, value, journal_ns)))

    def describe(self, instrument: Instrument, journal_ns: int) -> None:
        """Write an instrument to table `instruments`, when it is new or was described otherwise."""
        if self._is_new("instrument", repr(instrument).encode()):
            self._out.append(("instruments", ledger.instrument(instrument, journal_ns)))

    def candles(self, instrument: Instrument, interval: str, candles: pa.Table, journal_ns: int) -> None:
        """Write the venue's candles that are closed and have not been written to table `klines`."""
        key = (instrument.venue, instrument.symbol, interval)
        until = self._candles_until.get(key, 0)
        end = candles["end"].cast(pa.int64()).to_numpy()
        closed = end <= journal_ns // 1000
        fresh = candles.filter(pa.array(closed & (end > until)))
        if fresh.num_rows:
            self._candles_until[key] = int(end[closed].max())
            self._out.append(("klines", ledger.klines(instrument, interval, fresh)))

    def refuse(self, venue: str, faults: Sequence[Fault], where: Sequence[ledger.Where], symbols: dict[str, str]) -> None:
        """Write refused input to table `quarantine`; `symbols` maps the venue's own names."""
        if faults:
            self.refused += len(faults)
            self._out.append(("quarantine", ledger.quarantine(venue, faults, where, symbols)))
