"""What the recorder tells of itself once a second, for `tapeflow status`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec

from dataflows.recording.intake import Intake
from dataflows.recording.metrics import reconnects
from dataflows.recording.station import Station


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
        "shed": {"now": intake.shedding.name.lower(), "frames": dict(intake.dropped)},
    }


def _feed(station: Station, clock: float) -> dict[str, Any]:
    lines = [line for line in station.lines if line.trades]
    return {
        "connected": bool(lines) and any(line.opened.is_set() for line in lines),
        "sockets": sum(line.opened.is_set() for line in station.lines),
        "last_frame_ns": station.last_frame_ns,
        "frames": station.frames,
        "reconnects": reconnects(station),
        "symbols": {
            instrument.symbol: {"last_trade_age": _age(clock, station.seen_at.get(native))}
            for native, instrument in station.instruments.items()
        },
    }


def _age(clock: float, since: float | None) -> float | None:
    return None if since is None else round(clock - since, 3)


def _gaps(station: Station, clock: float) -> list[dict[str, Any]]:
    return [
        {
            "venue": station.venue.name,
            "symbol": station.instruments[native].symbol,
            "from_id": hole.first,
            "to_id": hole.last,
            "missing": hole.missing,
            "reason": hole.reason,
            "age": _age(clock, hole.since),
        }
        for native, tape in station.tapes.items()
        for hole in tape.holes
        if hole.told and native in station.instruments
    ]


def publish(path: Path, state: dict[str, Any]) -> None:
    """Write the state where others read it, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_bytes(msgspec.json.encode(state))
    temporary.replace(path)
