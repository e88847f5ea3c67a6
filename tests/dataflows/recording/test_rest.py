"""The budget of REST requests, and what becomes of refusals."""

from __future__ import annotations

import asyncio

import pytest

from dataflows.recording.budget import Budget
from dataflows.recording.rest import Rest, RestError
from pipelines.venues import venue
from tests.dataflows.fake_exchange import FakeExchange


def test_a_budget_is_spent_and_fills_again() -> None:
    budget = Budget(60, 60, 0.0)
    assert [budget.take(20, 0.0) for _ in range(3)] == [0, 0, 0]
    assert budget.take(20, 0.0) == 20.0
    assert budget.take(20, 10.0) == 10.0
    assert budget.take(20, 20.0) == 0.0


def test_more_than_the_whole_budget_goes_when_it_is_full() -> None:
    budget = Budget(10, 60, 0.0)
    assert budget.take(40, 0.0) == 0.0
    assert budget.take(1, 60.0) > 0


def test_what_others_spend_counts_and_a_ban_is_kept() -> None:
    budget = Budget(60, 60, 0.0)
    budget.spent(5, 0.0)
    assert budget.take(10, 0.0) == 5.0
    budget.close(90, 0.0)
    assert budget.take(1, 30.0) == 60.0
    assert budget.take(1, 90.0) == 0.0


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


def test_a_venue_that_cannot_be_reached_is_told_with_a_remedy() -> None:
    async def unreachable() -> None:
        rest = Rest(venue("demo"), "http://127.0.0.1:9")
        try:
            await rest.get(rest.venue.time_request(), attempts=1)
        finally:
            await rest.close()

    with pytest.raises(RestError, match=r"could not be reached .*; check the network"):
        asyncio.run(unreachable())
