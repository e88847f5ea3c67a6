"""Which sockets are told dead, and how soon."""

from __future__ import annotations

from collections.abc import Callable, Collection

from dataflows.recording.connection import Connection
from dataflows.recording.delivery import Delivery
from dataflows.recording.liveness import PING_TICKS, TICK_S, Liveness
from pipelines.feeds import Feed
from pipelines.venues import venue
from pipelines.venues.venue import Route, Stream


class Play:
    """A socket as it is looked at."""

    def __init__(self, *, trades: bool = True, patience: int = 1) -> None:
        self.liveness = Liveness(["trades" if trades else "liquidations"], patience)
        self.frames = 0.0
        self.pongs = 0

    def go(self, seconds: float, per_second: float, *, pongs: bool = True) -> tuple[float, str] | None:
        """Play so long; return after how many seconds something was wrong, and what."""
        for tick in range(1, int(seconds / TICK_S) + 1):
            self.frames += per_second * TICK_S
            self.pongs += pongs and tick % PING_TICKS == 0
            fault = self.liveness.look(int(self.frames), self.pongs, {"trades": int(self.frames)})
            if fault:
                return tick * TICK_S, fault
        return None


def test_a_socket_that_answers_nothing_is_found_within_five_seconds() -> None:
    socket = Play()
    assert socket.go(60, 1) is None
    assert socket.go(10, 0, pongs=False) == (4.0, "stalled")


def test_a_busy_feed_that_falls_silent_is_found_within_five_seconds_though_pongs_come() -> None:
    socket = Play()
    assert socket.go(5, 20) is None
    assert socket.go(10, 0) == (4.0, "silent: trades")


def test_a_quiet_feed_may_be_silent_as_long_as_its_rate_explains_it() -> None:
    socket = Play()
    assert socket.go(60, 0.5) is None
    assert socket.go(20, 0) is None


def test_the_first_trade_is_due_in_ten_seconds_times_patience() -> None:
    assert Play().go(60, 0) == (10.0, "no_data")
    assert Play(patience=4).go(60, 0) == (40.0, "no_data")
    assert Play(trades=False).go(60, 0) is None


def test_a_burst_says_nothing_of_how_often_to_expect_data() -> None:
    liveness = Liveness(["trades"])
    assert [liveness.look(500, tick, {"trades": 500}) for tick in range(80)] == [None] * 80


def test_each_feed_that_is_not_quiet_is_watched_alone_and_nobody_is_blamed_blindly() -> None:
    liveness = Liveness(["trades", "book", "liquidations"])
    shown: dict[Feed, int] = {"trades": 1, "book": 1}
    for tick in range(1, 41):
        shown |= {"trades": tick, "book": tick}
        assert liveness.look(tick, 0, shown) is None
    for tick in range(41, 81):
        assert liveness.look(tick, 0, None) is None
    faults = [liveness.look(tick, 0, shown | {"trades": tick}) for tick in range(81, 101)]
    assert next(fault for fault in faults if fault) == "silent: book"


def test_what_is_shed_unseen_is_not_blamed_and_counts_again_once_it_is_seen() -> None:
    liveness = Liveness(["trades", "quotes", "book"])
    for tick in range(1, 41):
        assert liveness.look(tick, 0, {"trades": tick, "quotes": tick, "book": tick}) is None
    shed: dict[Feed, int] = {"trades": 40, "quotes": 40, "book": 40}
    for tick in range(41, 141):
        assert liveness.look(tick, 0, shed | {"trades": tick}, {"quotes", "book"}) is None
    faults = [liveness.look(tick, 0, shed | {"trades": tick}) for tick in range(141, 161)]
    assert faults.index("silent: quotes, book") == 15
    assert Liveness(["trades"]).look(1, 0, {}, {"trades"}) is None


class Nobody:
    """An owner that is never asked for anything."""

    async def admitted(self) -> None:
        raise NotImplementedError

    def opened(self, connection: Connection) -> Callable[[bytes], None]:
        raise NotImplementedError

    def lost(self, connection: Connection, reason: str) -> None:
        raise NotImplementedError

    def blind(self) -> bool:
        raise NotImplementedError

    def unseen(self) -> Collection[Feed]:
        raise NotImplementedError


def test_a_stream_that_is_shed_unseen_is_not_told_silent() -> None:
    quotes, trades = Stream("quotes", "BTC"), Stream("trades", "BTC")
    line = Connection(venue("demo"), Route("all", "ws://127.0.0.1:9", [], [quotes, trades]), Nobody())
    line.opened.set()
    line.subscribed_at, line.awaited = 0.0, {quotes, trades}
    delivery = Delivery()
    assert delivery.look([line], 100.0, {"quotes"})
    assert delivery.silent == {trades}
    delivery.look([line], 101.0)
    assert delivery.silent == {quotes, trades}
