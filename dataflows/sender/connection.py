"""The way to Slack that environment and `.env` name, and a trial of it."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, NamedTuple

from dataflows.sender.bot import Bot
from dataflows.sender.outcome import Sent
from dataflows.sender.webhook import Webhook
from pipelines.briefs import blocks
from pipelines.settings import secret

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dataflows.sender.outcome import Later, Refused
    from pipelines.briefs.outbox import Outbox
    from pipelines.settings import Settings

OFF = "no token or webhook: set SLACK_BOT_TOKEN and SLACK_CHANNEL, or SLACK_WEBHOOK_URL, in the environment or .env"
SCOPES = {
    "chat:write": "to post",
    "channels:history": "to ask whether a message is there before it is sent again (groups:history in private channels)",
    "channels:read": "to find channels by name (groups:read for private ones); without it set their ids",
    "files:write": "to upload charts",
}
NO_CHANNEL = "SLACK_BOT_TOKEN is set, but no channel: set SLACK_CHANNEL, too, in the environment or .env"
TEXT = "tapeflow test\nMessages get here. Nothing is to be done."


class Line(NamedTuple):
    """What a trial found."""

    text: str
    ok: bool = True


def connect(settings: Settings, known: Mapping[str, str]) -> Bot | Webhook | None:
    """Return a bot if there is a token and a channel, else a webhook if there is one; `known` are ids of channels by name."""
    slack = settings.briefs.slack
    token, channel, url = (secret(name) for name in ("SLACK_BOT_TOKEN", "SLACK_CHANNEL", "SLACK_WEBHOOK_URL"))
    channel = channel or next((slack.channels[severity] for severity in sorted(slack.channels)), None)
    if token and channel:
        return Bot(token, slack.api, channel, slack.channels, known)
    return Webhook(url) if url else None


def missing() -> str | None:
    """Return what a token lacks where there is one and no way to Slack all the same."""
    return NO_CHANNEL if secret("SLACK_BOT_TOKEN") else None


def held(outbox: Outbox) -> Iterator[Line]:
    """Say how many messages are not at Slack, and why."""
    for why, count in outbox.waiting():
        yield Line(f"{count} {'post waits' if count == 1 else 'posts wait'} to be sent: {why}")
    told = outbox.counts(0).no_channel
    if told:
        messages = "message was" if told == 1 else "messages were"
        yield Line(f"{told} {messages} told in the terminal in the last 30 days, without a way to Slack, and not sent later")


def tried(client: Bot | Webhook | None) -> Iterator[Line]:
    """Post one message to each channel and say how that went."""
    if client is None:
        yield Line(missing() or OFF, ok=False)
    elif isinstance(client, Webhook):
        outcome = client.post(blocks.head(TEXT, ""))
        yield Line(f"webhook: {_said(outcome)}", isinstance(outcome, Sent))
        yield Line("a webhook knows no threads, takes no charts, and a message may come twice")
    else:
        yield from _by_bot(client)


def _by_bot(bot: Bot) -> Iterator[Line]:
    found = bot.who()
    if not isinstance(found, dict):
        yield Line(f"bot token: {_said(found)}", ok=False)
        return
    yield Line(f"bot token of {found.get('user', '?')} at {found.get('team', '?')}")
    given = set(filter(None, found["scopes"].split(",")))
    for scope, use in SCOPES.items():
        if given and scope not in given and scope.replace("channels:", "groups:") not in given:
            yield Line(f"scope {scope} is missing: {use}", scope != "chat:write")
    for channel in bot.all_channels():
        name = secrets.token_hex(8)
        outcome = bot.post(channel, None, name, blocks.head(TEXT, f"id {name}"))
        yield Line(f"channel {channel}: {_said(outcome)}", isinstance(outcome, Sent))
        if isinstance(outcome, Sent):
            there = bot.find(outcome.channel, None, name, float(outcome.ts or 0) - 1)
            if not isinstance(there, Sent):
                why = "it is not in the history" if there is None else there.why
                yield Line(
                    f"channel {channel}: cannot be asked what is there ({why}); a message may come twice, marked as a repeat"
                )


def _said(outcome: Sent | Refused | Later) -> str:
    return "sent" if isinstance(outcome, Sent) else f"not sent: {outcome.why}"
