"""From journal records to rows of table `news`: what is new, what was edited, and what was refused."""

from __future__ import annotations

import hashlib
import pickle
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.engine import Engine
from pipelines.news import headlines
from pipelines.news.headlines import Known, read
from pipelines.records import Kind, News, headed
from pipelines.seed import Seeds
from pipelines.settings import Kernels
from pipelines.store.lake import Lake
from tests import tapes
from tests.pipelines.news.bodies import BODIES, rss, story
from tests.tapes import DAY, Line

SECOND = 1_000_000


def line(at_s: int, feed: str, body: bytes, form: str = "rss") -> Line:
    return (DAY + at_s * SECOND) * 1000, Kind.NEWS, headed(News(feed, form), body)


def seen(out: dict[str, pa.Table]) -> list[tuple[int, str, bool]]:
    """Return second, title and whether edited, of all rows in order."""
    found = out["news"].to_pylist() if "news" in out else []
    return sorted((int(r["ts"].timestamp() - DAY / SECOND), r["title"], r["edited"]) for r in found)


def test_a_row_as_it_is_stored() -> None:
    out = tapes.feed(tapes.journal_engine(), [line(5, "desk", BODIES["desk"][1])])["news"].to_pylist()
    now = datetime.fromtimestamp(DAY / SECOND + 5, UTC)
    row = next(r for r in out if r["title"].startswith("Bitcoin"))
    assert row == {
        "date": now.date(),
        "venue": "news-desk",
        "news_id": hashlib.sha256(b"desk\x005f1c7a9e-0001").hexdigest()[:32],
        "ts": now,
        "end": now,
        "first_seen": now,
        "published": datetime(2026, 11, 21, 10, 0, 12, tzinfo=UTC),
        "title": "Bitcoin & Ether slip as SOL gains",
        "summary": "Prices fell 1%. Then they rose.",
        "url": "https://desk.example/markets/2026/11/21/bitcoin-slips?page=2",
        "source": "desk",
        "symbols": ["BTC", "ETH", "SOL"],
        "edited": False,
    }
    ahead = next(r for r in out if r["title"] == "Dated ahead")
    assert (ahead["ts"], ahead["published"]) == (now, datetime(2031, 1, 1, tzinfo=UTC))


def test_codes_of_cryptopanic_and_assets_that_are_recorded_are_named() -> None:
    out = tapes.feed(
        tapes.journal_engine(), [line(0, "panic", BODIES["panic"][1], "cryptopanic"), line(1, "a", rss(story(1, "AAA up")))]
    )
    assert {r["title"]: (r["symbols"], r["source"]) for r in out["news"].to_pylist()} == {
        "Whale moves 10,000 BTC": (["BTC", "KAS"], "Example Desk"),
        "A plan that sends little": ([], "panic"),
        "AAA up": (["AAA"], "a"),
    }


def test_an_item_is_a_row_once_and_again_under_each_new_title() -> None:
    one, two = rss(story(1, "One")), rss(story(1, "One, corrected"), story(2, "Two"))
    lines = [line(0, "f", one), line(1, "f", one), line(2, "f", two), line(3, "f", one), line(4, "f", two), line(5, "g", one)]
    assert seen(tapes.feed(tapes.journal_engine(), lines)) == [
        (0, "One", False),
        (2, "One, corrected", True),
        (2, "Two", False),
        (5, "One", False),  # another feed's
    ]


def test_one_body_gives_an_item_once() -> None:
    out = tapes.feed(tapes.journal_engine(), [line(0, "f", rss(story(1, "One"), story(1, "Uno")))])
    assert seen(out) == [(0, "One", False)]


def test_a_link_with_other_tracking_parameters_is_the_same_item() -> None:
    bodies = [rss(f"<title>One</title><link>https://d.example/1?utm_source={n}</link>") for n in (1, 2)]
    assert len(seen(tapes.feed(tapes.journal_engine(), [line(n, "f", body) for n, body in enumerate(bodies)]))) == 1


def test_a_broken_body_is_quarantined_and_the_rest_goes_on() -> None:
    lines = [
        line(0, "f", b"<html>"),
        line(1, "f", rss(story(1, "One"), "<guid>x</guid>")),
        (line(2, "f", b"")[0], Kind.NEWS, b"{"),
    ]
    out = tapes.feed(tapes.journal_engine(), lines)
    assert seen(out) == [(1, "One", False)]
    told = [(r["venue"], r["offset"], r["part"], r["reason"][:25]) for r in out["quarantine"].to_pylist()]
    assert sorted(told) == [
        ("news-f", 0, 0, "it is no XML: no element "),
        ("news-f", 100, 1, "an item has nothing that "),
        ("unknown", 200, 0, "a NEWS record was not as "),
    ]


def test_the_state_survives_a_restart_at_any_place() -> None:
    lines = [line(n, "f", rss(*[story(k, f"Title {k * n % 3}") for k in range(n)])) for n in range(1, 12)]
    whole = seen(tapes.feed(tapes.journal_engine(), lines))
    for cut in range(1, len(lines)):
        engine = tapes.journal_engine()
        first = seen(tapes.feed(engine, lines[:cut]))
        assert sorted(first + seen(tapes.feed(Engine.restore(engine.snapshot()), lines[cut:]))) == whole


def test_only_the_last_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(headlines, "REMEMBERED", 3)
    known = Known()

    def fresh(*numbers: int) -> list[str]:
        return [f.item.title for f in known.fresh("f", read("rss", rss(*[story(n, f"T{n}") for n in numbers])).items)]

    assert fresh(1, 2, 3) == ["T1", "T2", "T3"]
    assert fresh(1) == []
    assert fresh(4) == ["T4"]  # 2 was not seen for longest
    assert fresh(1, 3, 4) == []
    assert fresh(2) == ["T2"]


def test_the_state_is_small() -> None:
    known = Known()
    for k in range(10):
        known.fresh("f", read("rss", rss(*[story(k * 2000 + n, f"T{n}") for n in range(2000)])).items)
    assert len(pickle.dumps(known, protocol=5)) < 900_000


def stored(lake: Lake) -> dict[str, Any]:
    return {r["news_id"]: r["first_seen"] for r in lake.table("news").collect().to_dicts()}


def test_a_fresh_store_on_a_lake_with_headlines_makes_no_doubles(tmp_path: Path) -> None:
    """A rebuild knows what the lake holds of earlier dates, though the journal no longer does."""
    lake = Lake(tmp_path)
    lake.create()
    rows = tapes.feed(tapes.journal_engine(), [line(0, "f", rss(story(1, "One"), story(2, "Two")))])["news"]
    lake.commit("news", "main.0/news", 1, lake.stage("news", rows, "main.0-1", {}))
    day = 86_400
    body = rss(story(1, "One"), story(2, "Two, corrected"), story(3, "Three"))
    for from_day in (0, DAY + day * SECOND):
        engine = Engine(Kernels(), shard="main", seeds=Seeds(lake, from_day), from_day=from_day)
        out = tapes.feed(engine, [line(day + 7, "f", body), line(day + 8, "f", body)])
        assert seen(out) == [(day + 7, "Three", False), (day + 7, "Two, corrected", True)]
        assert [(r["venue"], r["kind"]) for r in out["inputs"].to_pylist()] == [("news-f", "seed")]
    assert len(stored(lake)) == 2


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), max_size=6), max_size=8))
def test_rows_are_unique_by_key_and_each_title_of_an_item_is_one_row(polls: list[list[tuple[int, int]]]) -> None:
    lines = [line(n, "f", rss(*[story(i, f"T{t}") for i, t in poll])) for n, poll in enumerate(polls)]
    out = tapes.feed(tapes.journal_engine(), lines)
    found = out["news"].to_pylist() if "news" in out else []
    assert len({(r["news_id"], r["ts"]) for r in found}) == len(found)
    shown = {(i, t) for poll in polls for k, (i, t) in enumerate(poll) if i not in [j for j, _ in poll[:k]]}
    assert len(found) == len(shown)
    assert sum(not r["edited"] for r in found) == len({i for i, _ in shown})
