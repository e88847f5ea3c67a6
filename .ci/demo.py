"""`make demo` from start to end: it fills the tables, tells Slack, stops on Ctrl-C, goes on without a duplicate or a hole."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import polars as pl

import tapeflow as tf
from assets.checks import STREAMED
from pipelines.market import TABLES
from tests.ports import free_ports

ROOT = Path(__file__).parents[1]
SHOWN = ("trades", "bars", "vpin", "alerts")
CLOSED = [name for name, table in TABLES.items() if not table.newest]
"""Tables whose rows are written once; of the others the view keeps the newest."""
MORE = 100
"""Trades of each symbol that the second run must add."""
PATIENCE_S = 300
"""For what no time is promised: a busy machine takes longer."""


def main() -> None:
    """Start, look, stop, start again, look again, stop."""
    with tempfile.TemporaryDirectory(prefix="tapeflow-ci-") as folder, _slack() as slack:
        env = _environment(Path(folder), slack)
        lake = Path(folder) / "demo" / "lake"
        with _demo(env) as demo:
            _wait(90, "trades, bars, vpin and alerts have rows", lambda: all(_rows(env).get(name) for name in SHOWN))
            _wait(PATIENCE_S, "Dagster shows the tables", lambda: _assets(env) >= {f"live/{name}" for name in STREAMED})
            _wait(PATIENCE_S, "status finds nothing wrong", lambda: _tapeflow(env, "status", "--demo", "--json").returncode == 0)
            told = "an alert is at Slack, its brief in the thread"
            _wait(PATIENCE_S, told, lambda: any("thread_ts" in post for post in _posts(slack)))
            _wait(PATIENCE_S, "every agent has run", lambda: _idle_agents(env) <= {"analyst"})
            _stop(demo, env)
            if demo.returncode != 0:
                raise SystemExit(f"make demo: exit status {demo.returncode} after Ctrl-C")
        before = _check(lake)
        with _demo(env) as demo:
            _wait(PATIENCE_S, f"{MORE} more trades of each symbol", lambda: _grown(lake, before))
            _stop(demo, env)
        _check(lake)
        _notebook(env | {"TAPEFLOW_LAKE": str(lake)})
    print("make demo: all well")


def _environment(folder: Path, slack: str) -> dict[str, str]:
    ports = free_ports(3)
    names = ("TAPEFLOW_PORTS__DAGSTER", "TAPEFLOW_PORTS__METRICS", "TAPEFLOW_PORTS__DEMO")
    told = {"TAPEFLOW_BRIEFS__SLACK__API": f"{slack}/api/", "SLACK_BOT_TOKEN": "xoxb-made-up", "SLACK_CHANNEL": "#desk"}
    return {**os.environ, **dict(zip(names, map(str, ports), strict=True)), "TAPEFLOW_DATA": str(folder), **told}


@contextmanager
def _slack() -> Iterator[str]:
    """Serve Slack on this machine; give its address."""
    (port,) = free_ports(1)
    server = subprocess.Popen([sys.executable, "-m", "tests.slack_server", "--port", str(port)], cwd=ROOT)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()


def _posts(slack: str) -> list[dict[str, Any]]:
    try:
        posts: list[dict[str, Any]] = httpx.get(f"{slack}/messages", timeout=10, trust_env=False).json()
    except httpx.HTTPError:
        return []
    return posts


def _idle_agents(env: dict[str, str]) -> set[str]:
    """Name the agents that have not run, or not well."""
    told = json.loads(_tapeflow(env, "agents", "--demo", "--json").stdout)
    return {agent["name"] for agent in told if agent["status"] != "ok"}


@contextmanager
def _demo(env: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run `make demo`; whatever happens, nothing of it is left behind."""
    demo = subprocess.Popen(["make", "demo"], cwd=ROOT, env=env, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        yield demo
    except BaseException:
        _tell_logs(Path(env["TAPEFLOW_DATA"]))
        raise
    finally:
        for pid in _processes(env):
            os.kill(pid, signal.SIGKILL)
        demo.wait()


def _stop(demo: subprocess.Popen[bytes], env: dict[str, str]) -> None:
    """Send what Ctrl-C sends to tapeflow, and wait until nothing runs any more."""
    report = Path(env["TAPEFLOW_DATA"]) / "demo" / "status" / "up.json"
    os.kill(json.loads(report.read_text())["pid"], signal.SIGINT)
    _wait(120, "everything stopped", lambda: demo.poll() is not None and not list(_processes(env)))


def _processes(env: dict[str, str]) -> Iterator[int]:
    """Find the processes that have our data folder in their environment."""
    mark = f"TAPEFLOW_DATA={env['TAPEFLOW_DATA']}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (folder / "environ").read_bytes() and int(folder.name) != os.getpid():
                yield int(folder.name)
        except OSError:
            continue


def _wait(seconds: float, what: str, reached: Callable[[], bool]) -> None:
    begin = time.monotonic()
    while not reached():
        if time.monotonic() - begin > seconds:
            raise SystemExit(f"make demo: not within {seconds:.0f} s: {what}")
        time.sleep(0.5)
    print(f"{what}: after {time.monotonic() - begin:.1f} s", flush=True)


def _tapeflow(env: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tapeflow", *words]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)


def _rows(env: dict[str, str]) -> dict[str, int]:
    told = _tapeflow(env, "tables", "--demo", "--json")
    return {table["table"]: table["rows"] for table in json.loads(told.stdout)} if told.returncode == 0 else {}


def _assets(env: dict[str, str]) -> set[str]:
    """Ask Dagster's page for its assets."""
    page = f"http://127.0.0.1:{env['TAPEFLOW_PORTS__DAGSTER']}/graphql"
    try:
        answer = httpx.post(page, json={"query": "{assetNodes {assetKey {path}}}"}, timeout=10, trust_env=False)
    except httpx.HTTPError:
        return set()
    nodes = answer.json()["data"]["assetNodes"] if answer.is_success else []
    return {"/".join(node["assetKey"]["path"]) for node in nodes}


def _check(lake: Path) -> dict[str, int]:
    """Hold every table against its key and the tape against its ids; return the trades by symbol."""
    opened = tf.open(lake)
    for name in CLOSED:
        table = TABLES[name]
        twice = opened.table(name).group_by(table.key).len().filter(pl.col("len") > 1).collect()
        if twice.height:
            raise SystemExit(f"make demo: {name} holds {twice.height} keys twice:\n{twice.head()}")
    ids = pl.col("trade_id")
    tape = opened.table("trades").group_by("symbol").agg(pl.len(), first=ids.min(), last=ids.max()).sort("symbol").collect()
    if not tape.filter(pl.col("last") - pl.col("first") + 1 != pl.col("len")).is_empty():
        raise SystemExit(f"make demo: the tape has holes:\n{tape}")
    print(tape)
    return dict(tape.select("symbol", "len").iter_rows())


def _grown(lake: Path, before: dict[str, int]) -> bool:
    now = tf.open(lake).table("trades").group_by("symbol").len().collect()
    return all(count >= before[symbol] + MORE for symbol, count in now.iter_rows())


def _notebook(env: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory() as out:
        convert = ["-m", "jupyter", "nbconvert", "--to", "notebook", "--execute", "--output-dir", out]
        subprocess.run([sys.executable, *convert, "notebooks/first_look.ipynb"], cwd=ROOT, env=env, check=True)


def _tell_logs(data: Path) -> None:
    for log in sorted(data.glob("demo/logs/*.log")):
        print(f"--- {log.name}", *log.read_text(errors="replace").splitlines()[-15:], sep="\n", file=sys.stderr)


if __name__ == "__main__":
    main()
