"""A demo exchange, a recorder and a flow as processes of their own, to be killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from dataflows.demo.faults import unit
from pipelines.settings import Ports, Settings, demo_settings
from pipelines.store.lake import Lake, LakeError
from tapeflow.screen import as_json
from tapeflow.status import gather
from tests.ports import free_ports

ROOT = Path(__file__).parents[2]


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 300.0) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.05)


class House:
    """The demo's processes on a folder.

    Parameters
    ----------
    data : Path
    rate : float
        Mean trades a second.
    feeds : tuple of str
        What is recorded; none: what the demo records.
    env : str
        Adds to the environment of the processes.
    """

    def __init__(self, data: Path, rate: float = 100.0, feeds: tuple[str, ...] = (), **env: str) -> None:
        self.data = data / "demo"
        self.rate = rate
        self.demo_port, metrics, dagster = free_ports(3)
        ports = Ports(demo=self.demo_port, metrics=metrics, dagster=dagster)
        self.settings = demo_settings(Settings(data=data, ports=ports))
        self.env = os.environ | {
            "TAPEFLOW_CONFIG": os.devnull,
            "TAPEFLOW_DATA": str(data),
            **{f"TAPEFLOW_PORTS__{name.upper()}": str(port) for name, port in ports.model_dump().items()},
            "TAPEFLOW_DEMO__RATE": str(rate),
            **env,
        }
        self.flags = ["--demo"]
        if feeds:  # the demo's settings have no place for them: the same without --demo
            self.flags = []
            self.env |= {
                "TAPEFLOW_DATA": str(self.data),
                "TAPEFLOW_VENUES": json.dumps({"demo": {"symbols": self.settings.demo.symbols, "feeds": feeds}}),
                "TAPEFLOW_ENDPOINTS": json.dumps(self.settings.endpoints),
                "TAPEFLOW_KERNELS": self.settings.kernels.model_dump_json(),
            }
        self.speed = float(self.env.get("TAPEFLOW_DEMO__SPEED", "1"))
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.data.mkdir(parents=True)

    def start(self, name: str, *args: str) -> subprocess.Popen[bytes]:
        """Start `tapeflow NAME` of the demo; its output goes to a file."""
        command = [sys.executable, "-m", "tapeflow", name, *args, *(() if name == "demo-exchange" else self.flags)]
        with (self.data / f"{name}.out").open("ab") as out:
            self.processes[name] = subprocess.Popen(command, cwd=ROOT, env=self.env, stdout=out, stderr=out)
        return self.processes[name]

    def begin(self, *, supervised: bool = False) -> None:
        """Start exchange, recorder and flow, or `tapeflow up`, and wait for trades in the lake."""
        if supervised:
            self.start("up")
        else:
            self.start("demo-exchange")
            wait_for(self.answers, "the exchange answers")
            self.draw_past()
            self.start("record")
            self.start("run")
        try:
            wait_for(lambda: self.rows("trades") > 0, "trades in the lake", 500)  # a minute, and the flow's start
        except AssertionError as error:
            raise AssertionError("\n".join([str(error), *(f"{n}: {self.said(n)}" for n in self.processes)])) from None

    def answers(self) -> bool:
        """Whether the exchange answers."""
        try:
            self.ask("/fapi/v1/time")
        except OSError:
            return False
        return True

    def ask(self, path: str, seconds: float = 60.0) -> bytes:
        """Ask the exchange over REST."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.demo_port}{path}", timeout=seconds) as answer:
            content: bytes = answer.read()
            return content

    def draw_past(self) -> None:
        """Have the exchange draw the candles that a recorder asks for first: a busy one takes longer than a recorder waits."""
        for symbol in self.settings.demo.symbols:
            self.ask(f"/fapi/v1/klines?symbol={symbol.replace('-', '')}&interval=1m&limit=1000", 150)

    def fault(self, kind: str, value: float | None = None) -> None:
        """Have the exchange misbehave."""
        self.ask(f"/demo/fault?kind={kind}" + (f"&{unit(kind)}={value:g}" if value is not None else ""))

    def kill(self, name: str) -> None:
        """Kill -9."""
        process = self.processes[name]
        assert process.poll() is None, f"{name} had ended with {process.returncode}: {self.said(name)}"
        process.kill()
        process.wait(30)

    def stop(self, name: str, seconds: float = 300.0) -> None:
        """Stop with SIGTERM; it must end with status 0."""
        process = self.processes[name]
        process.send_signal(signal.SIGTERM)
        assert process.wait(seconds) == 0, self.said(name)

    def drain(self) -> None:
        """Run the flow to the end of the journal."""
        assert self.start("run", "--until-end").wait(300) == 0, self.said("run")

    def said(self, name: str) -> str:
        """Return the end of what a process printed."""
        return (self.data / f"{name}.out").read_text(errors="replace")[-3000:]

    def close(self) -> None:
        """Kill whatever is left; what is supervised dies with its supervisor."""
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
                process.wait(30)

    @property
    def lake(self) -> Lake:
        """The lake, opened anew."""
        return Lake(self.data / "lake")

    def rows(self, table: str) -> int:
        """Return how many rows a table has; 0 before it exists."""
        try:
            return sum(f.rows for f in self.lake.live(table).values())
        except LakeError:
            return 0

    def told(self) -> dict[str, Any]:
        """Return what `tapeflow status --json` says, gathered here: the command itself takes seconds to start."""
        found: dict[str, Any] = json.loads(as_json(gather(self.settings, time.time())))
        return found

    def command(self) -> dict[str, Any]:
        """Return what the command `tapeflow status --json` prints; its exit status must tell the same."""
        command = [sys.executable, "-m", "tapeflow", "status", "--json", *self.flags]
        ended = subprocess.run(command, cwd=ROOT, env=self.env, capture_output=True, timeout=150, check=False)
        assert ended.stdout, ended.stderr.decode()
        found: dict[str, Any] = json.loads(ended.stdout)
        assert ended.returncode == (1 if found["faults"] else 0)
        return found

    def asked(self) -> dict[str, int]:
        """Return how often the exchange was asked for a socket (`handshakes`) and over REST (`rest`)."""
        counts = json.loads(self.ask("/demo/status"))
        return {name: counts[name] for name in ("handshakes", "rest")}

    def status(self, name: str) -> dict[str, object]:
        """Return what recorder or flow last said of itself; nothing before it has."""
        path = self.data / "status" / f"{name}.json"
        found: dict[str, object] = json.loads(path.read_text()) if path.exists() else {}
        return found

    def trades(self) -> pl.DataFrame:
        """Return every trade, sorted by symbol and id."""
        return self.lake.table("trades").collect().sort("symbol", "trade_id")
