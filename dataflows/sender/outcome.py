"""What can come of a request to Slack, and which of its errors mean what."""

from __future__ import annotations

import http.client
import re
import socket
import ssl
from typing import Literal, NamedTuple
from urllib.error import HTTPError, URLError

Whose = Literal["message", "channel", "all"]
"""What must change before another try is of use: the message, its channel, or what concerns every message (the token)."""

LONGEST_WAIT_S = 3600.0

CHANNEL_ERRORS = {
    *("channel_not_found", "not_in_channel", "is_archived", "channel_is_archived", "restricted_action"),
    *("restricted_action_read_only_channel", "restricted_action_thread_only_channel", "restricted_action_non_threadable_channel"),
    "posting_to_general_channel_denied",
    "posting_to_channel_denied",
}
TOKEN_ERRORS = {
    *("invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired", "missing_scope", "no_permission"),
    *("not_allowed_token_type", "access_denied", "org_login_required", "ekm_access_denied", "enterprise_is_restricted"),
    *("team_access_not_granted", "two_factor_setup_required", "invalid_token", "no_service", "no_active_hooks", "no_team"),
    *("team_disabled", "action_prohibited", "user_not_found", "method_deprecated", "deprecated_endpoint"),
}
TEMPORARY_ERRORS = {
    "internal_error",
    "fatal_error",
    "service_unavailable",
    "request_timeout",
    "team_added_to_org",
    "rollup_error",
}
"""Slack says of some of these that part of the request may have been carried out."""
LIMITED = {"ratelimited", "rate_limited", "message_limit_exceeded"}


class Sent(NamedTuple):
    """It is there, in the channel of this id; `ts` is its name there, None where Slack does not tell."""

    channel: str
    ts: str | None


class Refused(NamedTuple):
    """It is not there, and the same again would be refused again."""

    why: str
    whose: Whose


class Later(NamedTuple):
    """It is to be tried again, after `wait_s` if Slack said so; `unknown`: it may be there."""

    why: str
    wait_s: float | None
    unknown: bool


Outcome = Sent | Refused | Later
THREAD_GONE = ("thread_not_found", "message_not_found", "cannot_reply_to_message", "invalid_thread_ts")


def of_error(error: str, needed: str = "") -> Refused | Later:
    """Return what an error that Slack names in its answer means; `needed` are the scopes that it asks for."""
    why = f"{error} ({needed})" if needed else error
    if error in LIMITED:
        return Later(why, None, unknown=False)
    if error in TEMPORARY_ERRORS or not re.fullmatch(r"[a-z0-9_]{1,60}", error):
        return Later(why[:60] if error in TEMPORARY_ERRORS else "an answer that is not Slack's", None, unknown=True)
    return Refused(why, "channel" if error in CHANNEL_ERRORS else "all" if error in TOKEN_ERRORS else "message")


def of_status(status: int, retry_after: str | None) -> Later | None:
    """Return what an HTTP status means; None: the body says it."""
    if status == http.HTTPStatus.TOO_MANY_REQUESTS:
        return Later("HTTP 429", _seconds(retry_after), unknown=False)
    if status >= http.HTTPStatus.INTERNAL_SERVER_ERROR:
        return Later(f"HTTP {status}", _seconds(retry_after), unknown=True)
    return None


def of_exception(error: Exception) -> Later:
    """Return what an exception of the way there means; its text may hold the request, so that only its kind is told."""
    if isinstance(error, HTTPError):
        return of_status(error.code, error.headers.get("Retry-After")) or Later(f"HTTP {error.code}", None, unknown=True)
    cause = error.reason if isinstance(error, URLError) and isinstance(error.reason, Exception) else error
    unsent = isinstance(cause, ConnectionRefusedError | socket.gaierror | ssl.SSLCertVerificationError)
    return Later(type(cause).__name__, None, unknown=not unsent)


def _seconds(retry_after: str | None) -> float | None:
    try:
        return min(max(float(retry_after or ""), 0.0), LONGEST_WAIT_S)
    except ValueError:  # absent, or a date
        return None
