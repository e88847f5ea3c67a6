"""REST requests within a budget of weight a minute, which several askers share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

import httpx
import structlog

from pipelines.venues.venue import Request, Venue

SHARE: Final = 0.5
"""Share of the venue's allowance that is used: other programs may ask from the same address."""
ATTEMPTS: Final = 4
TIMEOUT_S: Final = 10.0
BAN_S: Final = 60.0
"""How long nothing is asked after a 429 or 418 that does not say."""
log = structlog.get_logger(__name__)


class RestError(Exception):
    """A request that got no answer. `final` means that asking again is of no use."""

    def __init__(self, text: str, *, final: bool) -> None:
        super().__init__(text)
        self.final = final


class Budget:
    """A bucket of weight that fills at a constant rate; times are seconds of one monotonic clock."""

    def __init__(self, per_minute: float, now: float) -> None:
        self._rate = per_minute / 60
        self._room = per_minute
        self._most = per_minute
        self._at = now
        self._closed_until = now

    def take(self, weight: float, now: float) -> float:
        """Take `weight` out and return 0, or return how many seconds to wait before asking again."""
        if now < self._closed_until:
            return self._closed_until - now
        self._room = min(self._most, self._room + (now - self._at) * self._rate)
        self._at = now
        if weight <= self._room or self._room == self._most:
            self._room -= weight
            return 0.0
        return (min(weight, self._most) - self._room) / self._rate

    def spent(self, weight: float, now: float) -> None:
        """Learn from the venue what was spent in this minute, by whomever."""
        self._room = min(self._room, 2 * self._most - weight)
        self._at = max(self._at, now)

    def close(self, seconds: float, now: float) -> None:
        """Ask nothing for so long."""
        self._closed_until = max(self._closed_until, now + seconds)


class Rest:
    """Asks one venue's REST host."""

    def __init__(self, venue: Venue, base: str | None, clock: Callable[[], float] = time.monotonic) -> None:
        self.venue = venue
        self.base = (base or venue.rules.rest).rstrip("/")
        self._clock = clock
        self._budget = Budget(venue.rules.weight_per_minute * SHARE, clock())
        self._client = httpx.AsyncClient(base_url=self.base, timeout=TIMEOUT_S, trust_env=not _local(self.base))
        self._turns = asyncio.Semaphore(4)

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
            while wait := self._budget.take(request.weight, self._clock()):
                await asyncio.sleep(wait)
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
        now = self._clock()
        if (spent := answer.headers.get(self.venue.rules.weight_header or "-", "")).isdigit():
            self._budget.spent(float(spent), now)
        status = answer.status_code
        if status in (418, 429):
            wait = answer.headers.get("Retry-After", "")
            self._budget.close(float(wait) if wait.isdigit() else BAN_S, now)
            raise RestError(f"{self.venue.name}: too many requests (HTTP {status}); waiting as told", final=False)
        if status == 200:
            return answer.content
        reason = self.venue.parse_error(answer.content[:4096]) or answer.reason_phrase
        if status in (403, 451):
            raise RestError(
                f"{self.venue.name}: {self.base} refuses this machine (HTTP {status}: {reason}); the venue does not serve "
                f"this place or network: record another venue, or set endpoints.{self.venue.name} to a stand-in",
                final=True,
            )
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
