"""One page over HTTP from a host that is not to be trusted: size, time and redirects are bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final, NamedTuple

import httpx

DEADLINE_S: Final = 30.0
TIMEOUT_S: Final = 10.0
REDIRECTS: Final = 5
HEADERS: Final = {
    # Several publishers refuse whoever does not begin as a browser does.
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) tapeflow/0.1",
    "Accept": "application/rss+xml, application/atom+xml, application/xml;q=0.9, application/json;q=0.9, */*;q=0.5",
    "Accept-Encoding": "gzip",
}


class Undelivered(Exception):
    """A page that did not come; the message says why, and may name what was asked for."""


class Page(NamedTuple):
    """An answer; the body is that of status 200, else empty."""

    status: int
    headers: httpx.Headers
    body: bytes


def client() -> httpx.AsyncClient:
    """Return a client for many hosts, which uses no proxy to reach this machine."""
    direct: dict[str, httpx.AsyncBaseTransport | None] = {"all://127.0.0.1": None, "all://localhost": None, "all://[::1]": None}
    return httpx.AsyncClient(timeout=TIMEOUT_S, headers=HEADERS, mounts=direct)


async def download(asker: httpx.AsyncClient, url: str, headers: Mapping[str, str], most: int) -> Page:
    """Ask for a page of at most `most` bytes.

    Raises
    ------
    Undelivered
        If it did not come whole and in time.
    """
    try:
        async with asyncio.timeout(DEADLINE_S):
            return await _follow(asker, url, headers, most)
    except TimeoutError:
        raise Undelivered(f"no answer within {DEADLINE_S:.0f} s") from None
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise Undelivered(str(error) or type(error).__name__) from None


async def _follow(asker: httpx.AsyncClient, url: str, headers: Mapping[str, str], most: int) -> Page:
    for _ in range(REDIRECTS + 1):
        async with asker.stream("GET", url, headers=headers) as answer:
            if answer.next_request is None:
                return Page(answer.status_code, answer.headers, await _body(answer, most) if answer.status_code == 200 else b"")
            target = answer.next_request.url
            if answer.url.scheme == "https" and target.scheme != "https":
                raise Undelivered(f"it redirects from https to {target.scheme}")
            url = str(target)
    raise Undelivered(f"it redirects more than {REDIRECTS} times")


async def _body(answer: httpx.Response, most: int) -> bytes:
    parts, size = [], 0
    async for part in answer.aiter_bytes():
        size += len(part)
        if size > most:
            raise Undelivered(f"it is larger than {most} bytes")
        parts.append(part)
    return b"".join(parts)
