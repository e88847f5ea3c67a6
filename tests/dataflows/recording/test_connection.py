"""What a connection makes of a handshake that is refused, and of the numbers that a venue gives its messages."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dataflows.recording.connection import Connection, Owner
from pipelines.feeds import Feed
from pipelines.venues import venue
from pipelines.venues.venue import Route, Stream


def connected(feed: Feed) -> tuple[Connection, Callable[[], int]]:
    """Return a connection as if it were open, and what tells how often it was given up."""
    given_up: list[None] = []
    stream = Stream(feed, "BTC-USD")
    line = Connection(venue("coinbase-advanced"), Route("one", "ws://127.0.0.1:9", [], [stream]), cast("Owner", None))
    wire: Any = SimpleNamespace(frames=0, transport=SimpleNamespace(abort=lambda: given_up.append(None)))
    line._wire = wire
    return line, lambda: len(given_up)


def test_numbers_without_a_hole_are_left_alone() -> None:
    line, given_up = connected("trades")
    for numbers in ((), (7,), (8, 9), (10,), ()):
        line.follow(numbers)
    assert given_up() == 0


@pytest.mark.parametrize("numbers", [(1, 3), (1, 2, 40)])
def test_a_hole_ends_the_connection_once(numbers: tuple[int, ...]) -> None:
    line, given_up = connected("trades")
    line.follow(numbers)
    line.follow((90,))
    assert given_up() == 1


def test_what_was_shed_here_is_not_lost_but_for_a_book() -> None:
    line, given_up = connected("trades")
    line.follow((1,))
    line.shed = 3
    line.follow((4, 6))
    assert (given_up(), line.shed) == (0, 0)
    line.follow((8,))
    assert given_up() == 1
    line, given_up = connected("book")
    line.follow((1,))
    line.shed = 3
    line.follow((4,))
    assert given_up() == 1


def test_a_venue_may_count_anew() -> None:
    line, given_up = connected("trades")
    line.follow((5, 0, 1))
    assert given_up() == 0


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"403, access too frequent", "HTTP 403: too many requests; waiting 600 s"),
        (
            b"<html>configured to block access from your country</html>",
            "HTTP 403: the venue does not serve this place or network",
        ),
        (b"", "HTTP 403: too many requests, or the venue does not serve this place or network; waiting 600 s"),
    ],
)
def test_a_handshake_that_bybit_refuses_is_told_by_its_body_and_left_for_ten_minutes(body: bytes, told: str) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()
        writer.close()

    async def play() -> tuple[str, float]:
        server = await asyncio.start_server(refuse, "127.0.0.1", 0)
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/v5/public/linear"
        line = Connection(venue("bybit-linear"), Route("linear", url, [], []), cast("Owner", None))
        end = await line._session()
        server.close()
        return line.refusal, end.wait_s

    assert asyncio.run(play()) == (told, 600.0)
