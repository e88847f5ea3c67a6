"""Asks feeds of headlines, each at its own pace, and journals what holds news. One that fails stops no other."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import math
import random
import time
from collections import Counter
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any, Final, Protocol
from urllib.parse import quote

import httpx
import msgspec
import structlog

from dataflows.recording.download import Page, Undelivered, client, download
from dataflows.recording.tasks import spawn
from pipelines.news.headlines import LARGEST, Known, read
from pipelines.records import Kind, News, headed
from pipelines.settings import News as Settings
from pipelines.settings import NewsFeed, SettingsError, digest, secret

TICK_S: Final = 0.5
HOUR_S: Final = 3600.0
LONGEST_S: Final = 86_400.0
"""The longest a publisher may send us away for."""
LASTING: Final = frozenset({401, 403, 404, 410, 451})
"""Statuses that waiting alone is not likely to change."""
HIDDEN: Final = "***"
log = structlog.get_logger(__name__)

for _name in ("httpx", "httpcore"):  # they log every URL, token and all, wherever some library has turned logging on
    logging.getLogger(_name).setLevel(logging.WARNING)


class Owner(Protocol):
    """Whom the poller records for."""

    def now_ns(self) -> int:
        """Return the time records are received at, ns since 1970."""

    def put(self, kind: Kind, payload: bytes, connection: int = 0) -> None:
        """Journal a record."""

    async def accepting(self) -> None:
        """Wait until the journal takes records."""


class Failed(Exception):
    """A feed that gave nothing. It is not asked again for `wait_s`; `lasting`: nor soon after."""

    def __init__(self, text: str, wait_s: float = 0.0, *, lasting: bool = False) -> None:
        super().__init__(text)
        self.wait_s = wait_s
        self.lasting = lasting


class Feed:
    """A feed, and how it went.

    Attributes
    ----------
    due : float
        When it is asked next, in seconds of the poller's clock; endless while it is being asked.
    counts : Counter
        Requests that were `ok`, `not_modified` or `failed`, and new or edited `items`.
    failures : int
        Requests that failed since the last that did not.
    error : str
        Why the last one failed; empty: it did not.
    last_ok_ns : int
        When an answer was last good; 0: never.
    """

    def __init__(self, name: str, settings: NewsFeed, token: str) -> None:
        self.name = name
        self.settings = settings
        self.due = 0.0
        self.counts: Counter[str] = Counter()
        self.failures = 0
        self.error = ""
        self.last_ok_ns = 0
        self.validators: dict[str, str] = {}
        self._token = token
        self._known = Known()
        self._unreadable = ""

    @property
    def url(self) -> str:
        """What is asked for, with the token: for no eyes but the publisher's."""
        return self.settings.url.replace("{token}", quote(self._token, safe=""))

    def is_as(self, settings: NewsFeed, token: str) -> bool:
        """Tell whether it is asked for the same."""
        return (self.settings, self._token) == (settings, token)

    def hide(self, text: str) -> str:
        """Return text without the token."""
        for shape in self._shapes():
            text = text.replace(shape, HIDDEN)
        return text

    def _shapes(self) -> set[str]:
        written = msgspec.json.encode(self._token).decode()[1:-1]
        return {self._token, quote(self._token, safe=""), quote(self._token), written, written.replace("/", "\\/")} - {""}

    async def take(self, page: Page) -> bytes | None:
        """Take an answer; return its body, without the token, where it is to be journaled.

        Raises
        ------
        Failed
            If it is no answer with headlines. A body that cannot be read is to be journaled all the same: see `unreadable`.
        """
        if page.status == 304:
            self.counts["not_modified"] += 1
            return None
        if page.status != 200:
            raise Failed(f"HTTP {page.status}", retry_after(page.headers.get("Retry-After", "")), lasting=page.status in LASTING)
        body = page.body
        for shape in self._shapes():
            body = body.replace(shape.encode(), HIDDEN.encode())
        found = await asyncio.to_thread(read, self.settings.form, body)
        if found.faults and not found.items:
            raise Unreadable(found.faults[0].reason, body)
        self.counts["ok"] += 1
        names = (("ETag", "If-None-Match"), ("Last-Modified", "If-Modified-Since"))
        self.validators = {ask: page.headers[told] for told, ask in names if told in page.headers}
        fresh = self._known.fresh(self.name, found.items)
        self.counts["items"] += len(fresh)
        return body if fresh else None

    def is_new(self, unreadable: bytes) -> bool:
        """Tell whether a body that cannot be read is another than the last such one."""
        before, self._unreadable = self._unreadable, digest(unreadable)
        return before != self._unreadable


class Unreadable(Failed):
    """An answer whose body holds no headlines that can be read."""

    def __init__(self, text: str, body: bytes) -> None:
        super().__init__(text)
        self.body = body


class Poller:
    """Asks the feeds that the settings name."""

    def __init__(self, owner: Owner, clock: Callable[[], float] = time.monotonic) -> None:
        self.feeds: dict[str, Feed] = {}
        self._owner = owner
        self._settings = Settings()
        self._clock = clock
        self._client: httpx.AsyncClient | None = None
        self._asking: dict[str, asyncio.Task[None]] = {}

    def settle(self, settings: Settings) -> None:
        """Ask from now on what `settings` say.

        Raises
        ------
        SettingsError
            If a token is missing; all stays as it was.
        """
        wanted = {name: (feed, token(feed)) for name, feed in settings.chosen().items()}
        if missing := faults(settings):
            raise SettingsError(missing)
        self._settings = settings
        for name, feed in list(self.feeds.items()):
            if name not in wanted or not feed.is_as(*wanted[name]):
                del self.feeds[name]
                if name in self._asking:
                    self._asking.pop(name).cancel()
        for name, (asked, value) in wanted.items():
            self.feeds.setdefault(name, Feed(name, asked, value))

    async def run(self) -> None:
        """Ask each feed when it is due, until cancelled."""
        try:
            while True:
                for feed in [f for f in self.feeds.values() if f.due <= self._clock()]:
                    feed.due = math.inf
                    self._asking[feed.name] = spawn(self.ask(feed), f"news-{feed.name}")
                await asyncio.sleep(TICK_S)
        finally:
            for task in self._asking.values():
                task.cancel()
            await asyncio.gather(*self._asking.values(), return_exceptions=True)
            await self.close()

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()

    async def ask(self, feed: Feed) -> None:
        """Ask a feed once, journal what holds news, and settle when it is asked next."""
        delay = await self._turn(feed)
        feed.due = self._clock() + delay

    async def _turn(self, feed: Feed) -> float:
        await self._owner.accepting()
        if self._client is None:
            self._client = client()
        hour = dt.datetime.fromtimestamp(self._owner.now_ns() // 10**9, dt.UTC).hour
        usual = interval(self._settings, feed.settings, hour)
        try:
            page = await download(self._client, feed.url, feed.validators, LARGEST)
            body = await feed.take(page)
        except (Undelivered, Failed) as error:
            return self._failed(feed, error, usual)
        except Exception as error:  # noqa: BLE001 - whatever it is: a traceback may show what was asked, and with it the token
            return self._failed(feed, Failed(f"{type(error).__name__}: {error}", lasting=True), usual)
        if body is not None:
            self._journal(feed, body)
        feed.failures, feed.error, feed.last_ok_ns = 0, "", self._owner.now_ns()
        return usual * random.uniform(0.9, 1.1)

    def _failed(self, feed: Feed, error: Undelivered | Failed, usual: float) -> float:
        """Take note of a failure; return after how long the feed is asked again."""
        if isinstance(error, Unreadable) and feed.is_new(error.body):
            self._journal(feed, error.body)
        feed.counts["failed"] += 1
        feed.failures += 1
        feed.error = feed.hide(str(error))[:300]
        told, lasting = (error.wait_s, error.lasting) if isinstance(error, Failed) else (0.0, False)
        delay = max(backoff(usual, feed.failures, lasting=lasting) * random.uniform(0.9, 1.1), told)
        log.warning("news_failed", feed=feed.name, error=feed.error, times=feed.failures, again_s=round(delay))
        return delay

    def _journal(self, feed: Feed, body: bytes) -> None:
        self._owner.put(Kind.NEWS, headed(News(feed.name, feed.settings.form), body))

    def report(self) -> dict[str, dict[str, Any]]:
        """Return how the feeds fare, JSON-able, for the status file."""
        now = self._clock()
        return {
            name: {
                "ok": feed.counts["ok"],
                "not_modified": feed.counts["not_modified"],
                "failed": feed.counts["failed"],
                "items": feed.counts["items"],
                "failing": feed.failures,
                "error": feed.error or None,
                "last_ok_ns": feed.last_ok_ns or None,
                "next_s": None if math.isinf(feed.due) else round(max(0.0, feed.due - now), 1),
            }
            for name, feed in self.feeds.items()
        }


def token(feed: NewsFeed) -> str:
    """Return the token of a feed; empty where it needs none, or it is missing."""
    return (feed.token_env and secret(feed.token_env)) or ""


def faults(settings: Settings) -> list[str]:
    """Return a line for each token that is missing."""
    return [
        f"news.feeds.{name}: the environment variable {feed.token_env} is not set; put the token there, or into .env"
        for name, feed in settings.chosen().items()
        if feed.token_env and not token(feed)
    ]


def interval(settings: Settings, feed: NewsFeed, hour: int) -> float:
    """Return the seconds between requests of a feed at an hour of the day; a day may go over midnight."""
    first, last = settings.day
    is_day = first <= hour < last if first <= last else hour >= first or hour < last
    return feed.every_s or (settings.day_s if is_day else settings.night_s)


def backoff(usual: float, failures: int, *, lasting: bool) -> float:
    """Return the seconds until a feed is asked again that failed so often: twice as long each time, an hour at most."""
    longest = max(usual, HOUR_S)
    return longest if lasting else min(longest, usual * 2.0 ** min(failures, 20))


def retry_after(said: str) -> float:
    """Return how many seconds a publisher wants to be left alone, told as a number or as a date; 0 where it says nothing."""
    if said.isascii() and said.isdecimal():
        return min(float(said), LONGEST_S)
    try:
        until = parsedate_to_datetime(said).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return 0.0
    return min(max(0.0, until - time.time()), LONGEST_S)
