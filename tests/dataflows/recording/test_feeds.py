"""Every feed of a venue, whatever its ids, pages and books are like, on real sockets."""

from __future__ import annotations

import asyncio
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection

from dataflows.recording import status
from dataflows.recording.connection import Connection
from dataflows.recording.overlap import OverlapMender
from dataflows.recording.recorder import Recorder
from dataflows.recording.repair import Mender
from dataflows.recording.wire import Wire
from pipelines.records import Kind
from pipelines.settings import Settings, Venue
from pipelines.venues import VENUES
from pipelines.venues.venue import Stream
from tests.dataflows.recording.desk import Written, recording, until
from tests.dataflows.recording.toy import RULES, Toy, ToyExchange, toy_exchange

LOOSE = RULES._replace(contiguous=False)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dataflows.recording.sockets.OVERLAP_S", 0.5)
    monkeypatch.setattr("dataflows.recording.sockets.STAGGER_S", 0.05)
    monkeypatch.setattr("dataflows.recording.overlap.FIRST_LIVE_S", 0.2)
    monkeypatch.setattr("dataflows.recording.overlap.TRY_AGAIN_S", 0.1)
    monkeypatch.setattr("dataflows.recording.repair.TRY_AGAIN_S", 0.1)
    monkeypatch.setattr("dataflows.recording.repair.FIRST_LIVE_S", 0.2)
    monkeypatch.setattr("dataflows.recording.connection.FIRST_DELAY_S", 0.1)


def play(
    monkeypatch: pytest.MonkeyPatch,
    toy: Toy,
    data: Path,
    made: ToyExchange,
    *feeds: str,
    symbols: tuple[str, ...] = ("BTC",),
    **more: Any,
) -> Settings:
    """Return settings to record the toy venue."""
    monkeypatch.setitem(VENUES, "demo", toy)
    venue = Venue.model_validate({"symbols": symbols, "feeds": feeds or ("trades",), **more})
    return Settings(data=data, venues={"demo": venue}, endpoints={"demo": f"http://127.0.0.1:{made.port}"})


def station(recorder: Any) -> Any:
    return recorder.stations["demo"]


def told(recorder: Any) -> dict[str, Any]:
    """Return what the status file says of the venue."""
    state = status.snapshot(recorder.intake, recorder.stations, recorder.now_ns(), recorder.clock())
    return dict(state["feeds"]["demo"])


def next_id(recorder: Any, symbol: str = "BTC") -> int:
    mender = station(recorder).menders[symbol]
    assert isinstance(mender, Mender)
    return mender.tape.next_id or 0


def ids(written: Written) -> set[int]:
    """Return the trades that the journal holds, live or fetched."""
    live = {p["i"] for p in written.payloads("frame") if isinstance(p, dict) and p["f"] == "trades"}
    return live.union(*(e["body"] for e in written.entries if e["kind"] == "repair"))


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


def test_first_trades_that_are_looked_at_once_their_socket_is_lost_are_followed_by_a_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are looked at when they are in the journal, which a slow disk makes late."""

    async def scene() -> Settings:
        async with toy_exchange("BTC") as made:
            wanted = play(monkeypatch, Toy(rules=LOOSE, pages="newest"), tmp_path, made)
            async with recording(wanted) as recorder:
                here = station(recorder)
                (line,) = here.lines
                number, late = line.number, list[tuple[Any, ...]]()
                with monkeypatch.context() as slow:
                    slow.setattr(here, "saw", lambda *came, current: late.append(came))
                    made.happen(40, 7)
                    await until(lambda: any(b'"i": 7' in frame for _, frames, _ in late for frame in frames))
                    made.happen(99, silently=True)
                    made.cut()
                    await until(lambda: not line.opened.is_set() or line.number != number)
                for came in late:
                    here.saw(*came, current=line.number == number)
                await until(lambda: line.number > number and line.frames)
                made.happen(12)
                await until(lambda: here.gaps["closed"] == 1 or line.number > number + 1)
                assert line.number == number + 1, "it was told of this loss, not of another"
        return wanted

    written = Written(asyncio.run(scene()))
    assert [gap[:2] for gap in written.gaps()] == [("gap_open", "reconnect"), ("gap_close", "repaired")]
    assert ids(written) == {40, 7, 99, 12}


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


# Streams, refusals, rotation


def test_a_stream_that_is_acknowledged_and_never_comes_is_told_and_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    soon = {"trades": 0.3, "quotes": 0.3, "book": 0.3}

    async def scene() -> Settings:
        async with toy_exchange("BTC", "ETH") as made:
            feeds = ("trades", "quotes", "liquidations")
            wanted = play(monkeypatch, Toy(), tmp_path, made, *feeds, symbols=("BTC", "ETH"))
            async with recording(wanted) as recorder:
                made.happen(1)
                made.send("quotes")
                made.send("quotes", "ETH")
                await until(lambda: station(recorder).lines[0].awaited == {Stream("trades", "ETH")})
                monkeypatch.setattr("dataflows.recording.delivery.DEADLINES", soon)
                await until(lambda: told(recorder)["silent_streams"] == ["trades ETH-USD"])
                await until(lambda: len(made.handshakes) == 2)
                assert station(recorder).sockets.delivery.found == 1
                await until(lambda: len(station(recorder).lines) == 1)
                assert "trades ETH-USD" in told(recorder)["silent_streams"]
                for symbol in ("BTC", "ETH"):
                    made.happen(2, symbol=symbol)
                    made.send("quotes", symbol)
                await until(lambda: told(recorder)["silent_streams"] == [])
                assert len(made.handshakes) == 2
        return wanted

    assert {g["feed"] for g in Written(asyncio.run(scene())).payloads("gap_close")} <= {"trades"}


@pytest.mark.parametrize(
    ("answer", "text", "again"),
    [
        ((451, {}), "HTTP 451: the venue does not serve this place or network", False),
        ((403, {}), "HTTP 403: the venue does not serve this place or network", False),
        ((429, {"Retry-After": "1"}), "HTTP 429: too many requests; waiting 1 s", True),
    ],
)
def test_a_socket_that_is_turned_away_is_asked_for_again_only_when_that_may_help(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: tuple[int, dict[str, str]], text: str, again: bool
) -> None:
    async def scene() -> list[float]:
        async with toy_exchange("BTC") as made:
            wanted = play(monkeypatch, Toy(), tmp_path, made)
            async with recording(wanted) as recorder:
                made.handshake = answer
                made.cut()
                await until(lambda: told(recorder)["refused"] == [text])
                assert told(recorder)["connected"] is False
                made.handshake = (0, {})
                if again:
                    await until(lambda: told(recorder)["connected"])
                    assert told(recorder)["refused"] == []
                else:
                    await asyncio.sleep(1)
        return made.handshakes

    times = asyncio.run(scene())
    assert len(times) == (3 if again else 2)
    assert not again or times[2] - times[1] >= 1


def test_a_subscription_that_is_refused_is_told_and_the_rest_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        async with toy_exchange("BTC") as made, recording(play(monkeypatch, Toy(), tmp_path, made)) as recorder:
            made.send("error", text="no such channel (code 60018)")
            made.happen(1)
            await until(lambda: next_id(recorder) == 2)
            assert told(recorder)["refused"] == ["no such channel (code 60018)"]
            assert (station(recorder).refusals, len(made.handshakes)) == (1, 1)

    asyncio.run(scene())


def test_sockets_are_replaced_before_the_venue_closes_them_and_only_once_the_new_ones_deliver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene() -> Settings:
        async with toy_exchange("BTC") as made:
            wanted = play(monkeypatch, Toy(rules=RULES._replace(rotate_s=0.5)), tmp_path, made)
            async with recording(wanted) as recorder:
                made.happen(1)
                number = 1
                while len(made.handshakes) < 3:
                    number += 1
                    made.happen(number)
                    await asyncio.sleep(0.01)
                await until(lambda: next_id(recorder) == number + 1)
        return wanted

    written = Written(asyncio.run(scene()))
    assert written.gaps() == []
    order = [e["kind"] for e in written.entries if e["kind"] in ("connect", "disconnect")]
    assert order[:3] == ["connect", "connect", "disconnect"]
    assert ids(written) == set(range(1, max(ids(written)) + 1))


def test_old_sockets_stay_until_the_new_ones_are_subscribed_however_slowly_the_venue_wants_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dataflows.recording.sockets.OVERLAP_S", 0.1)
    retire, subscribed = Connection.retire, list[bool]()

    async def scene() -> None:
        async with toy_exchange("BTC", "ETH") as made:
            toy = Toy(rules=RULES._replace(messages_per_second=2.0))
            async with recording(play(monkeypatch, toy, tmp_path, made, symbols=("BTC", "ETH"))) as recorder:
                await until(lambda: len(made.received) == 2)

                async def retired(line: Connection) -> None:
                    subscribed.append(all(one.subscribed_at is not None for one in station(recorder).lines))
                    await retire(line)

                monkeypatch.setattr(Connection, "retire", retired)
                station(recorder).sockets.renew("age")
                await until(lambda: subscribed and len(station(recorder).lines) == 1)

    asyncio.run(scene())
    assert subscribed[0]


def test_messages_are_paced_and_the_venue_is_pinged_as_it_wants(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rules = RULES._replace(messages_per_second=10.0, ping=b"ping", ping_s=0.25)
    sent: list[float] = []

    class Timed(Wire):
        async def send(self, message: Any, text: bool | None = None) -> None:
            if message != b"ping":
                sent.append(asyncio.get_running_loop().time())
            await super().send(message, text=text)

    monkeypatch.setattr("dataflows.recording.connection.Wire", Timed)

    async def scene() -> None:
        async with toy_exchange("BTC", "ETH", "SOL") as made:
            wanted = play(monkeypatch, Toy(rules=rules), tmp_path, made, "trades", "quotes", symbols=("BTC", "ETH", "SOL"))
            async with recording(wanted) as recorder:
                await until(lambda: len(made.received) - made.received.count("ping") == 6 and made.received.count("ping") >= 2)
                assert station(recorder).lines[0].shown == {}

    asyncio.run(scene())
    assert min(later - earlier for earlier, later in pairwise(sent)) >= 0.09


def test_no_more_sockets_are_opened_than_the_venue_allows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(Recorder, "clock", lambda _: now[0])

    async def scene() -> tuple[int, int]:
        async with toy_exchange("BTC") as made:
            toy = Toy(rules=RULES._replace(connects=(4, 1.0)), apart=True)

            async def wait_and_let_time_pass() -> int:
                await until(lambda: len(made.handshakes) == 2)
                await asyncio.sleep(0.6)  # so that the third, which was told to wait for 0.5 s, asks again
                before = len(made.handshakes)
                now[0] += 0.6
                return before

            waiting = asyncio.create_task(wait_and_let_time_pass())
            async with recording(play(monkeypatch, toy, tmp_path, made, "trades", "quotes", "book")):
                return await waiting, len(made.handshakes)

    assert asyncio.run(scene()) == (2, 3)


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
