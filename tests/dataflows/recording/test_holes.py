"""The gap rule."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dataflows.recording.holes import STRAY, Hole, Tape


def see(tape: Tape, *ids: int) -> list[Hole]:
    return [hole for i in ids if (hole := tape.see(i, i, 0.0))]


def test_contiguous_ids_leave_no_hole() -> None:
    tape = Tape()
    assert see(tape, 7, 8, 9) == []
    assert (tape.next_id, tape.holes) == (10, [])


def test_missing_ids_are_a_hole_until_they_come() -> None:
    tape = Tape()
    (hole,) = see(tape, 1, 5)
    assert (hole.first, hole.last, hole.left, hole.reason) == (2, 4, [(2, 4)], "missing_ids")
    see(tape, 3)
    assert hole.left == [(2, 2), (4, 4)]
    see(tape, 2, 4, 4)
    assert hole.missing == 0
    assert tape.next_id == 6


def test_duplicates_leave_no_hole() -> None:
    tape = Tape()
    assert see(tape, 1, 1, 2, 1, 2, 3) == []


def test_a_frame_of_several_ids_moves_by_all_of_them() -> None:
    tape = Tape(10)
    assert tape.see(10, 14, 0.0) is None
    assert tape.see(15, 15, 0.0) is None
    assert tape.see(14, 17, 0.0) is None
    assert tape.next_id == 18


def test_a_lost_connection_opens_a_hole_that_the_next_trade_ends() -> None:
    tape = Tape(10)
    hole = tape.lost("reconnect", 1.0)
    assert hole is not None
    assert (hole.first, hole.last) == (10, None)
    assert tape.lost("reconnect", 2.0) is None
    assert see(tape, 14) == [hole]
    assert (hole.last, hole.left) == (13, [(10, 13)])


def test_a_lost_connection_that_missed_nothing_leaves_an_empty_hole() -> None:
    tape = Tape(10)
    hole = tape.lost("reconnect", 1.0)
    assert hole is not None
    assert see(tape, 10) == [hole]
    assert (hole.last, hole.missing) == (9, 0)
    assert tape.next_id == 11


def test_what_came_on_a_lost_connection_and_is_seen_late_is_not_missing_and_ends_no_hole() -> None:
    tape = Tape(10)
    hole = tape.lost("reconnect", 1.0)
    assert hole is not None
    hole.told = True
    assert [tape.see(i, i, 1.0, late=True) for i in (10, 11, 14, 9)] == [None] * 4
    assert (hole.first, hole.last, tape.next_id) == (10, None, 15)
    assert see(tape, 17) == [hole]
    assert (hole.last, hole.left, tape.holes) == (16, [(12, 13), (15, 16)], [hole])


def test_nothing_can_be_missing_before_the_first_id() -> None:
    tape = Tape()
    assert tape.lost("reconnect", 1.0) is None
    assert see(tape, 7) == []
    assert tape.holes == []


def test_behind_first_ids_that_are_seen_late_anything_may_be_missing() -> None:
    tape = Tape()
    assert tape.lost("reconnect", 1.0) is None
    hole = tape.see(7, 7, 2.0, late=True)
    assert hole is not None
    assert tape.see(8, 9, 2.0, late=True) is None
    assert (hole.first, hole.last, hole.reason, tape.holes) == (10, None, "reconnect", [hole])
    assert see(tape, 12) == [hole]
    assert hole.left == [(10, 11)]


def test_a_stray_id_far_ahead_opens_a_hole_only_when_the_next_confirms_it() -> None:
    tape = Tape()
    far = STRAY * 5
    assert see(tape, 1, far, 2, 3) == []
    assert tape.next_id == 4
    assert see(tape, far, 4, far) == []
    (hole,) = see(tape, far + 1)
    assert (hole.first, hole.last) == (5, far)


def test_what_is_sent_again_fills_holes_and_opens_none() -> None:
    tape = Tape()
    assert tape.see(5, 5, 0.0, history=True) is None
    assert tape.next_id == 6
    assert tape.see(9, 9, 0.0, history=True) is None
    assert (tape.next_id, tape.holes) == (6, [])
    (hole,) = see(tape, 8)
    assert tape.see(6, 7, 0.0, history=True) is None
    assert hole.missing == 0
    lost = tape.lost("reconnect", 1.0)
    assert lost is not None
    assert tape.see(12, 12, 1.0, history=True) is lost
    assert (lost.first, lost.last, tape.next_id) == (9, 11, 13)


def test_a_trade_that_the_venue_tells_of_is_missing_when_it_does_not_come_in_time() -> None:
    tape = Tape()
    assert tape.told(7, 0.0) is None
    assert see(tape, 7) == []
    assert tape.told(8, 0.0) is None
    assert tape.told(9, 1.9) is None
    hole = tape.told(10, 2.0)
    assert hole is not None
    assert (hole.left, tape.next_id) == ([(8, 8)], 9)
    assert see(tape, 9, 10) == []
    assert tape.told(10, 9.0) is None
    lost = tape.lost("reconnect", 10.0)
    assert lost is not None
    assert tape.told(12, 10.5) is lost
    assert (lost.left, tape.next_id) == ([(11, 12)], 13)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=80))
def test_what_is_missing_is_what_did_not_come(ids: list[int]) -> None:
    tape = Tape()
    see(tape, *ids)
    expected = {i for i in range(ids[0], max(ids)) if i not in ids[: len(ids)]}
    left = {i for hole in tape.holes for a, b in hole.left for i in range(a, b + 1)}
    assert left == {i for i in expected if i > ids[0]}
