"""What an answer, or none, means: is it there, is it not, may the same be sent again, and when."""

from __future__ import annotations

import socket
import ssl
from http.client import HTTPMessage, RemoteDisconnected
from urllib.error import HTTPError, URLError

import pytest

from dataflows.sender.outcome import LONGEST_WAIT_S, Later, Refused, of_error, of_exception, of_status


@pytest.mark.parametrize(
    ("error", "meant"),
    [
        ("msg_too_long", Refused("msg_too_long", "message")),
        ("invalid_blocks", Refused("invalid_blocks", "message")),
        ("never_heard_of", Refused("never_heard_of", "message")),
        ("channel_not_found", Refused("channel_not_found", "channel")),
        ("invalid_auth", Refused("invalid_auth", "all")),
        ("ratelimited", Later("ratelimited", None, unknown=False)),
        ("internal_error", Later("internal_error", None, unknown=True)),
        ("", Later("an answer that is not Slack's", None, unknown=True)),
        ("<html>xoxb-secret</html>", Later("an answer that is not Slack's", None, unknown=True)),
    ],
)
def test_errors_that_slack_names(error: str, meant: object) -> None:
    assert of_error(error) == meant


def test_a_missing_scope_is_named() -> None:
    assert of_error("missing_scope", "files:write") == Refused("missing_scope (files:write)", "all")


@pytest.mark.parametrize(
    ("retry_after", "wait"),
    [("3", 3.0), ("0.25", 0.25), ("-1", 0.0), ("999999", LONGEST_WAIT_S), (None, None), ("Sat, 21 Nov", None)],
)
def test_retry_after(retry_after: str | None, wait: float | None) -> None:
    assert of_status(429, retry_after) == Later("HTTP 429", wait, unknown=False)


def test_statuses() -> None:
    assert of_status(200, None) is None
    assert of_status(503, "2") == Later("HTTP 503", 2.0, unknown=True)


@pytest.mark.parametrize(
    ("error", "meant"),
    [
        (URLError(ConnectionRefusedError(111, "xoxb-secret")), Later("ConnectionRefusedError", None, unknown=False)),
        (URLError(socket.gaierror(-2, "xoxb-secret")), Later("gaierror", None, unknown=False)),
        (URLError(ssl.SSLCertVerificationError("xoxb-secret")), Later("SSLCertVerificationError", None, unknown=False)),
        (URLError("xoxb-secret"), Later("URLError", None, unknown=True)),
        (TimeoutError("xoxb-secret"), Later("TimeoutError", None, unknown=True)),
        (RemoteDisconnected("xoxb-secret"), Later("RemoteDisconnected", None, unknown=True)),
        (KeyError("ts"), Later("KeyError", None, unknown=True)),
        (HTTPError("http://secret", 404, "", HTTPMessage(), None), Later("HTTP 404", None, unknown=True)),
        (HTTPError("http://secret", 502, "", HTTPMessage(), None), Later("HTTP 502", None, unknown=True)),
    ],
)
def test_only_the_kind_of_an_exception_is_told(error: Exception, meant: Later) -> None:
    assert of_exception(error) == meant
