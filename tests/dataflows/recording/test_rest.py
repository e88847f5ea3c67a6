"""The budget of REST requests, and what becomes of refusals."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataflows.recording import refusal
from dataflows.recording.budget import Budget
from dataflows.recording.rest import Rest, RestError
from pipelines.venues import venue
from tests.dataflows.fake_exchange import FakeExchange


def test_a_budget_is_spent_and_fills_again() -> None:
    budget = Budget(120, 60, 0.0)
    assert [budget.take(20, 0.0) for _ in range(3)] == [0, 0, 0]
    assert budget.take(20, 0.0) == 20.0
    assert budget.take(20, 10.0) == 10.0
    assert budget.take(20, 20.0) == 0.0


def test_more_than_the_whole_budget_goes_when_it_is_full() -> None:
    budget = Budget(20, 60, 0.0)
    assert budget.take(40, 0.0) == 0.0
    assert budget.take(1, 60.0) > 0


def test_what_others_spend_counts_and_a_ban_is_kept() -> None:
    budget = Budget(120, 60, 0.0)
    budget.spent(5, 0.0)
    assert budget.take(10, 0.0) == 5.0
    budget.close(90, 0.0)
    assert budget.take(1, 30.0) == 60.0
    assert budget.take(1, 90.0) == 0.0


@settings(max_examples=200, deadline=None)
@given(
    window=st.sampled_from([(20, 2.0), (200, 5.0), (10, 1.0), (15, 15.0), (2400, 60.0), (3, 1.0)]),
    asked=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 0.5), st.booleans()), min_size=1, max_size=80),
)
def test_no_window_sees_more_spent_than_allowed(window: tuple[int, float], asked: list[tuple[float, float, bool]]) -> None:
    most, seconds = window
    budget, now = Budget(*window, 0.0), 0.0
    spent: list[tuple[float, float]] = []
    for pause, share, patient in asked:
        now += pause * seconds / 4
        weight = share * most
        wait = budget.take(weight, now)
        if wait and patient:
            now += wait
            wait = budget.take(weight, now)
        if not wait:
            spent.append((now, weight))
    for begin, _ in spent:
        assert sum(weight for at, weight in spent if begin <= at < begin + seconds) <= most * (1 + 1e-9)


async def ask(status: int) -> RestError:
    """Return how a request ends that is answered with `status`."""
    exchange = FakeExchange("BTCUSDT")
    exchange.rest_status = status
    await exchange.start()
    rest = Rest(venue("demo"), exchange.url)
    try:
        with pytest.raises(RestError) as refusal:
            await rest.get(rest.venue.time_request(), attempts=1)
    finally:
        await rest.close()
        await exchange.close()
    return refusal.value


@pytest.mark.parametrize(
    ("status", "final", "told"),
    [
        (451, True, "refuses this machine (HTTP 451: as told (code -1003)); the venue does not serve this place"),
        (403, True, "refuses this machine (HTTP 403"),
        (429, False, "HTTP 429: too many requests; waiting 60 s"),
        (500, False, "/fapi/v1/time: HTTP 500: as told"),
        (400, True, "/fapi/v1/time: HTTP 400: as told (code -1003)"),
    ],
)
def test_refusals_are_told_as_what_they_are(status: int, final: bool, told: str) -> None:
    error = asyncio.run(ask(status))
    assert error.final == final
    assert told in str(error)


@pytest.mark.parametrize(("status", "wait"), [(429, 60.0), (418, 60.0), (403, 600.0)])
def test_what_is_refused_is_told_for_as_long_as_it_lasts(status: int, wait: float) -> None:
    async def asked() -> None:
        exchange, now = FakeExchange("BTCUSDT"), [100.0]
        exchange.rest_status = status
        await exchange.start()
        rest = Rest(venue("demo"), exchange.url, lambda: now[0])
        assert rest.refused + rest.waited_for == ""
        with pytest.raises(RestError):
            await rest.get(rest.venue.time_request(), attempts=1)
        now[0] += wait - 0.1
        assert f"HTTP {status}" in rest.refused + rest.waited_for
        now[0] += 0.2
        assert rest.refused + rest.waited_for == ""
        exchange.rest_status = 200
        assert await rest.get(rest.venue.time_request(), attempts=1)
        await rest.close()
        await exchange.close()

    asyncio.run(asked())


def test_a_venue_that_cannot_be_reached_is_told_with_a_remedy() -> None:
    async def unreachable() -> None:
        rest = Rest(venue("demo"), "http://127.0.0.1:9")
        try:
            await rest.get(rest.venue.time_request(), attempts=1)
        finally:
            await rest.close()

    with pytest.raises(RestError, match=r"could not be reached .*; check the network"):
        asyncio.run(unreachable())


@asynccontextmanager
async def answering(body: bytes, status: int = 200, headers: str = "") -> AsyncIterator[tuple[str, list[str]]]:
    """Answer every request alike; yield the URL, and the paths asked for so far."""
    asked: list[str] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readline():
            asked.append(head.split()[1].decode())
            while (await reader.readline()).strip():
                pass
            writer.write(f"HTTP/1.1 {status} Told\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked
    finally:
        server.close()


class Asked(NamedTuple):
    """How requests ended that `answering` answers: the error, what else is asked after it, and for how long nothing is."""

    error: RestError | None
    paths: list[str]
    closed_s: float
    refused: str


def ask_twice(name: str, body: bytes, status: int = 200, headers: str = "") -> Asked:
    """Ask a venue for the time, and again where that failed for good."""

    async def play() -> Asked:
        async with answering(body, status, headers) as (url, paths):
            rest = Rest(venue(name), url, clock=lambda: 0.0)
            error: RestError | None = None
            try:
                await rest.get(rest.venue.time_request(), attempts=1)
            except RestError as told:
                error = told
                if told.final:
                    with pytest.raises(RestError):
                        await rest.get(rest.venue.time_request(), attempts=1)
            finally:
                await rest.close()
            return Asked(error, paths, rest.budget.take(0, 0.0), rest.refused)

    return asyncio.run(play())


BUSY = [
    ("okx", b'{"code":"50011","data":[],"msg":"Too Many Requests"}'),
    ("okx", b'{"code":"50013","data":[],"msg":"Systems are busy. Please try again later."}'),
    ("bybit-linear", b'{"retCode":10006,"retMsg":"Too many visits!","result":{}}'),
    ("bybit-spot", b'{"retCode":10018,"retMsg":"Exceeded the IP Rate Limit.","result":{}}'),
    ("kraken", b'{"error":["EAPI:Rate limit exceeded"]}'),
    ("kraken", b'{"error":["EGeneral:Too many requests"]}'),
]
ERRORS = [
    ("okx", b'{"code":"51001","data":[],"msg":"Instrument ID does not exist"}', "Instrument ID does not exist (code 51001)"),
    ("bybit-inverse", b'{"retCode":10001,"retMsg":"params error","result":{}}', "params error (code 10001)"),
    ("kraken", b'{"error":["EQuery:Unknown asset pair"]}', "EQuery:Unknown asset pair"),
    ("coinbase", b'{"message":"NotFound"}', "NotFound"),
    ("coinbase-advanced", b'{"error":"NOT_FOUND","message":"no product"}', "NOT_FOUND: no product"),
    ("binance-usdm", b'{"code":-1121,"msg":"Invalid symbol."}', "Invalid symbol. (code -1121)"),
]


@pytest.mark.parametrize(("name", "body"), BUSY)
def test_too_many_requests_told_with_http_200_close_the_budget(name: str, body: bytes) -> None:
    told = ask_twice(name, body)
    assert told.error is not None
    assert (told.error.final, told.closed_s, told.refused) == (False, refusal.BAN_S, "")
    assert "waiting 60 s" in str(told.error)


@pytest.mark.parametrize(("name", "body", "text"), ERRORS)
def test_an_error_told_with_http_200_is_final_and_in_the_venues_words(name: str, body: bytes, text: str) -> None:
    told = ask_twice(name, body)
    assert told.error is not None
    assert (told.error.final, told.error.refused, told.closed_s) == (True, False, 0.0)
    assert str(told.error).endswith(f"HTTP 200: {text}")


@pytest.mark.parametrize("name", ["okx", "bybit-spot", "kraken", "coinbase", "coinbase-advanced", "binance-spot"])
def test_what_is_no_answer_of_the_venues_is_asked_for_again(name: str) -> None:
    told = ask_twice(name, b"<html>log in to the network</html>")
    assert told.error is not None
    assert (told.error.final, told.closed_s) == (False, 0.0)


def test_a_long_answer_is_looked_through_for_errors_within_milliseconds() -> None:
    listed = [{"instId": f"A{k}-USDT", "instType": "SPOT", "tickSz": "0.1", "state": "live", "uly": ""} for k in range(20_000)]
    body = msgspec.json.encode({"code": "0", "data": listed, "msg": ""})
    assert len(body) > 1_000_000
    took: list[float] = []
    for _ in range(5):
        begun = time.thread_time()
        assert venue("okx").parse_error(body) is None
        took.append(time.thread_time() - begun)
    assert min(took) < 0.1


@pytest.mark.parametrize(
    ("body", "told", "place"),
    [
        (b"403, access too frequent", "HTTP 403: too many requests; waiting 600 s", False),
        (b'{"retCode":10006,"retMsg":"Too many visits!"}', "HTTP 403: too many requests; waiting 600 s", False),
        (
            b"<HTML>The Amazon CloudFront distribution is configured to block access from your country.</HTML>",
            "refuses this machine (HTTP 403: ",
            True,
        ),
        (b"<html>Forbidden</html>", "HTTP 403: too many requests, or the venue does not serve this place or network", False),
    ],
)
def test_a_403_of_bybit_is_told_as_what_it_is_and_never_asked_again_at_once(body: bytes, told: str, place: bool) -> None:
    got = ask_twice("bybit-linear", body, 403)
    assert got.error is not None
    assert (told in str(got.error), told in got.refused) == (True, True)
    assert ("record another venue" in str(got.error)) == place
    assert (got.error.final, got.error.refused, len(got.paths)) == (True, True, 1)
    found = refusal.read(403, {}, body, venue("bybit-linear").rules.too_many)
    assert found is not None
    assert (found.wait_s, found.lasting) == (600.0, place)


def test_a_long_ban_is_told_and_not_sat_out_within_a_request() -> None:
    got = ask_twice("binance-spot", b'{"code":-1003,"msg":"Way too many requests"}', 418, "Retry-After: 7200\r\n")
    assert (got.refused, len(got.paths)) == ("binance-spot: HTTP 418: too many requests; waiting 7200 s", 1)
    brief = ask_twice("binance-spot", b'{"code":-1003,"msg":"Way too many requests"}', 429, "Retry-After: 7\r\n")
    assert (brief.refused, brief.closed_s) == ("", 7.0)
