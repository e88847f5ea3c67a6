"""The recorder deletes old segments: what the flow is done with, and later what nobody has sealed."""

from __future__ import annotations

import asyncio
import datetime as dt
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from dataflows.recording.recorder import Recorder
from pipelines.records import Kind
from pipelines.settings import Settings
from pipelines.store.journal_writer import Writer
from pipelines.store.retention import publish_consumed, publish_sealed
from pipelines.store.segment import Record, segments

DAY_NS = 86_400 * 10**9
NOW_NS = 20_009 * DAY_NS + 1


@pytest.mark.parametrize(
    ("sealed_back", "kept"), [(None, 9), (1, 5), (5, 6), (30, 9)], ids=["nobody seals", "all sealed", "one lacks", "many lack"]
)
def test_what_is_not_sealed_is_kept_for_longer(tmp_path: Path, sealed_back: int | None, kept: int) -> None:
    settings = Settings(data=tmp_path)
    for back in range(14, -1, -1):
        with Writer(settings.journal_dir) as writer:
            writer.write([Record(NOW_NS - back * DAY_NS, 0, Kind.HEARTBEAT, b"")])
    publish_consumed(settings.journal_dir, segments(settings.journal_dir)[-1].name, 0)
    if sealed_back:
        publish_sealed(settings.journal_dir, dt.date(1970, 1, 1) + dt.timedelta(20_009 - sealed_back))
    recorder = cast("Recorder", SimpleNamespace(settings=settings, now_ns=lambda: NOW_NS))
    asyncio.run(Recorder._expire(recorder))
    assert len(segments(settings.journal_dir)) == kept
