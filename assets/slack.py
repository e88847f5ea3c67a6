"""Notices to Slack: by a bot token or a webhook, from the environment only."""

from typing import NamedTuple

from slack_sdk import WebClient
from slack_sdk.errors import SlackClientError
from slack_sdk.webhook import WebhookClient

from pipelines.settings import secret

API = "https://slack.com/api/"
TIMEOUT_S = 10
OFF = "set SLACK_WEBHOOK_URL, or SLACK_BOT_TOKEN and SLACK_CHANNEL, in the environment or .env"


class Slack(NamedTuple):
    """Where notices go: through `webhook`, or as the bot of `token` to `channel`."""

    webhook: str
    token: str
    channel: str
    api: str = API

    @property
    def is_on(self) -> bool:
        """Whether there is a way to send anything."""
        return bool(self.webhook or (self.token and self.channel))

    def send(self, text: str) -> str:
        """Send a message; return what went wrong, without any secret, or nothing."""
        try:
            if self.webhook:
                answer = WebhookClient(self.webhook, timeout=TIMEOUT_S).send(text=text)
                return "" if answer.status_code == 200 else f"the webhook answered {answer.status_code}"
            WebClient(self.token, base_url=self.api, timeout=TIMEOUT_S).chat_postMessage(channel=self.channel, text=text)
        except (SlackClientError, OSError, ValueError) as error:
            return type(error).__name__  # its text may hold the request, and so the token
        return ""


def from_environment() -> Slack:
    """Return what the environment or `.env` says."""
    return Slack(*(secret(name) or "" for name in ("SLACK_WEBHOOK_URL", "SLACK_BOT_TOKEN", "SLACK_CHANNEL")))
