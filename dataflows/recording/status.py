"""What the recorder tells of itself once a second, for `tapeflow status`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec

from dataflows.recording.intake import Intake
from dataflows.recording.station import Station
from pipelines.venues.venue import Stream


def snapshot(intake: Intake, stations: dict[str, Station], now_ns: int, clock: float) -> dict[str, Any]:
    """Return the state of the recorder, JSON-able; times in ns since 1970, ages in seconds."""
    return {
        "pid": os.getpid(),
        "at": now_ns,
        "feeds": {name: _feed(station, clock) for name, station in stations.items()},
        "gaps_open": [gap for station in stations.values() for gap in _gaps(station, clock)],
        "journal": {
            "segment": intake.writer.segment,
            "bytes": intake.writer.size,
            "written": intake.writer.written,
            "queued": intake.queued,
        },
        "shed": {"now": intake.shedding.name.lower(), "reasons": intake.reasons, "frames": dict(intake.dropped)},
    }


def _feed(station: Station, clock: float) -> dict[str, Any]:
    lines = [line for line in station.lines if "trades" in line.route.feeds] or station.lines
    return {
        "connected": any(line.opened.is_set() for line in lines),
        "sockets": sum(line.opened.is_set() for line in station.lines),
        "last_frame_ns": station.last_frame_ns,
        "frames": station.frames,
        "reconnects": station.sockets.reconnects,
        "refused": station.refused,
        "waits": "" if station.refused else station.waits,
        "silent_streams": sorted(f"{feed} {_symbol(station, native)}" for feed, native in station.sockets.delivery.silent),
        "books_broken": sorted(_symbol(station, native) for native in station.bookless),
        "books_broken_s": _age(clock, min(station.broken_since.values(), default=None)),
        "book_resyncs": station.sockets.breaks,
        "symbols": {
            instrument.symbol: {"last_trade_age": _age(clock, station.seen_at.get(Stream("trades", native)))}
            for native, instrument in station.instruments.items()
        },
    }


def _symbol(station: Station, native: str) -> str:
    instrument = station.instruments.get(native)
    return native if instrument is None else instrument.symbol


def _age(clock: float, since: float | None) -> float | None:
    return None if since is None else round(clock - since, 3)


def _gaps(station: Station, clock: float) -> list[dict[str, Any]]:
    return [
        {"venue": station.venue.name, "symbol": _symbol(station, native), **gap, "age": _age(clock, since)}
        for native, mender in station.menders.items()
        for since, gap in mender.gaps()
    ]


def publish(path: Path, state: dict[str, Any]) -> None:
    """Write the state where others read it, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_bytes(msgspec.json.encode(state))
    temporary.replace(path)
