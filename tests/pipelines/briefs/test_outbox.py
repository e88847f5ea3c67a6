"""The outbox: messages once each, their parts in order, several processes at once."""

from __future__ import annotations

import multiprocessing
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.briefs.blocks import POST
from pipelines.briefs.message import Message
from pipelines.briefs.outbox import Counts, Outbox, Thread, place
from pipelines.settings import Settings

DAY_US = 86_400_000_000
PUTS = 10


class Clock:
    def __init__(self) -> None:
        self.now = 10**15

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def outbox(tmp_path: Path, clock: Clock) -> Iterator[Outbox]:
    made = Outbox(tmp_path / "slack" / "outbox.db", clock)
    yield made
    made.close()


def message(name: str, **more: Any) -> Message:
    return Message(id=name, head=more.pop("head", f"head of {name}"), **more)


def ready(outbox: Outbox) -> list[str]:
    return [part.id for part in outbox.ready()]


def deliver(outbox: Outbox, *names: str, channel: str = "C1") -> None:
    """Take parts for sent, each under its name."""
    for part in outbox.ready():
        if part.id in names:
            outbox.sending(part, channel, None)
            outbox.sent(part, channel, part.id)


def test_an_id_is_put_once(outbox: Outbox) -> None:
    assert outbox.put(message("a", thread=("x",)))
    assert not outbox.put(message("a", head="other", thread=("x", "y")))
    assert [part.text for part in outbox.ready()] == ["head of a"]
    assert outbox.pending() == 2


def test_messages_and_state_are_kept_together_or_not_at_all(outbox: Outbox) -> None:
    assert outbox.commit([message("a"), message("b"), message("a")], {"cursor": {"x": 1}}) == 2
    with pytest.raises(TypeError):
        outbox.commit([message("c")], {"cursor": object()})
    assert ready(outbox) == ["a", "b"]
    assert outbox.get("cursor") == {"x": 1}
    assert outbox.get("nothing") is None


def test_replies_wait_for_what_is_before_them(outbox: Outbox) -> None:
    outbox.put(message("a", thread=("x", "  ", "y"), chart=b"png", chart_alt="VPIN"))
    for expected in ("a", "a.1", "a.2", "a.3"):
        assert ready(outbox) == [expected]
        deliver(outbox, expected)
    assert ready(outbox) == []
    assert outbox.counts(0) == Counts(0, None, 1, 0, 0)


def test_a_long_reply_is_several(outbox: Outbox) -> None:
    outbox.put(message("a", thread=("word " * POST,)))
    replies = outbox.replies("a")
    assert [part.id for part in replies] == [f"a.{n}" for n in range(1, 6)]
    assert all(len(part.text) <= POST for part in replies)


def test_messages_of_an_episode_wait_for_each_other_and_no_other_does(outbox: Outbox) -> None:
    for name, episode in (("a", "e"), ("b", "e"), ("c", "f"), ("d", None)):
        outbox.put(message(name, episode=episode))
    assert ready(outbox) == ["a", "c", "d"]
    assert outbox.thread_of("e") is None
    deliver(outbox, "a")
    assert ready(outbox) == ["b", "c", "d"]
    assert outbox.thread_of("e") == outbox.head("a") == Thread("C1", "a")
    assert outbox.thread_of("e", "C2") is None


def test_the_thread_of_a_message_in_a_thread_is_that_thread(outbox: Outbox) -> None:
    outbox.put(message("b"))
    part = outbox.ready()[0]
    outbox.sending(part, "C1", "root")
    outbox.sent(part, "C1", "b")
    assert outbox.head("b") == Thread("C1", "root")


def test_what_is_given_up_takes_its_replies_along_and_holds_up_nobody(outbox: Outbox) -> None:
    outbox.put(message("a", thread=("x",), episode="e"))
    outbox.put(message("b", episode="e"))
    outbox.end(outbox.ready()[0], "given up", "msg_too_long")
    assert ready(outbox) == ["b"]
    assert outbox.counts(0)[2:] == (0, 1, 0)
    assert outbox.thread_of("e") is None


def test_what_is_tried_again_comes_when_it_is_due(outbox: Outbox, clock: Clock) -> None:
    outbox.put(message("a"))
    outbox.put(message("b"))
    part = outbox.ready()[0]
    outbox.sending(part, "C1", None, repeat=True)
    outbox.later(part, clock.now + 5, "HTTP 500", unknown=True)
    assert ready(outbox) == ["b"]
    clock.now += 5
    a = next(part for part in outbox.ready() if part.id == "a")
    assert (a.state, a.tries, a.channel, a.repeat, a.tried_us) == ("sending", 1, "C1", True, clock.now - 5)
    outbox.sending(a, "C1", None)
    outbox.later(a, 0, "HTTP 429", unknown=False)
    a = next(part for part in outbox.ready() if part.id == "a")
    assert (a.state, a.tries, a.first_us, a.repeat) == ("pending", 2, clock.now - 5, True)


def test_pictures_are_kept_only_until_they_are_sent(outbox: Outbox) -> None:
    outbox.put(message("a", chart=b"png"))
    deliver(outbox, "a")
    chart = outbox.ready()[0]
    assert (chart.kind, outbox.image(chart)) == ("chart", b"png")
    deliver(outbox, "a.1")
    assert outbox.image(chart) == b""


def test_old_messages_are_forgotten_once_they_are_done(outbox: Outbox, clock: Clock) -> None:
    outbox.put(message("done"))
    outbox.put(message("waits"))
    deliver(outbox, "done")
    clock.now += 31 * DAY_US
    outbox.put(message("new"))
    outbox.forget()
    assert ready(outbox) == ["waits", "new"]
    assert outbox.put(message("done"))


def test_the_day_counts_from_a_time(outbox: Outbox, clock: Clock) -> None:
    outbox.put(message("a"))
    deliver(outbox, "a")
    clock.now += DAY_US
    outbox.put(message("b", thread=("x",)))
    assert outbox.counts(clock.now) == Counts(2, clock.now, 0, 0, 0)
    assert outbox.counts(0).sent == 1


def test_a_file_of_another_kind_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    path.write_bytes(b"not a database, but somebody's file" * 100)
    with pytest.raises(sqlite3.DatabaseError):
        Outbox(path)
    assert path.read_bytes().startswith(b"not a database")


def test_it_is_in_the_data_folder(tmp_path: Path) -> None:
    assert place(Settings(data=tmp_path)) == tmp_path / "slack" / "outbox.db"


def _put_many(path: Path, process: int) -> None:
    outbox = Outbox(path)
    for n in range(PUTS):
        outbox.put(message(f"shared {n}"))
        outbox.commit([message(f"{process} {n}")], {f"at {process}": n})
    outbox.close()


def test_several_processes_put_at_once(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=_put_many, args=(path, number)) for number in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    outbox = Outbox(path)
    assert outbox.pending() == PUTS + 2 * PUTS
    assert [outbox.get(f"at {number}") for number in range(2)] == [PUTS - 1] * 2
    outbox.close()
