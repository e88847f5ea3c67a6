"""The figures for Prometheus: what is documented is told, what is told is documented, and a running recorder tells all of it."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

from dataflows import progress
from dataflows.recording.metrics import Figures, registry
from dataflows.recording.recorder import Recorder
from pipelines.settings import News as Wanted
from pipelines.settings import NewsFeed
from tests.dataflows.recording.desk import exchange, recording, settings, until
from tests.dataflows.recording.publisher import publisher
from tests.pipelines.news.bodies import rss, story

DOCUMENT = Path(__file__).parents[2] / "docs" / "metrics.md"
Named = dict[str, frozenset[str]]
"""Labels by a metric's name."""


def documented() -> tuple[Named, Named]:
    """What the flow and the recorder are said to tell."""
    flow, recorder = DOCUMENT.read_text().split("## Recorder")
    each = [re.findall(r"^\| `(\w+)(?:\{(.*)\})?` \|", part, re.MULTILINE) for part in (flow, recorder)]
    of_flow, of_recorder = ({name: frozenset(filter(None, labels.split(","))) for name, labels in rows} for rows in each)
    return of_flow, of_recorder


def test_the_flow_tells_what_is_documented() -> None:
    metrics = [each for each in vars(progress).values() if isinstance(each, MetricWrapperBase)]
    told = {_name(family.name, family.type): frozenset(each._labelnames) for each in metrics for family in each.describe()}
    assert told == documented()[0]


def test_a_recorder_tells_what_is_documented(tmp_path: Path) -> None:
    """With a value each, but for what did not happen: shedding."""

    async def run() -> tuple[Named, Named]:
        async with exchange("BTCUSDT") as venue, publisher() as made:
            made.pages["/good"] = (200, {}, rss(story(1, "One")))
            wanted = settings(tmp_path, venue).model_copy(
                update={"news": Wanted(feeds={"good": NewsFeed(url=f"{made.url}/good")})}
            )
            async with recording(wanted) as recorder:
                venue.trade("BTCUSDT", 3)
                shown = registry(Figures(recorder.intake, recorder.stations, recorder.news))
                lag = "tapeflow_recorder_exchange_lag_seconds"
                await until(lambda: shown.get_sample_value(lag, {"venue": "demo"}) is not None and _asked(recorder))
                return names(shown), samples(shown)

    told, valued = asyncio.run(run())
    expected = documented()[1]
    assert told == expected
    assert valued == {name: labels for name, labels in expected.items() if name != "tapeflow_recorder_shed_frames_total"}


def _asked(recorder: Recorder) -> bool:
    return all(feed.counts["items"] for feed in recorder.news.feeds.values())


def names(shown: CollectorRegistry) -> Named:
    """Return what a registry has, with a value or without."""
    return {_name(family.name, family.type): frozenset(family._labelnames) for family in shown.collect()}  # type: ignore[attr-defined]


def samples(shown: CollectorRegistry) -> Named:
    """Return what a registry has a value of."""
    return {s.name: frozenset(s.labels) for family in shown.collect() for s in family.samples if not s.name.endswith("_created")}


def _name(name: str, kind: str) -> str:
    return f"{name}_total" if kind == "counter" else name
