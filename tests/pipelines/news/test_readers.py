"""RSS, Atom and CryptoPanic's JSON: bodies to items; what cannot be read is told, never raised."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.news.headlines import LARGEST, MOST_ITEMS, read
from pipelines.news.item import Item
from tests.pipelines.news.bodies import BODIES, rss, story

BOMB = b"""<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>
<rss version="2.0"><channel><item><title>&b;</title></item></channel></rss>"""
FILE = (
    b"""<!DOCTYPE rss [<!ENTITY x SYSTEM "file:///etc/passwd">]><rss><channel><item><title>&x;</title></item></channel></rss>"""
)
DTD = "it declares a document type, which may expand entities"


def items(feed: str) -> list[Item]:
    found = read(*BODIES[feed])
    assert found.faults == []
    return found.items


def test_rss() -> None:
    first, second, third = items("desk")
    assert first == Item(
        part=0,
        key="5f1c7a9e-0001",
        title="Bitcoin & Ether slip as SOL gains",
        summary="Prices fell 1%. Then they rose.",
        url="https://desk.example/markets/2026/11/21/bitcoin-slips?page=2",
        published=datetime(2026, 11, 21, 10, 0, 12, tzinfo=UTC),
        source=None,
    )
    assert (second.key, second.url) == ("https://desk.example/policy/fed", "https://desk.example/policy/fed")
    assert second.published == datetime(2026, 11, 20, 19, tzinfo=UTC)
    assert second.summary == "No word on $link, or a missing link."
    assert (third.key, third.summary) == ("https://desk.example/ahead", None)
    assert third.published == datetime(2031, 1, 1, tzinfo=UTC), "kept as said"


def test_atom() -> None:
    first, second = items("blog")
    assert (first.key, first.title) == ("tag:blog.example,2026:/42", "Cardano & XRP: what's next?")
    assert (first.url, first.summary) == ("https://blog.example/42#top", "Some bold words")
    assert first.published == datetime(2026, 11, 21, 7, 30, tzinfo=UTC)
    assert second.published == datetime(2026, 11, 21, 9, 0, 0, 500_000, tzinfo=UTC)
    assert second.source == "Another blog"


def test_rdf() -> None:
    (only,) = items("old")
    assert (only.key, only.title, only.published) == ("https://old.example/1", "Old ways", datetime(2026, 11, 20, 12, tzinfo=UTC))


def test_cryptopanic() -> None:
    first, second = items("panic")
    assert (first.key, first.title, first.source) == ("20261121", "Whale moves 10,000 BTC", "Example Desk")
    assert first.codes == ("BTC", "KAS")
    assert (second.key, second.url, second.published, second.codes) == ("A plan that sends little", None, None, ())


def test_a_latin_1_body_is_read_as_it_says() -> None:
    body = '<?xml version="1.0" encoding="ISO-8859-1"?><rss><channel><item><title>Börse</title></item></channel></rss>'
    assert read("rss", body.encode("latin-1")).items[0].title == "Börse"


def test_white_space_before_the_body_is_no_fault() -> None:
    assert read("rss", b"\n\n " + rss(story(1, "A"))).items[0].title == "A"


@pytest.mark.parametrize(
    ("form", "body", "reason"),
    [
        ("rss", BOMB, DTD),
        ("rss", FILE, DTD),
        ("rss", BOMB.decode().replace("1.0", "1.0").encode("utf-16"), DTD),
        ("rss", b"<html><body>Just a moment...</body></html>", "it is no feed: its root is <html>"),
        ("rss", b"<rss version='2.0'><item><title>A</title></item></rss>", "it is no feed: it has no channel"),
        ("rss", b"", "it is no XML: no element found"),
        ("rss", b"<rss><channel><item><title>cut", "it is no XML: "),
        ("rss", b"<rss><channel><item><title>&nbsp;</title></item></channel></rss>", "it is no XML: undefined entity"),
        ("rss", b'<?xml version="1.0" encoding="klingon"?><rss/>', "it is no XML: "),
        ("rss", b"<a>" * 300_000, "it is no XML: "),
        ("rss", b" " * (LARGEST + 1), f"it is larger than {LARGEST} bytes"),
        ("cryptopanic", b'{"status": "api_error", "info": "Token not found"}', "it is no answer of CryptoPanic's: "),
        ("cryptopanic", b"<html>", "it is no answer of CryptoPanic's: "),
        ("cryptopanic", b"[" * 300_000, "it is no answer of CryptoPanic's: "),
        ("cryptopanic", b'{"results": [{"title": "\xff"}]}', "an item has nothing that can be shown"),
        ("gopher", b"", "no such form of feed: 'gopher'"),
    ],
)
def test_a_body_that_cannot_be_read_is_one_fault(form: str, body: bytes, reason: str) -> None:
    found = read(form, body)
    assert found.items == []
    assert [f.reason[: len(reason)] for f in found.faults] == [reason]


def test_an_item_that_cannot_be_shown_is_a_fault_and_the_rest_are_read() -> None:
    found = read("rss", rss(story(1, "A"), "<guid>x</guid>", story(2, "B")))
    assert [i.title for i in found.items] == ["A", "B"]
    assert [(f.part, f.reason) for f in found.faults] == [(1, "an item has nothing that can be shown")]
    found = read("cryptopanic", b'{"results": [{"id": [1]}, {"id": 2, "title": "B"}]}')
    assert ([i.part for i in found.items], [f.part for f in found.faults]) == ([1], [0])


def test_an_item_without_a_title_shows_its_text_or_its_link() -> None:
    found = read("rss", rss("<description>Words</description>", "<link>https://desk.example/1</link>"))
    assert [i.title for i in found.items] == ["Words", "https://desk.example/1"]


def test_items_beyond_the_most_are_told() -> None:
    found = read("rss", rss(*[story(n, "A") for n in range(MOST_ITEMS + 5)]))
    assert len(found.items) == MOST_ITEMS
    assert [f.reason for f in found.faults] == ["it holds more than 2000 items"]


def test_deep_markup_in_a_title_is_read() -> None:
    deep = "<title>" + "<i>" * 50_000 + "deep" + "</i>" * 50_000 + "</title>"
    assert read("rss", rss(deep)).items[0].title == "deep"


@settings(max_examples=300)
@given(st.data())
def test_mutated_bodies_never_raise(data: st.DataObject) -> None:
    form, body = BODIES[data.draw(st.sampled_from(sorted(BODIES)))]
    changed = bytearray(body)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, max(0, len(changed) - 1)))
        match data.draw(st.sampled_from(["byte", "cut", "drop", "insert"])):
            case "byte" if changed:
                changed[at] = data.draw(st.integers(0, 255))
            case "cut":
                del changed[at:]
            case "drop":
                del changed[at : at + data.draw(st.integers(1, 40))]
            case _:
                changed[at:at] = data.draw(
                    st.binary(max_size=8) | st.sampled_from([b"<!DOCTYPE a>", b"]]>", b"&lt;b", b'"', b"null"])
                )
    found = read(form, bytes(changed))
    assert found.items or found.faults or form == "rss" or b'"results"' in changed
    for item in found.items:
        assert item.title
        assert len(item.title) <= 300
        assert len(item.summary or "") <= 1000
        assert len(item.news_id("feed")) == 32
