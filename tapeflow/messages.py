"""How it goes with messages to Slack, as the sender tells once a second in `<data>/status/sender.json`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from pipelines.briefs import blocks
from pipelines.briefs.outbox import Outbox

if TYPE_CHECKING:
    from pathlib import Path

WAYS = {
    "bot": "by bot token",
    "webhook": "by webhook",
    "none": "no Slack token or webhook: told in the terminal and kept in the lake",
}


class Messages(msgspec.Struct):
    """What the sender tells.

    `way` is bot, webhook or none; `pending` counts posts (a message, each reply, a chart) that wait and `oldest_s` is how
    long the first of them has; `sent`, `given_up` and `no_channel` count messages of this day in the time zone of the
    settings. `missing` is what a token that is set lacks, `fault` why posts wait, `alerts_fault` why alerts are not told.
    """

    way: str = "none"
    pending: int = 0
    oldest_s: float | None = None
    sent: int = 0
    given_up: int = 0
    no_channel: int = 0
    missing: str | None = None
    fault: str | None = None
    alerts_fault: str | None = None


def told(content: dict[str, Any]) -> Messages | None:
    """Return what is in the sender's status file; None if there is nothing of use."""
    try:
        return msgspec.convert(content, Messages) if content else None
    except msgspec.ValidationError:
        return None


def line(messages: Messages) -> str:
    """Return one line on how it goes."""
    counts = (
        (messages.sent, "sent today"),
        (messages.no_channel, "told today"),
        (messages.given_up, "given up today"),
        (messages.pending, "posts wait"),
    )
    way = f"messages {f'not to Slack: {messages.missing}' if messages.missing else WAYS.get(messages.way, messages.way)}"
    return " · ".join([way, *(f"{n:,} {what}" for n, what in counts if n), *([messages.fault] if messages.fault else [])])


def unsent(path: Path, after: int | None) -> tuple[int, list[str]]:
    """Return the messages that had no channel behind number `after` (none of them if that is None), and the last number."""
    if not path.exists():
        return after or 0, []
    outbox = Outbox(path)
    try:
        found = outbox.heads_without_channel(after or 0)
    finally:
        outbox.close()
    last = max([after or 0, *(number for number, _ in found)])
    return last, [] if after is None else [blocks.clean(text) for _, text in found]
