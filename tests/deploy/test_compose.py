"""The files of `deploy/`: what they name is there, what they start understands them, and they hold no secret."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from dagster._cli import create_dagster_cli
from dagster._daemon.cli import cli as daemon
from dagster_webserver.cli import dagster_webserver

from pipelines.settings import Settings, load
from tapeflow import cli  # noqa: F401 - registers the commands
from tapeflow.commands import app
from tests.faults.house import ROOT

DEPLOY = ROOT / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
SCHEMA = Path("/usr/lib/python3/dist-packages/compose/config/compose_spec.json")
REQUIRED = ("TAPEFLOW_LAKE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "POSTGRES_PASSWORD")
PROGRAMS: dict[str, Any] = {
    "tapeflow": typer.main.get_command(app),
    "dagster": create_dagster_cli(),  # type: ignore[no-untyped-call]
    "dagster-webserver": dagster_webserver,
    "dagster-daemon": daemon,
}
SHARDS = [name for name, service in SERVICES.items() if "TAPEFLOW_SHARD" in service["environment"]]


def parse(words: list[str]) -> None:
    """Find the command that a command line names, and let it take every option given."""
    command, words = PROGRAMS[words[0]], words[1:]
    while commands := getattr(command, "commands", None):
        command, words = commands[words[0]], words[1:]
    command.make_context(command.name, [*words])


def test_it_is_a_compose_file() -> None:
    if not SCHEMA.exists():
        pytest.skip("no schema of compose files (Debian: apt install docker-compose)")
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft201909Validator(json.loads(SCHEMA.read_text())).validate(COMPOSE)


def test_docker_compose_takes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    if (program := shutil.which("docker-compose")) is None:
        pytest.skip("no docker-compose (Debian: apt install docker-compose)")
    command = [program, "-f", str(DEPLOY / "compose.yaml"), "config", "--quiet"]
    for name in REQUIRED:
        monkeypatch.delenv(name, raising=False)
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert refused.returncode != 0
    for name in REQUIRED:
        monkeypatch.setenv(name, "made-up")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", [name for name, service in SERVICES.items() if "command" in service])
def test_what_a_service_starts_is_there_and_takes_its_options(name: str) -> None:
    command = SERVICES[name]["command"]
    parse(command)
    for word in command:
        assert not word.startswith("deploy/") or (ROOT / word).is_file()
        assert not word.startswith("assets.") or (ROOT / f"{word.replace('.', '/')}.py").is_file()
    if (check := SERVICES[name].get("healthcheck")) is not None:
        parse(check["test"][1:])


@pytest.mark.parametrize("name", [name for name in SERVICES if name != "postgres"])
def test_a_service_runs_on_its_environment(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    said = SERVICES[name]["environment"]
    ours = {variable.removeprefix("TAPEFLOW_").lower() for variable in said if variable.startswith("TAPEFLOW_")}
    assert ours <= Settings.model_fields.keys()
    for variable, value in said.items():
        if value is not None:
            monkeypatch.setenv(variable, "s3://bucket/lake" if variable == "TAPEFLOW_LAKE" else value)
    chosen = load()
    assert chosen.lake_root == "s3://bucket/lake"
    assert chosen.data == Path("/data")


def test_each_other_variable_is_read_by_somebody() -> None:
    ours = "".join(path.read_text() for folder in ("assets", "pipelines", "dataflows") for path in (ROOT / folder).rglob("*.py"))
    told = "".join((DEPLOY / name).read_text() for name in ("postgres.yaml", "workspace.yaml"))
    named = {name for service in SERVICES.values() for name in service["environment"]}
    for name in named - {"DAGSTER_HOME"}:
        if not name.startswith(("TAPEFLOW_", "AWS_")):
            assert f'"{name}"' in ours or f"env: {name}" in told, name
    assert set(re.findall(r"env: (\w+)", told)) <= set(SERVICES["code"]["environment"])


def test_shards_share_the_lake_and_nothing_else() -> None:
    symbols: dict[str, set[str]] = {}
    volumes: dict[str, set[str]] = {}
    for name in SHARDS:
        shard = SERVICES[name]["environment"]["TAPEFLOW_SHARD"]
        venues = json.loads(SERVICES[name]["environment"]["TAPEFLOW_VENUES"])
        symbols.setdefault(shard, set()).update(symbol for venue in venues.values() for symbol in venue["symbols"])
        volumes.setdefault(shard, set()).update(SERVICES[name]["volumes"])
    assert symbols["a"].isdisjoint(symbols["b"])
    assert volumes["a"].isdisjoint(volumes["b"])
    assert [len(found) for found in volumes.values()] == [1, 1], "journal and recovery store of a shard are on one volume"
    batch = json.loads(SERVICES["code"]["environment"]["TAPEFLOW_VENUES"])
    assert {symbol for venue in batch.values() for symbol in venue["symbols"]} == symbols["a"] | symbols["b"]


def test_volumes_are_declared_and_ports_agree() -> None:
    used = {volume.partition(":")[0] for service in SERVICES.values() for volume in service["volumes"]}
    assert used == set(COMPOSE["volumes"])
    code, batch = SERVICES["code"], SERVICES["code"]["environment"]
    for words in (code["command"], code["healthcheck"]["test"]):
        assert words[words.index("-p") + 1] == batch["CODE_PORT"]
    assert batch["CODE_HOST"] in SERVICES
    assert batch["POSTGRES_HOST"] in SERVICES
    page = SERVICES["webserver"]
    published = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert published == [f"127.0.0.1:3000:{page['command'][page['command'].index('-p') + 1]}"], (
        "the pages alone, on this machine alone"
    )
    postgres = SERVICES["postgres"]["environment"]
    assert all(batch[name] == postgres[name] for name in ("POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB"))


def test_no_file_holds_a_secret() -> None:
    for service in SERVICES.values():
        for name, value in service["environment"].items():
            if re.search("PASSWORD|SECRET|TOKEN|KEY|WEBHOOK", name):
                assert value is None or re.fullmatch(r"\$\{" + name + r":\?[^}]+\}", value), name


def test_the_image_has_what_the_files_name() -> None:
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    for line in lines:
        if line.startswith("COPY"):
            for name in line.split()[1:-1]:
                assert (ROOT / name).exists(), name
    assert ".env" in (DEPLOY / "Dockerfile.dockerignore").read_text().split()
    home = SERVICES["code"]["environment"]["DAGSTER_HOME"]
    assert any(f"cat assets/dagster.yaml deploy/postgres.yaml > {home}/dagster.yaml" in line for line in lines)
    locked = re.search(r"^dagster==1\.(\d+)\.(\d+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    beside = re.search(r"^dagster-postgres==0\.(\d+)\.(\d+)$", (DEPLOY / "requirements.txt").read_text(), re.MULTILINE)
    assert locked
    assert beside
    assert (int(beside[1]), beside[2]) == (int(locked[1]) + 16, locked[2]), "Dagster's libraries are numbered so"
