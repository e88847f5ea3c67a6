"""From bodies of feeds to rows of table `news`: an item when it is new, and again under each title it has not had before."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from itertools import islice
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa

from pipelines.news import cryptopanic, xml_feeds
from pipelines.news.item import Item
from pipelines.news.mentions import mentioned, tickers
from pipelines.rows import constant, date, table, time
from pipelines.tape import Fault

LARGEST: Final = 5 << 20
"""Bytes of a body."""
MOST_ITEMS: Final = 2000
REMEMBERED: Final = 20_000
"""Items, over all feeds, whose titles are known; those not seen for longest are forgotten first."""
TITLES: Final = 8
"""Titles known of an item: a feed that serves two editions in turn is not news each time."""
_READERS: Final = {"rss": xml_feeds.read, "cryptopanic": cryptopanic.read}


class Body(NamedTuple):
    """What was made of a body: items, and what was refused."""

    items: list[Item]
    faults: list[Fault]


def read(form: str, body: bytes) -> Body:
    """Read a body; it never raises: a body that cannot be read is one fault, an item that cannot be is one more."""
    if form not in _READERS:
        return Body([], [Fault(0, f"no such form of feed: {form[:40]!r}")])
    if len(body) > LARGEST:
        return Body([], [Fault(0, f"it is larger than {LARGEST} bytes")])
    items: list[Item] = []
    faults: list[Fault] = []
    try:
        for part, item in enumerate(islice(_READERS[form](body), MOST_ITEMS + 1)):
            if part == MOST_ITEMS:
                faults.append(Fault(0, f"it holds more than {MOST_ITEMS} items", part=part))
            elif item is None:
                faults.append(Fault(0, "an item has nothing that can be shown", part=part))
            else:
                items.append(item)
    except (ValueError, RecursionError) as error:
        faults.append(Fault(0, str(error)))
    return Body(items, faults)


class Fresh(NamedTuple):
    """An item that is news."""

    item: Item
    news_id: str
    edited: bool


class Known:
    """Which items were seen under which titles; plain and picklable."""

    def __init__(self) -> None:
        self._titles: dict[bytes, tuple[int, ...]] = {}
        self._feeds: set[str] = set()

    def begin(self, feed: str) -> bool:
        """Take note of a feed; tell whether it is the first time."""
        new = feed not in self._feeds
        self._feeds.add(feed)
        return new

    def plant(self, titles: Iterable[tuple[str, str]]) -> None:
        """Take (news_id, title) pairs as seen, oldest first."""
        for news_id, title in titles:
            self._see(bytes.fromhex(news_id), _short(title))

    def fresh(self, feed: str, items: Iterable[Item]) -> list[Fresh]:
        """Take the items of a body, and return those that are news; of one id, the first in the body holds."""
        found: dict[str, Fresh] = {}
        here: set[str] = set()
        for item in items:
            news_id = item.news_id(feed)
            if news_id in here:
                continue
            here.add(news_id)
            key = bytes.fromhex(news_id)
            before = self._titles.get(key)
            if self._see(key, _short(item.title)):
                found[news_id] = Fresh(item, news_id, before is not None)
        return list(found.values())

    def _see(self, key: bytes, title: int) -> bool:
        """Remember a title, as the item seen last; tell whether it is new."""
        titles = self._titles.pop(key, ())
        new = title not in titles
        self._titles[key] = (*titles, title)[-TITLES:] if new else titles
        while len(self._titles) > REMEMBERED:
            del self._titles[next(iter(self._titles))]
        return new


def rows(feed: str, fresh: list[Fresh], first_seen: int, bases: Collection[str]) -> pa.Table:
    """Return items first seen at journal time `first_seen` (us) as rows of table `news`."""
    wanted = tickers(bases)
    n = len(fresh)
    seen = np.full(n, first_seen, np.int64)
    items = [f.item for f in fresh]
    columns: Mapping[str, list[object] | pa.Array] = {
        "date": date(seen),
        "venue": constant(venue(feed), n),
        "news_id": [f.news_id for f in fresh],
        "ts": time(seen),
        "end": time(seen),
        "first_seen": time(seen),
        "published": [i.published for i in items],
        "title": [i.title for i in items],
        "summary": [i.summary for i in items],
        "url": [i.url for i in items],
        "source": [i.source or feed for i in items],
        "symbols": [sorted({*i.codes, *mentioned(f"{i.title}\n{i.summary or ''}", wanted)}) for i in items],
        "edited": [f.edited for f in fresh],
    }
    return table("news", dict(columns))


def venue(feed: str) -> str:
    """Return what stands for a feed in the column `venue`."""
    return f"news-{feed}"


def _short(title: str) -> int:
    return int.from_bytes(hashlib.blake2b(title.encode(), digest_size=8).digest())
