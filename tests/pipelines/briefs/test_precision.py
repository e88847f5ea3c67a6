from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipelines.briefs.precision import UNSCORED, precision
from pipelines.market import TABLES
from pipelines.store.lake import Lake
from tests.pipelines.store.samples import put, rows

SCORES = TABLES["scores"]


def alert(symbol: str, venue: str = "demo") -> dict[str, object]:
    return {"venue": venue, "symbol": symbol, "detector": "cascade_proxy", "version": 2}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    made = Lake(tmp_path / "lake")
    made.create()
    put(made, TABLES["trades"], rows(TABLES["trades"], 3))
    return made


@pytest.mark.parametrize("of", [alert("BTC-USDT"), alert("all"), alert("BTC-USDT", "nowhere")])
def test_what_has_no_score_is_unscored_also_an_alert_of_a_whole_venue(lake: Lake, of: dict[str, object]) -> None:
    assert precision(lake, of) == UNSCORED


def test_the_newest_score_of_the_version_is_told_with_its_number_of_alerts(lake: Lake) -> None:
    said: dict[str, Any] = {
        "symbol": ["BTC-USDT"],
        "detector": ["cascade_proxy"],
        "version": [2],
        "origin": ["live"],
        "event": ["move:1%/10m"],
        "horizon_s": [600],
        "precision": [0.25],
        "alerts": [8],
        "base_rate": [0.05],
    }
    put(lake, SCORES, rows(SCORES, 1, **said))
    assert precision(lake, alert("BTC-USDT")) == "0.25, n 8 (move:1%/10m within 10 min, base rate 0.05)"
    assert precision(lake, alert("BTC-USDT") | {"version": 1}) == UNSCORED
