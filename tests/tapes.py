"""Tapes and journals for tests: made by a seed, never recorded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import msgspec
import numpy as np
import pyarrow as pa

from pipelines import tape
from pipelines.detector_settings import BigTrade, Detectors, VolumeSurge, VpinHigh
from pipelines.engine import Engine, Output
from pipelines.market import TABLES, Instrument
from pipelines.records import Batch, Kind
from pipelines.settings import Kernels
from pipelines.signals import Signals

DAY = 1_700_006_400_000_000  # 2023-11-15, us
EAGER = Detectors(
    big_trade=BigTrade(window=30, z=1.5, floor=100.0, cooldown_s=0),
    volume_surge=VolumeSurge(bar="1s", window=10, z=1.0, rvol=1.0, cooldown_s=0),
    vpin_high=VpinHigh(pct=0.8),
)
KERNELS = Kernels(
    bars=("1s", "1m", "5m", "15m", "1h", "4h", "1d", "tick:7", "volume", "dollar", "imbalance:tick:5", "run:volume:ewma:9"),
    vpin=("adv50x50", "v2.5x5"),
    percentile_window=20,
    percentile_min=5,
    bucket_volume="4",
    detectors=EAGER,
)
NAMES = ("AAA", "BBB", "CCC")
INSTRUMENTS = [Instrument("binance-usdm", f"{n}-USDT-PERP", f"{n}USDT", n, "USDT") for n in NAMES]


def rows(seed: int, n: int, *, span_us: int = 600_000_000, begin: int = DAY, instruments: int = 2) -> tape.Rows:
    """Return a random tape: ids contiguous per instrument, some equal times, some that run backwards, mixed decimals."""
    rng = np.random.default_rng(seed)
    out = tape.empty(n)
    out["instrument"] = rng.integers(0, instruments, n)
    ts = begin + np.sort(rng.integers(0, span_us, n)) // 1000 * 1000
    back = rng.random(n) < 0.05
    out["ts"] = np.maximum(np.where(back, ts - rng.integers(0, 3_000_000, n) // 1000 * 1000, ts), begin)
    out["price"] = np.round(100 + np.cumsum(rng.normal(0, 0.2, n)), int(rng.integers(0, 3)))
    sizes = rng.lognormal(-1, 1, n) + 0.001
    out["size"] = np.where(rng.random(n) < 0.3, np.round(sizes + 1, 1), np.round(sizes, 3))
    out["side"] = rng.choice([-1, 1], n)
    for i in range(instruments):
        mine = out["instrument"] == i
        out["trade_id"][mine] = 1000 * (i + 1) + np.arange(mine.sum())
    return out


def signals(kernels: Kernels = KERNELS, *, complete: bool = False) -> Signals:
    """Return kernels with nothing seen yet."""
    made = Signals(kernels, "history", complete=complete)
    for instrument in INSTRUMENTS:
        made.add(instrument)
    return made


def gather(out: Sequence[tuple[str, pa.Table]]) -> dict[str, pa.Table]:
    """Join rows by table, sorted by key."""
    by: dict[str, list[pa.Table]] = {}
    for name, table in out:
        by.setdefault(name, []).append(table)
    return {
        name: pa.concat_tables(parts).sort_by([(c, "ascending") for c in (*TABLES[name].key, "end")])
        for name, parts in by.items()
    }


def run(made: Signals, tape_rows: tape.Rows, cuts: Sequence[int] = ()) -> dict[str, pa.Table]:
    """Feed a tape, cut at the places given, and finish."""
    out: list[tuple[str, pa.Table]] = []
    edges = [0, *sorted(cuts), tape_rows.size]
    for begin, end in pairwise(edges):
        part = tape_rows[begin:end].copy()
        made.prepare(part)
        made.feed(part)
        out += made.take()
    made.finish()
    return gather([*out, *made.take()])


def agg_trade(native: str, trade_id: int, ts_ms: int, price: str, size: str, *, seller: bool = False) -> bytes:
    """Return an aggTrade frame as USD-M sends it."""
    data = {"e": "aggTrade", "E": ts_ms + 20, "a": trade_id, "s": native, "p": price, "q": size, "nq": size}
    data |= {"f": trade_id * 2, "l": trade_id * 2 + 1, "T": ts_ms, "m": seller, "st": 1}
    return msgspec.json.encode({"stream": f"{native.lower()}@aggTrade", "data": data})


Line = tuple[int, Kind, bytes]
"""recv_ns, kind, payload."""


def batches(lines: Sequence[Line], cuts: Sequence[int] = ()) -> Iterator[Batch]:
    """Return records as batches of a journal segment, cut at the places given."""
    edges = [0, *sorted(c for c in cuts if 0 < c < len(lines)), len(lines)]
    for begin, end in pairwise(edges):
        part = lines[begin:end]
        yield Batch(
            np.array([r[0] for r in part], np.int64),
            np.array([r[1] for r in part], np.uint8),
            np.ones(len(part), np.uint16),
            np.arange(begin, end) * 100,
            [r[2] for r in part],
            "seg-0000000001.tfj",
            end * 100,
        )


def journal_engine(kernels: Kernels = KERNELS, venue: str = "binance-usdm", *, begun: bool = True) -> Engine:
    """Return a live engine that knows the instruments and one connection; `begun`: the tape has gone on for a while."""
    engine = Engine(kernels, shard="main")
    for instrument in INSTRUMENTS:
        engine.add(instrument._replace(venue=venue), "agg")
    engine.signals.begun[:] = begun
    engine.connections[1] = venue
    return engine


def feed(engine: Engine, lines: Sequence[Line], cuts: Sequence[int] = ()) -> dict[str, pa.Table]:
    """Feed records; return the rows by table."""
    out: list[tuple[str, pa.Table]] = []
    for batch in batches(lines, cuts):
        got: Output = engine.feed(batch)
        out += got.tables
    return gather(out)
