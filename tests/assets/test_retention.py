"""The lake's upkeep as assets: files merged, what is held told, what is past its limit removed."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import pytest

from assets import compaction, retention
from assets.research import NO_LAKE
from pipelines.account_tables import QUARANTINE
from pipelines.feed_tables import QUOTES
from pipelines.history import retention as needed
from pipelines.market import TRADES
from pipelines.retention_settings import Retention
from pipelines.settings import Settings
from pipelines.store import upkeep
from pipelines.store.lake import Lake
from tests.pipelines.store.samples import put, rows

if TYPE_CHECKING:
    from collections.abc import Sequence

TODAY = dt.datetime.now(dt.UTC).date()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path, retention=Retention(quotes=30))


@pytest.fixture
def lake(settings: Settings) -> Lake:
    lake = Lake(settings.lake_root)
    lake.create()
    return lake


def run(settings: Settings, *keys: dg.AssetKey) -> dict[str, Any]:
    """Materialize assets; return the metadata of the last, and of its check."""
    defined = [compaction.compaction(settings), *retention.retention_assets(settings)]
    done = dg.materialize(defined, selection=list(keys))
    assert done.success
    (made,) = done.asset_materializations_for_node(keys[-1].to_python_identifier())
    told = {name: value.value for name, value in made.metadata.items()}
    return told | {"passed": [c.passed for c in done.get_asset_check_evaluations() if c.asset_key == keys[-1]]}


def records(found: Sequence[dg.TableRecord]) -> list[dict[str, Any]]:
    return [dict(record.data) for record in found]


def test_small_files_are_merged_and_counted(settings: Settings, lake: Lake) -> None:
    for n in range(3):
        put(lake, TRADES, rows(TRADES, 4, trade_id=[4 * n + k for k in range(4)]))
    put(lake, QUOTES, rows(QUOTES, 4))
    told = run(settings, compaction.FILES)
    assert (told["merged_files"], told["into_files"], told["files"], told["deleted_files"]) == (3, 1, 2, 0)
    assert records(told["by_table"].records) == [{"table": "trades", "merged": 3, "into": 1, "deleted": 0, "files": 1}]
    assert told["plot"].startswith("![plot](data:image/svg+xml;base64,")
    assert told["passed"] == [True]
    assert lake.table("trades").collect()["trade_id"].sort().to_list() == list(range(12))


def test_too_many_files_are_told(settings: Settings, lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    for venue in ("demo", "okx", "okx"):
        put(lake, TRADES, rows(TRADES, 4, venue=venue))
    monkeypatch.setattr(compaction, "MANY", 1)
    monkeypatch.setattr(upkeep, "LARGE_BYTES", 1)
    assert run(settings, compaction.FILES)["passed"] == [False]


def test_the_report_tells_what_there_is_and_what_would_go(
    settings: Settings, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(needed, "unsealed", lambda _: [])
    monkeypatch.setattr(needed, "stale", lambda _: [])
    old, young = TODAY - dt.timedelta(31), TODAY - dt.timedelta(29)  # the day may change since it was looked up
    for day in (old, young):
        put(lake, QUOTES, rows(QUOTES, 4, day=day))
    told = run(settings, retention.REPORT)
    (held,) = records(told["by_table"].records)
    assert (held["table"], held["rows"], held["files"]) == ("quotes", 8, 2)
    assert (held["oldest"], held["newest"]) == (str(old), str(young))
    assert told["bytes"] == told["bytes_quotes"] == held["bytes"] == sum(f.size for f in lake.live("quotes").values())
    assert [record["day"] for record in records(told["would_go"].records)] == [f"demo {old}"]
    assert told["would_go_bytes"] > 0
    assert told["passed"] == [True]
    assert "removed_files" not in told
    assert len(lake.live("quotes")) == 2, "a report removes nothing"

    gone = run(settings, retention.RETENTION)
    assert (gone["removed_files"], gone["removed_rows"], gone["deleted_files"]) == (1, 4, 0)
    assert {file.date for file in lake.live("quotes").values()} == {str(young)}
    told = run(settings, retention.REPORT)
    assert (told["removed_files"], told["removed_rows"], told["would_go_bytes"]) == (1, 4, 0)


def test_what_is_stuck_for_want_of_a_seal_is_told(settings: Settings, lake: Lake) -> None:
    day = TODAY - dt.timedelta(200)
    put(lake, TRADES, rows(TRADES, 4, day=day))
    for table in (QUOTES, QUARANTINE):
        put(lake, table, rows(table, 4, day=day))
    told = run(settings, retention.REPORT)
    assert told["passed"] == [False]
    assert {(record["table"], record["because"]) for record in records(told["stays"].records)} == {
        ("quotes", "not sealed yet"),
        ("quarantine", "not sealed yet"),
    }
    assert run(settings, retention.RETENTION)["removed_files"] == 0


def test_they_run_without_a_lake_and_make_none(settings: Settings) -> None:
    assert run(settings, compaction.FILES, retention.REPORT)["bytes"] == 0
    done = dg.materialize(retention.retention_assets(settings), selection=[retention.RETENTION])
    assert done.success
    assert done.asset_materializations_for_node("lake__retention") == []
    (noted,) = done.get_asset_observation_events()
    assert noted.asset_observation_data.asset_observation.description == NO_LAKE
    assert not Path(settings.lake_root).exists()


def test_schedules_are_on_where_nothing_is_deleted_and_off_where_it_is() -> None:
    status = {schedule.name: schedule.default_status for schedule in retention.schedules}
    assert status == {
        "hourly_lake_files": dg.DefaultScheduleStatus.RUNNING,
        "daily_retention": dg.DefaultScheduleStatus.STOPPED,
    }
