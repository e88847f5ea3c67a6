"""The whole way from socket to lake, with its parts killed and its line cut."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import polars as pl
import pytest

from tests.faults.house import House, wait_for
from tests.faults.truth import bars_that_differ, stop_and_check, wait_until_caught_up

PROCESSES = {"run": "flow", "record": "recorder"}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path / "data")
    made.begin()
    yield made
    made.close()


def _reached(moment: float) -> bool:
    return time.monotonic() >= moment


def kill_at_random(house: House, names: list[str], kills: int, rng: random.Random) -> None:
    """Kill and start again at random moments."""
    for _ in range(kills):
        moment = time.monotonic() + rng.uniform(0.2, 3.0)
        wait_for(partial(_reached, moment), "the moment to kill")
        name = rng.choice(names)
        house.kill(name)
        assert f"{PROCESSES[name]} is stopped; `tapeflow up` starts it" in house.told()["faults"]
        house.start(name)
    wait_until_caught_up(house)


@pytest.mark.parametrize("name", ["run", "record"])
def test_killed_and_begun_again_it_goes_on(house: House, tmp_path: Path, name: str) -> None:
    kill_at_random(house, [name], 2, random.Random(name))
    stop_and_check(house, tmp_path / "whole")


@pytest.mark.soak
def test_thirty_kills_of_flow_and_recorder(house: House, tmp_path: Path) -> None:
    kill_at_random(house, ["run", "record"], 30, random.Random(30))
    stop_and_check(house, tmp_path / "whole")


def cut_and_check(house: House, folder: Path, seconds: float) -> int:
    """Cut the line; return how many bars of that time differ from the uncut run's, all of which must be marked.

    Others may differ: trades of an exchange that a busy machine held up come late.
    """
    before = house.told()["feeds"][0]["reconnects"]
    house.fault("cut", seconds)
    wait_for(lambda: house.told()["feeds"][0]["reconnects"] > before, "status says that the line was cut")
    wait_until_caught_up(house)
    stop_and_check(house, folder / "whole")
    odd = bars_that_differ(house, folder / "truth")
    assert odd.height > 0 or house.lake.table("bars").collect()["quality"].eq("repaired").any()
    holes = house.lake.table("gaps").filter(pl.col("feed") == "trades").select("symbol", begin="ts", over="end").collect()
    return odd.join(holes, on="symbol").filter(pl.col("ts") < pl.col("over"), pl.col("end") > pl.col("begin")).height


def test_a_short_cut_leaves_every_bar_as_it_would_have_been(house: House, tmp_path: Path) -> None:
    assert cut_and_check(house, tmp_path, 1) == 0


@pytest.mark.soak
def test_a_cut_of_a_minute_is_repaired_or_marked(house: House, tmp_path: Path) -> None:
    cut_and_check(house, tmp_path, 60)
