"""REST requests within a budget of weight, which several askers share."""

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
        The host is not asked again for some time, ten minutes or more: too much was asked, or the venue does not serve this
        place or network.
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
        Of weight; over time it uses half of the venue's allowance, for other programs may ask from the same address.
    refusals : int
        Answers that said too many requests, or not from here.
    """

    def __init__(self, venue: Venue, base: str | None, clock: Callable[[], float] = time.monotonic) -> None:
        self.venue = venue
        self.base = (base or venue.rules.rest).rstrip("/")
        self.budget = Budget(*venue.rules.weight_window, clock())
        self.refusals = 0
        self._clock = clock
        self._refused: tuple[float, str] = (0.0, "")
        self._waited_for: tuple[float, str] = (0.0, "")
        self._client = httpx.AsyncClient(base_url=self.base, timeout=TIMEOUT_S, trust_env=not _local(self.base))
        self._turns = asyncio.Semaphore(4)

    @property
    def refused(self) -> str:
        """Why requests fail at present without being asked; empty: they do not."""
        until, text = self._refused
        return text if self._clock() < until else ""

    @property
    def waited_for(self) -> str:
        """Why all requests wait at present; empty: they do not."""
        until, text = self._waited_for
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
            if self._client.is_closed:
                raise RestError(f"{self.venue.name}: no longer recorded", final=True)
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
            self.budget.spent(rules.weight_window[0] - float(spent), now)
        status, failure = answer.status_code, self.venue.parse_error(answer.content)
        if status == 200 and failure is None:
            return answer.content
        reason = answer.reason_phrase if failure is None or (failure.kind == "garbled" and status != 200) else failure.text
        reason = " ".join(reason.split())[:200]
        told = refusal.read(status, answer.headers, answer.content, rules.too_many)
        if told is None and failure is not None and failure.kind == "busy":
            told = refusal.busy(f"HTTP {status}: {reason}", answer.headers)
        if told is not None:
            raise self._turned_away(told, reason)
        final = 400 <= status < 500 or (status == 200 and failure is not None and failure.kind == "error")
        raise RestError(f"{self.venue.name}: {request_text(answer)}: HTTP {status}: {reason}", final=final)

    def _turned_away(self, told: refusal.Refusal, reason: str) -> RestError:
        """Leave the venue alone for as long as it wants; return what to raise."""
        now, name = self._clock(), self.venue.name
        self.refusals += 1
        text = f"{name}: {told.text}"
        if told.lasting:
            text = (
                f"{name}: {self.base} refuses this machine ({told.text.partition(':')[0]}: {reason}); the venue does not serve "
                f"this place or network: record another venue, or set endpoints.{name} to a stand-in"
            )
        if told.long:
            self._refused = now + told.wait_s, text
        else:
            self.budget.close(told.wait_s, now)
            self._waited_for = max(self._waited_for, (now + told.wait_s, f"{name}: REST: {told.text}"))
        return RestError(text, final=told.long, refused=told.long)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def request_text(answer: httpx.Response) -> str:
    """Return what was asked, without the query."""
    return answer.request.url.copy_with(query=None).path


def _local(base: str) -> bool:
    """Tell whether a URL is of this machine, where no proxy is meant to be in between."""
    return httpx.URL(base).host in ("127.0.0.1", "localhost", "::1")
