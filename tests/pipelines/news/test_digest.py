"""The digest of headlines: what is counted, what is listed, and that no publisher can put markup into it."""

from __future__ import annotations

import datetime as dt
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.news.digest import LISTED, digest

UNTIL = dt.datetime(2026, 3, 4, 12, 0, tzinfo=dt.UTC)
SCHEMA: dict[str, Any] = {
    "venue": pl.String,
    "news_id": pl.String,
    "first_seen": pl.Datetime("us", "UTC"),
    "title": pl.String,
    "url": pl.String,
    "source": pl.String,
    "symbols": pl.List(pl.String),
    "edited": pl.Boolean,
}


def headline(news_id: str, hours: float, *symbols: str, **other: Any) -> dict[str, Any]:
    seen = UNTIL - dt.timedelta(hours=hours)
    given_ = {"venue": "news-a", "news_id": news_id, "first_seen": seen, "title": f"title {news_id}", "url": None, "source": None}
    return {**given_, "symbols": list(symbols), "edited": False, **other}


def frame(*rows: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(list(rows), SCHEMA)


def test_each_symbol_has_its_headlines_newest_first_and_those_without_come_last() -> None:
    found = digest(
        frame(
            headline("1", 5, "ETH", "BTC", url="https://x.example/a?b=1", source="Paper"),
            headline("2", 1, "BTC", venue="news-b"),
            headline("3", 0.5),
            headline("4", 0.4),
            headline("5", 0.3),
        ),
        UNTIL,
    )
    assert found.symbols == {"BTC": 2, "ETH": 1, "no symbol": 3}
    assert (found.headlines, found.edited, found.feeds) == (5, 0, {"news-a": 4, "news-b": 1})
    assert found.hours == [0] * 18 + [1, 0, 0, 0, 1, 3]
    assert found.text == (
        "# Headlines of the 24 h before 2026-03-04 12:00 UTC\n\n"
        "5 headlines, 0 edits, 2 feeds. By the time they were first seen; one that mentions several symbols stands under each.\n"
        "\n## BTC: 2\n\n"
        "- 11:00 title 2 (news\\-b)\n"
        "- 07:00 [title 1](https://x.example/a?b=1) (Paper)\n"
        "\n## ETH: 1\n\n"
        "- 07:00 [title 1](https://x.example/a?b=1) (Paper)\n"
        "\n## no symbol: 3\n\n"
        "- 11:42 title 5 (news\\-a)\n"
        "- 11:36 title 4 (news\\-a)\n"
        "- 11:30 title 3 (news\\-a)\n"
    )


def test_an_edited_headline_counts_once_under_its_last_title() -> None:
    found = digest(frame(headline("1", 3, "BTC", title="first"), headline("1", 2, "BTC", title="second", edited=True)), UNTIL)
    assert (found.headlines, found.edited, found.symbols) == (1, 1, {"BTC": 1})
    assert "second" in found.text
    assert "first" not in found.text.partition("##")[2]


def test_the_same_id_of_two_feeds_is_two_headlines() -> None:
    assert digest(frame(headline("1", 3), headline("1", 2, venue="news-b")), UNTIL).headlines == 2


def test_a_flood_is_cut_and_counted() -> None:
    flood = [headline(f"{k}", k / 10, f"S{k % 30:02}", "BTC", title="x" * 300) for k in range(230)]
    found = digest(frame(*flood), UNTIL)
    assert f"- and {230 - LISTED} older ones" in found.text
    assert "Not listed: S" in found.text
    assert len(found.text) < 60_000


def test_no_publisher_can_put_markup_or_a_script_into_it() -> None:
    title = "![x](https://spy.example/p.png) <script>alert(1)</script> [a](javascript:alert(1)) `b` https://c.example"
    bad = headline("1", 1, "BTC", title=title, url="javascript:alert(1)", source="</li><b>")
    line = digest(frame(bad), UNTIL).text.splitlines()[-1]
    assert line == (
        r"- 11:00 \!\[x\]\(https\://spy.example/p.png\) \<script\>alert\(1\)\</script\>"
        r" \[a\]\(javascript\:alert\(1\)\) \`b\` https\://c.example (\</li\>\<b\>)"
    )


@settings(max_examples=50)
@given(st.text(min_size=1, max_size=400), st.text(max_size=50))
def test_any_title_and_link_stays_on_one_line_without_bare_brackets(title: str, url: str) -> None:
    rows = frame(headline("1", 1, title=title.encode(errors="replace").decode(), url=url.encode(errors="replace").decode()))
    lines = digest(rows, UNTIL).text.splitlines()
    assert lines[-1].startswith("- 11:00 ")
    assert len(lines) == 7
    bare = lines[-1].replace("\\\\", "").replace("\\<", "").replace("\\[", "")
    assert "<" not in bare
    assert "[" not in bare
