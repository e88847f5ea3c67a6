"""The supervisor, with small stand-ins for the real processes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest

from tapeflow import supervisor
from tapeflow.supervisor import Child, Report, Supervisor
from tests.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

DEADLINE_S = 60.0


def shell(script: str) -> tuple[str, ...]:
    return ("/bin/sh", "-c", script)


def python(script: str) -> tuple[str, ...]:
    return (sys.executable, "-S", "-c", script)


FOREVER = shell("exec sleep 1000")


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(0.01)


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    with contextlib.suppress(OSError):  # dead, and not yet reaped by whoever adopted it
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    return False


class House:
    """A supervisor under test, what it told, and where it reports."""

    def __init__(self, folder: Path, *children: Child) -> None:
        self.told: list[str] = []
        self.report = folder / "up.json"
        self.folder = folder
        self.supervisor = Supervisor(children, self.report, folder, self.told.append)

    def standing(self, name: str) -> supervisor.Standing:
        return next(s for s in msgspec.json.decode(self.report.read_bytes(), type=Report).children if s.name == name)

    def run(self, script: Callable[[], Coroutine[None, None, None]]) -> int:
        """Run the supervisor while `script` goes on, then ask it to stop; return its exit status."""

        async def both() -> int:
            running = asyncio.create_task(self.supervisor.run())
            try:
                await script()
            finally:
                if not running.done():
                    os.kill(os.getpid(), signal.SIGTERM)
                async with asyncio.timeout(DEADLINE_S):
                    status = await running
            return status

        return asyncio.run(both())


def test_what_dies_is_named_with_its_last_words_and_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "FIRST_WAIT_S", 0.01)
    house = House(tmp_path, Child("flow", shell("echo out of luck >&2; exit 3")), Child("other", FOREVER))

    async def script() -> None:
        await until(lambda: len([line for line in house.told if "flow" in line]) >= 3)

    assert house.run(script) == 0
    assert "flow died (exit status 3)" in house.told[0]
    assert "out of luck" in house.told[0]
    assert house.standing("flow").restarts >= 2
    assert house.standing("other").restarts == 0


def test_a_killed_child_is_named_by_its_signal(tmp_path: Path) -> None:
    house = House(tmp_path, Child("flow", shell("kill -KILL $$")))

    async def script() -> None:
        await until(lambda: bool(house.told))

    house.run(script)
    assert "killed by SIGKILL" in house.told[0]


def test_waits_grow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "FIRST_WAIT_S", 0.02)
    monkeypatch.setattr("random.uniform", lambda low, high: high)
    house = House(tmp_path, Child("flow", shell("exit 1")))

    async def script() -> None:
        await until(lambda: len(house.told) >= 4)

    house.run(script)
    waits = [float(line.partition("again in ")[2].split()[0]) for line in house.told[:4]]
    assert waits == [0.0, 0.0, 0.1, 0.2]  # 0.02, 0.04, 0.08, 0.16 as told


def test_refused_settings_of_an_essential_child_end_everything(tmp_path: Path) -> None:
    house = House(tmp_path, Child("other", FOREVER), Child("recorder", shell("echo unknown symbol; exit 2"), essential=True))

    async def script() -> None:
        await until(lambda: house.report.exists() and house.standing("recorder").state == "refused")

    assert house.run(script) == 2
    assert "unknown symbol" in house.told[0]
    assert house.standing("other").state == "stopped"
    assert house.standing("recorder").restarts == 0


def test_refused_settings_of_another_child_leave_the_rest_running(tmp_path: Path) -> None:
    house = House(tmp_path, Child("page", shell("exit 2")), Child("recorder", FOREVER))

    async def script() -> None:
        await until(lambda: house.report.exists() and house.standing("recorder").state == "running")
        await until(lambda: house.standing("page").state == "refused")
        assert house.standing("recorder").state == "running"

    assert house.run(script) == 0


def test_settings_that_worked_before_are_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recorder that is restarted while the network is away exits with 2, too."""
    monkeypatch.setattr(supervisor, "FIRST_WAIT_S", 0.01)
    mark = tmp_path / "been-here"
    house = House(tmp_path, Child("recorder", shell(f"test -e {mark} && exit 2; touch {mark}; exit 1"), essential=True))

    async def script() -> None:
        await until(lambda: sum("exit status 2" in line for line in house.told) >= 2)

    assert house.run(script) == 0


def test_a_child_waits_for_the_port_of_the_one_before(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    listen = python(
        f"import socket, time; time.sleep(0.3); s = socket.create_server(('127.0.0.1', {port}))\nwhile True: s.accept()"
    )
    connect = python(f"import socket, time; socket.create_connection(('127.0.0.1', {port})); print('there'); time.sleep(999)")
    house = House(tmp_path, Child("exchange", listen, port=port), Child("recorder", connect))

    async def script() -> None:
        await until(lambda: "there" in log(house.folder / "recorder.log"))

    house.run(script)
    assert house.told == []


def test_children_stop_in_order(tmp_path: Path) -> None:
    names = tmp_path / "names"
    say = "trap 'echo {0} >> {1}; exit 0' TERM; echo ready; while :; do sleep 0.05; done"
    children = [Child(name, shell(say.format(name, names)), stop=rank) for name, rank in (("c", 3), ("a", 1), ("b", 2))]
    house = House(tmp_path, *children)

    async def script() -> None:
        await until(lambda: all("ready" in log(house.folder / f"{name}.log") for name in "abc"))

    assert house.run(script) == 0
    assert names.read_text().split() == ["a", "b", "c"]
    assert house.told == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_that_end_it(tmp_path: Path, number: signal.Signals) -> None:
    house = House(tmp_path, Child("flow", FOREVER))

    async def script() -> None:
        await until(lambda: house.report.exists() and house.standing("flow").state == "running")
        os.kill(os.getpid(), number)
        await until(lambda: house.standing("flow").state == "stopped")

    assert house.run(script) == 0


def test_a_child_that_does_not_stop_is_killed(tmp_path: Path) -> None:
    house = House(tmp_path, Child("flow", shell("trap '' TERM; echo ready; while :; do sleep 0.05; done"), patience=0.2))

    async def script() -> None:
        await until(lambda: "ready" in log(house.folder / "flow.log"))

    assert house.run(script) == 0
    assert house.told == ["flow did not stop in 0.2 s and is killed"]


def test_a_second_signal_does_not_wait(tmp_path: Path) -> None:
    house = House(tmp_path, Child("flow", shell("trap '' TERM; echo ready; while :; do sleep 0.05; done"), patience=1000))

    async def script() -> None:
        await until(lambda: "ready" in log(house.folder / "flow.log"))
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(0)

    assert house.run(script) == 0


def test_children_of_a_dead_child_are_killed(tmp_path: Path) -> None:
    house = House(tmp_path, Child("page", shell("sleep 1000 & echo $!; exit 1")))

    async def script() -> None:
        await until(lambda: bool(house.told))
        orphan = int(log(house.folder / "page.log").split('"')[3])
        await until(lambda: gone(orphan))  # a process closes what it holds before it is gone

    house.run(script)


def test_a_command_that_is_not_there_is_told(tmp_path: Path) -> None:
    house = House(tmp_path, Child("page", (str(tmp_path / "absent"),)))

    async def script() -> None:
        await until(lambda: bool(house.told))

    house.run(script)
    assert "page died (exit status 127)" in house.told[0]
    assert "absent" in house.told[0]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells children of their parent's death")
def test_no_orphans_after_kill_9(tmp_path: Path) -> None:
    program = (
        "import asyncio, pathlib, signal, sys; from tapeflow.supervisor import Child, Supervisor\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "stubborn = ('/bin/sh', '-c', \"trap '' TERM; while :; do sleep 0.05; done\")\n"
        "children = [Child('a', stubborn), Child('b', ('/bin/sleep', '1000'), orphaned=signal.SIGTERM)]\n"
        "asyncio.run(Supervisor(children, folder / 'up.json', folder, print).run())\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)])
    try:
        house = House(tmp_path)

        async def script() -> None:
            await until(house.report.exists)
            await until(lambda: house.standing("b").pid is not None)
            pids = [house.standing(name).pid for name in "ab"]
            parent.kill()
            await until(lambda: all(gone(pid) for pid in pids if pid))

        asyncio.run(script())
    finally:
        parent.kill()
        parent.wait()


def log(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def test_the_report_is_json_that_others_can_read(tmp_path: Path) -> None:
    house = House(tmp_path, Child("flow", FOREVER))

    async def script() -> None:
        await until(lambda: house.report.exists() and house.standing("flow").state == "running")
        report = json.loads(house.report.read_text())
        assert report["pid"] == os.getpid()
        assert abs(report["at"] - time.time()) < DEADLINE_S
        assert report["children"][0].keys() == {"name", "pid", "state", "restarts", "since", "exit"}

    house.run(script)
    assert house.standing("flow").pid is None
