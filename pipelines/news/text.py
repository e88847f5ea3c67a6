"""Text, dates and links as publishers write them, made plain."""

from __future__ import annotations

import html
import re
import unicodedata
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

LONGEST: Final = 10_000
"""Characters of a text that are looked at: more than any summary keeps, fewer than would hold up the flow."""
LONGEST_LINK: Final = 2048
_ROUNDS: Final = 4
"""How often text may have been escaped on its way here."""
_BLOCK: Final = re.compile(r"<!--.*?(?:-->|\Z)|<(script|style)\b.*?(?:</\1\s*>|\Z)", re.DOTALL | re.IGNORECASE)
_BREAK: Final = re.compile(r"</?(?:p|br|div|li|ul|ol|tr|td|h[1-6]|blockquote|figure|figcaption|table)\b[^<>]*>", re.IGNORECASE)
_TAG: Final = re.compile(r"<(?=[a-zA-Z/!?@#])[^<>]*>")
"""A tag; or what a chat program would read as a mention or a link."""
_OPEN: Final = re.compile(r"<(?=[a-zA-Z/!?@#])")
_SPACE: Final = re.compile(r"\s+")
_JOINERS: Final = "\u200c\u200d"
"""The invisible characters that belong to words and emojis."""
_RFC_822: Final = re.compile(r".*\d:\d\d(?::\d\d)?\s+(?:[+-]\d{4}|GMT|UTC?|Z|[ECMP][SD]T)\s*", re.IGNORECASE | re.DOTALL)
_TRACKING: Final = re.compile(
    r"utm_.*|at_(?:medium|campaign)|mc_[ce]id|_hs(?:enc|mi)|(?:fb|g|dc|y|ms)clid|igshid|ref|ref_(?:src|url)|cmpid|ncid|ocid",
    re.IGNORECASE,
)


def plain(text: str, longest: int) -> str:
    """Return text without markup, entities, control and invisible characters, on one line, cut at `longest` characters."""
    text = text[:LONGEST]
    for _ in range(_ROUNDS):
        before = text
        text = _TAG.sub("", _BREAK.sub(" ", _BLOCK.sub(" ", text)))
        text = html.unescape(text)
        if text == before:
            break
    text = "".join(map(_visible, text))
    text = _SPACE.sub(" ", _OPEN.sub("< ", _TAG.sub("", text))).strip()
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "…"


def _visible(character: str) -> str:
    if character in _JOINERS or character.isprintable():
        return character
    category = unicodedata.category(character)
    return "" if category in ("Cf", "Cs") else " " if category in ("Cc", "Zl", "Zp", "Zs") else character


def published(text: str) -> datetime | None:
    """Return a date as RFC 822 or ISO 8601 write it; None where it is neither, or names no zone that is known."""
    text = text.strip()
    try:
        if _RFC_822.fullmatch(text):
            said = parsedate_to_datetime(text)
            return said.replace(tzinfo=UTC) if said.tzinfo is None else said.astimezone(UTC)  # "-0000" gives no zone
        said = datetime.fromisoformat(text)
        return None if said.tzinfo is None else said.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def canonical(link: str) -> str | None:
    """Return a link without parameters that say whence a reader came; None where it is no link to the web."""
    link = "".join(c for c in link.strip() if c.isprintable() and not c.isspace())
    if len(link) > LONGEST_LINK:
        return None
    try:
        parts = urlsplit(link)
        host = parts.hostname
        port = parts.port
    except ValueError:
        return None
    if parts.scheme.lower() not in ("http", "https") or not host or parts.username is not None:
        return None
    query = parts.query
    if any(_TRACKING.fullmatch(name) for name, _ in parse_qsl(query, keep_blank_values=True)):
        query = urlencode([p for p in parse_qsl(query, keep_blank_values=True) if not _TRACKING.fullmatch(p[0])])
    place = f"[{host}]" if ":" in host else host
    if port not in (None, {"http": 80, "https": 443}[parts.scheme.lower()]):
        place += f":{port}"
    fragment = "" if _TRACKING.match(parts.fragment) else parts.fragment
    return urlunsplit((parts.scheme.lower(), place, parts.path or "/", query, fragment))
