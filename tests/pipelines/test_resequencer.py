"""Tape order: by ranges of ids, by arrival, and what both must hold."""

from __future__ import annotations

import pickle
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines import arrival, tape
from pipelines.market import Flag
from pipelines.resequencer import Resequencer
from pipelines.tape import CLOCK, TRADE, Rows
from pipelines.tape_order import GapRow

SECOND = 1_000_000_000
DAY = 1_700_006_400
VENUE = np.zeros(1, np.int64)
REPAIRED, HISTORY, AFTER_GAP, LATE = (int(f) for f in (Flag.REPAIRED, Flag.HISTORY, Flag.AFTER_GAP, Flag.LATE))


def row(trade_id: int, span: int = 1, *, at: float = 0.0, recv: float | None = None, flags: int = 0) -> Rows:
    """Return a trade at so many seconds of the day."""
    out = tape.empty(1)
    out["trade_id"], out["span"], out["flags"] = trade_id, span, flags
    out["ts"] = int((DAY + at) * 1_000_000)
    out["recv_ns"] = int((DAY + (at if recv is None else recv)) * SECOND)
    return out


def beat(recv: float) -> Rows:
    out = row(0, at=recv)
    out["kind"], out["instrument"] = CLOCK, -1
    return out


def order(*, contiguous: bool) -> Resequencer:
    made = Resequencer()
    made.add(contiguous=contiguous)
    return made


def push(made: Resequencer, *rows: Rows) -> Rows:
    return made.push(tape.joined(rows), VENUE)


def seen(rows: Rows) -> list[tuple[int, bool, int]]:
    """Return id, counted and flags of the trades."""
    trades = rows[rows["kind"] == TRADE]
    return list(zip(trades["trade_id"].tolist(), trades["counted"].tolist(), trades["flags"].tolist(), strict=True))


def ids(rows: Rows) -> list[int]:
    return [trade_id for trade_id, _, _ in seen(rows)]


def told(made: Resequencer) -> list[tuple[int | None, int | None, str]]:
    return [(g.first, g.last, g.status) for g in made.take_ledger()]


# --- by id


def test_a_row_uses_up_as_many_ids_as_it_merges() -> None:
    made = order(contiguous=True)
    assert ids(push(made, row(5, 3), row(6), row(9, 3))) == [5, 6, 9]
    assert made.lines[0].calm
    assert ids(push(made, row(12, 2))) == [], "10 is missing"
    assert ids(push(made, row(10))) == [10, 12]


def test_single_fills_of_a_merged_row_that_waits_are_dropped() -> None:
    """Ids 2 to 5 came merged, 1 is repaired by a page that goes on to 5."""
    made = order(contiguous=True)
    assert ids(push(made, row(0), row(5, 4), row(6))) == [0]
    page = [row(k, flags=REPAIRED) for k in range(1, 6)]
    assert seen(push(made, *page)) == [(1, True, REPAIRED), (5, True, 0), (6, True, 0)]
    assert made.duplicates == 4


def test_a_page_from_the_newest_back_doubles_nothing() -> None:
    made = order(contiguous=True)
    assert ids(push(made, row(0), row(5, 4), row(6))) == [0]
    page = [row(k, flags=REPAIRED) for k in range(5, 0, -1)]
    assert ids(push(made, *page)) == [1, 5, 6]
    assert not made.lines[0].held  # type: ignore[union-attr]


def test_a_row_known_in_part_is_dropped_and_its_rest_is_a_hole() -> None:
    made = order(contiguous=True)
    assert ids(push(made, row(1), row(5, 3))) == [1], "2 is missing"
    assert ids(push(made, row(4, 3, flags=REPAIRED))) == [4], "a longer one overlaps what waits"
    assert ids(push(made, row(6, at=1))) == [], "5 is missing still"
    assert seen(push(made, row(5, flags=REPAIRED, at=1))) == [(5, True, REPAIRED), (6, True, 0)]
    assert told(made) == []


def test_a_merged_row_fills_a_hole_whole_or_not_at_all() -> None:
    made = order(contiguous=True)
    assert ids(push(made, row(1), row(6, at=1), beat(12))) == [1, 6]
    assert told(made) == [(2, 5, "open")]
    assert seen(push(made, row(6, 2, at=13))) == []
    assert seen(push(made, row(3, 2, at=13))) == [(3, False, LATE)]
    assert told(made) == []
    assert seen(push(made, row(5, 2, at=14))) == [(5, False, LATE)]
    assert told(made) == [(2, 5, "repaired")]


def test_history_before_a_tape_is_kept_and_not_counted() -> None:
    made = order(contiguous=True)
    assert seen(push(made, row(7, flags=HISTORY), row(8, flags=HISTORY), row(9), row(8, flags=HISTORY))) == [
        (7, False, HISTORY),
        (8, False, HISTORY),
        (9, True, 0),
    ]


def test_history_after_a_reconnect_fills_the_hole() -> None:
    made = order(contiguous=True)
    assert seen(push(made, row(1), row(4), row(1, flags=HISTORY), row(2, flags=HISTORY), row(3, flags=HISTORY))) == [
        (1, True, 0),
        (2, True, HISTORY | REPAIRED),
        (3, True, HISTORY | REPAIRED),
        (4, True, 0),
    ]


def test_a_lost_connection_stops_the_clock_until_the_next_id() -> None:
    made = order(contiguous=True)
    push(made, row(1))
    made.connection_lost(0, (DAY + 1) * SECOND)
    assert push(made, beat(5)).size == 0
    assert push(made, row(2, at=6), beat(7))["flags"].tolist() == [0, 0]
    made.connection_lost(0, (DAY + 8) * SECOND)
    assert push(made, beat(17.9)).size == 0
    assert push(made, beat(18), row(3, at=20), beat(21))["flags"].tolist() == [AFTER_GAP, 0, 0]
    assert told(made) == []


def test_an_unfillable_tail_lets_the_next_id_through_at_once() -> None:
    made = order(contiguous=True)
    push(made, row(1))
    made.gap_opened(0, "reconnect", None, None, DAY * SECOND)
    assert made.gap_closed(0, "unfillable", 2, 4, (DAY + 1) * SECOND).size == 0
    assert seen(push(made, row(5, at=2))) == [(5, True, AFTER_GAP)]
    assert told(made) == [(2, 4, "unfillable")]


def test_the_mark_waits_for_a_trade_that_counts() -> None:
    made = order(contiguous=True)
    off_book = row(3)
    off_book["counted"] = False
    assert ids(push(made, row(1), off_book, row(4), row(5))) == [1]
    assert seen(made.gap_closed(0, "unfillable", 2, 2, DAY * SECOND)) == [(3, False, 0), (4, True, AFTER_GAP), (5, True, 0)]


def lines(made: Resequencer) -> list[tuple[float, float, int | None, int | None, str, str]]:
    """Return lines of the ledger: seconds of the day, ids, reason, status."""
    return [(g.ts / 1e6 - DAY, g.end / 1e6 - DAY, g.first, g.last, g.reason, g.status) for g in made.take_ledger()]


def test_a_line_of_the_ledger_lies_between_the_trades_around_its_hole() -> None:
    made = order(contiguous=True)
    push(made, row(1, at=1), row(4, at=4), row(5, at=5))
    made.gap_opened(0, "missing_ids", 2, 3, (DAY + 5) * SECOND)
    push(made, row(2, at=2, recv=6, flags=REPAIRED), row(3, at=3, recv=6, flags=REPAIRED), row(6, at=6))
    made.gap_closed(0, "repaired", 2, 3, (DAY + 7) * SECOND)
    assert lines(made) == [(1, 4, 2, 3, "missing_ids", "repaired")]


def test_holes_that_are_open_at_once_have_a_line_each() -> None:
    """Before, the second was told with the time of the first, which is of the key, and took its place in the ledger."""
    made = order(contiguous=True)
    push(made, row(1, at=1), row(4, at=4), row(7, at=7))
    made.gap_opened(0, "missing_ids", 2, 3, (DAY + 7) * SECOND)
    made.gap_opened(0, "missing_ids", 5, 6, (DAY + 7) * SECOND)
    push(made, row(2, at=2, flags=REPAIRED), row(3, at=3, flags=REPAIRED))
    made.gap_closed(0, "repaired", 2, 3, (DAY + 8) * SECOND)
    push(made, row(5, at=5, flags=REPAIRED), row(6, at=6, flags=REPAIRED))
    made.gap_closed(0, "repaired", 5, 6, (DAY + 9) * SECOND)
    assert made.lines[0].calm
    assert lines(made) == [(1, 4, 2, 3, "missing_ids", "repaired"), (4, 7, 5, 6, "missing_ids", "repaired")]


def test_a_connection_lost_while_a_hole_is_mended_stops_the_clock_still_when_it_is() -> None:
    """Before, what was told of the hole ended the interruption as well: bars closed, complete, without what it had cost."""
    made = order(contiguous=True)
    push(made, row(1, at=1), row(3, at=3))
    made.gap_opened(0, "missing_ids", 2, 2, (DAY + 3) * SECOND)
    made.connection_lost(0, (DAY + 4) * SECOND)
    made.gap_opened(0, "reconnect", 4, None, (DAY + 4) * SECOND)
    assert ids(push(made, row(2, at=2, recv=5, flags=REPAIRED))) == [2, 3]
    made.gap_closed(0, "repaired", 2, 2, (DAY + 5) * SECOND)
    assert push(made, beat(6)).size == 0, "4 may be missing"
    push(made, row(4, at=4, recv=7, flags=REPAIRED), row(5, at=7))
    made.gap_closed(0, "repaired", 4, 4, (DAY + 8) * SECOND)
    assert push(made, beat(9))["flags"].tolist() == [0]
    assert lines(made) == [(1, 3, 2, 2, "missing_ids", "repaired"), (3, 7, 4, 4, "reconnect", "repaired")]


def test_a_lost_connection_may_turn_out_to_be_a_hole_with_both_ends() -> None:
    made = order(contiguous=True)
    push(made, row(1, at=1))
    made.connection_lost(0, (DAY + 2) * SECOND)
    push(made, row(4, at=4))
    made.gap_opened(0, "missing_ids", 2, 3, (DAY + 5) * SECOND)
    push(made, row(2, at=2, flags=REPAIRED), row(3, at=3, flags=REPAIRED))
    made.gap_closed(0, "repaired", 2, 3, (DAY + 6) * SECOND)
    assert lines(made) == [(1, 4, 2, 3, "missing_ids", "repaired")]


def test_what_was_open_when_a_recorder_ended_is_over_with_what_the_next_one_mends() -> None:
    made = order(contiguous=True)
    push(made, row(1, at=1))
    made.gap_opened(0, "reconnect", 2, None, (DAY + 2) * SECOND)
    push(made, row(2, at=3))
    made.gap_opened(0, "restart", 3, None, (DAY + 9) * SECOND)
    push(made, row(3, at=4, flags=REPAIRED), row(4, at=10))
    made.gap_closed(0, "repaired", 3, 3, (DAY + 11) * SECOND)
    assert made.lines[0].calm
    assert lines(made) == [(3, 10, 3, 3, "restart", "repaired")]


SPANS = st.lists(st.integers(1, 4), min_size=2, max_size=30)


@settings(max_examples=60, deadline=None)
@given(SPANS, st.randoms(use_true_random=False), st.booleans())
def test_shuffled_and_doubled_rows_come_out_as_the_tape(spans: list[int], chance: Any, singles: bool) -> None:
    last = np.cumsum(spans)
    rest = [row(int(b), s) for b, s in zip(last[1:], spans[1:], strict=True)]
    if singles:  # as REST would give them again, behind the merged ones
        again = [row(k, flags=REPAIRED, recv=1) for k in range(int(last[0]) + 1, int(last[-1]) + 1)]
    else:
        again = chance.choices(rest, k=5)
        chance.shuffle(rest)
    made = order(contiguous=True)
    out = push(made, row(int(last[0]), spans[0]), *rest, *again)
    assert ids(out) == last.tolist()
    assert made.duplicates == len(again)
    assert made.lines[0].calm
    assert told(made) == []


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(2, 40), st.integers(1, 5), st.booleans()), max_size=40))
def test_no_id_is_used_twice_and_none_is_lost(pieces: list[tuple[int, int, bool]]) -> None:
    """Whatever overlaps: ids that went on and ids of the ledger are all ids, each once."""
    rows = [row(k + span - 1, span, flags=REPAIRED * again, at=k / 100) for k, span, again in pieces]
    made = order(contiguous=True)
    out = [push(made, row(1), *rows), made.finish()]
    used: list[int] = []
    for r in np.concatenate(out):
        used += range(int(r["trade_id"]) - int(r["span"]) + 1, int(r["trade_id"]) + 1)
    for first, end, status in told(made):
        assert status == "open"
        assert first is not None
        assert end is not None
        used += range(first, end + 1)
    assert sorted(used) == list(range(1, max(used) + 1))
    assert len(out[0]) + len(out[1]) + made.duplicates == 1 + len(rows)


# --- by arrival


def begun(*first: Rows) -> Resequencer:
    made = order(contiguous=False)
    push(made, *(first or (row(50),)))
    return made


def test_ids_in_any_order_go_on_as_they_came_each_once() -> None:
    made = order(contiguous=False)
    assert ids(push(made, row(9), row(3), row(9), row(7))) == [9, 3, 7]
    assert ids(push(made, row(3), row(4))) == [4]
    assert made.duplicates == 2


def test_what_a_repair_brings_goes_on_before_what_waits() -> None:
    made = begun()
    made.gap_opened(0, "reconnect", None, None, (DAY + 1) * SECOND)
    assert push(made, row(90, at=5), row(20, at=6), beat(7)).size == 0
    page = [row(k, at=t, recv=7.5, flags=REPAIRED) for k, t in ((90, 5), (31, 4), (99, 3), (12, 3), (50, 0))]
    assert push(made, *page).size == 0
    out = made.gap_closed(0, "repaired", None, None, (DAY + 8) * SECOND)
    assert seen(out) == [(12, True, REPAIRED), (99, True, REPAIRED), (31, True, REPAIRED), (90, True, 0), (20, True, 0)]
    assert made.take_ledger() == [
        GapRow(0, DAY * 10**6, (DAY + 5) * 10**6, None, None, "reconnect", "repaired", (DAY + 8) * SECOND)
    ]
    assert push(made, beat(9))["flags"].tolist() == [0]


def test_what_rest_shows_before_the_socket_goes_on_among_what_waits() -> None:
    """A page may hold a trade that the socket brings only later: it keeps its place in time."""
    made = begun()
    made.gap_opened(0, "reconnect", None, None, (DAY + 1) * SECOND)
    page = [row(k, at=t, recv=6.1, flags=REPAIRED) for k, t in ((31, 4), (90, 5), (92, 6))]
    assert push(made, row(90, at=5), row(91, at=5.5, recv=6), *page).size == 0
    assert ids(made.gap_closed(0, "repaired", None, None, (DAY + 7) * SECOND)) == [31, 90, 91, 92]
    assert ids(push(made, row(92, at=6, recv=7.5), row(93, at=7))) == [93]


def test_nothing_was_missing_after_all() -> None:
    made = begun()
    made.gap_opened(0, "reconnect", None, None, (DAY + 1) * SECOND)
    push(made, row(90, at=5))
    assert seen(made.gap_closed(0, "none", None, None, (DAY + 6) * SECOND)) == [(90, True, 0)]
    assert told(made) == []


def test_an_unfillable_gap_marks_the_first_trade_after_it() -> None:
    made = begun()
    made.gap_opened(0, "reconnect", None, None, (DAY + 1) * SECOND)
    push(made, row(90, at=5), row(80, at=4, recv=5, flags=REPAIRED))
    out = made.gap_closed(0, "unfillable", None, None, (DAY + 6) * SECOND)
    assert seen(out) == [(80, True, REPAIRED | AFTER_GAP), (90, True, 0)]
    assert told(made) == [(None, None, "unfillable")]


def test_an_unfillable_gap_without_a_trade_after_it_ends_with_the_next() -> None:
    made = begun()
    made.gap_opened(0, "reconnect", None, None, (DAY + 1) * SECOND)
    made.gap_closed(0, "unfillable", None, None, (DAY + 6) * SECOND)
    assert push(made, beat(7))["flags"].tolist() == [AFTER_GAP]
    assert seen(push(made, row(90, at=8))) == [(90, True, AFTER_GAP)]
    assert [(g.end // 10**6 - DAY, g.status) for g in made.take_ledger()] == [(0, "unfillable"), (8, "unfillable")]
    assert push(made, beat(9))["flags"].tolist() == [0]


def test_after_ten_seconds_of_waiting_the_tape_goes_on_and_repairs_are_late() -> None:
    made = begun()
    made.gap_opened(0, "reconnect", None, None, (DAY + 1) * SECOND)
    push(made, row(90, at=5))
    assert ids(push(made, beat(14.9))) == []
    assert seen(push(made, beat(15))) == [(90, True, AFTER_GAP)]
    assert told(made) == [(None, None, "open")]
    assert seen(push(made, row(60, at=2, recv=16, flags=REPAIRED))) == [(60, False, REPAIRED | LATE)]
    assert made.gap_closed(0, "repaired", None, None, (DAY + 17) * SECOND).size == 0
    assert told(made) == [(None, None, "repaired")]


def test_too_many_rows_are_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrival, "WAIT_ROWS", 3)
    made = begun()
    made.gap_opened(0, "reconnect", None, None, (DAY + 1) * SECOND)
    assert ids(push(made, row(90), row(91), row(92), row(93))) == [90, 91, 92, 93]


def test_a_lost_connection_is_a_gap_without_a_word_from_the_recorder() -> None:
    made = begun()
    made.connection_lost(0, (DAY + 1) * SECOND)
    assert push(made, row(90, at=5), row(91, at=6)).size == 0
    out = made.finish()
    assert seen(out) == [(90, True, AFTER_GAP), (91, True, 0)]
    assert told(made) == [(None, None, "open")]


def test_history_is_never_counted_but_in_a_gap() -> None:
    made = order(contiguous=False)
    first = push(made, row(1, flags=HISTORY), row(2), row(1, flags=HISTORY), row(3, flags=HISTORY))
    assert seen(first) == [(1, False, HISTORY), (2, True, 0), (3, False, HISTORY)]
    made.gap_opened(0, "reconnect", None, None, (DAY + 1) * SECOND)
    push(made, row(9, at=5), row(5, at=3, flags=HISTORY))
    out = made.gap_closed(0, "repaired", None, None, (DAY + 6) * SECOND)
    assert seen(out) == [(5, True, HISTORY | REPAIRED), (9, True, 0)]


def test_what_was_before_the_tape_is_not_counted() -> None:
    made = begun(row(50, at=10))
    made.gap_opened(0, "reconnect", None, None, (DAY + 11) * SECOND)
    push(made, row(40, at=9, recv=12, flags=REPAIRED), row(60, at=11, recv=12, flags=REPAIRED))
    out = made.gap_closed(0, "repaired", None, None, (DAY + 13) * SECOND)
    assert seen(out) == [(40, False, REPAIRED), (60, True, REPAIRED)]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(1, 40), min_size=1, max_size=25), max_size=20))
def test_the_last_ids_are_known_and_no_others(batches: list[list[int]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrival, "KNOWN", 16)
        recent, known = arrival.Recent(), deque[int](maxlen=16)
        for batch in batches:
            fresh = len(set(batch)) == len(batch) and not set(batch) & set(known)
            if len(batch) > 1:
                assert recent.add_all(np.array(batch, np.int64)) == fresh
                known.extend(batch if fresh else [])
            else:
                assert recent.add(batch[0]) == fresh
                known.extend(batch if fresh else [])
            recent = pickle.loads(pickle.dumps(recent))


# --- both

Event = tuple[str, Any]
HOLES = st.one_of(st.just((None, None)), st.tuples(st.integers(1, 30), st.none()), st.integers(1, 30).map(lambda k: (k, k + 2)))
EVENTS = st.lists(
    st.one_of(
        st.tuples(
            st.just("trade"), st.tuples(st.integers(1, 30), st.integers(1, 3), st.sampled_from([0, 0, 0, REPAIRED, HISTORY]))
        ),
        st.tuples(st.just("beat"), st.none()),
        st.tuples(st.just("lost"), st.none()),
        st.tuples(st.just("open"), HOLES),
        st.tuples(st.just("close"), st.tuples(st.sampled_from(["none", "repaired", "unfillable"]), HOLES)),
    ),
    max_size=40,
)


def play(made: Resequencer, events: Sequence[Event], cuts: set[int], step: float) -> tuple[list[Any], Resequencer]:
    """Feed events, rows between others in one batch unless cut; return what came out, then the ledger."""
    out: list[Rows] = []
    waiting: list[Rows] = []
    for k, (kind, what) in enumerate(events):
        now = int((DAY + k * step) * SECOND)
        if kind in ("trade", "beat"):
            waiting.append(row(*what[:2], at=k * step, flags=what[2]) if kind == "trade" else beat(k * step))
        if (kind not in ("trade", "beat") or k in cuts) and waiting:
            out.append(push(made, *waiting))
            waiting = []
            made = pickle.loads(pickle.dumps(made))
        if kind == "lost":
            made.connection_lost(0, now)
        elif kind == "open":
            first, last = what
            made.gap_opened(0, "reconnect", first, last, now)
        elif kind == "close":
            status, (first, last) = what
            out.append(made.gap_closed(0, status, first, last, now))
    out += [push(made, *waiting)] if waiting else []
    out.append(made.finish())
    rows = tape.joined([tape.empty(0), *out])
    fields = ("trade_id", "kind", "counted", "flags", "ts", "recv_ns")
    return [r[list(fields)].item() for r in rows], made


@settings(max_examples=150, deadline=None)
@given(EVENTS, st.sets(st.integers(0, 39)), st.booleans(), st.sampled_from([0.1, 1.5, 4.0]))
def test_order_does_not_depend_on_batches_or_restores(events: list[Event], cuts: set[int], contiguous: bool, step: float) -> None:
    whole, one = play(order(contiguous=contiguous), events, set(), step)
    parts, other = play(order(contiguous=contiguous), events, cuts, step)
    assert parts == whole
    assert other.take_ledger() == one.take_ledger()
    trades = sum(kind == "trade" for kind, _ in events)
    assert sum(r[1] == TRADE for r in whole) + one.duplicates == trades, "none is lost"
