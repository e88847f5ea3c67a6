"""What Slack refuses of a post, and what it would make of its texts: mentions, links, markup, emoji."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

Post = dict[str, Any]

LIMITS = {"section": 3000, "header": 150, "context": 3000}
BLOCKS, ELEMENTS, ALL_BLOCKS, TEXT = 50, 10, 13_000, 40_000


def refusal(post: Post) -> str | None:
    """Return the error with which Slack refuses a post; None: it takes it."""
    blocks, text = post.get("blocks") or [], post.get("text") or ""
    if not blocks and not text.strip():
        return "no_text"
    if len(text) > TEXT:
        return "msg_too_long"
    if not isinstance(blocks, list) or len(blocks) > BLOCKS or not all(_is_sound(block) for block in blocks):
        return "invalid_blocks"
    if sum(len(one["text"]) for one in _texts(blocks)) > ALL_BLOCKS:
        return "msg_blocks_too_long"
    metadata = post.get("metadata")
    if metadata is not None and not (
        isinstance(metadata, dict)
        and re.fullmatch(r"[a-z0-9_.]{1,255}", str(metadata.get("event_type", "")))
        and isinstance(metadata.get("event_payload"), dict)
    ):
        return "invalid_metadata_format"
    return None


def markup(post: Post) -> list[str]:
    """Return what Slack would make more of than letters, anywhere in a post."""
    found = re.findall(r"<[^>]*>", post.get("text") or "")
    if post.get("mrkdwn", True):
        found += _formatted(post.get("text") or "")
    if post.get("parse") == "full" or post.get("link_names"):
        found += re.findall(r"[@#]\w+|https?://\S+", post.get("text") or "")
    for text in _texts(post.get("blocks") or []):
        if text["type"] == "mrkdwn":
            found += re.findall(r"<[^>]*>", text["text"]) + _formatted(text["text"])
            found += [] if text.get("verbatim") else re.findall(r"https?://\S+", text["text"])
        elif text.get("emoji", True):
            found += re.findall(r":[a-z0-9_+-]+:", text["text"])
    return found


def shown(post: Post) -> str:
    """Return the letters that the channel shows of a post."""
    texts = [one["text"] for one in _texts(post.get("blocks") or [])]
    return "\n".join(texts) if texts else post.get("text") or ""


def _formatted(text: str) -> list[str]:
    return re.findall(r"(?<!\w)([*_~`])(?=\S)(.+?)(?<=\S)\1(?!\w)", text) and [text]


def _texts(blocks: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for block in blocks:
        yield from [block["text"]] if "text" in block else block.get("elements", [])


def _is_sound(block: Any) -> bool:
    if not isinstance(block, dict):
        return False
    kind = block.get("type")
    if kind == "divider":
        return set(block) <= {"type", "block_id"}
    if kind not in LIMITS:
        return False
    texts = block.get("elements") if kind == "context" else [block.get("text")]
    if not isinstance(texts, list) or not 1 <= len(texts) <= ELEMENTS:
        return False
    return all(_is_text(text, LIMITS[kind], plain=kind == "header") for text in texts)


def _is_text(text: Any, limit: int, *, plain: bool) -> bool:
    if not isinstance(text, dict) or text.get("type") not in (("plain_text",) if plain else ("plain_text", "mrkdwn")):
        return False
    allowed = {"type", "text", "emoji"} if text["type"] == "plain_text" else {"type", "text", "verbatim"}
    said = text.get("text")
    return set(text) <= allowed and isinstance(said, str) and 1 <= len(said) <= limit and bool(said.strip())
