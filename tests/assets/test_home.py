"""Dagster's home."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from assets import home
from pipelines.settings import load

if TYPE_CHECKING:
    from pathlib import Path


def test_it_is_made_once_and_stays(tmp_path: Path) -> None:
    folder = home.prepare(load(data=tmp_path))
    config = folder / "dagster.yaml"
    assert folder == tmp_path / "dagster"
    assert yaml.safe_load(config.read_text())["telemetry"] == {"enabled": False}
    before = config.stat().st_mtime_ns
    home.prepare(load(data=tmp_path))
    assert config.stat().st_mtime_ns == before


def test_what_is_outdated_is_written_anew(tmp_path: Path) -> None:
    config = home.prepare(load(data=tmp_path)) / "dagster.yaml"
    config.write_text(home.TEMPLATE.read_text().splitlines()[0] + "\nnux: {enabled: true}\n")
    home.prepare(load(data=tmp_path))
    assert config.read_text() == home.TEMPLATE.read_text()


def test_a_version_of_ones_own_is_kept(tmp_path: Path) -> None:
    config = home.prepare(load(data=tmp_path)) / "dagster.yaml"
    config.write_text("telemetry: {enabled: false}\n")
    home.prepare(load(data=tmp_path))
    assert config.read_text() == "telemetry: {enabled: false}\n"


def test_dagster_accepts_the_template(tmp_path: Path) -> None:
    import dagster as dg

    folder = home.prepare(load(data=tmp_path))
    with dg.DagsterInstance.from_config(str(folder)) as instance:
        assert not instance.telemetry_enabled
        assert instance.root_directory == str(folder)
