"""Rows of the tables that keep account: gaps, quarantine, inputs, instruments, klines, coverage, seals."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.kernels import vpin
from pipelines.market import Instrument
from pipelines.records import Batch, Gap
from pipelines.rows import constant, date, table, time
from pipelines.settings import digest
from pipelines.tape import Fault, Rows
from pipelines.tape_order import GapRow

Where = tuple[str, int, bytes, int]
"""Segment or file, offset or line, payload, receive time (ns; 0: unknown)."""
Origin = Callable[[int], Where]
"""From a row of a batch to where it came from."""
FRAME_CHARS = 4096
_OF_SEALING = ("tape_digest", "rows_digest", "earlier_digest", "settings_hash", "engine", "details")


def origins(batch: Batch) -> Origin:
    """Return where each record of a batch stands: segment, offset, payload, receive time."""
    return lambda at: (batch.segment, int(batch.offset[at]), batch.payload[at], int(batch.recv_ns[at]))


def _us(*ns: int) -> npt.NDArray[np.int64]:
    return np.array(ns, np.int64) // 1000


def quarantine(venue: str, faults: Sequence[Fault], where: Sequence[Where], symbols: dict[str, str]) -> pa.Table:
    """Return refused input as rows of table `quarantine`; `symbols` maps native names."""
    ts = time(_us(*(w[3] for w in where)))
    return table(
        "quarantine",
        {
            "date": date(_us(*(w[3] for w in where))),
            "venue": constant(venue, len(faults)),
            "symbol": [symbols.get(f.symbol, f.symbol) or None for f in faults],
            "ts": ts,
            "end": ts,
            "reason": [f.reason[:FRAME_CHARS] for f in faults],
            "frame": [w[2][:FRAME_CHARS].decode(errors="replace") for w in where],
            "segment": [w[0] for w in where],
            "offset": [w[1] for w in where],
            "part": [f.part for f in faults],
        },
    )


def gaps(lines: Sequence[GapRow], instruments: Sequence[Instrument], feed: str = "trades") -> pa.Table:
    """Return lines of the gap ledger as rows of table `gaps`."""
    ts = np.array([g.ts for g in lines], np.int64)
    return table(
        "gaps",
        {
            "date": date(ts),
            "venue": [instruments[g.instrument].venue for g in lines],
            "symbol": [instruments[g.instrument].symbol for g in lines],
            "feed": constant(feed, len(lines)),
            "ts": time(ts),
            "end": time(np.array([g.end for g in lines], np.int64)),
            "from_id": [g.first for g in lines],
            "to_id": [g.last for g in lines],
            "reason": [g.reason for g in lines],
            "status": [g.status for g in lines],
            "as_of": time(_us(*(g.as_of_ns for g in lines))),
        },
    )


def shed(instrument: Instrument, gap: Gap, now_ns: int) -> pa.Table:
    """Return frames that were not written as a row of table `gaps`."""
    at = _us(now_ns)
    return table(
        "gaps",
        {
            "date": date(at),
            "venue": [instrument.venue],
            "symbol": [instrument.symbol],
            "feed": [gap.feed],
            "ts": time(at),
            "end": time(at),
            "from_id": [gap.from_id],
            "to_id": [gap.to_id],
            "reason": [gap.reason],
            "status": [gap.status],
            "as_of": time(at),
        },
    )


def inputs(venue: str, kind: str, value: bytes, now_ns: int) -> pa.Table:
    """Return an input as a row of table `inputs`."""
    at = _us(now_ns)
    return table(
        "inputs",
        {
            "date": date(at),
            "venue": [venue],
            "kind": [kind],
            "hash": [digest(value)],
            "ts": time(at),
            "end": time(at),
            "value": [value.decode()],
        },
    )


def vpin_full(it: Instrument, setting: str, at: int) -> pa.Table:
    """Return as a row of table `inputs` that a VPIN setting has no more buckets on a date, from `at` (us) on."""
    said = {"symbol": it.symbol, "setting": setting, "buckets": vpin.MOST, "from": at, "why": "V is too small: use a larger one"}
    return inputs(it.venue, "vpin_full", msgspec.json.encode(said), at * 1000)


def instrument(it: Instrument, now_ns: int) -> pa.Table:
    """Return an instrument as a row of table `instruments`."""
    at = _us(now_ns)
    return table(
        "instruments",
        {
            "date": date(at),
            "venue": [it.venue],
            "symbol": [it.symbol],
            "ts": time(at),
            "end": time(at),
            "native": [it.native],
            "base": [it.base],
            "quote": [it.quote],
            "tick": [float(it.tick) if it.tick else None],
            "lot": [float(it.lot) if it.lot else None],
            "status": [it.status],
            "contract": [float(it.contract) if it.contract else None],
            "inverse": [it.inverse],
        },
    )


def klines(it: Instrument, interval: str, candles: pa.Table) -> pa.Table:
    """Return a venue's candles as rows of table `klines`."""
    n = candles.num_rows
    columns = {name: candles[name].combine_chunks() for name in candles.column_names}
    return table(
        "klines",
        {
            "date": date(candles["ts"].cast(pa.int64()).to_numpy()),
            "venue": constant(it.venue, n),
            "symbol": constant(it.symbol, n),
            "interval": constant(interval, n),
            **columns,
        },
    )


def coverage(venue: str, shard: str, minute_us: int, offset_us: int, segment: str, position: int, trades: int) -> pa.Table:
    """Return a row of table `coverage`."""
    at = np.array([minute_us], np.int64)
    return table(
        "coverage",
        {
            "date": date(at),
            "venue": [venue],
            "shard": [shard],
            "ts": time(at),
            "end": time(at - offset_us),
            "offset_us": [offset_us],
            "segment": [segment],
            "position": [position],
            "trades": [trades],
        },
    )


def seal(it: Instrument, day: np.void, volume: float, notional: float) -> pa.Table:
    """Return a date that a bounded tape holds whole (its 1d bar, as `kernels.bar.BAR`) as a row of table `seals`."""
    ts = np.array([day["ts"]], np.int64)
    return table(
        "seals",
        {
            "date": date(ts),
            "venue": [it.venue],
            "symbol": [it.symbol],
            "ts": time(ts),
            "end": time(np.array([day["end"]], np.int64)),
            "source": ["tape"],
            "trades": [int(day["trades"])],
            "volume": [volume],
            "notional": [notional],
            "as_of": time(np.array([day["end"]], np.int64)),
            "kind": ["whole"],
            "whole": [True],
            **{name: [None] for name in _OF_SEALING},
        },
    )


def by_frame(rows: Rows, batch: Batch) -> Origin:
    """Return where in a batch rows came from; their frames are read off now."""
    frames = rows["frame"].copy()
    return lambda k: origins(batch)(int(frames[k]))


def by_row(rows: Rows) -> Origin:
    """Return what rows that have left their batch say of themselves."""
    return lambda k: ("", int(rows["trade_id"][k]), b"", int(rows["recv_ns"][k]) or int(rows["ts"][k]) * 1000)
