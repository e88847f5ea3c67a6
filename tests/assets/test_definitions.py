"""What Dagster is shown."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import dagster as dg
import pytest
import yaml

from assets.briefs import USED
from assets.checks import STREAMED
from assets.history import POOL, SEALED
from assets.partitions import DAYS

TOP = Path(__file__).resolve().parents[2]


@pytest.fixture
def definitions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dg.Definitions:
    """Load the definitions anew, in an empty folder, with settings that name it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TAPEFLOW_DATA", str(tmp_path / "data"))
    sys.modules.pop("assets.definitions", None)
    loaded: dg.Definitions = importlib.import_module("assets.definitions").defs
    return loaded


def test_they_load_without_a_lake_and_write_nothing(definitions: dg.Definitions, tmp_path: Path) -> None:
    dg.Definitions.validate_loadable(definitions)
    assert list(tmp_path.iterdir()) == []


def test_every_table_is_an_external_asset_with_its_columns(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    assert {key.path[1] for key in graph.get_all_asset_keys() if key.path[0] == "live"} == set(STREAMED)
    for name, table in STREAMED.items():
        node = graph.get(dg.AssetKey(["live", name]))
        assert node.is_external
        assert node.group_name == "live"
        assert node.owners == ["team:tapeflow"]
        columns = node.metadata["dagster/column_schema"].columns
        assert [c.name for c in columns] == table.lake_schema.names
        assert all(c.description for c in columns)


def test_no_asset_has_more_than_three_checks(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    checks = {key: len(graph.get(key).check_keys) for key in graph.get_all_asset_keys()}
    assert max(checks.values()) <= 3
    assert min(count for key, count in checks.items() if key.path[0] == "live" or key.path[0] in SEALED) >= 1


def test_finished_days_are_made_from_the_stream_and_from_archives(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    assert {key.to_user_string() for key in graph.get(dg.AssetKey("trades")).parent_keys} == {"live/trades", "archive/files"}
    for name in SEALED:
        node = graph.get(dg.AssetKey(name))
        assert node.partitions_def == DAYS
        assert (node.group_name, node.owners, node.pools) == ("history", ["team:tapeflow"], {POOL})
        assert node.description
        assert node.metadata["dagster/column_schema"].columns
        assert node.backfill_policy == dg.BackfillPolicy.multi_run(31)


def test_what_is_to_run_by_itself_does(definitions: dg.Definitions) -> None:
    assert definitions.resolve_sensor_def("live_tables").default_status is dg.DefaultSensorStatus.RUNNING
    assert definitions.resolve_sensor_def("seal_finished").default_status is dg.DefaultSensorStatus.RUNNING
    for name in ("agents", "elevated"):
        assert definitions.resolve_sensor_def(name).default_status is dg.DefaultSensorStatus.RUNNING
    for name in ("hourly_brief", "daily_brief"):
        assert definitions.resolve_schedule_def(name).default_status is dg.DefaultScheduleStatus.RUNNING
    assert definitions.resolve_sensor_def("repair_gaps").default_status is dg.DefaultSensorStatus.STOPPED
    assert definitions.resolve_schedule_def("weekly_archive_check").default_status is dg.DefaultScheduleStatus.STOPPED
    for name in ("daily_upkeep", "hourly_pairs", "daily_pairs", "weekly_scores", "monthly_learning", "daily_news_digest"):
        assert definitions.resolve_schedule_def(name).default_status is dg.DefaultScheduleStatus.RUNNING


def test_research_is_made_from_the_stream_and_from_finished_days(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    wanted = {
        "pairs/hourly": {"live/bars", "bars"},
        "pairs/daily": {"live/bars", "bars"},
        "scores": {"live/alerts", "live/bars", "alerts", "bars"},
        "learned_model": {"live/features", "live/bars", "features", "bars"},
        "news/digest": {"live/news"},
    }
    for name, parents in wanted.items():
        node = graph.get(dg.AssetKey.from_user_string(name))
        assert {key.to_user_string() for key in node.parent_keys} == parents
        assert (node.group_name, node.owners) == ("research", ["team:tapeflow"])
        assert node.description
        assert node.kinds


def test_briefs_are_made_from_the_stream_and_run_before_others(definitions: dg.Definitions) -> None:
    graph = definitions.resolve_asset_graph()
    for kind in ("hourly", "daily", "elevated"):
        node = graph.get(dg.AssetKey(["briefs", kind]))
        assert {key.to_user_string() for key in node.parent_keys} == {*(f"live/{name}" for name in USED), "scores"}
        assert (node.group_name, node.owners, node.pools) == ("briefs", ["team:tapeflow"], set())
        assert definitions.resolve_job_def(f"brief_{kind}").tags["dagster/priority"] == "10"


def test_the_demo_has_its_own_lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAPEFLOW_DATA", str(tmp_path))
    monkeypatch.setenv("TAPEFLOW_USE_DEMO", "yes")
    sys.modules.pop("assets.definitions", None)
    lake = importlib.import_module("assets.definitions").defs.resources["lake"]
    sys.modules.pop("assets.definitions")
    assert lake.root == str(tmp_path / "demo" / "lake")
    assert lake.venues == ["demo"]


def test_the_workspace_names_the_location() -> None:
    """The name keys the sensor's cursor: under another one everything would be reported anew."""
    (location,) = yaml.safe_load((TOP / "workspace.yaml").read_text())["load_from"]
    assert location["python_file"]["location_name"] == "tapeflow"
    assert (TOP / location["python_file"]["relative_path"]).exists()


def test_no_module_postpones_annotations() -> None:
    """Dagster reads them at run time (`config: MyConfig`)."""
    postponed = [path.name for path in (TOP / "assets").glob("*.py") if "from __future__ import annotations" in path.read_text()]
    assert postponed == []
