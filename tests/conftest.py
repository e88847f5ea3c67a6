"""Shared by all tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers
from hypothesis.internal.constants_ast import Constants

settings.register_profile("steady", derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")  # a run tells of the code, neither of the draw nor of the machine's load
providers._get_local_constants = Constants  # it draws from those of all modules loaded so far, by whatever tests ran before

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
"""Real recordings, kept outside the project."""

for name in [name for name in os.environ if name.startswith(("TAPEFLOW_", "SLACK_"))]:
    del os.environ[name]  # what is made up here is nobody's news, and no desk's settings are ours
os.environ |= dict.fromkeys(("SLACK_BOT_TOKEN", "SLACK_WEBHOOK_URL"), "")  # nor is what a `.env` says


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run in an empty folder, with no settings from outside."""
    monkeypatch.chdir(tmp_path)
    for name in ("TAPEFLOW_CONFIG", "TAPEFLOW_RULES"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def _logging() -> Iterator[None]:
    """Leave logging as it was: a command that configures it does so for the whole process."""
    kept = structlog.get_config()
    yield
    structlog.configure(**kept)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests marked `real` where the recordings are absent."""
    if SHARED.is_dir():
        return
    for item in items:
        if item.get_closest_marker("real"):
            item.add_marker(pytest.mark.skip(reason=f"no recordings at {SHARED}"))
