"""Bodies of feeds for tests: invented, in the formats that publishers use."""

from __future__ import annotations

import json
from pathlib import Path

FRAMES = [json.loads(line) for line in (Path(__file__).parent / "frames" / "news.jsonl").read_text().splitlines()]
BODIES: dict[str, tuple[str, bytes]] = {frame["feed"]: (frame["form"], frame["body"].encode()) for frame in FRAMES}


def rss(*items: str) -> bytes:
    """Return an RSS body of items, each given as what is in the element."""
    inside = "".join(f"<item>{item}</item>" for item in items)
    return f'<?xml version="1.0"?><rss version="2.0"><channel><title>T</title>{inside}</channel></rss>'.encode()


def story(number: int, title: str) -> str:
    """Return an item of RSS."""
    return f"<guid>story-{number}</guid><title>{title}</title><link>https://desk.example/{number}</link>"
