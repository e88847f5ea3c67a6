"""The sender is killed, and Slack does wrong: each message is there exactly once by a bot token, at least once by a webhook."""

from __future__ import annotations

import datetime as dt
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pipelines.briefs.message import Message
from pipelines.briefs.outbox import Outbox
from pipelines.market import ALERTS
from pipelines.store.lake import Lake
from tests.faults.house import ROOT, wait_for
from tests.pipelines.store import samples
from tests.slack_blocks import shown
from tests.slack_server import HOOK, PNG, TOKEN, Fault, SlackServer, running

EPISODE = 4
"""Messages of an episode."""


class Post:
    """A sender as a process of its own, the outbox it reads, and Slack."""

    def __init__(self, data: Path, server: SlackServer, *, webhook: bool = False) -> None:
        self.server, self.space = server, server.space
        self.data = data
        self.outbox = Outbox(data / "slack" / "outbox.db")
        bot = {"SLACK_BOT_TOKEN": TOKEN, "SLACK_CHANNEL": "#desk"}
        way = {"SLACK_BOT_TOKEN": "", "SLACK_WEBHOOK_URL": server.url + HOOK} if webhook else bot
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("SLACK_", "TAPEFLOW_"))}
        self.env = clean | {
            "TAPEFLOW_CONFIG": os.devnull,
            "TAPEFLOW_DATA": str(data),
            "TAPEFLOW_BRIEFS__SLACK__API": server.api,
            "TAPEFLOW_BRIEFS__SLACK__CHANNELS": '{"3": "#severe"}',
            "TAPEFLOW_BRIEFS__A_DAY": "1000",
            **way,
        }
        self.log = data / "sender.out"
        self.put = self.alerted = 0
        self.lake = Lake(data / "lake")
        self.lake.create()
        self.process = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tapeflow", "send"], cwd=ROOT, env=self.env, stdout=out, stderr=out
            )
        return self.process

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def messages(self, count: int) -> None:
        """Put more messages: of episodes, with replies and now and then a chart, to two channels."""
        for n in range(self.put, self.put + count):
            self.outbox.put(
                Message(
                    id=f"m{n}",
                    head=f"message {n}\nbelow",
                    thread=(f"first reply to {n}",) if n % 2 else (),
                    episode=f"e{n // EPISODE}" if n % 3 else None,
                    severity=3 if n // EPISODE % 2 else 1,
                    chart=PNG + bytes(100) if n % 5 == 1 else b"",
                )
            )
        self.put += count

    def alert(self) -> None:
        """Commit an alert that is told, of an instrument of its own."""
        n, now = self.alerted, [dt.datetime.now(dt.UTC)]
        about: dict[str, Any] = {"symbol": f"S{n}-USDT", "alert_id": f"alert-{n:04d}", "label": f"cascade number {n:04d}"}
        found = samples.rows(ALERTS, 1, ts=now, end=now, origin="live", severity=3, detector="cascade_proxy", **about)
        samples.put(self.lake, ALERTS, found)
        self.alerted += 1

    def parts(self) -> list[str]:
        """Return the names of all that was put."""
        rows = self.outbox._db.execute("SELECT message, number, kind FROM parts ORDER BY message, number").fetchall()
        return [f"{m}.{n}" * bool(n) + m * (not n) + (".png" if kind == "chart" else "") for m, n, kind in rows]

    def wait(self, condition: Callable[[], bool], what: str, seconds: float = 150.0) -> None:
        """Wait until a condition holds, while the sender lives."""

        def holds() -> bool:
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            return condition()

        wait_for(holds, what, seconds)

    def wait_until_sent(self, seconds: float) -> None:
        self.wait(lambda: not self.outbox.pending(), "all is sent", seconds)

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(100)


@pytest.fixture
def server() -> Iterator[SlackServer]:
    with running() as made:
        made.space.page = 20
        yield made


def assert_once_and_in_place(post: Post) -> None:
    space = post.space
    assert {name: len(space.named(name)) for name in post.parts()} == dict.fromkeys(post.parts(), 1)
    assert not any("repeat" in shown(one) for one in space.posts)
    for n in range(post.put):
        head = space.named(f"m{n}")[0]
        assert head["channel"] == ("C0SEVERE01" if n // EPISODE % 2 else "C0DESK0001")
        root = head.get("thread_ts") or head["ts"]
        episode = [k for k in range(n) if k // EPISODE == n // EPISODE and k % 3] if n % 3 else []
        if episode:
            assert root == space.named(f"m{episode[0]}")[0]["ts"]
        else:
            assert not head.get("thread_ts")
        below = [one for name in (f"m{n}.1", f"m{n}.1.png", f"m{n}.2.png") for one in space.named(name)]
        assert all(one["thread_ts"] == root for one in below)


def assert_every_alert_is_told_once(post: Post) -> None:
    told = "\n".join(shown(one) for one in post.space.posts)
    assert [told.count(f"cascade number {n:04d}") for n in range(post.alerted)] == [1] * post.alerted


def kills(post: Post, count: int, dice: random.Random) -> None:
    """Kill the sender that often: at any moment, or just when Slack has a request in hand."""
    space = post.space
    for _ in range(count):
        post.messages(2)
        post.alert()
        if dice.random() < 0.3:
            time.sleep(dice.uniform(0, 4))
        else:
            before = len(space.asked)
            post.wait(partial(lambda before: len(space.asked) > before, before), "a request")
            time.sleep(dice.uniform(0, 0.3))
        post.kill()
        post.start()


def exactly_once(post: Post, count: int, seed: int) -> None:
    space = post.space
    space.faults = [Fault("late", "*", times=10**9, seconds=0.15)]
    kills(post, count, random.Random(seed))
    space.faults.clear()
    post.wait(
        lambda: sum("cascade number" in shown(one) for one in space.posts) >= post.alerted, "all alerts are told", 150 + 5 * count
    )
    post.wait_until_sent(150 + 5 * count)
    assert_once_and_in_place(post)
    assert_every_alert_is_told_once(post)
    assert post.stop() == 0


def test_killed_by_bot_token_each_message_is_there_once(tmp_path: Path, server: SlackServer) -> None:
    exactly_once(Post(tmp_path, server), 3, 1)


@pytest.mark.soak
def test_killed_thirty_times_each_message_is_there_once(tmp_path: Path, server: SlackServer) -> None:
    exactly_once(Post(tmp_path, server), 30, 2)


def test_killed_by_webhook_each_message_is_there_at_least_once(tmp_path: Path, server: SlackServer) -> None:
    post = Post(tmp_path, server, webhook=True)
    server.space.faults = [Fault("late", "*", times=10**9, seconds=0.15)]
    kills(post, 2, random.Random(3))
    server.space.faults.clear()
    post.wait_until_sent(150)
    texts = [shown(one) for one in server.space.posts]
    for n in range(post.put):
        mine = [text for text in texts if text.startswith(f"message {n}\n")]
        assert mine
        assert all("may be a repeat" in text for text in mine[1:])
    assert post.stop() == 0


def test_a_second_sender_is_refused(tmp_path: Path, server: SlackServer) -> None:
    post = Post(tmp_path, server)
    wait_for((tmp_path / "status" / "sender.json").exists, "the first is at work")
    command = [sys.executable, "-m", "tapeflow", "send"]
    second = subprocess.run(command, cwd=ROOT, env=post.env, capture_output=True, timeout=150, check=False)
    assert (second.returncode, b"another sender is at work" in second.stderr) == (2, True)
    assert post.stop() == 0


def test_all_that_goes_wrong_at_once(tmp_path: Path, server: SlackServer) -> None:
    post = Post(tmp_path, server)
    dice = random.Random(4)
    kinds = ["500", "429", "reset", "lost answer", "html", "late"]
    methods = ["chat.postMessage", "conversations.history", "conversations.replies", "files.completeUploadExternal"]
    server.space.faults = [Fault(dice.choice(kinds), dice.choice(methods), seconds=0.3) for _ in range(6)]
    post.messages(4)
    post.wait_until_sent(150)
    assert_once_and_in_place(post)
    assert server.space.early == 0
    assert post.stop() == 0
