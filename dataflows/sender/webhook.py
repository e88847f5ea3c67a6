"""Slack by an incoming webhook: one channel, no threads, and nobody to ask what came through."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from slack_sdk.webhook import WebhookClient

from dataflows.sender.bot import QUIET, TIMEOUT_S
from dataflows.sender.outcome import Outcome, Refused, Sent, of_error, of_exception, of_status

if TYPE_CHECKING:
    from pipelines.briefs.blocks import Body

CHANNEL = "webhook"
"""What stands in the outbox for the channel, which only Slack knows."""


class Webhook:
    """A webhook; its URL is a secret and is never told."""

    def __init__(self, url: str) -> None:
        self._is_url = re.match(r"https?://\S+$", url) is not None
        self._web = WebhookClient(url, timeout=TIMEOUT_S, logger=QUIET, retry_handlers=[])

    def post(self, body: Body) -> Outcome:
        """Post once."""
        if not self._is_url:
            return Refused("SLACK_WEBHOOK_URL is no address; it begins with https://hooks.slack.com/", "all")
        told = {"text": body.text, "blocks": body.blocks, "mrkdwn": False, "unfurl_links": False, "unfurl_media": False}
        try:
            answer = self._web.send_dict(told)
        except Exception as error:  # noqa: BLE001 - whatever it is, the message may be there and nothing must stop
            return of_exception(error)
        headers = {name.lower(): value for name, value in answer.headers.items()}
        if found := of_status(answer.status_code, headers.get("retry-after")):
            return found
        said = answer.body.strip()[:100]
        return Sent(CHANNEL, None) if answer.status_code == 200 and not said.startswith("<") else of_error(said)
