"""The recorder's figures for Prometheus."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from dataflows.recording.intake import Intake
from dataflows.recording.news import Poller
from dataflows.recording.station import Station


class Figures(Collector):
    """Reads the figures off the recorder when they are asked for: recording itself pays nothing."""

    def __init__(self, intake: Intake, stations: dict[str, Station], news: Poller) -> None:
        self._intake = intake
        self._stations = stations
        self._news = news

    def collect(self) -> Iterable[Metric]:
        """Yield all metrics."""
        stations = list(self._stations.values())
        yield _counter("frames", "Frames journaled.", {s.venue.name: s.frames for s in stations})
        yield _counter("reconnects", "Sockets lost and opened again.", {s.venue.name: reconnects(s) for s in stations})
        menders = {s.venue.name: list(s.menders.values()) for s in stations}
        yield _counter("gaps_opened", "Holes found.", {name: sum(m.opened for m in of) for name, of in menders.items()})
        yield _counter("gaps_closed", "Holes closed.", {name: sum(m.closed for m in of) for name, of in menders.items()})
        yield _counter("shed_frames", "Frames not written for lack of room.", dict(self._intake.dropped), label="feed")
        yield CounterMetricFamily("tapeflow_recorder_journal_bytes", "Bytes written.", value=self._intake.writer.written)
        feeds = dict(self._news.feeds)
        asked = CounterMetricFamily("tapeflow_recorder_news_requests", "Requests of news.", labels=["feed", "outcome"])
        for name, feed in feeds.items():
            for outcome in ("ok", "not_modified", "failed"):
                asked.add_metric([name, outcome], feed.counts[outcome])
        yield asked
        items = {name: feed.counts["items"] for name, feed in feeds.items()}
        yield _counter("news_items", "Items that were new or had a new title.", items, label="feed")
        last = GaugeMetricFamily("tapeflow_recorder_last_frame_seconds", "Receive time of the last frame.", labels=["venue"])
        for station in stations:
            last.add_metric([station.venue.name], station.last_frame_ns / 1e9)
        yield last
        yield GaugeMetricFamily("tapeflow_recorder_queue_bytes", "Bytes that wait to be written.", value=self._intake.queued)
        yield GaugeMetricFamily("tapeflow_recorder_sync_seconds", "Duration of the last fdatasync.", value=self._intake.durable_s)


def reconnects(station: Station) -> int:
    """Return how often a station's sockets were lost."""
    return station.reconnects + sum(line.reconnects for line in station.lines)


def registry(figures: Figures) -> CollectorRegistry:
    """Return a registry with the figures alone."""
    made = CollectorRegistry()
    made.register(figures)
    return made


def _counter(name: str, text: str, values: dict[str, int], label: str = "venue") -> CounterMetricFamily:
    family = CounterMetricFamily(f"tapeflow_recorder_{name}", text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family
