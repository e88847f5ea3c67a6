"""The recorder's figures for Prometheus."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping

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
        stations = {s.venue.name: s for s in list(self._stations.values())}
        yield from _venues(stations)
        yield from _silence(stations)
        yield from _journal(self._intake)
        yield from self._of_news()

    def _of_news(self) -> Iterable[Metric]:
        feeds = dict(self._news.feeds)
        asked = CounterMetricFamily("tapeflow_recorder_news_requests", "Requests of news.", labels=["feed", "outcome"])
        for name, feed in feeds.items():
            for outcome in ("ok", "not_modified", "failed"):
                asked.add_metric([name, outcome], feed.counts[outcome])
        yield asked
        items = {name: feed.counts["items"] for name, feed in feeds.items()}
        yield _counter("news_items", "Items that were new or had a new title.", items, label="feed")


def _venues(stations: dict[str, Station]) -> Iterable[Metric]:
    def each(value: Callable[[Station], float]) -> dict[str, float]:
        return {name: value(station) for name, station in stations.items()}

    yield _counter("frames", "Frames journaled.", each(lambda s: s.frames))
    yield _counter("frame_bytes", "Bytes of frames journaled.", each(lambda s: s.bytes))
    yield _counter("reconnects", "Sockets lost and opened again.", each(lambda s: s.sockets.reconnects))
    yield _counter("gaps_opened", "Holes found.", each(lambda s: s.gaps["opened"]))
    yield _counter("gaps_closed", "Holes closed.", each(lambda s: s.gaps["closed"]))
    yield _counter("gaps_unfillable", "Holes closed that nothing could fill.", each(lambda s: s.gaps["unfillable"]))
    yield _gauge("gaps_open", "Holes being mended.", each(lambda s: s.gaps["opened"] - s.gaps["closed"]))
    yield _counter("book_resyncs", "Books that broke and were asked for again.", each(lambda s: s.sockets.breaks))
    yield _counter("streams_silent", "Streams found silent.", each(lambda s: s.sockets.delivery.found))
    yield _gauge("silent_streams", "Streams silent now.", each(lambda s: len(s.sockets.delivery.silent)))
    yield _counter("refusals", "Refusals by the venue.", each(lambda s: s.refusals + s.rest.refusals))
    yield _counter("rest_weight", "Weight of REST requests.", each(lambda s: s.rest.budget.taken))
    yield _gauge("last_frame_seconds", "Receive time of the last frame.", each(lambda s: s.last_frame_ns / 1e9))
    lags = {name: lag for name, station in stations.items() if (lag := station.lag_s) is not None}
    yield _gauge("exchange_lag_seconds", "Receive time less match time of the last trade.", lags)


def _silence(stations: dict[str, Station]) -> Iterable[Metric]:
    silence = GaugeMetricFamily("tapeflow_recorder_silence_seconds", "Since the last data.", labels=["venue", "feed"])
    now = time.monotonic()
    for name, station in stations.items():
        newest: dict[str, float] = {}
        for stream, at in list(station.seen_at.items()):
            newest[stream.feed] = max(at, newest.get(stream.feed, at))
        for feed, at in newest.items():
            silence.add_metric([name, feed], now - at)
    yield silence


def _journal(intake: Intake) -> Iterable[Metric]:
    yield _counter("shed_frames", "Frames not written for lack of room.", dict(intake.dropped), label="feed")
    yield CounterMetricFamily("tapeflow_recorder_journal_bytes", "Bytes written.", value=intake.writer.written)
    yield GaugeMetricFamily("tapeflow_recorder_queue_bytes", "Bytes that wait to be written.", value=intake.queued)
    yield GaugeMetricFamily("tapeflow_recorder_sync_seconds", "Duration of the last fdatasync.", value=intake.durable_s)
    yield GaugeMetricFamily("tapeflow_recorder_durable_lag_seconds", "From receipt until durable.", value=intake.lag_s)


def registry(figures: Figures) -> CollectorRegistry:
    """Return a registry with the figures alone."""
    made = CollectorRegistry()
    made.register(figures)
    return made


def _counter(name: str, text: str, values: Mapping[str, float], label: str = "venue") -> CounterMetricFamily:
    family = CounterMetricFamily(f"tapeflow_recorder_{name}", text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _gauge(name: str, text: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"tapeflow_recorder_{name}", text, labels=["venue"])
    for key, value in values.items():
        family.add_metric([key], value)
    return family
