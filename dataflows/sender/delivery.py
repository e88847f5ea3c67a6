"""Delivery: what is in the outbox goes to Slack, at its pace; nothing is sent again before Slack was asked for it."""

from __future__ import annotations

import datetime as dt
import random
from typing import TYPE_CHECKING

import structlog

from dataflows.sender.bot import Bot
from dataflows.sender.outcome import THREAD_GONE, Later, Outcome, Refused, Sent
from dataflows.sender.webhook import CHANNEL, Webhook
from pipelines.briefs import blocks
from pipelines.briefs.outbox import Thread

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipelines.briefs.outbox import Outbox, Part

SECOND_US = 1_000_000
SPACING_US = 1_050_000
"""Slack takes about one message a second and channel."""
SETTLE_US = 10 * SECOND_US
"""A request whose outcome is unknown may still be carried out until so long after it was made."""
LOOK_BACK_S = 86_400
"""The history is asked from so long before the first try: clocks differ."""
REFUSED_US = 300 * SECOND_US
"""What must be mended by a person (token, channel) is tried again after this."""
RECONNECT_US = 60 * SECOND_US
LONGEST_BACKOFF_S = 60.0
GIVEN_UP_US = 86_400 * SECOND_US
"""A message that could not be sent for so long is of no use any more."""
LATE_US = 600 * SECOND_US
"""A message that waited so long says so: a person may take it for something of now."""
UNASKABLE = ("missing_scope", "not_in_channel", "channel_not_found", "no_permission", "not_allowed_token_type")
"""The bot may post but not read: what became of a request cannot be known."""
NO_WAY = "no token or webhook"

log = structlog.get_logger(__name__)


class Delivery:
    """Sends one part at a time.

    Parameters
    ----------
    outbox
    connect
        Gives the way to Slack by what the environment says now; None: there is none.
    clock
        Gives the time, us since 1970.
    """

    def __init__(self, outbox: Outbox, connect: Callable[[], Bot | Webhook | None], clock: Callable[[], int]) -> None:
        self._outbox = outbox
        self._connect = connect
        self._clock = clock
        self.client = connect()
        self.fault: str | None = None
        """What keeps messages from being sent; None since one got through."""
        self._connected = clock()
        self._failures = 0
        self._not_before = 0
        self._channels_not_before: dict[str, int] = {}

    @property
    def way(self) -> str:
        """By what messages go: bot, webhook or none."""
        return {Bot: "bot", Webhook: "webhook"}.get(type(self.client), "none")

    def step(self) -> bool:
        """Send, or ask for, the first part whose time has come; return whether there was one."""
        now = self._clock()
        if now < self._not_before:
            return False
        if (self.fault or self.client is None) and now - self._connected >= RECONNECT_US:
            self.client, self._connected = self._connect(), now  # a person may have mended it
        for part in self._outbox.ready():
            if now - part.put_us > GIVEN_UP_US:
                self._end(part, f"not sent within a day: {self.fault or 'unknown why'}")
            elif self.client is None:
                self._outbox.end(part, "no channel", NO_WAY)
                log.info("message", id=part.id, text=part.text)
            elif isinstance(self.client, Webhook):
                if now < self._channels_not_before.get(CHANNEL, 0):
                    continue
                self._by_webhook(self.client, part)
            elif not self._by_bot(self.client, part, now):
                continue
            return True
        return False

    def _by_webhook(self, client: Webhook, part: Part) -> None:
        """Send a message and all that belongs to it."""
        if part.kind == "chart":
            self._end(part, "a webhook takes no picture")
            return
        replies = [] if part.number else self._outbox.replies(part.message)
        repeat = part.repeat or part.state == "sending"
        bodies = blocks.whole(part.text, [one.text for one in replies], _note(part, self._clock(), repeat=repeat))
        self._outbox.sending(part, CHANNEL, None, repeat=repeat)
        for body in bodies:
            outcome = client.post(body)
            if not isinstance(outcome, Sent):
                self._settle(part, CHANNEL, outcome)
                return
        for one in (part, *replies):
            self._settle(one, CHANNEL, Sent(CHANNEL, None))

    def _by_bot(self, client: Bot, part: Part, now: int) -> bool:
        """Send a part, or ask whether it is there; return False if its channel must not be asked yet."""
        repeat = part.repeat
        if part.state == "sending" and part.channel and part.channel != CHANNEL:
            if now < self._channels_not_before.get(part.channel, 0):
                return False
            found = client.find(part.channel, part.thread, _name(part), (part.first_us or now) / SECOND_US - LOOK_BACK_S)
            if isinstance(found, Sent):
                self._settle(part, part.channel, found)
                return True
            if isinstance(found, Later) or (isinstance(found, Refused) and not found.why.startswith(UNASKABLE)):
                self._settle(part, part.channel, found)
                return True
            if now - (part.tried_us or 0) < SETTLE_US:
                self._outbox.later(part, (part.tried_us or 0) + SETTLE_US, "asked whether it is there", unknown=True)
                return True
            repeat = repeat or isinstance(found, Refused)  # nobody can be asked: better twice than never
        elif part.state == "sending":
            repeat = True
        place = self._place(client, part)
        if place is None:
            self._end(part, "its message is in no thread: it went by webhook")
            return True
        channel, thread = place
        if now < self._channels_not_before.get(channel, 0):
            return False
        self._outbox.sending(part, channel, thread, repeat=repeat)
        outcome = self._post(client, part._replace(repeat=repeat), channel, thread)
        if isinstance(outcome, Refused) and outcome.why in THREAD_GONE and thread and not part.number:
            self._outbox.lose(Thread(channel, thread))
            self._outbox.later(part, 0, outcome.why, unknown=False)
        else:
            self._settle(part, channel, outcome)
        return True

    def _place(self, client: Bot, part: Part) -> tuple[str, str | None] | None:
        """Return channel and thread of a part; None: there is no thread for it.

        A thread is in one channel: where an episode rises to a severity that has its own, it gets a thread there, too.
        """
        channel = client.channel(part.severity)
        thread: Thread | None
        if part.number:
            thread = self._outbox.head(part.message)
            return (thread.channel, thread.ts) if thread else None
        if not part.episode:
            return channel, None
        if part.severity and len(client.all_channels()) > 1:
            thread = self._outbox.thread_of(part.episode, client.ids.get(channel, channel))
        else:
            thread = self._outbox.thread_of(part.episode)
        return (thread.channel, thread.ts) if thread else (channel, None)

    def _post(self, client: Bot, part: Part, channel: str, thread: str | None) -> Outcome:
        if part.kind == "chart":
            return client.upload(channel, thread or "", _name(part), part.text, self._outbox.image(part))
        note = _note(part, self._clock(), repeat=part.repeat)
        body = blocks.reply(part.text, note if part.repeat else "") if part.number else blocks.head(part.text, note)
        return client.post(channel, thread, part.id, body)

    def _settle(self, part: Part, channel: str, outcome: Outcome) -> None:
        """Note what came of a part."""
        now = self._clock()
        match outcome:
            case Sent(where, ts):
                self._outbox.sent(part, where, ts)
                self._failures, self.fault = 0, None
                for name in {channel, where}:
                    self._channels_not_before[name] = now + SPACING_US
            case Later(why, wait_s, unknown):
                backoff = min(LONGEST_BACKOFF_S, 2.0**self._failures) * random.uniform(0.7, 1)
                self._failures = min(self._failures + 1, 10)
                self._not_before = now + round((backoff if wait_s is None else max(wait_s, 0.1)) * SECOND_US)
                due = self._not_before if unknown else 0  # what was not heard at all keeps its place in the line
                self._outbox.later(part, due, why, unknown=unknown or part.state == "sending")
                self._tell(part, f"{why}; is tried again")
            case Refused(why, "message"):
                self._end(part, why)
            case Refused(why, _) if part.kind == "chart":  # the texts matter more, and are under way already
                self._end(part, why)
            case Refused(why, whose):
                self._outbox.later(part, 0, why, unknown=part.state == "sending")
                self._channels_not_before[channel] = now + REFUSED_US
                if whose == "all":
                    self._not_before = now + REFUSED_US
                self._tell(part, f"Slack refuses {'the token' if whose == 'all' else f'channel {channel}'}: {why}")

    def _end(self, part: Part, why: str) -> None:
        self._outbox.end(part, "given up", why)
        log.warning("given_up", id=part.id, why=why)
        if part.kind != "chart":
            self.fault = f"message {part.id} given up: {why}"

    def _tell(self, part: Part, fault: str) -> None:
        if fault != self.fault:
            log.warning("not_sent", id=part.id, why=fault)
        self.fault = fault


def _name(part: Part) -> str:
    """Return what a part is looked for by: a picture has no metadata, but a file name."""
    return f"{part.id}.png" if part.kind == "chart" else part.id


def _note(part: Part, now: int, *, repeat: bool) -> str:
    """Return what stands in small letters below a message."""
    made = dt.datetime.fromtimestamp(part.made_us / SECOND_US, dt.UTC)
    hours, minutes = divmod((now - part.put_us) // (60 * SECOND_US), 60)
    said = (
        f"{made:%Y-%m-%d %H:%M:%S} UTC" if part.made_us else "",
        f"severity {part.severity}" if part.severity else "",
        f"id {part.message[:12]}",
        f"late: waited {hours} h {minutes} min to be sent" if now - part.put_us >= LATE_US else "",
        "may be a repeat: the first try had no answer" if repeat else "",
    )
    return " · ".join(text for text in said if text)
