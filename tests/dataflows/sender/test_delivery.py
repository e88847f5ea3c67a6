"""Delivery against Slack on this machine, which limits, refuses, loses answers and does not deduplicate."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dataflows.sender.bot import Bot
from dataflows.sender.delivery import Delivery
from dataflows.sender.outcome import Sent
from dataflows.sender.webhook import Webhook
from pipelines.briefs import blocks
from pipelines.briefs.message import Message
from pipelines.briefs.outbox import Outbox
from tests.slack_blocks import markup, shown
from tests.slack_server import HOOK, PNG, TOKEN, Fault, SlackServer, running

DESK, SEVERE = "C0DESK0001", "C0SEVERE01"
DEADLINE_S = 100.0
INJECTIONS = (
    "<!channel> <!here> <@U0123456> <#C0123456|x> <https://evil.example|click>",
    "*bold* _it_ ~no~ `code` ```block``` > quote",
    "https://evil.example @here #general :skull: :rotating_light:",
    "&lt;!channel&gt; &amp; \u202egnp.exe \x00\x07\u200b",
    "{F12} %s ${HOME} <script>alert(1)</script>",
)


class Clock:
    """Wall clock that a test may move on."""

    def __init__(self) -> None:
        self.ahead = 0

    def __call__(self) -> int:
        return time.time_ns() // 1000 + self.ahead


class Desk:
    """An outbox, a way to Slack, and the server behind it."""

    def __init__(self, folder: Path, server: SlackServer) -> None:
        self.server, self.space, self.clock = server, server.space, Clock()
        self.outbox = Outbox(folder / "outbox.db", self.clock)
        self.token, self.channel, self.channels = TOKEN, DESK, dict[int, str]()
        self.webhook: str | None = None
        self.delivery = self.restarted()

    def restarted(self) -> Delivery:
        self.delivery = Delivery(self.outbox, self.connect, self.clock)
        return self.delivery

    def connect(self) -> Bot | Webhook | None:
        if self.webhook:
            return Webhook(self.webhook)
        return Bot(self.token, self.server.api, self.channel, self.channels, {}) if self.token else None

    def put(self, name: str, head: str = "head", **more: object) -> None:
        assert self.outbox.put(Message(id=name, head=head, **more))  # type: ignore[arg-type]

    def deliver(self) -> None:
        """Deliver until nothing is left; time passes at once where Slack wants to be left alone."""
        deadline = time.monotonic() + DEADLINE_S
        while self.outbox.pending():
            assert time.monotonic() < deadline, self.delivery.fault
            if not self.delivery.step():
                self.clock.ahead += 200_000

    def until(self, done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not done():
            assert time.monotonic() < deadline
            self.delivery.step()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with running() as server:
        server.space.spacing_s = 0.0
        made = Desk(tmp_path, server)
        yield made
        made.outbox.close()


def test_a_message_its_thread_and_its_chart(desk: Desk) -> None:
    desk.put(
        "a", "BTC moved\nmore of it", thread=("first", "second"), chart=PNG + b"x", chart_alt="VPIN", severity=2, made_us=10**15
    )
    desk.deliver()
    head, *rest = desk.space.posts
    assert shown(head) == "BTC moved\nmore of it\n2001-09-09 01:46:40 UTC · severity 2 · id a"
    assert head["text"] == "BTC moved\nmore of it"
    assert head["metadata"] == {"event_type": "tapeflow", "event_payload": {"id": "a"}}
    assert [post["thread_ts"] for post in rest] == [head["ts"]] * 3
    assert [shown(post) for post in rest[:2]] == ["first", "second"]
    assert rest[2]["files"][0] | {"id": ""} == {"id": "", "name": "a.3.png", "title": "VPIN", "mimetype": "image/png"}


def test_messages_of_an_episode_go_under_its_first(desk: Desk) -> None:
    desk.put("a", "one", episode="e", thread=("below",))
    desk.put("b", "other", episode="f")
    desk.put("c", "two", episode="e", thread=("below two",))
    desk.deliver()
    assert [shown(post).split("\n")[0] for post in desk.space.heads()] == ["one", "other"]
    thread = desk.space.thread(desk.space.named("a")[0]["ts"])
    assert sorted(shown(post).split("\n")[0] for post in thread) == ["below", "below two", "two"]


def test_a_severity_has_its_channel_and_an_episode_a_thread_in_each(desk: Desk) -> None:
    desk.channels = {3: "#severe"}
    desk.restarted()
    for name, severity in (("a", 2), ("b", 3), ("c", 3), ("d", 2), ("brief", 0)):
        desk.put(name, name, episode="e", severity=severity)
    desk.deliver()
    where = {name: (desk.space.named(name)[0]["channel"], desk.space.named(name)[0].get("thread_ts")) for name in "abcd"}
    roots = {name: desk.space.named(name)[0]["ts"] for name in "ab"}
    assert where == {"a": (DESK, None), "b": (SEVERE, None), "c": (SEVERE, roots["b"]), "d": (DESK, roots["a"])}
    assert desk.space.named("brief")[0]["thread_ts"] == roots["a"]


@pytest.mark.parametrize("kind", ["500", "reset", "lost answer", "html"])
@pytest.mark.parametrize("name", ["a", "a.1", "late"])
def test_exactly_once_whatever_becomes_of_the_answer(desk: Desk, kind: str, name: str) -> None:
    for number in range(7):  # the history has several pages
        desk.put(f"older {number}")
    desk.deliver()
    desk.put("a", "first", episode="e")
    desk.deliver()
    number = {"a": 0, "a.1": 0, "late": 1}[name]
    desk.put("b", "next", thread=("under",), episode="e" if name == "late" else None)
    desk.space.faults = [Fault("500", times=0)] * number + [Fault(kind, times=2)]
    desk.deliver()
    assert [len(desk.space.named(one)) for one in ("a", "b", "b.1")] == [1, 1, 1]
    assert "repeat" not in shown(desk.space.named("b")[0])


def test_a_thread_that_somebody_deleted_begins_anew(desk: Desk) -> None:
    desk.put("a", episode="e", thread=("reply",))
    desk.deliver()
    desk.space.posts.clear()
    desk.put("b", "next", episode="e", thread=("below",))
    desk.space.faults = [Fault("reset")]
    desk.deliver()
    desk.put("c", "third", episode="e")
    desk.deliver()
    assert [post.get("thread_ts") for post in desk.space.posts] == [None, *[desk.space.posts[0]["ts"]] * 2]


def test_a_lost_answer_to_a_chart(desk: Desk) -> None:
    desk.put("a", chart=PNG)
    desk.space.faults = [Fault("lost answer", "files.completeUploadExternal"), Fault("500", "files.getUploadURLExternal")]
    desk.deliver()
    assert len(desk.space.named("a.1.png")) == 1


def test_a_request_carried_out_late_is_not_made_again(desk: Desk) -> None:
    desk.delivery.client._web.timeout = 0.2  # type: ignore[union-attr]
    desk.put("a")
    desk.space.faults = [Fault("late", seconds=1.0)]
    desk.until(lambda: bool(desk.space.posts))
    desk.deliver()
    assert len(desk.space.named("a")) == 1


def test_what_was_being_sent_when_it_was_killed_is_asked_for(desk: Desk) -> None:
    desk.put("there")
    desk.put("not there")
    for part in desk.outbox.ready():
        desk.outbox.sending(part, DESK, None)
    bot = desk.connect()
    assert isinstance(bot, Bot)
    assert isinstance(bot.post(DESK, None, "there", blocks.head("head", "")), Sent)
    desk.restarted()
    desk.deliver()
    assert [len(desk.space.named(name)) for name in ("there", "not there")] == [1, 1]
    assert desk.space.asked.count("chat.postMessage") == 2


class Killed(BaseException):
    """Stands for kill -9: nothing between here and the test may catch it."""


def killed_at(moment: int, thing: object, names: tuple[str, ...], count: list[int]) -> None:
    """Have the process die at that moment: each call of a method of `thing` has one before it and one behind it."""

    def tick() -> None:
        count[0] += 1
        if count[0] == moment:
            raise Killed

    def wrapped(method: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **more: object) -> object:
            tick()
            found = method(*args, **more)
            tick()
            return found

        return call

    for name in names:
        setattr(thing, name, wrapped(getattr(thing, name)))


def test_killed_at_every_single_moment_each_part_is_there_once(tmp_path: Path) -> None:
    moment = 0
    while True:
        moment += 1
        with running() as server:
            server.space.spacing_s = 0.0
            desk = Desk(tmp_path / str(moment), server)
            desk.put("a", thread=("x",), chart=PNG, episode="e")
            desk.put("b", episode="e")
            count = [0]
            killed_at(moment, desk.outbox, ("sending", "sent", "later", "end"), count)
            killed_at(moment, desk.delivery.client, ("post", "upload", "find"), count)
            try:
                desk.deliver()
            except Killed:
                desk.outbox.close()
                desk.outbox = Outbox(tmp_path / str(moment) / "outbox.db", desk.clock)
                desk.restarted()
                desk.deliver()
            desk.outbox.close()
            assert [len(server.space.named(name)) for name in ("a", "a.1", "a.2.png", "b")] == [1, 1, 1, 1], moment
            root = server.space.named("a")[0]["ts"]
            assert [post["thread_ts"] for post in server.space.posts[1:]] == [root] * 3
        if count[0] < moment:
            assert moment == 1 + 4 * 6  # of each part: noted, sent, noted
            return


def test_a_channel_by_name(desk: Desk) -> None:
    desk.channel = "#desk"
    desk.restarted()
    desk.put("a")
    desk.space.faults = [Fault("lost answer")]
    desk.deliver()
    desk.put("b", chart=PNG)
    desk.deliver()
    assert [len(desk.space.named(name)) for name in ("a", "b", "b.1.png")] == [1, 1, 1]


@pytest.mark.parametrize("hindrance", ["scope", "stranger"])
def test_where_the_history_may_not_be_read_a_repeat_is_marked(desk: Desk, hindrance: str) -> None:
    if hindrance == "scope":
        desk.space.scopes.discard("channels:history")
    else:
        desk.space.strangers.add(DESK)
    desk.put("a")
    desk.space.faults = [Fault("lost answer")]
    desk.deliver()
    assert ["may be a repeat" in shown(post) for post in desk.space.named("a")] == [False, True]


def test_a_storm_of_429(desk: Desk) -> None:
    for number in range(5):
        desk.put(str(number))
    desk.space.faults = [Fault("429", times=4, seconds=0.15)]
    deadline = time.monotonic() + DEADLINE_S
    while desk.outbox.pending():
        assert time.monotonic() < deadline
        desk.delivery._channels_not_before.clear()
        desk.delivery.step()
    assert desk.space.limited == 4
    assert desk.space.early == 0
    assert [post["metadata"]["event_payload"]["id"] for post in desk.space.posts] == list("01234")


def test_about_one_message_a_second_and_channel(desk: Desk) -> None:
    desk.channels, desk.space.spacing_s = {3: SEVERE}, 1.0
    desk.restarted()
    for number in range(3):
        desk.put(f"d{number}")
        desk.put(f"s{number}", severity=3)
    desk.until(lambda: len(desk.space.posts) == 6)
    assert desk.space.limited == 0
    assert [post["channel"] for post in desk.space.posts[:2]] == [DESK, SEVERE]


def test_a_refused_token_is_told_and_not_hammered(desk: Desk) -> None:
    desk.token = "xoxb-wrong"
    desk.restarted()
    desk.put("a")
    desk.put("b")
    for _ in range(50):
        desk.delivery.step()
        desk.clock.ahead += 1_000_000
    assert desk.space.asked.count("chat.postMessage") == 1
    assert desk.delivery.fault == "Slack refuses the token: invalid_auth"
    desk.token = TOKEN
    desk.deliver()
    assert [len(desk.space.named(name)) for name in "ab"] == [1, 1]
    assert desk.delivery.fault is None


def test_a_missing_channel_holds_up_no_other(desk: Desk) -> None:
    desk.channels = {3: "#gone"}
    desk.restarted()
    desk.put("lost", severity=3)
    desk.put("b")
    desk.until(lambda: bool(desk.space.posts))
    for _ in range(20):
        desk.delivery.step()
        desk.clock.ahead += 1_000_000
    assert desk.space.asked.count("chat.postMessage") == 2
    assert desk.outbox.pending() == 1
    desk.space.channels["C0GONE0001"] = "gone"
    desk.deliver()
    assert desk.space.named("lost")[0]["channel"] == "C0GONE0001"


def test_a_message_that_slack_refuses_holds_up_no_other(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.put("bad", "x" * 50, thread=("never",))
    desk.put("good")
    refused = blocks.Body("x", [{"type": "section", "text": {"type": "plain_text", "text": "x" * 3001}}])
    sound = blocks.head
    monkeypatch.setattr(blocks, "head", lambda text, note: refused if text.startswith("x") else sound(text, note))
    desk.deliver()
    assert [len(desk.space.named(name)) for name in ("bad", "good")] == [0, 1]
    assert desk.outbox.counts(0)[2:] == (1, 1, 0)
    assert desk.space.asked.count("chat.postMessage") == 2


def test_what_cannot_be_sent_for_a_day_is_given_up(desk: Desk) -> None:
    desk.put("a")
    desk.space.faults = [Fault("500", times=10**6), Fault("500", "conversations.history", times=10**6)]
    desk.delivery.step()
    desk.clock.ahead += 86_400_000_000
    desk.deliver()
    assert desk.outbox.counts(0).given_up == 1
    assert desk.delivery.fault == "message a given up: not sent within a day: HTTP 500; is tried again"


@pytest.mark.parametrize("by", ["bot", "webhook"])
def test_a_message_that_waited_says_that_it_is_late(desk: Desk, by: str) -> None:
    desk.webhook = f"{desk.server.url}{HOOK}" if by == "webhook" else None
    desk.restarted()
    desk.put("early")
    desk.deliver()
    desk.put("late")
    desk.clock.ahead += (3 * 60 + 5) * 60_000_000
    desk.deliver()
    early, late = [shown(post).split("\n")[-1] for post in desk.space.posts]
    assert early == "id early"
    assert re.fullmatch(r"id late · late: waited 3 h \d+ min to be sent", late)


@pytest.mark.parametrize("text", INJECTIONS)
@pytest.mark.parametrize("by", ["bot", "webhook"])
def test_nothing_in_a_text_is_a_mention_a_link_or_markup(desk: Desk, text: str, by: str) -> None:
    desk.webhook = f"{desk.server.url}{HOOK}" if by == "webhook" else None
    desk.restarted()
    desk.put("a", f"title {text}\n{text}", thread=(text,))
    desk.deliver()
    assert [markup(post) for post in desk.space.posts] == [[] for _ in desk.space.posts]
    letters = "\n".join(shown(post) for post in desk.space.posts)
    for word in text.replace("\u202e", "").replace("\x00\x07\u200b", "").split():
        assert letters.count(word) >= 3


def test_by_webhook_a_message_and_its_thread_are_one_post(desk: Desk) -> None:
    desk.webhook = f"{desk.server.url}{HOOK}"
    desk.restarted()
    desk.put("a", "head", thread=("below", "y" * 20_000), chart=PNG)
    desk.deliver()
    first, *more = desk.space.posts
    assert shown(first).startswith("head\n")
    assert "below" in shown(first)
    assert "".join(shown(post) for post in desk.space.posts).count("y") == 20_000
    assert len(more) == 3
    assert desk.outbox.counts(0)[2:] == (1, 0, 0)


def test_by_webhook_at_least_once_and_a_repeat_is_marked(desk: Desk) -> None:
    desk.webhook = f"{desk.server.url}{HOOK}"
    desk.restarted()
    desk.put("a")
    desk.put("b")
    desk.space.faults = [Fault("lost answer", "webhook"), Fault("429", "webhook", seconds=0.05)]
    desk.deliver()
    assert ["may be a repeat" in shown(post) for post in desk.space.posts] == [False, False, True]
    desk.put("c")
    desk.space.faults = [Fault("html", "webhook")]
    desk.deliver()
    assert "may be a repeat" in shown(desk.space.posts.pop())
    assert ["id a" in shown(post) for post in desk.space.posts] == [True, False, True]


def test_a_webhook_that_is_gone_is_told_without_its_url(desk: Desk) -> None:
    desk.webhook = f"{desk.server.url}/services/secret-path"
    desk.restarted()
    desk.put("a")
    desk.delivery.step()
    assert desk.delivery.fault == "Slack refuses the token: no_service"


def test_without_a_way_messages_are_logged_and_kept_for_the_terminal(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.token = ""
    desk.restarted()
    desk.put("a", "what happened", thread=("more",))
    desk.deliver()
    assert desk.delivery.way == "none"
    assert "what happened" in capsys.readouterr().out
    assert desk.outbox.heads_without_channel(0) == [(1, "what happened")]
    assert desk.outbox.counts(0)[2:] == (0, 0, 1)
    desk.token = TOKEN
    desk.clock.ahead += 61_000_000
    desk.put("b")
    desk.deliver()
    assert [len(desk.space.named(name)) for name in "ab"] == [0, 1]


def test_no_fault_and_no_log_holds_a_secret(desk: Desk, capfd: pytest.CaptureFixture[str]) -> None:
    desk.put("a")
    for kind in ("500", "reset", "html", "hang"):
        desk.delivery.client._web.timeout = 0.2  # type: ignore[union-attr]
        desk.space.faults = [Fault(kind, "*", seconds=0.5)]
        desk.delivery.step()
        assert TOKEN not in (desk.delivery.fault or "")
        desk.clock.ahead += 100_000_000
    desk.webhook = "http://127.0.0.1:1/services/secret path"
    desk.clock.ahead += 100_000_000
    desk.delivery.step()
    assert "secret" not in (desk.delivery.fault or "")
    said = "".join(capfd.readouterr())
    assert TOKEN not in said
    assert "secret path" not in said
