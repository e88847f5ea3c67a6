"""The socket's control messages and routes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataflows.demo.subscriptions import control, session


def test_subscribing_and_unsubscribing_are_acknowledged() -> None:
    streams: set[str] = set()
    assert json.loads(control('{"method":"SUBSCRIBE","params":["a@aggTrade","b@aggTrade"],"id":1}', streams)) == {
        "result": None,
        "id": 1,
    }
    assert json.loads(control('{"method":"UNSUBSCRIBE","params":["a@aggTrade"],"id":"x"}', streams)) == {
        "result": None,
        "id": "x",
    }
    assert json.loads(control('{"method":"LIST_SUBSCRIPTIONS","id":3}', streams)) == {"result": ["b@aggTrade"], "id": 3}
    assert streams == {"b@aggTrade"}


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("{", 3),
        (b"\xff", 3),
        ("[]", 2),
        ('{"id":1}', 2),
        ('{"method":"SUBSCRIB","params":[],"id":2}', 2),
        ('{"method":"SUBSCRIBE","params":"btcusdt@aggTrade","id":2}', 2),
    ],
)
def test_what_is_no_request_gets_an_error(message: str | bytes, code: int) -> None:
    answer = json.loads(control(message, set()))
    assert answer["code"] == code
    assert answer["msg"]


def test_an_error_names_the_request() -> None:
    assert json.loads(control('{"method":"NO","id":5}', set()))["id"] == 5


def test_a_connection_has_a_most_of_streams() -> None:
    streams = {f"{i}@aggTrade" for i in range(1024)}
    assert json.loads(control('{"method":"SUBSCRIBE","params":["0@aggTrade"],"id":1}', streams))["result"] is None
    assert json.loads(control('{"method":"SUBSCRIBE","params":["x@aggTrade"],"id":1}', streams))["code"] == 2
    assert len(streams) == 1024


@given(st.binary(max_size=200))
def test_no_message_is_left_unanswered(message: bytes) -> None:
    assert json.loads(control(message, set()))


@pytest.mark.parametrize(
    ("target", "route", "combined", "streams"),
    [
        ("/market/stream", "market", True, set()),
        ("/public/stream", "public", True, set()),
        ("/stream", "", True, set()),
        ("/market/stream?streams=a@aggTrade/b@aggTrade", "market", True, {"a@aggTrade", "b@aggTrade"}),
        ("/market/ws/a@aggTrade", "market", False, {"a@aggTrade"}),
        ("/ws/a@bookTicker/b@trade", "", False, {"a@bookTicker", "b@trade"}),
    ],
)
def test_paths(target: str, route: str, combined: bool, streams: set[str]) -> None:
    assert session(target) == (route, combined, streams)


@pytest.mark.parametrize("target", ["/", "/private/stream", "/market", "/market/streams", "/fapi/v1/time"])
def test_other_paths_open_nothing(target: str) -> None:
    assert session(target) is None


@pytest.mark.parametrize(
    ("path", "carried"),
    [
        ("/market/stream", {"x@aggTrade", "x@trade", "x@kline_1m"}),
        ("/public/stream", {"x@bookTicker", "x@trade", "x@depth@100ms", "!bookTicker"}),
        ("/stream", {"x@bookTicker", "x@trade", "x@depth@100ms", "!bookTicker"}),
    ],
)
def test_each_route_carries_its_own_streams(path: str, carried: set[str]) -> None:
    opened = session(path)
    assert opened is not None
    opened.streams.update({"x@aggTrade", "x@bookTicker", "x@trade", "x@depth@100ms", "x@kline_1m", "!bookTicker"})
    assert {stream for stream in opened.streams if opened.carries(stream)} == carried
    assert not opened.carries("y@aggTrade")
