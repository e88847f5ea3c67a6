"""What the flow tells of itself in its status file."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from dataflows.lake_sink import Arrival
from dataflows.progress import Progress
from pipelines.engine import Output
from pipelines.settings import Settings


def reported(data: Path, journal_ns: int) -> Any:
    Progress(Settings(data=data)).report(Arrival(Output([], journal_ns), "", 0), {})
    return json.loads((data / "status" / "flow.json").read_bytes())["journal"]


def test_a_flow_that_has_read_nothing_is_not_behind(tmp_path: Path) -> None:
    assert reported(tmp_path, 0) == {"segment": "", "offset": 0, "lag_bytes": 0, "lag_s": None}


def test_lag_is_the_age_of_what_was_read(tmp_path: Path) -> None:
    assert reported(tmp_path, time.time_ns() - 3 * 10**9)["lag_s"] == pytest.approx(3, abs=2)
