"""Every feed of a venue, whatever its ids, pages and books are like, on real sockets."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection

from dataflows.recording.overlap import OverlapMender
from pipelines.records import Kind
from pipelines.settings import Settings
from tests.dataflows.recording.desk import Written, recording, until
from tests.dataflows.recording.toy import RULES, Toy, ids, next_id, play, station, told, toy_exchange

LOOSE = RULES._replace(contiguous=False)
pytestmark = pytest.mark.usefixtures("quick_toy")


# Gaps


@pytest.mark.parametrize("pages", ["forward", "backward"])
def test_what_was_missed_is_fetched_whichever_way_the_venue_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pages: Any
) -> None:
    async def scene() -> Settings:
        async with toy_exchange("BTC") as made:
            wanted = play(monkeypatch, Toy(pages=pages), tmp_path, made)
            async with recording(wanted) as recorder:
                made.happen(1, 2, 3)
                await until(lambda: next_id(recorder) == 4)
                made.happen(*range(4, 30), silently=True)
                made.happen(30)
                await until(lambda: next_id(recorder) == 31 and not station(recorder).menders["BTC"].tape.holes)
                made.happen(*range(31, 60), silently=True)
                made.cut()
                await until(lambda: station(recorder).gaps["closed"] == 2)
        return wanted

    written = Written(asyncio.run(scene()))
    (_, _, *first), (_, closed, *_), (_, _, *second), (_, last_closed, *end) = written.gaps()
    assert (first, closed) == ([4, 29], "repaired")
    assert (second, last_closed, end) == ([31, None], "repaired", [31, 59])
    assert ids(written) == set(range(1, 60))


def test_what_a_venue_sends_again_opens_no_hole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> Settings:
        async with toy_exchange("BTC") as made:
            wanted = play(monkeypatch, Toy(), tmp_path, made)
            async with recording(wanted) as recorder:
                made.send("trades", i=9, h=True)  # sent again at the subscription: says where the tape is
                made.send("trades", i=14, h=True)  # the other socket may have what is before
                made.happen(10)
                await until(lambda: next_id(recorder) == 11)
        return wanted

    assert Written(asyncio.run(scene())).gaps() == []


def test_a_tail_that_the_venue_tells_of_and_does_not_come_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dataflows.recording.holes.TAIL_S", 0.2)

    async def scene() -> Settings:
        async with toy_exchange("BTC") as made:
            wanted = play(monkeypatch, Toy(), tmp_path, made)
            async with recording(wanted) as recorder:
                made.happen(1)
                await until(lambda: next_id(recorder) == 2)
                made.happen(2, 3, silently=True)
                while next_id(recorder) < 4:
                    made.send("tail", i=3)
                    await asyncio.sleep(0.05)
                await until(lambda: not station(recorder).menders["BTC"].tape.holes)
        return wanted

    written = Written(asyncio.run(scene()))
    assert written.gaps() == [("gap_open", "missing_ids", 2, 3), ("gap_close", "repaired", 2, 3)]
    assert ids(written) == {1, 2, 3}


@pytest.mark.parametrize(
    ("missed", "live", "outcome"),
    [
        ([77, 12], [5], "repaired"),
        ([], [5], "none"),
        ([], [], "none"),
        ([77], [], "repaired"),
        ([*range(100, 112)], [5], "unfillable"),  # more than the venue shows
    ],
)
def test_where_ids_do_not_follow_each_other_the_newest_page_is_held_against_what_came_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missed: list[int], live: list[int], outcome: str
) -> None:
    async def scene() -> Settings:
        async with toy_exchange("BTC") as made:
            wanted = play(monkeypatch, Toy(rules=LOOSE, pages="newest"), tmp_path, made)

            def resume(socket: ServerConnection, feed: str, symbol: str) -> None:
                made.happen(*live)

            async with recording(wanted) as recorder:
                made.happen(40, 7, 33)
                mender = station(recorder).menders["BTC"]
                assert isinstance(mender, OverlapMender)
                await until(lambda: len(mender._recent) == 3)
                made.happen(*missed, silently=True)
                made.subscribed = resume
                monkeypatch.setattr("dataflows.recording.overlap.FIRST_LIVE_S", 30.0 if live else 0.2)
                made.cut()
                await until(lambda: station(recorder).gaps["closed"] == 1)
                monkeypatch.setattr("dataflows.recording.overlap.FIRST_LIVE_S", 0.2)
                made.subscribed = None
                made.cut()
                await until(lambda: station(recorder).gaps["closed"] == 2)
        return wanted

    written = Written(asyncio.run(scene()))
    told_twice = [("gap_open", "reconnect", None, None), ("gap_close", "none", None, None)]  # all that is shown is known by then
    assert written.gaps() == [told_twice[0], ("gap_close", outcome, None, None), *told_twice]
    assert ids(written) >= {40, 7, 33, *live, *(missed[-10 + len(live) :])}
    kinds = [e["kind"] for e in written.entries if e["kind"] in ("gap_open", "repair", "gap_close")]
    assert kinds == [*(["gap_open", "repair", "gap_close"] if missed else ["gap_open", "gap_close"]), "gap_open", "gap_close"]


def test_trades_that_are_looked_at_once_their_socket_is_lost_do_not_end_the_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are looked at when they are in the journal, which a slow disk makes late; what is missing comes behind them."""

    async def scene() -> Settings:
        async with toy_exchange("BTC") as made:
            wanted = play(monkeypatch, Toy(), tmp_path, made)
            async with recording(wanted) as recorder:
                here = station(recorder)
                (line,) = here.lines
                number, late = line.number, list[tuple[Any, ...]]()
                made.happen(1)
                await until(lambda: next_id(recorder) == 2)
                with monkeypatch.context() as slow:
                    slow.setattr(here, "saw", lambda *came, current: late.append(came))
                    made.happen(2)
                    await until(lambda: any(b'"i": 2' in frame for _, frames, _ in late for frame in frames))
                    made.happen(3, silently=True)
                    made.cut()
                    await until(lambda: here.menders["BTC"].tape.holes)
                for came in late:
                    here.saw(*came, current=line.number == number)
                await until(lambda: here.gaps["closed"] == 1)
        return wanted

    written = Written(asyncio.run(scene()))
    assert written.gaps() == [("gap_open", "reconnect", 2, None), ("gap_close", "repaired", 2, 3)]
    assert ids(written) == {1, 2, 3}


@pytest.mark.parametrize(("toy", "trades"), [(Toy(rules=LOOSE, pages="newest"), (40, 7, 99, 12)), (Toy(), (5, 6, 7, 8))])
def test_first_trades_that_are_looked_at_once_their_socket_is_lost_are_followed_by_a_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, toy: Toy, trades: tuple[int, ...]
) -> None:
    """They are looked at when they are in the journal, which a slow disk makes late."""

    async def scene() -> Settings:
        async with toy_exchange("BTC") as made:
            wanted = play(monkeypatch, toy, tmp_path, made)
            async with recording(wanted) as recorder:
                here = station(recorder)
                (line,) = here.lines
                number, late = line.number, list[tuple[Any, ...]]()
                with monkeypatch.context() as slow:
                    slow.setattr(here, "saw", lambda *came, current: late.append(came))
                    made.happen(*trades[:2])
                    await until(lambda: any(b'"i": %d' % trades[1] in frame for _, frames, _ in late for frame in frames))
                    made.happen(trades[2], silently=True)
                    made.cut()
                    await until(lambda: not line.opened.is_set() or line.number != number)
                for came in late:
                    here.saw(*came, current=line.number == number)
                await until(lambda: line.number > number and line.frames)
                made.happen(trades[3])
                await until(lambda: here.gaps["closed"] == 1 or line.number > number + 1)
                assert line.number == number + 1, "it was told of this loss, not of another"
        return wanted

    written = Written(asyncio.run(scene()))
    assert [gap[:2] for gap in written.gaps()] == [("gap_open", "reconnect"), ("gap_close", "repaired")]
    assert ids(written) == {*trades}


def test_a_restart_is_an_interruption_like_any_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> Settings:
        async with toy_exchange("BTC") as made:
            wanted = play(monkeypatch, Toy(rules=LOOSE, pages="newest"), tmp_path, made)
            async with recording(wanted) as recorder:
                made.happen(40, 7)
                await until(lambda: len(station(recorder).menders["BTC"]._recent) == 2)
            made.happen(99, silently=True)
            async with recording(wanted) as recorder:
                await until(lambda: station(recorder).gaps["closed"] == 1)
        return wanted

    written = Written(asyncio.run(scene()))
    assert [gap[:2] for gap in written.gaps()] == [("gap_open", "restart"), ("gap_close", "repaired")]
    assert ids(written) == {40, 7, 99}


# Books


def test_a_book_whose_snapshot_comes_over_rest_is_asked_for_after_its_first_update_and_when_it_breaks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dataflows.recording.books.SPREAD_S", 0.05)
    monkeypatch.setattr("dataflows.recording.books.AGAIN_S", 60.0)

    async def scene() -> Settings:
        async with toy_exchange("BTC") as made:
            wanted = play(monkeypatch, Toy(books="rest"), tmp_path, made, "trades", "book")
            async with recording(wanted) as recorder:
                (line,) = station(recorder).lines
                await asyncio.sleep(0.3)
                assert not [path for path, _ in made.asked if path == "/book"]
                made.book["i"] = 11
                made.send("book", i=11, p=10)
                made.send("book", i=12, p=11)
                await until(lambda: line.books.broken == [])
                line.books._kept["BTC"].not_before = 0.0  # it was asked for long ago
                made.book["i"] = 21
                made.send("book", i=21, p=20)
                await until(lambda: line.breaks == 1)
                await until(lambda: line.books.broken == [])
                made.send("book", i=22, p=21)
                assert told(recorder)["book_resyncs"] == 1
        return wanted

    written = Written(asyncio.run(scene()))
    kinds = [e["kind"] if e["kind"] == "book" else e["payload"]["i"] for e in written.entries if _of_book(e)]
    assert kinds == [11, 12, "book", 21, "book", 22]
    assert {e["connection"] for e in written.entries if _of_book(e)} == {1}


def _of_book(entry: dict[str, Any]) -> bool:
    return bool(entry["kind"] == "book" or (entry["kind"] == "frame" and entry["payload"].get("f") == "book"))


@pytest.mark.parametrize("books", ["socket", "none"])
def test_a_book_that_breaks_is_subscribed_anew_on_its_socket_or_on_a_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, books: Any
) -> None:
    async def scene() -> list[str]:
        async with toy_exchange("BTC") as made:
            wanted = play(monkeypatch, Toy(books=books), tmp_path, made, "book")

            def snapshot(socket: ServerConnection, feed: str, symbol: str) -> None:
                made.send(feed, symbol, to=socket, i=1, snap=True)

            made.subscribed = snapshot
            async with recording(wanted) as recorder:
                (line,) = station(recorder).lines
                await until(lambda: line.books.broken == [])
                made.subscribed = None if books == "socket" else snapshot
                made.send("book", i=9, p=8)
                await until(lambda: station(recorder).sockets.breaks == 1)
                if books == "socket":
                    await until(lambda: len(made.received) == 3)
                    assert told(recorder)["books_broken"] == ["BTC-USD"]
                    snapshot(made.sockets[0], "book", "BTC")
                await until(lambda: station(recorder).lines[-1].books.broken == [] and len(made.received) > 1)
                await until(lambda: len(station(recorder).lines) == 1)
                assert (station(recorder).lines[0] is line) == (books == "socket")
        return made.received

    sub = json.dumps({"op": "sub", "feed": "book", "s": "BTC"})
    assert asyncio.run(scene()) == ([sub, '{"op":"unsub"}', sub] if books == "socket" else [sub, sub])


def test_with_two_sockets_each_keeps_a_book_and_the_loss_of_one_is_no_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene() -> Settings:
        async with toy_exchange("BTC") as made:
            wanted = play(monkeypatch, Toy(), tmp_path, made, "book", redundancy=2)

            def snapshot(socket: ServerConnection, feed: str, symbol: str) -> None:
                made.send(feed, symbol, to=socket, i=1, snap=True)

            made.subscribed = snapshot
            async with recording(wanted) as recorder:
                await until(lambda: len(made.received) == 2 and not told(recorder)["books_broken"])
                one, two = station(recorder).lines
                made.send("book", i=9, p=8, to=made.sockets[0])
                await until(lambda: (one.breaks, two.breaks) == (1, 0))
                assert told(recorder)["books_broken"] == [], "the other socket has it"
                made.sockets[0].transport.abort()
                await until(lambda: one.reconnects == 1)
                made.cut()
                await until(lambda: one.reconnects == 2 or two.reconnects == 1)
        return wanted

    written = Written(asyncio.run(scene()))
    assert {(g["feed"], g["status"]) for g in written.payloads("gap_close")} <= {("book", "unfillable")}
    assert len(written.payloads("gap_close")) <= 1


# What is shed, lost and asked for


def test_on_a_socket_of_many_feeds_books_and_quotes_are_shed_before_trades(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = [0.5]

    async def scene() -> Settings:
        async with toy_exchange("BTC") as made:
            wanted = play(monkeypatch, Toy(), tmp_path, made, "trades", "quotes", "book", "liquidations")
            async with recording(wanted, free=lambda folder: room[0]) as recorder:
                room[0] = 0.04
                recorder.intake.look_at_disk()
                for feed in ("quotes", "book", "liquidations"):
                    made.send(feed, i=1)
                made.happen(1)
                await until(lambda: next_id(recorder) == 2)
                assert recorder.intake.dropped == {"quotes": 1, "book": 1}
        return wanted

    written = Written(asyncio.run(scene()))
    assert [s["feed"] for s in written.payloads("shed")] == ["quotes", "book"]


def test_a_book_of_which_updates_were_shed_is_asked_for_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = [0.5]

    async def scene() -> None:
        async with toy_exchange("BTC") as made:
            wanted = play(monkeypatch, Toy(), tmp_path, made, "book")

            def snapshot(socket: ServerConnection, feed: str, symbol: str) -> None:
                made.send(feed, symbol, to=socket, i=1, snap=True)

            made.subscribed = snapshot
            async with recording(wanted, free=lambda folder: room[0]) as recorder:
                await until(lambda: not told(recorder)["books_broken"])
                room[0] = 0.04
                recorder.intake.look_at_disk()
                made.send("book", i=2)
                await until(lambda: recorder.intake.dropped == {"book": 1})
                assert told(recorder)["books_broken"] == ["BTC-USD"]
                room[0] = 0.5
                recorder.intake.look_at_disk()
                await until(lambda: len(made.received) == 3 and not told(recorder)["books_broken"])

    asyncio.run(scene())


def test_what_cannot_be_fetched_is_told_for_each_feed_and_open_interest_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene() -> Settings:
        async with toy_exchange("BTC") as made:
            feeds = ("trades", "quotes", "book", "liquidations", "funding")
            wanted = play(monkeypatch, Toy(), tmp_path, made, *feeds)
            async with recording(wanted):
                made.cut()
                await until(lambda: len(made.handshakes) == 2)
                await until(lambda: Written(wanted).payloads("disconnect") and _fundings(Written(wanted)))
        return wanted

    written = Written(asyncio.run(scene()))
    assert sorted(g["feed"] for g in written.payloads("gap_close")) == ["book", "liquidations", "quotes"]
    assert _fundings(written) == ["BTC"]
    assert written.payloads("connect")[0]["feeds"] == ["trades", "quotes", "book", "liquidations", "funding"]


def _fundings(written: Written) -> list[str]:
    return [e["head"]["symbol"] for e in written.entries if e["kind"] == Kind.FUNDING.name.lower()]
