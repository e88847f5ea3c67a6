"""The file of rules edited while the recorder runs, and what the flow makes of its journal."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pyarrow as pa
import pytest
import structlog

from pipelines.engine import Engine
from pipelines.rules.book import Rule, canonical, decode
from pipelines.settings import Kernels, Settings
from pipelines.store.journal import Tail
from tests.dataflows.recording.desk import Written, exchange, recording, settings, until

ONE = "rules:\n- {name: one, when: close > 1}\n"
TWO = ONE + "- {name: two, when: volume > 1}\n"


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dataflows.recording.following.LOOK_S", 0.05)


def test_rules_edited_take_effect_by_way_of_the_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(ONE)
    seen: list[list[str]] = []
    monkeypatch.setattr("dataflows.recording.recorder.canonical", lambda rules: _note(seen, rules))

    async def play() -> Settings:
        async with exchange("BTCUSDT") as made:
            wanted = settings(tmp_path, made).model_copy(update={"rules": file})
            async with recording(wanted) as recorder:
                assert seen == [["one"]]
                file.write_text(TWO)
                await until(lambda: seen == [["one"], ["one", "two"]])
                with structlog.testing.capture_logs() as said:
                    file.write_text("rules:\n- {name: two, when: clos > 1}\n")
                    await until(lambda: any(line["event"] == "rules_refused" for line in said))
                told = wanted.data / "status" / "recorder.json"
                await until(lambda: told.exists() and "clos" in json.loads(told.read_text())["refused"].get("rules", [""])[0])
                file.write_text(ONE + "\n")
                await until(lambda: len(seen) == 3)
                assert recorder._refused.faults == {}
        return wanted

    wanted = asyncio.run(play())
    assert seen == [["one"], ["one", "two"], ["one"]], "what cannot be used changes nothing"
    assert [[rule["name"] for rule in rules] for rules in Written(wanted).payloads("rules")] == seen
    engine = Engine(Kernels(), shard="main")
    tables = [table for batch in Tail(wanted.journal_dir) for table in engine.feed(batch).tables]
    inputs = pa.concat_tables([rows for name, rows in tables if name == "inputs"])
    noted = [row["value"].encode() for row in inputs.to_pylist() if row["kind"] == "rules"]
    assert [[rule.name for rule in decode(value)] for value in noted] == seen, "what is in force again is noted again"
    assert engine.signals.watch.rules == (Rule("one", "close > 1"),)


def test_a_file_that_cannot_be_used_does_not_stop_the_recorder(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text("rules: [")

    async def play() -> Settings:
        async with exchange("BTCUSDT") as made:
            wanted = settings(tmp_path, made).model_copy(update={"rules": file})
            async with recording(wanted):
                made.trade("BTCUSDT")
                await until(lambda: Written(wanted).ids())
        return wanted

    assert Written(asyncio.run(play())).payloads("rules") == [], "those in force before stay in force"


def _note(seen: list[list[str]], rules: tuple[Rule, ...]) -> bytes:
    seen.append([rule.name for rule in rules])
    return canonical(rules)
