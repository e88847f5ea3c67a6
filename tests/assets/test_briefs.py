"""Briefs in Dagster."""

from __future__ import annotations

import base64
import datetime as dt
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import msgspec
import pytest

from assets import analyst, briefs, pictures
from assets.briefs import BriefConfig, brief_assets, key
from pipelines.briefs import chart, collect, outbox, render
from pipelines.briefs.agents.running import standing
from pipelines.briefs.sheet import Brief
from pipelines.market import TABLES
from pipelines.settings import Settings, Venue, load
from pipelines.store.lake import Lake, tables_in
from tests.pipelines.briefs.agents.frames import DAY, MINUTE, minute
from tests.pipelines.store.samples import put, rows

NOW = minute(300)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("TAPEFLOW_CONFIG", "SLACK_WEBHOOK_URL", "SLACK_BOT_TOKEN", "SLACK_CHANNEL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def settings(**other: Any) -> Settings:
    return load(venues={"demo": Venue(symbols=("BTC-USDT",))}, **other)


@pytest.fixture
def lake() -> Lake:
    """A lake with five hours of minutes."""
    made = Lake(load().lake_root)
    made.create()
    ts = [minute(k) for k in range(300)]
    about: dict[str, Any] = {"ts": ts, "end": [t + MINUTE for t in ts], "date": DAY.date()}
    put(made, TABLES["bars"], rows(TABLES["bars"], 300, **about, bar="1m", close=[100 + k % 7 for k in range(300)]))
    put(made, TABLES["features"], rows(TABLES["features"], 300, **about, gap=False, jump_5m=False))
    return made


def materialize(
    instance: dg.DagsterInstance, kind: str = "hourly", now: dt.datetime = NOW, chosen: Settings | None = None, **asked: Any
) -> dg.ExecuteInProcessResult:
    config = dg.RunConfig(ops={key(kind).to_python_identifier(): BriefConfig(**asked)})
    assets = brief_assets(chosen or settings(), lambda: now)
    return dg.materialize(assets, selection=[key(kind)], run_config=config, instance=instance, raise_on_error=False)


def told(result: dg.ExecuteInProcessResult, kind: str = "hourly") -> dict[str, Any]:
    assert result.success
    (event,) = result.asset_materializations_for_node(key(kind).to_python_identifier())
    return {name: value.value for name, value in event.metadata.items()}


def put_so_far() -> list[tuple[str, str | None]]:
    box = outbox.Outbox(outbox.place(load()))
    try:
        return [(part.text, part.episode) for part in box.ready()]
    finally:
        box.close()


@pytest.mark.parametrize(("demo", "option"), [("", ""), ("yes", " --demo")])
def test_a_brief_ends_with_the_command_for_the_lake_it_was_made_of(
    demo: str, option: str, lake: Lake, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAPEFLOW_USE_DEMO", demo)
    brief = told(materialize(instance))["brief"]
    (row,) = lake.table("briefs").collect().to_dicts()
    assert row["thread"].endswith(f" --brief {brief}{option}")


@pytest.mark.usefixtures("lake")
def test_a_brief_is_kept_with_its_facts_and_shown(lake: Lake, instance: dg.DagsterInstance) -> None:
    figures = told(materialize(instance))
    (row,) = lake.table("briefs").collect().to_dicts()
    assert (row["kind"], row["ts"], row["brief"], row["writer"]) == ("hourly", NOW, figures["brief"], "template")
    queries = lake.table("facts").collect()["query"].to_list()
    own = {"scores", "briefs", "facts", "falsifiers"}
    assert {table.name for query in queries for table in tables_in(query)} - own <= set(briefs.USED)
    assert figures["first_line"] == row["head"].partition("\n")[0]
    assert figures["head"].startswith("# Hourly brief, 2024")
    assert figures["thread"].startswith("## BTC")
    assert "## Facts" not in figures["thread"]
    assert lake.table("facts").collect().height == figures["facts_count"] == row["facts"] > 0
    assert len(figures["facts"].records) == min(figures["facts_count"], briefs.FACTS_SHOWN)
    assert figures["writer"] == "template"
    assert "why_the_template_wrote" not in figures
    assert standing(load().data, "analyst").error == ""
    if "plot" in figures:
        assert len(base64.b64decode(figures["plot"].partition("base64,")[2].rstrip(")"))) < 20_000


@pytest.mark.usefixtures("lake")
def test_a_scheduled_brief_in_which_nothing_changed_is_kept_and_not_sent(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, changed = render.render, iter([True, False])

    def rendered(*given: Any, **named: Any) -> Brief:
        return msgspec.structs.replace(real(*given, **named), changed=next(changed))

    monkeypatch.setattr(render, "render", rendered)
    first = told(materialize(instance))
    assert first["sent"]
    assert first["why_sent_or_not"].startswith("something changed; no Slack: set SLACK_WEBHOOK_URL")
    second = told(materialize(instance, now=NOW + 60 * MINUTE))
    assert not second["sent"]
    assert second["why_sent_or_not"] == "nothing changed since the last brief of its kind"
    assert len(put_so_far()) == 1


@pytest.mark.usefixtures("lake")
def test_the_same_brief_made_again_is_sent_once(instance: dg.DagsterInstance) -> None:
    verbose = settings(briefs={"slack": {"mode": "verbose"}})
    for _ in range(2):
        assert told(materialize(instance, chosen=verbose))["sent"]
    assert len(put_so_far()) == 1


@pytest.mark.usefixtures("lake")
def test_a_token_with_the_channel_of_a_severity_is_a_way_to_slack(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLACK_BOT_TOKEN", "x")
    severe = settings(briefs={"slack": {"mode": "verbose", "channels": {3: "#severe"}}})
    assert told(materialize(instance, chosen=severe))["why_sent_or_not"] == "mode is verbose; in the outbox"


@pytest.mark.usefixtures("lake")
def test_an_elevated_brief_is_a_reply_in_its_episode(instance: dg.DagsterInstance, lake: Lake) -> None:
    asked: dict[str, Any] = {"instruments": ["demo/BTC-USDT"], "episode": "e1", "at": "2024-07-19T04:00Z"}
    figures = told(materialize(instance, "elevated", **asked), "elevated")
    assert (figures["sent"], figures["episode"]) == (True, "e1")
    assert [episode for _, episode in put_so_far()] == ["e1"]
    (row,) = lake.table("briefs").collect().to_dicts()
    assert (row["symbol"], row["venue"], row["episode"], row["ts"]) == ("BTC-USDT", "demo", "e1", minute(240))


@pytest.mark.usefixtures("lake")
@pytest.mark.parametrize("fails", [False, True])
def test_a_bot_is_given_a_chart_and_a_chart_that_fails_stops_no_brief(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, *, fails: bool
) -> None:
    def drawn(*_: object) -> bytes:
        if fails:
            raise ZeroDivisionError("by hand")
        return b"PNG"

    monkeypatch.setattr(chart, "chart", drawn)
    for name in ("SLACK_BOT_TOKEN", "SLACK_CHANNEL"):
        monkeypatch.setenv(name, "x")
    asked: dict[str, Any] = {"instruments": ["demo/BTC-USDT"], "episode": "e1"}
    figures = told(materialize(instance, "elevated", **asked), "elevated")
    assert figures["why_sent_or_not"] == "reply in the thread of its episode; in the outbox"
    with sqlite3.connect(outbox.place(load())) as db:
        found = db.execute("SELECT image FROM parts WHERE kind = 'chart'").fetchall()
    assert found == ([] if fails else [(b"PNG",)])


def test_an_elevated_brief_of_nobody_is_not_made(instance: dg.DagsterInstance, lake: Lake) -> None:
    result = materialize(instance, "elevated")
    assert result.success
    (event,) = result.asset_observations_for_node("briefs__elevated")
    assert "no instrument" in str(event.description)
    assert lake.table("briefs").collect().is_empty()


def test_without_a_lake_it_says_so(instance: dg.DagsterInstance) -> None:
    (event,) = materialize(instance).asset_observations_for_node("briefs__hourly")
    assert "no lake yet" in str(event.description)
    assert not Path("data").exists()


@pytest.mark.usefixtures("lake")
@pytest.mark.parametrize("asked", [{"at": "soon"}, {"instruments": ["BTC"]}, {"instruments": ["/BTC"]}])
def test_config_that_is_wrong_fails_with_the_reason(instance: dg.DagsterInstance, asked: dict[str, Any]) -> None:
    (failed,) = [event for event in materialize(instance, **asked).all_events if event.is_step_failure]
    assert "is no" in str(failed.step_failure_data)


@pytest.mark.usefixtures("lake")
def test_what_fails_is_told_by_the_analysts_status(instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("by hand")

    monkeypatch.setattr(collect, "collect", broken)
    assert not materialize(instance).success
    assert standing(load().data, "analyst").error == "ZeroDivisionError: by hand"


def test_schedules_are_in_the_settings_zone_and_run() -> None:
    chosen = settings(briefs={"time_zone": "Europe/Berlin", "daily": "0 8 * * *"})
    hourly, daily = briefs.schedules(chosen)
    assert (hourly.cron_schedule, daily.cron_schedule) == ("5 * * * *", "0 8 * * *")
    assert {one.execution_timezone for one in (hourly, daily)} == {"Europe/Berlin"}
    assert {one.default_status for one in (hourly, daily)} == {dg.DefaultScheduleStatus.RUNNING}
    tick = dt.datetime(2024, 7, 19, 8, tzinfo=chosen.briefs.zone)
    (request,) = daily.evaluate_tick(dg.build_schedule_context(scheduled_execution_time=tick)).run_requests or ()
    assert request.run_config["ops"]["briefs__daily"]["config"]["at"] == "2024-07-19T06:00:00+00:00"


@pytest.mark.parametrize(
    "line", ["*/5 0 1-7 jan,JUL mon-fri", "10 7 * * 7", "0-30/10,45 22 31 12 0", "05 07 * * *", "0 22-6 29 2 *", "0 0 31 4-5 *"]
)
def test_what_the_settings_take_for_a_cron_line_dagster_takes(line: str) -> None:
    assert briefs.schedules(settings(briefs={"hourly": line}))[0].cron_schedule == line


def test_text_of_a_brief_is_no_markup() -> None:
    assert pictures.fenced("a ``` b") == "````text\na ``` b\n````"


def test_a_brief_of_a_whole_venue_is_about_what_is_watched_there(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = [("demo", "BTC-USDT"), ("okx", "BTC-USDT")]
    monkeypatch.setattr(collect, "watched", lambda *_: watched)
    lake, settings, at = Lake("nowhere"), load(), dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    assert analyst._concerned(lake, settings, at, [("demo", "all")]) == [("demo", "BTC-USDT")]
    assert analyst._concerned(lake, settings, at, [("kraken", "all")]) == watched
    assert analyst._concerned(lake, settings, at, [("okx", "ETH-USDT")]) == [("okx", "ETH-USDT")]
    assert analyst._concerned(lake, settings, at, []) == watched
