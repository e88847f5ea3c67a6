"""What the recorder writes for `tapeflow status` is what docs/status.md says."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

from pipelines.settings import News as Wanted
from pipelines.settings import NewsFeed
from tests.dataflows.recording.desk import exchange, recording, settings, until
from tests.dataflows.recording.publisher import publisher
from tests.pipelines.news.bodies import rss, story

DOCUMENT = Path(__file__).parents[2] / "docs" / "status.md"


def documented() -> dict[str, set[str]]:
    """Return the names of fields in a row of the document, by the first."""
    section = DOCUMENT.read_text().split("## `recorder.json`")[1]
    rows = re.findall(r"^\| `([\w.<>]+)`(.*)\|$", section, re.MULTILINE)
    return {first: set(re.findall(r"`([\w.<>]+)`", rest)) for first, rest in rows}


def test_the_file_holds_what_is_documented(tmp_path: Path) -> None:
    async def run() -> dict[str, Any]:
        path = tmp_path / "status" / "recorder.json"
        async with exchange("BTCUSDT") as venue, publisher() as made:
            made.pages["/good"] = (200, {}, rss(story(1, "One")))
            feeds = {"good": NewsFeed(url=f"{made.url}/good")}
            async with recording(settings(tmp_path, venue).model_copy(update={"news": Wanted(feeds=feeds)})):
                await until(lambda: path.exists() and json.loads(path.read_bytes())["feeds"].get("demo", {}).get("symbols"))
                told: dict[str, Any] = json.loads(path.read_bytes())
                return told

    told, said = asyncio.run(run()), documented()
    (feed,) = told["feeds"].values()
    (symbol,) = feed["symbols"].values()
    assert set(symbol) == {"last_trade_age"}
    assert set(feed) - {"symbols"} | {"symbols.<symbol>.last_trade_age"} == said["feeds.<venue>"]
    assert set(told["journal"]) == said["journal"]
    assert set(told["shed"]) == said["shed"]
    assert set(told["news"]["good"]) == said["news.<feed>"]
    assert set(told["refused"]) <= said["refused"] == {"settings", "rules"}
    assert set(told) == {"pid", "gaps_open"} | said["pid"] | {"feeds", "journal", "shed", "news", "refused"}
