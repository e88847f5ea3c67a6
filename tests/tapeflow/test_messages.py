"""What status and terminal tell of messages to Slack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pipelines.briefs.message import Message
from pipelines.briefs.outbox import Outbox
from tapeflow.messages import Messages, line, told, unsent
from tapeflow.verdict import _of_messages

if TYPE_CHECKING:
    from pathlib import Path

WELL = {"pid": 1, "at": 2, "way": "bot", "pending": 0, "oldest_s": None, "sent": 14, "fault": None, "alerts_fault": None}


def test_what_the_sender_tells() -> None:
    assert told(WELL) == Messages("bot", sent=14)
    assert told({}) is None
    assert told({"pending": "many"}) is None


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({}, "messages by bot token · 14 sent today"),
        ({"pending": 2, "given_up": 1}, "messages by bot token · 14 sent today · 1 given up today · 2 posts wait"),
        (
            {"fault": "message a given up: msg_too_long"},
            "messages by bot token · 14 sent today · message a given up: msg_too_long",
        ),
        (
            {"way": "none", "sent": 0, "no_channel": 3},
            "messages no Slack token or webhook: told in the terminal and kept in the lake · 3 told today",
        ),
        (
            {"way": "none", "sent": 0, "no_channel": 3, "missing": "no channel is set"},
            "messages not to Slack: no channel is set · 3 told today",
        ),
    ],
)
def test_one_line(other: dict[str, Any], said: str) -> None:
    found = told(WELL | other)
    assert found
    assert line(found) == said


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({}, []),
        ({"pending": 2, "oldest_s": 5.0, "fault": "HTTP 500; is tried again"}, []),
        (
            {"pending": 2, "oldest_s": 90.0, "fault": "HTTP 500; is tried again"},
            ["2 posts wait for Slack, the first for 90.0 s: HTTP 500; is tried again"],
        ),
        (
            {"pending": 1, "oldest_s": 2.0, "fault": "Slack refuses the token: invalid_auth"},
            ["1 post waits for Slack, the first for 2.0 s: Slack refuses the token: invalid_auth"],
        ),
        ({"fault": "message a given up: msg_too_long"}, []),
        ({"alerts_fault": "alerts cannot be told: OSError: gone"}, ["alerts cannot be told: OSError: gone"]),
    ],
)
def test_faults(other: dict[str, Any], said: list[str]) -> None:
    found = told(WELL | other)
    assert found
    assert _of_messages(found) == said


def test_only_what_had_no_channel_since_the_start_is_read_out(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    assert unsent(path, None) == (0, [])
    outbox = Outbox(path)
    for name in ("old", "new", "sent"):
        outbox.put(Message(id=name, head=f"{name}\x1b[2J\nmore"))
    for part in outbox.ready():
        if part.message == "sent":
            outbox.sent(part, "C1", "1.0")
        elif part.message == "old":
            outbox.end(part, "no channel", "")
    last, texts = unsent(path, None)
    assert (last, texts) == (1, [])
    for part in outbox.ready():
        outbox.end(part, "no channel", "")
    assert unsent(path, last) == (2, ["new[2J\nmore"])
    assert unsent(path, 2) == (2, [])
    outbox.close()
