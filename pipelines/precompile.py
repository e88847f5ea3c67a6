"""Compiles every kernel once, at set-up (`python -m pipelines.precompile`), so that no first batch waits.

numba compiles a kernel for the types it is called with and keeps the result beside the source. So a small made-up tape
goes the way that a real one goes: into a journal, and from there through the engine.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import numpy as np

import pipelines.kernels.kalman  # compiled as it is loaded, for the types it names
import pipelines.kernels.slopes  # noqa: F401 - likewise
from pipelines import alerts
from pipelines.engine import Engine
from pipelines.feature_detection import FeatureAlarms
from pipelines.kernels import alarm, csv_lines, standing, trend
from pipelines.market import DAY_US, Instrument
from pipelines.records import Connect, InstrumentRecord, Instruments, Kind, Start
from pipelines.settings import Kernels
from pipelines.store.journal import Tail
from pipelines.store.journal_writer import Writer
from pipelines.store.scan import resume
from pipelines.store.segment import Record
from pipelines.tape import ROW

FIRST_NS = 1_704_067_160 * 10**9  # 40 s before 2024-01-01: the end of a date has kernels of its own
KERNELS = Kernels(bars=(*Kernels().bars, "run:tick:20", "imbalance:tick:ewma:4"), bucket_volume="4", vpin=("v2x3",))


def main() -> None:
    """Run the tape through every kernel."""
    engine = Engine(KERNELS, shard="main")
    with TemporaryDirectory() as folder:
        journal = Path(folder)
        with Writer(journal) as writer:
            writer.write([*_head(), *_frames()])
        for batch in Tail(journal):
            engine.feed(batch)
    resume(b"\0" * 64, 0, max(Kind))
    _archive()
    _midnight()


def _archive() -> None:
    """Read a line of CSV."""
    line, none = np.frombuffer(b"1,100.1,0.5,1704067160000,true\n", np.uint8), np.frombuffer(b"", np.uint8)
    codes = np.array([csv_lines.CODES[name] for name in ("id", "price", "size", "time", "seller")], np.int64)
    lines = np.empty(2, csv_lines.LINE)
    csv_lines.read(line, codes, none, 0, 2**62, 1, lines, np.empty((1, 4), np.int64), 0)
    csv_lines.to_rows(lines[:1], np.zeros(1, np.int64), np.empty(1, ROW))


def _midnight() -> None:
    """Fix the levels of a date from those before it, and write its postures."""
    minutes = np.zeros(2, standing.MINUTE)
    minutes["ts"], minutes["close"] = (0, DAY_US), 1.0
    alarms = FeatureAlarms(KERNELS.detectors)
    alarms.grow(1)
    alarms.feed(minutes, [Instrument("demo", "BTC-USDT", "BTCUSDT", "BTC", "USDT")])
    trend.p_up(0.0)
    alarm.judge(np.zeros(1, alarm.HELD)[0], DAY_US, 0.0, True, alerts.wanted(KERNELS.detectors.vpin_high, 1.0, 1.0))


def _head() -> Iterator[Record]:
    told: tuple[msgspec.Struct, ...] = (
        Start("precompile", {"demo": "agg"}),
        Instruments("demo", [InstrumentRecord("BTC-USDT", "BTCUSDT", "BTC", "USDT")]),
        Connect("demo", "market", ["trades", "quotes"], ["BTCUSDT"]),
    )
    for kind, body in zip((Kind.START, Kind.INSTRUMENTS, Kind.CONNECT), told, strict=True):
        yield Record(FIRST_NS, 1, kind, msgspec.json.encode(body))


def _frames() -> Iterator[Record]:
    for k in range(300):
        recv_ns = FIRST_NS + k * 10**9 // 4
        data = {"e": "aggTrade", "s": "BTCUSDT", "a": k, "p": "100.1", "q": "0.5", "f": k, "l": k, "m": k % 2 == 0}
        data |= {"E": recv_ns // 1_000_000, "T": recv_ns // 1_000_000}
        yield Record(recv_ns, 1, Kind.FRAME, msgspec.json.encode({"stream": "btcusdt@aggTrade", "data": data}))
        quote = {"e": "bookTicker", "s": "BTCUSDT", "u": k, "b": "100", "B": "1", "a": "100.2", "A": "1", "T": data["T"]}
        yield Record(recv_ns, 1, Kind.FRAME, msgspec.json.encode({"stream": "btcusdt@bookTicker", "data": quote}))
        yield Record(recv_ns, 0, Kind.HEARTBEAT, b"")


if __name__ == "__main__":
    main()
