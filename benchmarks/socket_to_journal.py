"""Socket to journal: the recorder beside a bare `websockets` receiver that only counts, in one run.

A sender in another process floods the loopback with aggTrade frames. The recorder is the whole one: sockets, receive
times, gap rule on every frame, journal with checksums, fdatasync every 100 ms.

    python benchmarks/socket_to_journal.py [--frames 400000] [--rounds 3]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing as mp
import statistics
import tempfile
import time
from http import HTTPStatus
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import NamedTuple

import structlog
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from dataflows.recording.recorder import Recorder
from pipelines.settings import Settings, Venue

PORT = 8899
SUBSCRIBE = '{"method":"SUBSCRIBE","params":["btcusdt@aggTrade"],"id":1}'
FRAME = (
    b'{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","E":%d,"a":%d,"s":"BTCUSDT","p":"91231.40","q":"0.420",'
    b'"nq":"0.420","f":%d,"l":%d,"T":%d,"m":true,"st":1}}'
)
LISTING = {"symbol": "BTCUSDT", "baseAsset": "BTC", "quoteAsset": "USDT", "contractType": "PERPETUAL", "status": "TRADING"}


def framed(i: int) -> bytes:
    """Return the bytes on the wire of one trade."""
    t = 1_700_000_000_000 + i
    payload = FRAME % (t, i + 1, 2 * i, 2 * i + 1, t)
    return b"\x81\x7e" + len(payload).to_bytes(2, "big") + payload


def sender(frames: int, ready: Event) -> None:
    """Serve `frames` trades to each who subscribes, as fast as they are taken."""
    chunks = [b"".join(map(framed, range(i, min(i + 500, frames)))) for i in range(0, frames, 500)]

    async def flood(socket: ServerConnection) -> None:
        await socket.recv()
        await socket.send('{"result":null,"id":1}')
        for chunk in chunks:
            socket.transport.write(chunk)
            await socket.drain()
        await socket.wait_closed()

    def rest(_: ServerConnection, request: Request) -> Response | None:
        if "exchangeInfo" not in request.path and "klines" not in request.path:
            return None
        body = json.dumps({"symbols": [LISTING]} if "exchangeInfo" in request.path else []).encode()
        return Response(HTTPStatus.OK, "OK", Headers({"Content-Length": str(len(body))}), body)

    async def main() -> None:
        async with serve(flood, "127.0.0.1", PORT, process_request=rest, compression=None, ping_interval=None):
            ready.set()
            await asyncio.Event().wait()

    asyncio.run(main())


class Pace(NamedTuple):
    """Frames per second of wall time, and of this process's CPU time."""

    wall: float
    cpu: float


class Stopwatch:
    """Begins when it is made."""

    def __init__(self) -> None:
        self._begun = time.perf_counter(), time.process_time()

    def pace(self, frames: int) -> Pace:
        """Return the pace of so many frames since."""
        return Pace(frames / (time.perf_counter() - self._begun[0]), frames / (time.process_time() - self._begun[1]))


async def bare(frames: int) -> Pace:
    """Return the pace of a receiver that counts."""
    url = f"ws://127.0.0.1:{PORT}/market/stream"
    async with connect(url, compression=None, max_queue=4096, ping_interval=None) as socket:
        await socket.send(SUBSCRIBE)
        await socket.recv(decode=False)
        watch = Stopwatch()
        for _ in range(frames):
            await socket.recv(decode=False)
        return watch.pace(frames)


async def recorded(frames: int, data: Path) -> Pace:
    """Return the pace of the recorder, from the first frames in the journal to the last."""
    settings = Settings(data=data, venues={"demo": Venue(symbols=("BTC-USDT",))}, endpoints={"demo": f"http://127.0.0.1:{PORT}"})
    recorder, stop = Recorder(settings), asyncio.Event()
    running = asyncio.create_task(recorder.run(stop, lambda: settings))
    while not any(station.frames for station in recorder.stations.values()):
        await asyncio.sleep(0.0005)
    station = recorder.stations["demo"]
    watch, before = Stopwatch(), station.frames
    while station.frames < frames + 1:  # and the answer to SUBSCRIBE
        await asyncio.sleep(0.0005)
    pace = watch.pace(frames + 1 - before)
    stop.set()
    await running
    return pace


def main() -> None:
    """Print the rates and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=400_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("error"))
    ready = mp.Event()
    flooding = mp.Process(target=sender, args=(options.frames, ready), daemon=True)
    flooding.start()
    ready.wait()
    ratios: list[Pace] = []
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory() as folder:
            theirs, ours = asyncio.run(bare(options.frames)), asyncio.run(recorded(options.frames, Path(folder)))
        ratios.append(Pace(ours.wall / theirs.wall, ours.cpu / theirs.cpu))
        for name, pace in (("bare", theirs), ("recorder", ours)):
            print(f"{name:8} {pace.wall:>9,.0f} frames/s, {pace.cpu:>9,.0f} per second of CPU")
    wall, cpu = (statistics.median(column) for column in zip(*ratios, strict=True))
    print(f"ratio {wall:.2f} (goal 0.80); of CPU time {cpu:.2f}, which a busy machine distorts less")
    flooding.terminate()


if __name__ == "__main__":
    main()
