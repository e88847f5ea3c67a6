"""The sensor that asks for briefs of episodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import msgspec
import pytest

from assets.elevated import AGAIN_S, TELLING, TRIES, elevated_briefs
from pipelines.briefs import outbox
from pipelines.briefs.episodes import Episode
from pipelines.market import TABLES
from pipelines.settings import load
from pipelines.store.lake import Lake
from tests.pipelines.store.samples import put, rows

pytestmark = pytest.mark.usefixtures("place")


def episode(name: str, symbol: str = "BTC-USDT") -> Episode:
    return Episode(name, "demo", symbol, 1, 2, 2, 3, 1, ["cascade_proxy"])


def tell(*episodes: Episode) -> None:
    """Leave in the outbox what the sender does."""
    box = outbox.Outbox(outbox.place(load()))
    kept = {"episodes": {one.id: msgspec.to_builtins(one) for one in episodes}}
    box.commit([], {TELLING: kept})
    box.close()


class Sensor:
    """The sensor with its cursor."""

    def __init__(self) -> None:
        self.cursor: str | None = None
        self.now = 1_700_000_000.0

    def tick(self, seconds: float = 0) -> list[dg.RunRequest]:
        self.now += seconds
        context = dg.build_sensor_context(cursor=self.cursor)
        found = elevated_briefs(load(), lambda: self.now)(context)
        self.cursor = context.cursor
        return list(found.run_requests or ()) if isinstance(found, dg.SensorResult) else []


def test_a_brief_is_asked_for_once_an_episode() -> None:
    sensor = Sensor()
    assert sensor.tick() == []
    tell(episode("e1"), episode("e2", "ETH-USDT"))
    one, two = sensor.tick(10)
    assert (one.run_key, two.run_key) == ("e1 1", "e2 1")
    assert one.tags["dagster/priority"] == "10"
    assert one.run_config["ops"]["briefs__elevated"]["config"] == {
        "at": "2023-11-14T22:13:30+00:00",
        "instruments": ["demo/BTC-USDT"],
        "episode": "e1",
    }
    assert two.run_config["ops"]["briefs__elevated"]["config"]["instruments"] == ["demo/ETH-USDT"]
    assert sensor.tick(10) == []


def test_a_brief_that_does_not_come_is_asked_for_again_so_many_times() -> None:
    sensor = Sensor()
    tell(episode("e1"))
    keys = [request.run_key for _ in range(TRIES + 2) for request in sensor.tick(AGAIN_S + 1)]
    assert keys == [f"e1 {k + 1}" for k in range(TRIES)]


def test_one_that_is_there_is_not_asked_for() -> None:
    lake = Lake(load().lake_root)
    lake.create()
    about: dict[str, Any] = {"episode": "e1"}
    put(lake, TABLES["briefs"], rows(TABLES["briefs"], 1, **about))
    sensor = Sensor()
    tell(episode("e1"))
    assert sensor.tick() == []
    assert sensor.tick(AGAIN_S + 1) == []


def test_what_is_over_is_forgotten() -> None:
    sensor = Sensor()
    tell(episode("e1"))
    sensor.tick()
    tell()
    assert sensor.tick(10) == []
    assert sensor.cursor == "{}"


def test_without_an_outbox_none_is_made() -> None:
    assert Sensor().tick() == []
    assert not Path("data").exists()
