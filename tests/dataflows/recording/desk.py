"""A recorder at work in a test, and what it wrote."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from dataflows.recording.holes import Tape
from dataflows.recording.recorder import Recorder
from dataflows.recording.repair import Mender
from pipelines.settings import Settings, Venue
from pipelines.store.journal_report import entries
from tests.dataflows.fake_exchange import FakeExchange, now_ns

BTC = "BTCUSDT"


async def until(condition: Callable[[], object], seconds: float = 100.0) -> None:
    """Wait until something is so.

    Raises
    ------
    AssertionError
        If it is not within `seconds`.
    """
    deadline = asyncio.get_running_loop().time() + seconds
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, "waited in vain"
        await asyncio.sleep(0.01)


@asynccontextmanager
async def exchange(*symbols: str) -> AsyncIterator[FakeExchange]:
    """Open an exchange."""
    made = FakeExchange(*symbols)
    await made.start()
    try:
        yield made
    finally:
        await made.close()


def settings(data: Path, made: FakeExchange, *symbols: str, **venue: Any) -> Settings:
    """Return settings to record `symbols` of an exchange, with the fields of `Venue` in `venue`."""
    return Settings(
        data=data,
        venues={"demo": Venue(symbols=symbols or ("BTC-USDT",), **{"feeds": ("trades",), **venue})},
        endpoints={"demo": made.url},
    )


@asynccontextmanager
async def recording(
    wanted: Settings,
    free: Callable[[Path], float] = lambda folder: 0.5,
    reload: Callable[[], Settings] | None = None,
    now_ns: Callable[[], int] = now_ns,
    ready: str = "demo",
) -> AsyncIterator[Recorder]:
    """Record, from when the sockets of venue `ready` are open."""
    recorder = Recorder(wanted, free)
    recorder.now_ns = now_ns
    stop = asyncio.Event()
    task = asyncio.create_task(recorder.run(stop, reload or (lambda: wanted)))
    try:
        await until(lambda: task.done() or (ready in recorder.stations and connected(recorder.stations[ready])))
        yield recorder
    finally:
        stop.set()
        await task


def connected(station: Any) -> bool:
    """Tell whether all sockets of a station are open, and have been subscribed."""
    return bool(station.lines) and all(line.opened.is_set() and line.frames for line in station.lines)


class Written:
    """What a journal holds."""

    def __init__(self, wanted: Settings) -> None:
        self.entries = [e for e in entries(wanted.journal_dir) if e["kind"] != "heartbeat"]

    def payloads(self, kind: str) -> list[Any]:
        return [e.get("payload") for e in self.entries if e["kind"] == kind]

    def gaps(self) -> list[tuple[str, str, int | None, int | None]]:
        """Return what was told of holes in trades: record, status or reason, first and last id."""
        return [
            (e["kind"], g["status"] if e["kind"] == "gap_close" else g["reason"], g["from_id"], g["to_id"])
            for e in self.entries
            if e["kind"] in ("gap_open", "gap_close")
            for g in [e["payload"]]
            if g["feed"] == "trades"
        ]

    def ids(self, symbol: str = "BTCUSDT") -> Counter[int]:
        """Return how often each trade was journaled."""
        live = [p["data"]["a"] for p in self.payloads("frame") if isinstance(p, dict) and p.get("data", {}).get("s") == symbol]
        repaired = [t["a"] for e in self.entries if e["kind"] == "repair" and e["head"]["symbol"] == symbol for t in e["body"]]
        return Counter(live + repaired)


def tape(recorder: Any, symbol: str = BTC, venue: str = "demo") -> Tape:
    mender = recorder.stations[venue].menders[symbol]
    assert isinstance(mender, Mender)
    return mender.tape


def last_id(recorder: Any, symbol: str = BTC) -> int:
    return (tape(recorder, symbol).next_id or 1) - 1


def holes(recorder: Any) -> int:
    return sum(len(mender.tape.holes) for mender in recorder.stations["demo"].menders.values())
