"""What `tapeflow up` starts, and what it refuses to start on."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest

from pipelines.settings import Settings, SettingsError, load
from tapeflow import up
from tapeflow.cli import main
from tapeflow.supervisor import Child
from tests.ports import free_ports

if TYPE_CHECKING:
    from pathlib import Path

DEADLINE_S = 60.0


@pytest.fixture
def base(tmp_path: Path) -> Settings:
    dagster, metrics, demo = free_ports(3)
    return load(data=tmp_path / "data", ports={"dagster": dagster, "metrics": metrics, "demo": demo})


def in_use(name: str, port: int, variable: str) -> str:
    return f"{name}: port {port} is in use; stop what listens there, or set TAPEFLOW_PORTS__{variable} to another"


@pytest.fixture
def sleeper(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start one stand-in instead of everything."""
    monkeypatch.setattr(up, "children", lambda *_, **__: [Child("sleeper", ("/bin/sleep", "1000"))])


def test_the_house_and_its_order(base: Settings) -> None:
    names = [child.name for child in up.children(base, demo=False)]
    assert names == ["recorder", "flow", "sender", "dagster-webserver", "dagster-daemon"]
    assert [c.name for c in up.children(base, demo=True)] == ["exchange", *names]
    ranks = {child.name: child.stop for child in up.children(base, demo=True)}
    assert ranks["recorder"] < ranks["flow"] < ranks["dagster-webserver"]
    assert ranks["recorder"] < ranks["exchange"]


def test_the_demo_is_told_to_every_child(base: Settings) -> None:
    children = {child.name: child for child in up.children(base, demo=True)}
    assert "--demo" in children["recorder"].command
    assert "--demo" in children["flow"].command
    batch = children["dagster-daemon"].env
    assert batch["TAPEFLOW_USE_DEMO"] == "yes"
    assert batch["DAGSTER_HOME"] == str(base.data / "demo" / "dagster")
    assert batch["TAPEFLOW_DATA"] == str(base.data)
    live = {child.name: child for child in up.children(base, demo=False)}
    assert "--demo" not in live["recorder"].command
    assert "TAPEFLOW_USE_DEMO" not in live["dagster-daemon"].env


def test_the_page_is_served_on_this_machine_alone(base: Settings) -> None:
    page = next(child for child in up.children(base, demo=False) if child.name == "dagster-webserver")
    command = list(page.command)
    assert command[command.index("-h") + 1] == "127.0.0.1"
    assert command[command.index("-p") + 1] == str(base.ports.dagster)
    assert command[command.index("-w") + 1] == str(up.WORKSPACE)
    assert up.WORKSPACE.exists()


def test_all_ports_in_use_are_told_at_once(base: Settings, sleeper: None) -> None:
    with (
        socket.create_server(("127.0.0.1", base.ports.dagster)),
        socket.create_server(("127.0.0.1", base.ports.metrics + 1)),
        socket.create_server(("127.0.0.1", base.ports.demo)),
        pytest.raises(SettingsError) as refused,
    ):
        up.up(base, demo=True, tell=print)
    assert refused.value.faults == [
        in_use("ports.dagster", base.ports.dagster, "DAGSTER"),
        in_use("ports.metrics + 1", base.ports.metrics + 1, "METRICS"),
        in_use("ports.demo", base.ports.demo, "DEMO"),
    ]


def test_a_port_that_is_given_twice(base: Settings, sleeper: None) -> None:
    port = base.ports.metrics + 1
    twice = base.model_copy(update={"ports": base.ports.model_copy(update={"dagster": port})})
    with pytest.raises(SettingsError) as refused:
        up.up(twice, demo=False, tell=print)
    (fault,) = refused.value.faults
    assert fault == f"ports.metrics + 1: port {port} is that of ports.dagster, too; set TAPEFLOW_PORTS__METRICS to another"


def test_a_folder_that_cannot_be_written_is_told_with_the_ports(base: Settings, tmp_path: Path, sleeper: None) -> None:
    (tmp_path / "data").write_text("a file")
    with socket.create_server(("127.0.0.1", base.ports.dagster)), pytest.raises(SettingsError) as refused:
        up.up(base, demo=False, tell=print)
    assert len(refused.value.faults) == 3
    assert "cannot be written (Not a directory)" in refused.value.faults[0]
    assert "ports.dagster" in refused.value.faults[2]


def test_faults_give_exit_status_2_and_no_traceback(
    base: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], sleeper: None
) -> None:
    monkeypatch.setattr("tapeflow.commands.operate.settings", lambda: base)
    with socket.create_server(("127.0.0.1", base.ports.dagster)):
        assert main(["up"]) == 2
    assert capsys.readouterr().err == f"tapeflow: {in_use('ports.dagster', base.ports.dagster, 'DAGSTER')}\n"


def test_it_runs_until_told_to_stop_and_refuses_a_second(base: Settings, sleeper: None) -> None:
    told: list[str] = []
    second: list[str] = []

    def look() -> None:
        report, deadline = base.data / "status" / "up.json", time.monotonic() + DEADLINE_S
        try:
            while not (report.exists() and b'"running"' in report.read_bytes()) and time.monotonic() < deadline:
                time.sleep(0.01)
            try:
                up.up(base, demo=False, tell=print)
            except SettingsError as error:
                second.extend(error.faults)
        finally:
            os.kill(os.getpid(), signal.SIGINT)

    looking = threading.Thread(target=look)
    looking.start()
    assert up.up(base, demo=False, tell=told.append) == 0
    looking.join()
    assert second == [f"data: `tapeflow up` runs on {base.data} already, as process {os.getpid()}; stop that first"]
    assert f"http://127.0.0.1:{base.ports.dagster}" in told[0]
    assert told[-1] == "stopped"
    assert (base.dagster_home / "dagster.yaml").exists()


def test_a_lock_that_was_left_behind_is_no_hindrance(base: Settings, sleeper: None) -> None:
    lock = base.data / "status" / "up.lock"
    lock.parent.mkdir(parents=True)
    lock.write_text("12345678")
    with up._lock(base):
        assert lock.read_text() == str(os.getpid())
