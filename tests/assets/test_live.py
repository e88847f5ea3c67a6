"""The sensor that reports the stream's tables."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import msgspec
import pytest

from assets import checks, deltalog, live
from assets.live import Cursor, report
from tests.assets.conftest import NOW, Stream, gap, trade

if TYPE_CHECKING:
    from assets.resources import LiveLake


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commit at NOW: what is silent is told from the time of the commits."""
    monkeypatch.setattr("pipelines.store.commits.time.time_ns", lambda: int(NOW.timestamp() * 1e9))


def at(seconds: float) -> float:
    return NOW.timestamp() + seconds


def materialized(result: dg.SensorResult) -> dict[str, dict[str, Any]]:
    events = [e for e in result.asset_events if isinstance(e, dg.AssetMaterialization)]
    return {e.asset_key.path[1]: {name: value.value for name, value in e.metadata.items()} for e in events}


def verdicts(result: dg.SensorResult) -> dict[str, bool]:
    events = [e for e in result.asset_events if isinstance(e, dg.AssetCheckEvaluation)]
    return {f"{e.asset_key.path[1]}.{e.check_name}": e.passed for e in events}


def after(result: dg.SensorResult | dg.SkipReason) -> Cursor:
    assert isinstance(result, dg.SensorResult)
    return msgspec.json.decode(result.cursor or "", type=Cursor)


def test_without_a_lake_it_waits(lake: LiveLake) -> None:
    skipped = report(lake, Cursor(), at(0))
    assert isinstance(skipped, dg.SkipReason)
    assert "no lake" in str(skipped.skip_message)
    assert not Path(lake.root).exists()


def test_one_event_per_table_with_new_rows(lake: LiveLake, stream: Stream) -> None:
    stream.commit("trades", trade(1), trade(2))
    stream.commit("trades", trade(3))
    result = report(lake, Cursor(), at(60))
    assert isinstance(result, dg.SensorResult)
    told = materialized(result)
    assert list(told) == ["trades"]
    assert (told["trades"]["new_rows"], told["trades"]["new_files"], told["trades"]["dagster/row_count"]) == (3, 2, 3)
    assert told["trades"]["bytes"] > 0
    assert told["trades"]["lag_s"] == pytest.approx(90, abs=0.1)
    assert verdicts(result) == {"trades.sound": True, "trades.flowing": True, "gaps.closed": True}


def test_the_second_report_tells_only_what_came_since(lake: LiveLake, stream: Stream) -> None:
    stream.commit("trades", trade(1), trade(2))
    cursor = after(report(lake, Cursor(), at(0)))
    assert isinstance(report(lake, cursor, at(30)), dg.SkipReason)
    stream.commit("trades", trade(3))
    assert isinstance(report(lake, cursor, at(30)), dg.SkipReason)
    result = report(lake, cursor, at(live.REPORT_S))
    assert isinstance(result, dg.SensorResult)
    told = materialized(result)
    assert (told["trades"]["new_rows"], told["trades"]["dagster/row_count"]) == (1, 3)
    quiet = report(lake, after(result), at(2 * live.REPORT_S))
    assert isinstance(quiet, dg.SensorResult)
    assert materialized(quiet) == {}


def test_a_table_with_its_first_rows_is_reported_at_once(lake: LiveLake, stream: Stream) -> None:
    stream.commit("trades", trade(1))
    cursor = after(report(lake, Cursor(), at(0)))
    stream.commit("gaps", gap("open", 1, 1))
    result = report(lake, cursor, at(30))
    assert isinstance(result, dg.SensorResult)
    assert list(materialized(result)) == ["gaps"]


def test_a_feed_that_falls_silent_or_returns_is_reported_at_once(
    lake: LiveLake, stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream.commit("trades", trade(1))
    cursor = after(report(lake, Cursor(), at(0)))
    assert isinstance(report(lake, cursor, at(checks.SILENT_S)), dg.SkipReason)
    silent = report(lake, cursor, at(checks.SILENT_S + 1))
    assert isinstance(silent, dg.SensorResult)
    assert verdicts(silent)["trades.flowing"] is False
    cursor = after(silent)
    assert isinstance(report(lake, cursor, at(checks.SILENT_S + 31)), dg.SkipReason)
    monkeypatch.setattr("pipelines.store.commits.time.time_ns", lambda: int(at(checks.SILENT_S + 40) * 1e9))
    stream.commit("trades", trade(2))
    back = report(lake, cursor, at(checks.SILENT_S + 61))
    assert isinstance(back, dg.SensorResult)
    assert verdicts(back)["trades.flowing"] is True
    assert materialized(back)["trades"]["new_rows"] == 1


def test_a_venue_that_never_sent_a_trade_is_silent(lake: LiveLake, stream: Stream) -> None:
    stream.commit("trades", trade(1), venue="binance-spot")
    result = report(lake, Cursor(), at(0))
    assert isinstance(result, dg.SensorResult)
    (flowing,) = (e for e in result.asset_events if isinstance(e, dg.AssetCheckEvaluation) and e.check_name == "flowing")
    assert not flowing.passed
    assert "demo" in (flowing.description or "")


def test_rewritten_rows_are_not_new(lake: LiveLake, stream: Stream) -> None:
    stream.commit("trades", trade(1), trade(2))
    cursor = after(report(lake, Cursor(), at(0)))
    old = list(stream.lake.live("trades"))
    staged = stream.lake.stage("trades", stream.lake.table("trades").collect().to_arrow(), "compacted", {})
    stream.lake.replace("trades", old, staged)
    result = report(lake, cursor, at(live.REPORT_S))
    assert isinstance(result, dg.SensorResult)
    assert materialized(result) == {}


def test_a_log_that_was_cleaned_meanwhile_hides_nothing(lake: LiveLake, stream: Stream) -> None:
    stream.commit("trades", trade(1))
    cursor = after(report(lake, Cursor(), at(-60)))
    stream.commit("trades", trade(2), trade(3))
    table = deltalog.open_table(lake.root, "trades")
    assert table
    table.create_checkpoint()
    for entry in Path(lake.root, "trades", "_delta_log").glob("*.json"):
        entry.unlink()
    result = report(lake, cursor, at(live.REPORT_S))
    assert isinstance(result, dg.SensorResult)
    assert materialized(result)["trades"]["new_rows"] == 3  # all that was committed after the last report, at -60 s


def test_a_lake_made_anew_is_reported_whole(lake: LiveLake, stream: Stream) -> None:
    stream.commit("trades", trade(1))
    cursor = Cursor(at(-1000), {"trades": 99})
    result = report(lake, cursor, at(0))
    assert isinstance(result, dg.SensorResult)
    assert materialized(result)["trades"]["new_rows"] == 1


def test_the_sensor_keeps_its_cursor(lake: LiveLake, stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    stream.commit("trades", trade(1))
    monkeypatch.setattr("assets.live.time.time", lambda: at(0))
    with dg.DagsterInstance.ephemeral() as instance:
        with dg.build_sensor_context(instance=instance, resources={"lake": lake}) as context:
            first = live.live_tables(context)
        assert isinstance(first, dg.SensorResult)
        with dg.build_sensor_context(instance=instance, resources={"lake": lake}, cursor=first.cursor) as context:
            assert isinstance(live.live_tables(context), dg.SkipReason)


def test_lag_is_of_event_time(lake: LiveLake, stream: Stream) -> None:
    late = NOW - dt.timedelta(hours=2)
    stream.commit("trades", trade(1, ts=late, end=late))
    result = report(lake, Cursor(), at(0))
    assert isinstance(result, dg.SensorResult)
    assert materialized(result)["trades"]["lag_s"] == 7200
