"""Slack by a bot token: posts that carry their id, and the channel's history, which knows whether one is there."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError

from dataflows.sender.outcome import THREAD_GONE, Later, Outcome, Refused, Sent, of_error, of_exception, of_status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pipelines.briefs.blocks import Body

TIMEOUT_S = 6
PAGE, PAGES = 200, 20
EVENT = "tapeflow"
CHANNEL_ID = re.compile(r"[CGD][A-Z0-9]{7,}")

QUIET = logging.getLogger("tapeflow.slack")
"""Takes what slack_sdk would log: that may hold the request, and so the token."""
QUIET.addHandler(logging.NullHandler())
QUIET.setLevel(logging.CRITICAL)
QUIET.propagate = False


class Bot:
    """A bot, and the channels it posts to.

    Parameters
    ----------
    token, api
    channel
        Name or id, for severities that have none of their own.
    channels
        By severity.
    known
        Ids of channels by name, as learned before.
    """

    def __init__(self, token: str, api: str, channel: str, channels: Mapping[int, str], known: Mapping[str, str]) -> None:
        self._web = WebClient(token, base_url=api, timeout=TIMEOUT_S, logger=QUIET, retry_handlers=[])
        self._channel, self._channels = channel, channels
        self.ids = dict(known)

    def channel(self, severity: int) -> str:
        """Return where messages of a severity go."""
        return self._channels.get(severity, self._channel)

    def all_channels(self) -> list[str]:
        """Return every channel that something may go to."""
        return list(dict.fromkeys([self._channel, *self._channels.values()]))

    def post(self, channel: str, thread: str | None, name: str, body: Body) -> Outcome:
        """Post under `name`, into a thread if one is given."""
        answer = self._call(
            self._web.chat_postMessage,
            channel=self.ids.get(channel, channel),
            thread_ts=thread,
            text=body.text,
            blocks=body.blocks,
            metadata={"event_type": EVENT, "event_payload": {"id": name}},
            mrkdwn=False,
            parse="none",
            link_names=False,
            unfurl_links=False,
            unfurl_media=False,
        )
        if not isinstance(answer, dict):
            return answer
        self.ids[channel] = answer["channel"]
        return Sent(answer["channel"], answer["ts"])

    def upload(self, channel: str, thread: str, name: str, title: str, image: bytes) -> Outcome:
        """Upload a PNG into a thread, as file `name`; `channel` is an id."""
        answer = self._call(
            self._web.files_upload_v2,
            channel=channel,
            thread_ts=thread,
            filename=name,
            title=title or name,
            alt_txt=title or None,
            content=image,
        )
        return Sent(channel, None) if isinstance(answer, dict) else answer

    def find(self, channel: str, thread: str | None, name: str, since_s: float) -> Outcome | None:
        """Ask whether a post or a file of that name is in a channel or thread since then; None: it is not there."""
        where = self.resolve(channel)
        if not isinstance(where, str):
            return where
        common = {"channel": where, "include_all_metadata": True, "oldest": f"{since_s:.6f}", "limit": PAGE}
        if thread:
            pages = self._pages(self._web.conversations_replies, ts=thread, **common)
        else:
            pages = self._pages(self._web.conversations_history, **common)
        for page in pages:
            if not isinstance(page, dict):
                return None if page.why in THREAD_GONE else page
            for message in page.get("messages", ()):
                if _is_named(message, name):
                    return Sent(where, message.get("ts"))
        return None

    def resolve(self, channel: str) -> str | Refused | Later:
        """Return the id of a channel, which history and uploads want."""
        if CHANNEL_ID.fullmatch(channel):
            return channel
        for page in (
            ()
            if channel in self.ids
            else self._pages(
                self._web.conversations_list, types="public_channel,private_channel", exclude_archived=True, limit=PAGE
            )
        ):
            if not isinstance(page, dict):
                return page
            self.ids |= {one["name"]: one["id"] for one in page.get("channels", ()) if one["name"] == channel.lstrip("#")}
            if channel.lstrip("#") in self.ids:
                self.ids[channel] = self.ids[channel.lstrip("#")]
                break
        return self.ids.get(channel) or Refused("channel_not_found", "channel")

    def who(self) -> dict[str, Any] | Refused | Later:
        """Ask Slack whose token this is, and for its scopes (`scopes`)."""
        return self._call(self._web.auth_test)

    def _pages(self, method: Callable[..., Any], **arguments: Any) -> Iterator[dict[str, Any] | Refused | Later]:
        cursor = ""
        for _ in range(PAGES):
            page = self._call(method, **arguments, **({"cursor": cursor} if cursor else {}))
            yield page
            cursor = page.get("response_metadata", {}).get("next_cursor", "") if isinstance(page, dict) else ""
            if not cursor:
                return

    def _call(self, method: Callable[..., Any], **arguments: Any) -> dict[str, Any] | Refused | Later:
        try:
            answer = method(**{name: value for name, value in arguments.items() if value is not None})
            found: dict[str, Any] = {**answer.data, "scopes": answer.headers.get("x-oauth-scopes", "")}
        except SlackApiError as error:
            return _of_answer(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the message may be there and nothing must stop
            return of_exception(error)
        return found


def _of_answer(error: SlackApiError) -> Refused | Later:
    response: Any = error.response
    headers = {name.lower(): value for name, value in (getattr(response, "headers", None) or {}).items()}
    found = of_status(getattr(response, "status_code", 200), headers.get("retry-after"))
    if found is not None:
        return found
    answer = getattr(response, "data", response)
    said = answer if isinstance(answer, dict) else {}
    return of_error(str(said.get("error", "")), str(said.get("needed", "")))


def _is_named(message: dict[str, Any], name: str) -> bool:
    told = message.get("metadata") or {}
    return (told.get("event_type") == EVENT and told.get("event_payload", {}).get("id") == name) or any(
        file.get("name") == name for file in message.get("files") or ()
    )
