"""Sockets of a venue: what never comes on them, what is turned away, and how they are renewed and paced."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from dataflows.recording.connection import Connection
from dataflows.recording.recorder import Recorder
from dataflows.recording.wire import Wire
from pipelines.settings import Settings
from pipelines.venues.venue import Stream
from tests.dataflows.recording.desk import Written, recording, until
from tests.dataflows.recording.toy import RULES, Toy, ids, next_id, play, station, told, toy_exchange

pytestmark = pytest.mark.usefixtures("quick_toy")


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
