"""REST requests within a budget of weight a minute, which several askers share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

import httpx
import structlog

from dataflows.recording import refusal
from dataflows.recording.budget import Budget
from pipelines.venues.venue import Request, Venue

SHARE: Final = 0.5
"""Share of the venue's allowance that is used: other programs may ask from the same address."""
ATTEMPTS: Final = 4
TIMEOUT_S: Final = 10.0
log = structlog.get_logger(__name__)


class RestError(Exception):
    """A request that got no answer.

    Attributes
    ----------
    final : bool
        Asking again now is of no use.
    refused : bool
        The venue does not serve this place or network; the host is not asked again for ten minutes.
    """

    def __init__(self, text: str, *, final: bool, refused: bool = False) -> None:
        super().__init__(text)
        self.final = final
        self.refused = refused


class Rest:
    """Asks one venue's REST host.

    Attributes
    ----------
    budget : Budget
        Of weight; what of the venue's allowance is used.
    refusals : int
        Answers that said too many requests, or not from here.
    """

    def __init__(self, venue: Venue, base: str | None, clock: Callable[[], float] = time.monotonic) -> None:
        self.venue = venue
        self.base = (base or venue.rules.rest).rstrip("/")
        self.budget = Budget(venue.rules.weight_per_minute * SHARE, 60, clock())
        self.refusals = 0
        self._clock = clock
        self._refused: tuple[float, str] = (0.0, "")
        self._client = httpx.AsyncClient(base_url=self.base, timeout=TIMEOUT_S, trust_env=not _local(self.base))
        self._turns = asyncio.Semaphore(4)

    @property
    def refused(self) -> str:
        """Why the host is not asked at present; empty: it is."""
        until, text = self._refused
        return text if self._clock() < until else ""

    async def get(self, request: Request, attempts: int = ATTEMPTS) -> bytes:
        """Return the body of an answer.

        Raises
        ------
        RestError
            If the venue refused, or did not answer `attempts` times.
        """
        delay = 0.5
        for attempt in range(1, attempts + 1):
            try:
                return await self._once(request)
            except RestError as error:
                if error.final or attempt == attempts:
                    raise
                log.info("rest_retry", venue=self.venue.name, path=request.path, error=str(error))
            await asyncio.sleep(delay)
            delay *= 2
        raise AssertionError

    async def _once(self, request: Request) -> bytes:
        async with self._turns:
            while wait := self.budget.take(request.weight, self._clock()):
                await asyncio.sleep(wait)
            if self.refused:
                raise RestError(self.refused, final=True, refused=True)
            try:
                answer = await self._client.get(request.path, params=request.params)
            except httpx.HTTPError as error:
                text = str(error) or type(error).__name__
                raise RestError(
                    f"{self.venue.name}: {self.base} could not be reached ({text}); check the network, "
                    f"or set endpoints.{self.venue.name} to a stand-in",
                    final=False,
                ) from error
        return self._body(answer)

    def _body(self, answer: httpx.Response) -> bytes:
        now, rules = self._clock(), self.venue.rules
        if (spent := answer.headers.get(rules.weight_header or "-", "")).isdecimal():
            self.budget.spent(rules.weight_per_minute - float(spent), now)
        status = answer.status_code
        if status == 200:
            return answer.content
        told = refusal.read(status, answer.headers, rules.too_many)
        if told is not None:
            self.refusals += 1
        if told is not None and not told.lasting:
            self.budget.close(told.wait_s, now)
            raise RestError(f"{self.venue.name}: {told.text}", final=False)
        reason = self.venue.parse_error(answer.content[:4096]) or answer.reason_phrase
        if told is not None:
            text = (
                f"{self.venue.name}: {self.base} refuses this machine (HTTP {status}: {reason}); the venue does not serve "
                f"this place or network: record another venue, or set endpoints.{self.venue.name} to a stand-in"
            )
            self._refused = now + told.wait_s, text
            raise RestError(text, final=True, refused=True)
        raise RestError(f"{self.venue.name}: {request_text(answer)}: HTTP {status}: {reason}", final=400 <= status < 500)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def request_text(answer: httpx.Response) -> str:
    """Return what was asked, without the query."""
    return answer.request.url.copy_with(query=None).path


def _local(base: str) -> bool:
    """Tell whether a URL is of this machine, where no proxy is meant to be in between."""
    return httpx.URL(base).host in ("127.0.0.1", "localhost", "::1")
