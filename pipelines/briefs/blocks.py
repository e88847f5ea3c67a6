"""Block Kit of a message: text that Slack shows letter by letter, within Slack's limits."""

from __future__ import annotations

import unicodedata
from typing import Any, NamedTuple

TEXT = 2_800
"""Characters of a block; Slack refuses more than 3,000."""
POST = 9_000
"""Characters of a post; Slack refuses blocks of more than about 13,000 in all."""
TITLE = 90
"""A first line of at most so many characters is set as a title, where more lines follow; Slack takes 150."""
FALLBACK = 3_000
"""Characters of the text that notifications show."""
NOTHING = "(no text)"
CUT = "\n... cut here"

_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
"""Unicode categories that show nothing of their own but can turn, hide or break what stands beside them."""


class Body(NamedTuple):
    """What is posted: `text` is what notifications show, escaped; `blocks` is what the channel shows."""

    text: str
    blocks: list[dict[str, Any]]


def clean(text: str) -> str:
    """Return text without control and direction characters; line ends stay, tabs become spaces."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", " ").split("\n")
    return "\n".join("".join(c for c in line if unicodedata.category(c) not in _INVISIBLE).rstrip() for line in lines)


def escaped(text: str) -> str:
    """Return text in which Slack finds no mention and no link, for the fields that it parses."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def pieces(text: str, limit: int) -> list[str]:
    """Cut text into pieces of at most `limit` characters, at line ends where there are any, else between words; none is blank."""
    found = []
    rest = clean(text).strip("\n ")
    while len(rest) > limit:
        window = rest[: limit + 1]
        at = max(window.rfind("\n"), 0) or max(window.rfind(" "), 0) or limit
        found.append(rest[:at].rstrip())
        rest = rest[at:].lstrip("\n ")
    return [piece for piece in [*found, rest] if piece] or [NOTHING]


def posts(text: str) -> list[str]:
    """Cut text into what one post each can hold."""
    return pieces(text, POST)


def head(text: str, note: str) -> Body:
    """Return a message's first post, `note`, if any, in small letters below; what is too long for one post is cut."""
    first, *more = posts(text)
    whole = first[: POST - len(CUT)] + CUT if more else first
    title, _, rest = whole.partition("\n")
    titled = bool(rest.strip()) and 0 < len(title.strip()) <= TITLE
    opening = [{"type": "header", "text": _plain(title.strip())}] if titled else []
    return Body(_fallback(whole), [*opening, *_sections(rest if titled else whole), *([_context(note)] if note else [])])


def reply(text: str, note: str = "") -> Body:
    """Return a post into a thread."""
    return Body(_fallback(text), [*_sections(posts(text)[0]), *([_context(note)] if note else [])])


def whole(text: str, thread: list[str], note: str) -> list[Body]:
    """Return a message with what belongs into its thread, for a webhook, which knows no threads: as few posts as hold it."""
    bodies, room = [head(text, note)], POST - len(text)
    for part in thread:
        if len(part) <= room:
            bodies[-1].blocks.extend([{"type": "divider"}, *_sections(part)])
        else:
            bodies.append(reply(part))
            room = POST
        room -= len(part)
    return bodies


def _sections(text: str) -> list[dict[str, Any]]:
    return [{"type": "section", "text": _plain(piece)} for piece in pieces(text, TEXT)]


def _context(note: str) -> dict[str, Any]:
    return {"type": "context", "elements": [_plain(clean(note)[:TEXT] or NOTHING)]}


def _plain(text: str) -> dict[str, Any]:
    """Return a text object that Slack shows as it stands: no mention, no link, no markup, no emoji by name."""
    return {"type": "plain_text", "text": text, "emoji": False}


def _fallback(text: str) -> str:
    """Return what a notification shows: escaped, and cut before it is, so that no escape is broken."""
    return escaped(pieces(text, FALLBACK)[0])
