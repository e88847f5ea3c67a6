"""Text, dates and links, made plain."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.news.text import canonical, plain, published

MARKUP = re.compile(r"<[a-zA-Z/!?@#]")


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("Bitcoin &amp; Ether", "Bitcoin & Ether"),
        ("<p>One.</p><p>Two&nbsp;three</p>", "One. Two three"),
        ("a<b>b</b>c", "abc"),
        ("&lt;script&gt;alert(1)&lt;/script&gt;text", "text"),
        ("&amp;lt;b&amp;gt;twice", "twice"),
        ("<script>if (a<b) c()</script>after<style>p {}", "after"),
        ("BTC < 50k and ETH > 3k", "BTC < 50k and ETH > 3k"),
        ("I <3 SOL", "I <3 SOL"),
        ("price <support", "price < support"),
        ("<!channel> <@U123> <https://x.example|click>", ""),
        ("<<b>b>x", "x"),
        ("a\x00b\x1b[31m\tc\r\nd", "a b [31m c d"),
        ("left\u202egnihsup\u202c \u200bthe\ufeff bidi", "leftgnihsup the bidi"),
        ("👩\u200d🚀 flies", "👩\u200d🚀 flies"),
        ("<!-- a > b --> c", "c"),
        ("  \u00a0 ", ""),
    ],
)
def test_text_is_plain(sent: str, shown: str) -> None:
    assert plain(sent, 300) == shown


def test_text_is_cut_and_says_so() -> None:
    assert plain("word " * 100, 12) == "word word w…"
    assert plain("exactly ten", 11) == "exactly ten"


@given(st.text(alphabet=st.sampled_from('<>&;#!@/ab "=-\u200b\n') | st.characters(), max_size=60), st.integers(1, 40))
def test_no_text_has_markup_left(text: str, longest: int) -> None:
    shown = plain(text, longest)
    assert not MARKUP.search(shown)
    assert len(shown) <= longest
    assert all(c.isprintable() or ord(c) > 0x7F for c in shown)
    assert shown == " ".join(shown.split())
    shown.encode()


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        ("Sat, 21 Nov 2026 10:00:12 +0000", datetime(2026, 11, 21, 10, 0, 12, tzinfo=UTC)),
        ("Sat, 21 Nov 2026 10:00:12 GMT", datetime(2026, 11, 21, 10, 0, 12, tzinfo=UTC)),
        ("21 Nov 2026 10:00 EST", datetime(2026, 11, 21, 15, 0, tzinfo=UTC)),
        ("Sat, 21 Nov 2026 10:00:12 PDT", datetime(2026, 11, 21, 17, 0, 12, tzinfo=UTC)),
        ("Sat, 21 Nov 2026 10:00:12 -0000", datetime(2026, 11, 21, 10, 0, 12, tzinfo=UTC)),
        ("2026-11-21T10:00:12Z", datetime(2026, 11, 21, 10, 0, 12, tzinfo=UTC)),
        ("2026-11-21T10:00:12.5+02:00", datetime(2026, 11, 21, 8, 0, 12, 500_000, tzinfo=UTC)),
        ("Tue, 01 Jan 2099 00:00:00 GMT", datetime(2099, 1, 1, tzinfo=UTC)),
        ("Sat, 21 Nov 2026 10:00:12 CET", None),  # a zone whose name several share
        ("2026-11-21T10:00:12", None),
        ("2026-11-21", None),
        ("Fri, 31 Dec 9999 23:00:00 -0500", None),
        ("Sat, 99 Nov 2026 10:00:12 GMT", None),
        ("yesterday", None),
        ("", None),
    ],
)
def test_dates(sent: str, meant: datetime | None) -> None:
    assert published(sent) == meant


@given(st.text(max_size=40))
def test_no_date_raises(text: str) -> None:
    published(text)
    published(f"Sat, 21 Nov {text} 10:00:12 GMT")


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("https://Desk.example/a?utm_source=rss&UTM_x=1&b=2&gclid=3", "https://desk.example/a?b=2"),
        ("https://desk.example?fbclid=1", "https://desk.example/"),
        ("https://desk.example/a?ref=home", "https://desk.example/a"),
        ("https://desk.example/a?reference=7", "https://desk.example/a?reference=7"),
        ("https://desk.example:443/live#post-7", "https://desk.example/live#post-7"),
        ("http://desk.example:8080/a b", "http://desk.example:8080/ab"),
        ("javascript:alert(1)", None),
        ("https://user:secret@desk.example/", None),
        ("//desk.example/a", None),
        ("https://[::1/", None),
        ("https://desk.example:99999/", None),
        ("https://desk.example/" + "a" * 3000, None),
        ("", None),
    ],
)
def test_links(sent: str, kept: str | None) -> None:
    assert canonical(sent) == kept


@given(st.text(max_size=60))
def test_a_link_once_canonical_stays_so(text: str) -> None:
    link = canonical(f"https://desk.example/{text}")
    assert link is None or canonical(link) == link
