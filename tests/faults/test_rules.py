"""A file of rules edited while exchange, recorder and flow run as processes of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from tests.faults.house import House, wait_for

NEVER = "rules:\n- {name: never, when: close > 1e15}\n"
RISES = NEVER + "- {name: rises, when: close > open, severity: 2}\n"
WRONG = RISES + "- {name: wrong, when: clos > 0}\n"


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    file = tmp_path / "rules.yaml"
    file.write_text(NEVER)
    return file


@pytest.fixture
def house(tmp_path: Path, rules: Path) -> Iterator[House]:
    made = House(tmp_path / "data", TAPEFLOW_RULES=str(rules), TAPEFLOW_DEMO__SPEED="20")
    made.begin()
    yield made
    made.close()


def fired(house: House) -> pl.DataFrame:
    """Return what the user's rules alerted."""
    if not house.rows("alerts"):
        return pl.DataFrame(schema={"detector": pl.String, "severity": pl.Int64})
    return house.lake.table("alerts").filter(pl.col("source") == "rule").collect()


def notes(house: House) -> list[str]:
    """Return the rules that were in force, in order."""
    return house.lake.table("inputs").filter(pl.col("kind") == "rules").sort("ts").collect()["value"].to_list()


def test_an_edited_file_of_rules_reaches_the_running_flow_and_fires(house: House, rules: Path) -> None:
    wait_for(lambda: len(notes(house)) == 1, "the first rules are in force")
    rules.write_text(RISES)
    wait_for(lambda: fired(house).height > 0, "the rule that was added fires")
    assert set(fired(house)["detector"]) == {"rises"}
    assert set(fired(house)["severity"]) == {2}
    wait_for(lambda: len(notes(house)) == 2, "the lake has the rules that were added")  # by the minute; alerts every epoch
    assert ["rises" in note for note in notes(house)] == [False, True]

    rules.write_text(WRONG)
    wait_for(lambda: "rules" in house.told()["refused"], "status says that the rules are refused")
    (told,) = (line for line in house.command()["faults"] if line.startswith("rules refused"))
    assert "clos" in told
    rules.write_text(NEVER)
    wait_for(lambda: house.told()["refused"] == {}, "the rules are read again")
    assert not [line for line in house.told()["faults"] if line.startswith("rules refused")]
