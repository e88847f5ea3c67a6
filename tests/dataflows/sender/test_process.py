"""The sender: from a row in the lake to a message at Slack, and what it tells of itself."""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from dataflows.sender import process
from dataflows.sender.connection import NO_CHANNEL
from dataflows.sender.process import Sender
from pipelines.briefs.message import Message
from pipelines.briefs.outbox import Outbox, place
from pipelines.market import ALERTS
from pipelines.settings import Settings
from pipelines.store.lake import Lake
from tests.pipelines.store import samples
from tests.slack_blocks import shown
from tests.slack_server import TOKEN, SlackServer, running


class Plain:
    """Tells every alert, and remembers how many."""

    def __init__(self, state: dict[str, Any]) -> None:
        self.count = state.get("count", 0)
        self.broken = False

    def messages(self, alerts: Iterable[dict[str, Any]], now_us: int, mutes: Mapping[str, int]) -> list[Message]:
        found = [Message(id=one["alert_id"], head=one["label"], severity=one["severity"]) for one in alerts]
        if self.broken:
            raise ValueError("no words for it")
        self.count += len(found)
        return [one for one in found if one.id not in mutes]

    def state(self) -> dict[str, Any]:
        return {"count": self.count}


@pytest.fixture
def server() -> Iterator[SlackServer]:
    with running() as made:
        yield made


@pytest.fixture
def settings(server: SlackServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SLACK_BOT_TOKEN", TOKEN)
    monkeypatch.setenv("SLACK_CHANNEL", "#desk")
    monkeypatch.setattr(process, "LOOK_S", 0.05)
    monkeypatch.delenv("SLACK_WEBHOOK_URL", raising=False)
    noon = f"Etc/GMT{dt.datetime.now(dt.UTC).hour - 12:+d}"  # what is sent is counted by days: none ends meanwhile
    made = Settings.model_validate({"data": tmp_path / "data", "briefs": {"slack": {"api": server.api}, "time_zone": noon}})
    Lake(made.lake_root).create()
    return made


def alert(settings: Settings, *names: str, **more: Any) -> None:
    now = [dt.datetime.now(dt.UTC)] * len(names)
    labels = [f"label of {name}" for name in names]
    row = samples.rows(ALERTS, len(names), alert_id=list(names), label=labels, ts=now, end=now, origin="live", severity=2, **more)
    samples.put(Lake(settings.lake_root), ALERTS, row)


def until(sender: Sender, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 100
    while not condition():
        assert time.monotonic() < deadline, status(sender)
        if not sender.step():
            time.sleep(0.01)


def status(sender: Sender) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((sender._settings.data / "status" / "sender.json").read_text())
    return found


def test_a_row_becomes_a_message_once_through_restarts(settings: Settings, server: SlackServer) -> None:
    sender = Sender(settings, Plain)
    sender.step()
    alert(settings, "a", "b")
    until(sender, lambda: len(server.space.posts) == 2)
    sender.close()
    alert(settings, "c")
    sender = Sender(settings, Plain)
    until(sender, lambda: len(server.space.posts) == 3)
    sender.close()
    assert [shown(post).split("\n")[0] for post in server.space.posts] == [f"label of {name}" for name in "abc"]
    assert status(sender) | {"pid": 0, "at": 0} == {
        "pid": 0,
        "at": 0,
        "way": "bot",
        "pending": 0,
        "oldest_s": None,
        "sent": 3,
        "given_up": 0,
        "no_channel": 0,
        "missing": None,
        "fault": None,
        "alerts_fault": None,
    }
    outbox = Outbox(place(settings))
    assert outbox.get("telling") == {"count": 3}
    assert outbox.get("channels") == {"#desk": "C0DESK0001"}
    outbox.close()


def test_where_telling_fails_what_is_in_the_outbox_is_sent_and_the_alerts_are_told_later(
    settings: Settings, server: SlackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "AGAIN_S", 0.2)
    made: list[Plain] = []

    def first_broken(state: dict[str, Any]) -> Plain:
        made.append(Plain(state))
        made[-1].broken = len(made) == 1
        return made[-1]

    sender = Sender(settings, first_broken)
    alert(settings, "a")
    sender.outbox.put(Message(id="other", head="other"))
    sender.step()
    assert status(sender)["alerts_fault"] == "alerts cannot be told: ValueError: no words for it"
    until(sender, lambda: len(server.space.posts) == 2)
    assert [len(server.space.named(name)) for name in ("other", "a")] == [1, 1]
    sender.close()
    assert status(sender)["alerts_fault"] is None


def test_a_lake_that_comes_later_is_found(settings: Settings, server: SlackServer, tmp_path: Path) -> None:
    other = settings.model_copy(update={"data": tmp_path / "later"})
    sender = Sender(other, Plain)
    sender.step()
    Lake(other.lake_root).create()
    alert(other, "a")
    until(sender, lambda: len(server.space.posts) == 1)
    sender.close()


def test_a_token_without_a_channel_is_told_in_the_status(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLACK_CHANNEL")
    for token, said in ((TOKEN, NO_CHANNEL), ("", None)):
        monkeypatch.setenv("SLACK_BOT_TOKEN", token)
        Sender(settings, Plain).close()
        told = json.loads((settings.data / "status" / "sender.json").read_bytes())
        assert (told["way"], told["missing"]) == ("none", said)


def test_mutes_are_read_from_the_outbox(settings: Settings, server: SlackServer) -> None:
    sender = Sender(settings, Plain)
    sender.step()
    sender.outbox.commit([], {"mutes": {"a": 2**60}})
    alert(settings, "a", "b")
    until(sender, lambda: len(server.space.posts) == 1)
    assert len(server.space.named("b")) == 1
    sender.close()
