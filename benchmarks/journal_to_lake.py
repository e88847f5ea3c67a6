"""A journal into the lake by the live flow, beside decoding the same frames alone and beside the same without recovery.

python -m benchmarks.journal_to_lake
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from benchmarks.report import Line, show
from benchmarks.tape import day, instruments
from pipelines.records import Connect, InstrumentRecord, Instruments, Kind, Reference, Start
from pipelines.settings import Kernels
from pipelines.store.journal_writer import Writer
from pipelines.store.segment import Record
from pipelines.venues import venue
from tests.ports import free_ports

VENUE = "binance-usdm"
FRAMES = 1_000_000
SYMBOLS = 10
RATE = 2_000
ROUNDS = 3
_RUN = """
import json, sys, time
import dataflows.live as live
from dataflows import lake_sink, sources
from pipelines.settings import load

stamps = {}
begin, publish = sources.JournalPart.next_batch, lake_sink.Staging.publish

def next_batch(part):
    stamps.setdefault("begun", time.perf_counter())
    return begin(part)

def published(staging):
    tables = publish(staging)
    stamps["ended"] = time.perf_counter()
    return tables

sources.JournalPart.next_batch, lake_sink.Staging.publish = next_batch, published
if sys.argv[1] == "bare":
    main = live.cli_main
    live.cli_main = lambda flow, epoch_interval, recovery_config: main(flow, epoch_interval=epoch_interval)
live.run(load(), until_end=True)
print(json.dumps(stamps["ended"] - stamps["begun"]))
"""


def frames() -> tuple[list[Record], list[bytes]]:
    """Return records of 10 symbols at 2,000 trades a second of journal time, heartbeats among them, and the frames alone."""
    rows = day(FRAMES, SYMBOLS, span=FRAMES // RATE * 1_000_000)
    natives = [i.native for i in instruments(SYMBOLS)]
    records: list[Record] = []
    payloads: list[bytes] = []
    beat = int(rows["recv_ns"][0])
    for i, trade_id, ts, recv, price, size, side in rows[
        ["instrument", "trade_id", "ts", "recv_ns", "price", "size", "side"]
    ].tolist():
        while beat < recv:
            records.append(Record(beat, 0, int(Kind.HEARTBEAT), b""))
            beat += 250_000_000
        name, ms = natives[i], ts // 1000
        payloads.append(
            b'{"stream":"%s@aggTrade","data":{"e":"aggTrade","E":%d,"a":%d,"s":"%s","p":"%.2f","q":"%.3f","nq":"%.3f",'
            b'"f":%d,"l":%d,"T":%d,"m":%s,"st":1}}'
            % (
                name.lower().encode(),
                ms + 20,
                trade_id,
                name.encode(),
                price,
                size,
                size,
                2 * trade_id,
                2 * trade_id + 1,
                ms,
                b"true" if side < 0 else b"false",
            )
        )
        records.append(Record(recv, 1, int(Kind.FRAME), payloads[-1]))
    return records, payloads


def write(folder: Path, records: list[Record]) -> None:
    """Write a journal as a recorder would."""
    now, listed = records[0].recv_ns, instruments(SYMBOLS)
    head: list[tuple[int, Kind, msgspec.Struct]] = [
        (0, Kind.START, Start("benchmark", {VENUE: "agg"})),
        (0, Kind.INSTRUMENTS, Instruments(VENUE, [InstrumentRecord(i.symbol, i.native, i.base, i.quote) for i in listed])),
        (1, Kind.CONNECT, Connect(VENUE, "market", ["trades"], [i.native for i in listed])),
        *((0, Kind.REFERENCE, Reference(VENUE, i.native, "2023-11-15", 1e6, 9e10, 30, "2023-11-14")) for i in listed),
    ]
    with Writer(folder) as writer:
        writer.write([Record(now, 0, int(Kind.SETTINGS), Kernels().canonical())])
        writer.write([Record(now, connection, int(kind), msgspec.json.encode(body)) for connection, kind, body in head])
        for at in range(0, len(records), 10_000):
            writer.write(records[at : at + 10_000])


def flow(folder: Path, way: str) -> float:
    """Return the frames a second of one run into a fresh lake."""
    with TemporaryDirectory(dir=folder) as data:
        (Path(data) / "journal").symlink_to(folder / "journal")
        env = os.environ | {"TAPEFLOW_DATA": data, "TAPEFLOW_PORTS__METRICS": str(free_ports(1)[0])}
        done = subprocess.run([sys.executable, "-c", _RUN, way], env=env, capture_output=True, text=True, check=True)
        (folder / "journal" / "main" / "consumed.json").unlink(missing_ok=True)
    return FRAMES / float(json.loads(done.stdout.splitlines()[-1]))


def run() -> Iterator[Line]:
    """Measure."""
    records, payloads = frames()
    with TemporaryDirectory() as folder:
        write(Path(folder) / "journal" / "main", records)
        decode, whole, bare = [], [], []
        for _ in range(ROUNDS):
            begun = time.perf_counter()
            for at in range(0, FRAMES, 16_384):
                venue(VENUE).decode(payloads[at : at + 16_384], "agg")
            decode.append(FRAMES / (time.perf_counter() - begun))
            whole.append(flow(Path(folder), "whole"))
            bare.append(flow(Path(folder), "bare"))
    yield Line("journal to committed lake", f"{statistics.median(whole):,.0f} frames/s", "200,000")
    yield Line("decode alone", f"{statistics.median(decode):,.0f} frames/s")
    yield Line("journal to lake / decode", f"{statistics.median(w / d for w, d in zip(whole, decode, strict=True)):.2f}", "0.60")
    cost = 1 - statistics.median(w / b for w, b in zip(whole, bare, strict=True))
    yield Line("cost of recovery", f"{cost:.0%}", "10 %")


if __name__ == "__main__":
    show(run())
