"""Dagster's home: the folder that keeps its history, with its configuration; and whose settings it runs with."""

import os
from pathlib import Path

from pipelines.settings import Settings

USE_DEMO = "TAPEFLOW_USE_DEMO"
"""Environment variable by which `tapeflow up --demo` tells Dagster to use the demo's settings."""
TEMPLATE = Path(__file__).with_name("dagster.yaml")


def option() -> str:
    """Return what commands that Dagster tells of must end with, so that they go to the lake it works on."""
    return " --demo" if os.environ.get(USE_DEMO) else ""


def prepare(settings: Settings) -> Path:
    """Make Dagster's home and write `dagster.yaml` there, unless someone keeps a version of their own.

    Raises
    ------
    OSError
        If the folder cannot be written.
    """
    home = settings.dagster_home
    home.mkdir(parents=True, exist_ok=True)
    config, wanted = home / "dagster.yaml", TEMPLATE.read_text()
    ours = wanted.splitlines()[0]
    if not config.exists() or (config.read_text().startswith(ours) and config.read_text() != wanted):
        draft = home / "dagster.yaml.new"
        draft.write_text(wanted)
        draft.replace(config)
    return home
