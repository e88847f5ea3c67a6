"""Block Kit: every text stays within Slack's limits and is shown letter by letter."""

from __future__ import annotations

import unicodedata

from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.briefs import blocks
from tests.slack_blocks import markup, refusal, shown

TRICKY = st.text(st.sampled_from("<>&*_~`@#!:|\\\"'{}/ abc\n\r\t\u202e\u200b\x00é漢😀"), max_size=400)
ANY = st.one_of(st.text(max_size=200), TRICKY, st.builds(lambda text, n: text * n, TRICKY, st.integers(1, 60)))


def test_a_first_line_that_is_short_is_a_title() -> None:
    body = blocks.head("BTC moved\nby a lot\n\nmore", "id a")
    assert [block["type"] for block in body.blocks] == ["header", "section", "context"]
    assert shown(body._asdict()) == "BTC moved\nby a lot\n\nmore\nid a"
    assert [block["type"] for block in blocks.head("one line", "id a").blocks] == ["section", "context"]
    assert [block["type"] for block in blocks.head("x" * 91 + "\nmore", "id a").blocks] == ["section", "context"]
    assert [block["type"] for block in blocks.head("no note", "").blocks] == ["section"]


def test_text_is_cut_at_line_ends_then_between_words_then_anywhere() -> None:
    assert blocks.pieces("one\ntwo three\nfour", 14) == ["one\ntwo three", "four"]
    assert blocks.pieces("one two three", 8) == ["one two", "three"]
    assert blocks.pieces("abcdefgh", 3) == ["abc", "def", "gh"]
    assert blocks.pieces(" \n ", 5) == [blocks.NOTHING]


def test_what_is_cut_off_a_message_is_told() -> None:
    body = blocks.head("title\n" + "word " * 4000, "id")
    assert shown(body._asdict()).endswith("... cut here\nid")


def test_what_shows_nothing_is_taken_out() -> None:
    assert blocks.clean("a\u202eb\x00c\u200bd\te\r\nf\u2028g") == "abcd e\nfg"


def test_notifications_are_escaped() -> None:
    assert blocks.head("<!channel> & <@U1>", "").text == "&lt;!channel&gt; &amp; &lt;@U1&gt;"
    assert len(blocks.head("<" * 20_000, "").text) <= 40_000


@settings(max_examples=60)
@given(ANY, st.lists(ANY, max_size=4), st.text(max_size=300))
def test_slack_takes_every_text_and_finds_no_markup_in_it(text: str, thread: list[str], note: str) -> None:
    bodies = [blocks.head(text, note), *blocks.whole(text, thread, note)]
    bodies += [blocks.reply(piece, note) for part in thread for piece in blocks.posts(part)]
    for body in bodies:
        post = {**body._asdict(), "mrkdwn": False, "parse": "none", "link_names": False}
        assert refusal(post) is None
        assert markup(post) == []


@settings(max_examples=60)
@given(ANY, st.integers(1, 50))
def test_pieces_lose_no_letter(text: str, limit: int) -> None:
    pieces = blocks.pieces(text, limit)
    assert all(0 < len(piece) <= max(limit, len(blocks.NOTHING)) for piece in pieces)
    letters = [c for c in text if not c.isspace() and unicodedata.category(c) not in blocks._INVISIBLE]
    joined = "".join(pieces)
    if letters:
        assert "".join(c for c in joined if not c.isspace()) == "".join(letters)
