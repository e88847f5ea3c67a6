"""Dagster in parts: the code location behind gRPC, runs through the daemon, its history in Postgres."""

from __future__ import annotations

import datetime as dt
import importlib.util
import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from assets import upkeep
from pipelines.market import TRADES
from pipelines.store.lake import Lake
from tests.faults.house import ROOT, wait_for
from tests.pipelines.store.samples import put, rows
from tests.ports import free_ports

DEPLOY = ROOT / "deploy"
PASSWORD = "made-up"
SECONDS = 300.0
"""Within which each part answers, on a machine with much else to do."""
LAUNCH = """
mutation { launchRun(executionParams: {mode: "default", selector: {
  repositoryLocationName: "tapeflow", repositoryName: "__repository__", jobName: "__ASSET_JOB",
  assetSelection: [{path: ["lake", "files"]}]
}}) { __typename ... on LaunchRunSuccess { run { runId } } ... on Error { message } } }
"""
LOCATIONS = """
{ workspaceOrError { ... on Workspace { locationEntries { name locationOrLoadError { __typename
  ... on RepositoryLocation { serverId repositories { assetNodes { assetKey { path } } } }
  ... on PythonError { message } } } } } }
"""


def configuration(*parts: str) -> str:
    return "".join((ROOT / part).read_text() for part in parts)


ONE_MACHINE, POSTGRES = ("assets/dagster.yaml",), ("assets/dagster.yaml", "deploy/postgres.yaml")


def test_postgres_is_added_to_the_configuration_of_one_machine() -> None:
    here, apart = (yaml.safe_load(configuration(*parts)) for parts in (ONE_MACHINE, POSTGRES))
    assert apart == {**here, "storage": apart["storage"]}
    assert "storage" not in here


def test_the_code_location_keeps_its_name() -> None:
    (here,) = yaml.safe_load((ROOT / "workspace.yaml").read_text())["load_from"]
    (apart,) = yaml.safe_load((DEPLOY / "workspace.yaml").read_text())["load_from"]
    assert apart["grpc_server"]["location_name"] == here["python_file"]["location_name"]


@contextmanager
def postgres() -> Iterator[dict[str, str]]:
    """Run a Postgres of our own; yield the environment that says where it is."""
    found = [shutil.which("initdb") or "", *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")))]
    if not any(found):
        pytest.skip("no Postgres on this machine (Debian: apt install postgresql)")
    if importlib.util.find_spec("dagster_postgres") is None:
        pytest.skip("no dagster-postgres in this environment (docs/scaling.md)")
    owner, programs = _owner(), Path(next(filter(None, reversed(found)))).parent
    (port,) = free_ports(1)
    with tempfile.TemporaryDirectory() as name:
        folder, secret = Path(name), Path(name, "password")
        secret.write_text(PASSWORD)
        if owner:
            for path in (folder, secret):
                shutil.chown(path, owner)
        options = ["-D", str(folder / "data"), "-U", "tapeflow", "-A", "scram-sha-256", "--pwfile", str(secret)]
        subprocess.run([str(programs / "initdb"), *options], user=owner, check=True, capture_output=True, cwd=folder)
        serve = ["-D", str(folder / "data"), "-p", str(port), "-h", "127.0.0.1", "-k", str(folder)]
        server = subprocess.Popen(
            [str(programs / "postgres"), *serve], user=owner, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            ready = [str(programs / "pg_isready"), "-h", "127.0.0.1", "-p", str(port)]
            wait_for(lambda: not subprocess.run(ready, check=False, capture_output=True).returncode, "Postgres")
            yield {
                "POSTGRES_HOST": "127.0.0.1",
                "POSTGRES_PORT": str(port),
                "POSTGRES_USER": "tapeflow",
                "POSTGRES_PASSWORD": PASSWORD,
                "POSTGRES_DB": "postgres",
            }
        finally:
            server.terminate()
            server.wait(30)


def _owner() -> str | None:
    """Return as whom Postgres is run: it refuses root."""
    if os.geteuid():
        return None
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError:
        pytest.skip("Postgres refuses root, and there is no user `postgres`")


class Parts:
    """Code server, webserver and daemon, each a process of its own on `data`."""

    def __init__(self, data: Path, config: str, more: Mapping[str, str], stack: ExitStack) -> None:
        self.code, self.page = free_ports(2)
        home = data / "dagster"
        home.mkdir(parents=True)
        (home / "dagster.yaml").write_text(config)
        env = os.environ | {
            "DAGSTER_HOME": str(home),
            "DAGSTER_DISABLE_TELEMETRY": "yes",
            "TAPEFLOW_DATA": str(data),
            "TAPEFLOW_CONFIG": os.devnull,
            "CODE_HOST": "127.0.0.1",
            "CODE_PORT": str(self.code),
            **more,
        }
        where = ["-w", str(DEPLOY / "workspace.yaml")]
        for name, command in {
            "code": ["dagster", "code-server", "start", "-h", "127.0.0.1", "-p", str(self.code), "-m", "assets.definitions"],
            "webserver": ["dagster_webserver", "-h", "127.0.0.1", "-p", str(self.page), *where],
            "daemon": ["dagster._daemon", "run", *where],
        }.items():
            log = stack.enter_context((data / f"{name}.log").open("wb"))
            process = subprocess.Popen([sys.executable, "-m", *command], env=env, cwd=ROOT, stdout=log, stderr=log)
            stack.callback(process.wait, SECONDS)  # a code server ends once its own server has noticed
            stack.callback(process.terminate)

    def ask(self, query: str) -> dict[str, Any]:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.page}/graphql",
            json.dumps({"query": query}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            data: dict[str, Any] = json.load(answer)["data"]
            return data

    def assets(self) -> set[tuple[str, ...]]:
        """Return the keys of the assets of the code location; none while it is not loaded."""
        try:
            (entry,) = self.ask(LOCATIONS)["workspaceOrError"]["locationEntries"]
        except (urllib.error.URLError, OSError):
            return set()
        assert entry["name"] == "tapeflow"
        found = entry["locationOrLoadError"]
        nodes = [node for repository in (found or {}).get("repositories", ()) for node in repository["assetNodes"]]
        return {tuple(node["assetKey"]["path"]) for node in nodes}

    def ended(self, run: str) -> str:
        found = self.ask(f'{{ runOrError(runId: "{run}") {{ ... on Run {{ status }} }} }}')["runOrError"]["status"]
        return found if found in ("SUCCESS", "FAILURE", "CANCELED") else ""


def runs_an_asset(data: Path, root: str, config: str, more: Mapping[str, str]) -> None:
    """Launch a compaction of the lake from the pages; the daemon takes it from the queue, the code server runs it."""
    lake = Lake(root)
    lake.create()
    for n in range(3):
        put(lake, TRADES, rows(TRADES, 5, trade_id=[5 * n + k for k in range(5)]))
    with ExitStack() as stack:
        parts = Parts(data, config, {"TAPEFLOW_LAKE": root, **more}, stack)
        wait_for(lambda: ("lake", "files") in parts.assets(), "the code location", SECONDS)
        assert ("live", "trades") in parts.assets()
        launched = parts.ask(LAUNCH)["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        run = launched["run"]["runId"]
        wait_for(lambda: bool(parts.ended(run)), "the run", SECONDS)
        assert parts.ended(run) == "SUCCESS"
    assert len(lake.live("trades")) == 1, "three files became one"


@pytest.mark.soak
def test_an_asset_runs_behind_grpc(tmp_path: Path) -> None:
    runs_an_asset(tmp_path, str(tmp_path / "lake"), configuration(*ONE_MACHINE), {})


@pytest.mark.soak
def test_an_asset_runs_behind_grpc_with_its_history_in_postgres_and_the_lake_on_s3(tmp_path: Path, s3: str) -> None:
    with postgres() as where:
        runs_an_asset(tmp_path, f"{s3}/dagster", configuration(*POSTGRES), where)
    assert not list(tmp_path.rglob("runs*.db")), "nothing of it is in SQLite"


@pytest.mark.soak
def test_upkeep_deletes_reports_in_postgres_and_says_how_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dagster.yaml").write_text(configuration(*POSTGRES))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    with postgres() as where:
        for name, value in where.items():
            monkeypatch.setenv(name, value)
        with dg.DagsterInstance.get() as instance:
            for _ in range(3):
                instance.report_runless_asset_event(dg.AssetMaterialization("trades"))
            assert upkeep.delete_reports(instance, dt.datetime.now(dt.UTC) + dt.timedelta(minutes=1)) == 2
            assert instance.get_latest_materialization_event(dg.AssetKey("trades")) is not None
            assert upkeep.upkeep.execute_in_process(instance=instance).success
