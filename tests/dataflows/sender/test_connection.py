"""Which way to Slack is taken, and what a trial of it says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dataflows.sender.bot import Bot
from dataflows.sender.connection import NO_CHANNEL, OFF, connect, tried
from dataflows.sender.webhook import Webhook
from pipelines.briefs.message import Message
from pipelines.briefs.outbox import Outbox, place
from pipelines.settings import Settings
from tapeflow.cli import main
from tests.slack_blocks import shown
from tests.slack_server import HOOK, TOKEN, SlackServer, running


@pytest.fixture
def server() -> Iterator[SlackServer]:
    with running() as made:
        made.space.spacing_s = 0.0
        yield made


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("SLACK_BOT_TOKEN", "SLACK_CHANNEL", "SLACK_WEBHOOK_URL"):
        monkeypatch.delenv(name, raising=False)


def settings(server: SlackServer, channels: dict[int, str] | None = None) -> Settings:
    return Settings.model_validate({"briefs": {"slack": {"api": server.api, "channels": channels or {}}}})


def test_a_bot_before_a_webhook_and_a_token_needs_a_channel(server: SlackServer, monkeypatch: pytest.MonkeyPatch) -> None:
    assert connect(settings(server), {}) is None
    monkeypatch.setenv("SLACK_BOT_TOKEN", TOKEN)
    assert connect(settings(server), {}) is None
    monkeypatch.setenv("SLACK_WEBHOOK_URL", server.url + HOOK)
    assert isinstance(connect(settings(server), {}), Webhook)
    by_severity = connect(settings(server, {3: "#severe", 2: "#desk"}), {})
    assert isinstance(by_severity, Bot)
    assert [by_severity.channel(severity) for severity in (0, 1, 2, 3)] == ["#desk", "#desk", "#desk", "#severe"]
    monkeypatch.setenv("SLACK_CHANNEL", "C0DESK0001")
    named = connect(settings(server), {})
    assert isinstance(named, Bot)
    assert named.channel(3) == "C0DESK0001"


def test_a_trial_by_bot_token(server: SlackServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("SLACK_BOT_TOKEN", TOKEN)
    monkeypatch.setenv("SLACK_CHANNEL", "#desk")
    monkeypatch.setenv("TAPEFLOW_BRIEFS__SLACK__API", server.api)
    assert main(["slack", "test"]) == 0
    assert capsys.readouterr().out == "bot token of tapeflow at Made-up\nchannel #desk: sent\n"
    assert shown(server.space.posts[0]).startswith("tapeflow test\nMessages get here.")
    server.space.scopes -= {"channels:history", "files:write"}
    assert main(["slack", "test"]) == 0
    said = capsys.readouterr().out
    assert "scope files:write is missing: to upload charts" in said
    assert "channel #desk: cannot be asked what is there (missing_scope (channels:history))" in said
    monkeypatch.setenv("SLACK_CHANNEL", "#nowhere")
    assert main(["slack", "test"]) == 1
    assert "channel #nowhere: not sent: channel_not_found" in capsys.readouterr().out
    monkeypatch.setenv("SLACK_BOT_TOKEN", "xoxb-other")
    assert main(["slack", "test"]) == 1
    assert capsys.readouterr().out == "bot token: not sent: invalid_auth\n"


def test_a_trial_tells_what_waits_and_what_was_told_in_the_terminal(
    server: SlackServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TAPEFLOW_DATA", str(tmp_path))
    monkeypatch.setenv("TAPEFLOW_BRIEFS__SLACK__API", server.api)
    monkeypatch.setenv("SLACK_BOT_TOKEN", TOKEN)
    monkeypatch.setenv("SLACK_CHANNEL", "#desk")
    outbox = Outbox(place(Settings(data=tmp_path)))
    for name in ("told", "waits", "new"):
        outbox.put(Message(id=name, head=name))
    told, waits, _ = outbox.ready()
    outbox.end(told, "no channel", "no token or webhook")
    outbox.later(waits, 0, "channel_not_found", unknown=False)
    outbox.close()
    assert main(["slack", "test"]) == 0
    assert capsys.readouterr().out.splitlines()[2:] == [
        "1 post waits to be sent: channel_not_found",
        "1 post waits to be sent: not tried yet",
        "1 message was told in the terminal in the last 30 days, without a way to Slack, and not sent later",
    ]


def test_a_trial_by_webhook_and_by_nothing(server: SlackServer) -> None:
    assert [line.text for line in tried(None)] == [OFF]
    assert next(tried(Webhook("hello"))).text == (
        "webhook: not sent: SLACK_WEBHOOK_URL is no address; it begins with https://hooks.slack.com/"
    )
    assert [line.ok for line in tried(Webhook(server.url + HOOK))] == [True, True]
    assert next(tried(Webhook(server.url + "/services/gone"))).text == "webhook: not sent: no_service"
    (post,) = server.space.posts
    assert shown(post) == "tapeflow test\nMessages get here. Nothing is to be done."


def test_a_token_without_a_channel_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLACK_BOT_TOKEN", TOKEN)
    assert [line.text for line in tried(None)] == [NO_CHANNEL]
