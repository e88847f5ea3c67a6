"""An item of a feed, and what makes it the same item another time."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Final, NamedTuple

from pipelines.news.text import canonical, plain, published

TITLE: Final = 300
SUMMARY: Final = 1000
SOURCE: Final = 100


class Item(NamedTuple):
    """An item as its publisher sent it, in plain text.

    Attributes
    ----------
    part : int
        Which item of the body.
    key : str
        Its own id, else its link without tracking parameters, else its title.
    title : str
    summary : str or None
    url : str or None
    published : datetime or None
    source : str or None
        The publisher, where the feed gathers several.
    codes : tuple of str
        Assets it is about, where the feed says so.
    """

    part: int
    key: str
    title: str
    summary: str | None
    url: str | None
    published: datetime | None
    source: str | None
    codes: tuple[str, ...] = ()

    def news_id(self, feed: str) -> str:
        """Return what names it in table `news`."""
        return hashlib.sha256(f"{feed}\0{self.key}".encode()).hexdigest()[:32]


def item(
    part: int,
    *,
    own_id: str,
    title: str,
    summary: str,
    link: str,
    date: str,
    source: str = "",
    codes: tuple[str, ...] = (),
) -> Item | None:
    """Make an item of text as it was sent; None where nothing of it can be shown."""
    url = canonical(link)
    short = plain(title, TITLE)
    long = plain(summary, SUMMARY)
    own = own_id.strip()[:4096]
    shown = short or plain(long, TITLE) or url or ""
    if not shown:
        return None
    key = (canonical(own) or own) if own else url or shown
    return Item(
        part,
        key.encode(errors="replace").decode(),
        shown,
        long or None,
        url,
        published(date),
        plain(source, SOURCE) or None,
        codes,
    )
