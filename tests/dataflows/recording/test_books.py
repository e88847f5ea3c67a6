"""When a book is asked for."""

from __future__ import annotations

from dataflows.recording.books import AGAIN_S, DUE_S, LONGEST_S, SPREAD_S, Books
from pipelines.feeds import Depth
from tests.dataflows.recording.toy import Toy


def update(last: int, previous: int, *, snapshot: bool = False) -> Depth:
    return Depth(0, "BTC", 0, snapshot, previous + 1, last, previous, [("99", "1")], [("101", "1")])


def books(toy: Toy) -> Books:
    made = Books(toy, 0.0)
    made.expect(["BTC"])
    return made


def test_a_snapshot_over_rest_is_asked_for_once_updates_come_and_again_at_growing_intervals() -> None:
    kept = books(Toy(books="rest"))
    assert kept.due(1000.0) == []
    kept.take([update(5, 4)], 0.0)
    assert kept.due(SPREAD_S) == ["BTC"]
    asked, times = SPREAD_S, []
    for tick in range(1, 3000):
        now = SPREAD_S + tick / 10
        if kept.due(now):
            times.append(round(now - asked, 1))
            asked = now
    assert times[:6] == [AGAIN_S, 2 * AGAIN_S, 4 * AGAIN_S, 8 * AGAIN_S, LONGEST_S, LONGEST_S]


def test_a_snapshot_that_the_socket_owes_is_asked_for_when_it_is_late() -> None:
    kept = books(Toy(books="socket"))
    assert (kept.due(DUE_S - 1), kept.broken) == ([], ["BTC"])
    assert kept.due(DUE_S) == ["BTC"]
    kept.take([update(5, -1, snapshot=True)], DUE_S + 1)
    assert (kept.due(10 * DUE_S), kept.broken) == ([], [])


def test_a_book_that_breaks_is_asked_for_at_once_and_not_again_within_five_seconds() -> None:
    kept = books(Toy(books="socket"))
    kept.take([update(5, -1, snapshot=True), update(6, 5), update(9, 8)], 1.0)
    assert (kept.breaks, kept.due(1.0)) == (1, ["BTC"])
    kept.take([update(9, -1, snapshot=True), update(20, 19)], 2.0)
    assert (kept.breaks, kept.due(2.0), kept.due(1.0 + AGAIN_S)) == (2, [], ["BTC"])
    kept.take([update(20, -1, snapshot=True)], 7.0)
    kept.take([update(30, 29)], 7.0 + 3 * LONGEST_S)
    assert kept.due(7.0 + 3 * LONGEST_S) == ["BTC"]


def test_what_was_not_asked_for_is_left_alone() -> None:
    kept = books(Toy())
    kept.take([update(5, -1, snapshot=True)._replace(symbol="ETH")], 0.0)
    assert (kept.broken, kept.breaks) == (["BTC"], 0)
