"""CryptoPanic's API, version 2 (and what is left of 1): bodies to items. Every field may be missing, by plan."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import msgspec

from pipelines.news.item import Item, item

_CODE: Final = re.compile(r"[A-Z0-9]{1,15}")


class _Source(msgspec.Struct):
    title: str | None = None
    domain: str | None = None


class _Asset(msgspec.Struct):
    code: str | None = None


class _Post(msgspec.Struct):
    id: int | str | None = None
    slug: str | None = None
    title: str | None = None
    description: str | None = None
    published_at: str | None = None
    created_at: str | None = None
    url: str | None = None
    original_url: str | None = None
    source: _Source | None = None
    currencies: list[_Asset] | None = None
    instruments: list[_Asset] | None = None


class _Page(msgspec.Struct):
    results: list[msgspec.Raw]


def read(body: bytes) -> Iterator[Item | None]:
    """Yield the items of an answer; None where one cannot be read.

    Raises
    ------
    ValueError
        If it is no answer with posts.
    """
    try:
        posts = msgspec.json.decode(body, type=_Page).results
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"it is no answer of CryptoPanic's: {error}") from None
    for part, raw in enumerate(posts):
        try:
            post = msgspec.json.decode(raw, type=_Post)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            yield None
        else:
            yield _item(part, post)


def _item(part: int, post: _Post) -> Item | None:
    source = post.source or _Source()
    assets = [*(post.currencies or ()), *(post.instruments or ())]
    codes = {a.code.upper() for a in assets if a.code and _CODE.fullmatch(a.code.upper())}
    return item(
        part,
        own_id=str(post.id if post.id is not None else post.slug or ""),
        title=post.title or "",
        summary=post.description or "",
        link=post.original_url or post.url or "",
        date=post.published_at or post.created_at or "",
        source=source.title or source.domain or "",
        codes=tuple(sorted(codes)),
    )
