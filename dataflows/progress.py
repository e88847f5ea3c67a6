"""What the flow tells of itself: metrics, the status file, and how far the journal is consumed."""

from __future__ import annotations

import json
import os
import time
from typing import Any

import structlog
from prometheus_client import Counter, Gauge

from dataflows.lake_sink import Arrival
from pipelines.engine import Engine
from pipelines.kernels.clock import UNKNOWN
from pipelines.market import TABLES
from pipelines.settings import Settings
from pipelines.store.journal import behind
from pipelines.store.retention import publish_consumed

COMMITS = Counter("tapeflow_commits", "Commits to a table of the lake", ["table"])
FILES = Counter("tapeflow_files", "Files committed to a table of the lake", ["table"])
FRAMES = Gauge("tapeflow_frames", "Frames decoded since the flow's state began")
IGNORED = Gauge("tapeflow_ignored_frames", "Frames that are neither data nor fault (acks, pongs), since the flow's state began")
UNREADABLE = Gauge("tapeflow_decode_failures", "What could not be decoded of frames since the flow's state began", ["venue"])
ROWS = Gauge("tapeflow_rows", "Rows made since the flow's state began, committed or about to be", ["table"])
SYNCED = Gauge("tapeflow_books_synced", "Instruments with a sound book")
RESYNCS = Gauge("tapeflow_book_resyncs", "Books built anew since the flow's state began")
QUARANTINED = Gauge("tapeflow_quarantined", "Rows refused since the flow's state began")
DUPLICATES = Gauge("tapeflow_duplicates", "Trades dropped because their id had been seen, since the flow's state began")
LAG = Gauge("tapeflow_lag_seconds", "Wall clock less journal time reached")
BACKLOG = Gauge("tapeflow_backlog_bytes", "Bytes of the journal not yet read")
EPOCH = Gauge("tapeflow_epoch_seconds", "Wall clock between the last two durable snapshots")

log = structlog.get_logger()


class Progress:
    """Reports of one flow; reads the clock, which nothing it touches feeds back into a result."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.engine: Engine | None = None
        self.rows: dict[str, int] = {}
        self.epoch_at = time.monotonic()
        self.scaled = "demo" in settings.venues and (settings.demo.speed != 1 or settings.demo.recording is not None)
        settings.data.joinpath("status").mkdir(parents=True, exist_ok=True)

    def watch(self, engine: Engine) -> None:
        """Take the engine as it is after a batch."""
        self.engine = engine
        FRAMES.set(engine.counts["frames"])
        IGNORED.set(engine.counts["ignored"])
        for venue in engine.venues:
            UNREADABLE.labels(venue).set(engine.counts[f"faults of {venue}"])
        for table in TABLES:
            ROWS.labels(table).set(engine.counts[f"rows of {table}"])
        SYNCED.set(engine.feeds.books.synced)
        RESYNCS.set(sum(engine.feeds.books.resyncs.values()))
        QUARANTINED.set(engine.counts["quarantined"])
        DUPLICATES.set(engine.counts["duplicates"])

    def report(self, covered: Arrival, committed: dict[str, int]) -> None:
        """Publish how far a durable snapshot came."""
        for table, files in committed.items():
            COMMITS.labels(table).inc()
            FILES.labels(table).inc(files)
        now = time.monotonic()
        epoch, self.epoch_at = now - self.epoch_at, now
        EPOCH.set(epoch)
        try:
            if covered.segment:
                publish_consumed(self.settings.journal_dir, covered.segment, covered.offset)
            self._write_status(covered, epoch)
        except OSError as error:  # the volume may be full: what is in the lake counts, and the next epoch tells again
            log.warning("not_told", error=str(error))

    def _write_status(self, covered: Arrival, epoch: float) -> None:
        reached = covered.output.journal_ns
        lag = None if self.scaled or not reached else max(0.0, time.time() - reached / 1e9)
        backlog = behind(self.settings.journal_dir, covered.segment, covered.offset) if covered.segment else 0
        LAG.set(lag or 0.0)
        BACKLOG.set(backlog)
        status: dict[str, Any] = {
            "pid": os.getpid(),
            "at": time.time(),
            "journal": {
                "segment": covered.segment,
                "offset": covered.offset,
                "lag_bytes": backlog,
                "lag_s": lag and round(lag, 3),
            },
            "epoch_s": round(epoch, 3),
            "instruments": [],
        }
        if self.engine is not None:
            status |= _of_engine(self.engine)
        if self.scaled:
            status["clock_offset_us"] = {}  # a delay of ours is many times as long on a clock that runs faster
        path = self.settings.data / "status" / "flow.json"
        fresh = path.with_suffix(".tmp")
        fresh.write_text(json.dumps(status))
        fresh.replace(path)


def _of_engine(engine: Engine) -> dict[str, Any]:
    signals = engine.signals
    offsets = {v: int(least) for v, least in zip(engine.venues, engine.venue_clocks["least"], strict=True) if least != UNKNOWN}
    return {
        "rows": {"trades": engine.stored},
        "frames": engine.counts["frames"],
        "quarantined": engine.counts["quarantined"],
        "duplicates": engine.counts["duplicates"],
        "clock_offset_us": offsets,
        "instruments": [
            {
                "venue": it.venue,
                "symbol": it.symbol,
                "last_trade_ts": int(signals.clock["now"][i]) / 1e6,
                "adv_known": signals.volumes.of(i, int(signals.clock["day"][i])) is not None,
                "gap_open": not engine.resequencer.lines[i].calm,
            }
            for i, it in enumerate(signals.instruments)
        ],
    }
