"""Books: what applies, what is skipped, what breaks one, and that what is left is the plain truth."""

from __future__ import annotations

import gzip
import pickle
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.book import WAITING, Book
from pipelines.feeds import Depth, Level
from pipelines.sources.files import blocks
from tests.conftest import SHARED


def no_checksum(bids: Sequence[Level], asks: Sequence[Level]) -> int:
    return 0 * len(bids) * len(asks)


def crc(bids: Sequence[Level], asks: Sequence[Level]) -> int:
    return zlib.crc32(repr((list(bids), list(asks))).encode())


def snapshot(last: int = -1, bids: Sequence[Level] = (("99", "1"),), asks: Sequence[Level] = (("101", "2"),)) -> Depth:
    return Depth(0, "X", 1, True, -1, last, -1, list(bids), list(asks))


def update(
    previous: int, last: int, bids: Sequence[Level] = (), asks: Sequence[Level] = (), first: int | None = None, ts: int = 2
) -> Depth:
    return Depth(0, "X", ts, False, previous + 1 if first is None else first, last, previous, list(bids), list(asks))


def plain(bids: Sequence[Level] = (), asks: Sequence[Level] = ()) -> Depth:
    """Return an update of a venue that numbers none."""
    return Depth(0, "X", 3, False, -1, -1, -1, list(bids), list(asks))


def book(**known: Any) -> Book:
    return Book(no_checksum, **known)


def test_a_snapshot_and_linked_updates_make_the_book() -> None:
    b = book()
    assert b.apply(snapshot(10)) is None
    assert b.apply(update(10, 12, bids=[("99.5", "3"), ("99", "0")], asks=[("101", "0"), ("100.5", "4")])) is None
    assert (b.synced, b.last, b.ts, b.resyncs) == (True, 12, 2, 0)
    assert b.top(20) == ([("99.5", "3")], [("100.5", "4")])
    assert b.best() == (("99.5", "3"), ("100.5", "4"))


def test_levels_come_best_first_and_as_written() -> None:
    b = book()
    b.apply(snapshot(-1, [("9", "1"), ("10.50", "1.0"), ("10", "2")], [("12", "1"), ("100", "3"), ("11", "1")]))
    assert b.top(2) == ([("10.50", "1.0"), ("10", "2")], [("11", "1"), ("12", "1")])


def test_updates_wait_for_a_snapshot_and_those_it_holds_are_dropped() -> None:
    b = book()
    for u in (update(7, 9, bids=[("98", "9")]), update(9, 12, bids=[("97", "1")]), update(12, 15, asks=[("103", "1")])):
        assert b.apply(u) is None
    assert not b.synced
    assert b.apply(snapshot(10)) is None
    assert b.last == 15
    assert b.top(9) == ([("99", "1"), ("97", "1")], [("101", "2"), ("103", "1")])


def test_a_snapshot_too_old_breaks_and_the_next_one_takes_up_what_waited() -> None:
    b = book()
    b.apply(update(20, 22, bids=[("98", "1")]))
    b.apply(update(22, 25, bids=[("97", "1")]))
    assert b.apply(snapshot(10)) == "sequence"
    assert not b.synced
    assert b.top(5) == ([], [])
    assert b.apply(snapshot(21)) is None
    assert (b.last, b.top(5)[0]) == (25, [("99", "1"), ("98", "1"), ("97", "1")])
    assert b.resyncs == 0


def test_the_first_update_behind_a_snapshot_may_straddle_it_and_no_later_one() -> None:
    b = book()
    b.apply(snapshot(10))
    assert b.apply(update(8, 12)) is None
    assert b.apply(update(11, 14)) == "sequence"


def test_a_hole_breaks_the_book_and_a_repeat_does_not() -> None:
    b = book()
    b.apply(snapshot(10))
    b.apply(update(10, 12))
    assert b.apply(update(10, 12, bids=[("1", "1")])) is None
    assert b.top(5)[0] == [("99", "1")]
    assert b.apply(update(14, 16, bids=[("98", "1")])) == "sequence"
    assert b.apply(update(16, 17, bids=[("97", "1")])) is None
    assert b.apply(snapshot(15)) is None
    assert (b.last, b.resyncs) == (17, 1)
    assert b.top(5)[0] == [("99", "1"), ("98", "1"), ("97", "1")]


def test_spot_updates_link_by_their_first_id() -> None:
    b = book()
    b.apply(snapshot(10))
    assert b.apply(update(-1, 12, first=11)) is None
    assert b.apply(update(-1, 15, first=14)) == "sequence"


def test_okx_repeats_its_number_and_counts_anew() -> None:
    b = book(apart=False)
    b.apply(snapshot(10))
    assert b.apply(Depth(0, "X", 5, False, -1, 10, 10, [], [])) is None
    assert b.apply(Depth(0, "X", 6, False, -1, 3, 10, [("98", "1")], [])) is None
    assert b.apply(Depth(0, "X", 7, False, -1, 5, 3, [("97", "1")], [])) is None
    assert (b.last, b.ts, len(b.top(5)[0])) == (5, 7, 3)


def test_a_venue_without_numbers_always_applies() -> None:
    b = book()
    b.apply(plain(bids=[("98", "1")]))
    b.apply(snapshot())
    assert b.apply(plain(bids=[("97", "1")], asks=[("5000", "0")])) is None
    assert b.top(5) == ([("99", "1"), ("97", "1")], [("101", "2")])


def test_a_fresh_snapshot_on_the_socket_replaces_everything() -> None:
    b = book(apart=False)
    b.apply(snapshot(5000))
    b.apply(update(6000, 6001))
    assert b.apply(snapshot(1, [("50", "1")], [("51", "1")])) is None
    assert b.apply(update(1, 2)) is None
    assert b.top(5) == ([("50", "1")], [("51", "1")])
    assert b.resyncs == 1


def test_an_answer_overtaken_by_the_updates_is_skipped() -> None:
    b = book()
    b.apply(snapshot(10))
    b.apply(update(10, 20, bids=[("98", "1")]))
    assert b.apply(snapshot(15, [("1", "1")])) is None
    assert (b.last, len(b.top(5)[0])) == (20, 2)


def test_a_crossed_book_is_broken() -> None:
    b = book()
    b.apply(snapshot(10))
    assert b.apply(update(10, 11, bids=[("101", "1")])) == "crossed"
    assert not b.synced
    assert b.apply(snapshot(9, [("5", "1")], [("5", "1")])) == "crossed"


@pytest.mark.parametrize(
    "level", [("x", "1"), ("1", "-1"), ("", ""), ("1e5", "1"), ("nan", "1"), ("٣", "1"), ("0", "1"), ("9" * 400, "1")]
)
def test_a_level_that_is_no_decimal_breaks_the_book(level: Level) -> None:
    b = book()
    b.apply(snapshot(10))
    assert b.apply(update(10, 11, bids=[level])) == "unreadable"
    assert b.top(5) == ([], [])


def test_a_checksum_is_compared_where_there_is_one() -> None:
    b = Book(crc)
    right = crc([("99", "1")], [("101", "2")])
    assert b.apply(snapshot(1)._replace(checksum=right)) is None
    assert b.apply(update(1, 2, bids=[("98", "1")])._replace(checksum=right)) == "checksum"


def test_a_book_of_a_set_depth_is_cut_after_each_update() -> None:
    b = book(depth=2)
    b.apply(snapshot(1, [("9", "1"), ("8", "1")], [("11", "1"), ("12", "1")]))
    b.apply(update(1, 2, bids=[("8.5", "1")], asks=[("10", "1")]))
    assert b.top(9) == ([("9", "1"), ("8.5", "1")], [("10", "1"), ("11", "1")])


def test_updates_wait_in_limited_number() -> None:
    b = book()
    for k in range(WAITING + 5):
        b.apply(update(k, k + 1))
    assert b.apply(snapshot(2)) == "sequence"
    assert b.apply(snapshot(6)) is None
    assert b.last == WAITING + 5


_price = st.integers(1, 60)
_change = st.lists(st.tuples(_price, st.integers(0, 3)), max_size=5)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(_change, _change), max_size=30), st.data())
def test_a_book_is_what_a_plain_dictionary_says(changes: list[tuple[Any, Any]], data: st.DataObject) -> None:
    b = book()
    b.apply(snapshot(0, [("40", "1")], [("60", "1")]))
    sides: tuple[dict[int, int], dict[int, int]] = ({40: 1}, {60: 1})
    for k, (bids, asks) in enumerate(changes):
        for side, levels in zip(sides, (bids, asks), strict=True):
            side.update(dict(levels))
        alive = [{p: s for p, s in side.items() if s} for side in sides]
        crossed = alive[0] and alive[1] and max(alive[0]) >= min(alive[1])
        texts = [[(str(p), str(s)) for p, s in side] for side in (bids, asks)]
        reason = b.apply(update(k, k + 1, texts[0], texts[1]))
        assert reason == ("crossed" if crossed else None)
        if crossed:
            assert b.top(99) == ([], [])
            return
        expected = [[(str(p), str(s)) for p, s in sorted(side.items())] for side in alive]
        assert b.top(99) == (expected[0][::-1], expected[1])
        if data.draw(st.booleans()):
            b = pickle.loads(pickle.dumps(b))


_text = st.text("0123456789.eE-+ \0٣", max_size=6)
_level = st.tuples(_text, _text)
_wild = st.builds(
    Depth,
    st.just(0),
    st.just("X"),
    st.integers(0, 9),
    st.booleans(),
    st.integers(-1, 9),
    st.integers(-1, 9),
    st.integers(-1, 9),
    st.lists(_level, max_size=3),
    st.lists(_level, max_size=3),
    st.none() | st.just(0),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(_wild, max_size=20), st.booleans())
def test_nothing_raises_and_no_book_stays_crossed(depths: list[Depth], apart: bool) -> None:
    b = book(apart=apart, depth=3)
    for depth in depths:
        reason = b.apply(depth)
        assert reason in {None, "sequence", "crossed", "checksum", "unreadable"}
        assert reason is None or not b.synced
        bid, ask = b.best()
        assert bid is None or ask is None or float(bid[0]) < float(ask[0])
        assert b.synced or (bid is None and ask is None)


def capture(name: str) -> Iterator[Any]:
    """Yield the messages of a hftbacktest capture, unwrapped."""
    with gzip.open(SHARED / "captures" / name, "rb") as file:
        for line in file:
            message = msgspec.json.decode(line.partition(b" ")[2])
            yield message.get("data", message)


def depth_of(m: dict[str, Any]) -> Depth | None:
    bids, asks = ([(p, s) for p, s, *_ in m.get(k, ())] for k in (("b", "a") if "U" in m else ("bids", "asks")))
    if "lastUpdateId" in m:
        return Depth(0, "", 0, True, -1, m["lastUpdateId"], -1, bids, asks)
    return Depth(0, m["s"], m["E"], False, m["U"], m["u"], m.get("pu", -1), bids, asks) if "U" in m else None


@pytest.mark.real
@pytest.mark.parametrize(
    "names",
    [
        ("usdm_btcusdt_20240718.gz", "usdm_btcusdt_20240719.gz"),
        ("usdm_ethusdt_20240718.gz", "usdm_ethusdt_20240719.gz"),
        ("spot_btcusdt_20240808.gz", "spot_btcusdt_20240809.gz"),
        ("cm_btcusd_perp_20240808.gz",),
    ],
)
def test_captures_of_binance_never_break_a_book(names: tuple[str, ...]) -> None:
    b, kept, since = book(), 0, 0
    for name in names:
        for message in capture(name):
            depth = depth_of(message)
            if depth is None:
                continue
            assert b.apply(depth) is None
            if b.synced:
                kept += 1
                bid, ask = b.best()
                assert bid is not None
                assert ask is not None
                assert float(bid[0]) < float(ask[0])
            since += depth.snapshot
    assert b.synced
    assert since
    assert kept > 100


def cryptofeed(name: str) -> Iterator[dict[str, Any]]:
    for lines in blocks(SHARED / "captures" / name, 0, 1000):
        yield from (msgspec.json.decode(line) for line in lines)


def okx_checksum(bids: Sequence[Level], asks: Sequence[Level]) -> int:
    """Return OKX's former checksum: signed CRC32 of 25 levels, bids and asks in turn."""
    parts = [f"{p}:{s}" for k in range(25) for side in (bids[k : k + 1], asks[k : k + 1]) for p, s in side]
    value = zlib.crc32(":".join(parts).encode())
    return value - (1 << 32) if value >= 1 << 31 else value


@pytest.mark.real
def test_the_capture_of_okx_agrees_with_every_checksum() -> None:
    books: dict[str, Book] = {}
    checked = 0
    for line in cryptofeed("OKX.jsonl.zst"):
        m = msgspec.json.decode(line["data"]) if line["t"] == "recv" and line["data"] != "pong" else {}
        if not m.get("arg", {}).get("channel", "").startswith("books") or "data" not in m:
            continue
        for d in m["data"]:
            bids, asks = ([(p, s) for p, s, *_ in d[side]] for side in ("bids", "asks"))
            b = books.setdefault(m["arg"]["instId"], Book(okx_checksum, apart=False))
            last, previous = d.get("seqId", -1), d.get("prevSeqId", -1)
            depth = Depth(0, "", int(d["ts"]), m["action"] == "snapshot", -1, last, previous, bids, asks, d["checksum"])
            assert b.apply(depth) is None
            checked += 1
    assert checked == 290


@pytest.mark.real
@pytest.mark.parametrize("name", ["BINANCE.jsonl.zst", "BINANCE_FUTURES.jsonl.zst"])
def test_captures_with_depth_answers_build_books(name: str) -> None:
    books: dict[str, Book] = {}
    answers: dict[str, Depth] = {}
    applied = 0
    for line in cryptofeed(name):
        if line["t"] == "http" and "/depth" in line["url"]:
            symbol = line["url"].partition("symbol=")[2].partition("&")[0]
            depth = depth_of(msgspec.json.decode(line["data"]))
        elif line["t"] == "recv":
            m = msgspec.json.decode(line["data"])
            m = m.get("data", m)
            symbol, depth = (m.get("s", ""), depth_of(m)) if isinstance(m, dict) else ("", None)
        else:
            continue
        if depth is not None:
            assert books.setdefault(symbol, book()).apply(depth) is None
            applied += 1
            if depth.snapshot:
                answers[symbol] = depth
    assert books
    assert all(b.synced for b in books.values())
    assert set(answers) == set(books)
    assert applied > 10
