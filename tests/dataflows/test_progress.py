"""What the flow tells of itself in its status file."""

from __future__ import annotations

import errno
import json
import time
from pathlib import Path
from typing import Any

import pytest

from dataflows.lake_sink import Arrival
from dataflows.progress import Progress
from pipelines.engine import Output
from pipelines.records import Kind
from pipelines.settings import Demo, Settings, Venue
from tests import tapes


def reported(data: Path, journal_ns: int) -> Any:
    Progress(Settings(data=data)).report(Arrival(Output([], journal_ns), "", 0), {})
    return json.loads((data / "status" / "flow.json").read_bytes())["journal"]


def test_a_flow_that_has_read_nothing_is_not_behind(tmp_path: Path) -> None:
    assert reported(tmp_path, 0) == {"segment": "", "offset": 0, "lag_bytes": 0, "lag_s": None}


def test_lag_is_the_age_of_what_was_read(tmp_path: Path) -> None:
    begun = time.time()
    lag = reported(tmp_path, int((begun - 3) * 1e9))["lag_s"]
    assert 3 <= round(lag, 3) <= 3 + time.time() - begun + 0.001


@pytest.mark.parametrize(("speed", "told"), [(1.0, {"demo": 5_000_000}), (10.0, {})])
def test_a_scaled_clock_tells_nothing_of_a_venue(tmp_path: Path, speed: float, told: dict[str, int]) -> None:
    engine, ms = tapes.journal_engine(venue="demo"), tapes.DAY // 1000
    tapes.feed(engine, [((ms + 5_000) * 10**6, Kind.FRAME, tapes.agg_trade("AAAUSDT", 7, ms, "1", "1"))])
    progress = Progress(Settings(data=tmp_path, demo=Demo(speed=speed), venues={"demo": Venue(symbols=("AAA-USDT",))}))
    progress.watch(engine)
    progress.report(Arrival(Output([], engine.journal_ns), "", 0), {})
    assert json.loads((tmp_path / "status" / "flow.json").read_bytes())["clock_offset_us"] == told


def test_a_full_volume_ends_no_flow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    told = Progress(Settings(data=tmp_path))
    monkeypatch.setattr("dataflows.progress.publish_consumed", full)
    covered = Arrival(Output([], 10**18), "seg-0000000001.tfj", 8)
    (tmp_path / "journal" / "main").mkdir(parents=True)
    (tmp_path / "journal" / "main" / "seg-0000000001.tfj").write_bytes(bytes(8))
    told.report(covered, {})
    assert not (tmp_path / "status" / "flow.json").exists()
    monkeypatch.undo()
    told.report(covered, {})
    assert (tmp_path / "status" / "flow.json").exists()
