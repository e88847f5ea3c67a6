"""The sensor that tells Slack of what failed."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import dagster as dg
import msgspec
import pytest

from assets.failures import HOUR_S, Cursor, Notice, _cause, failed_checks, failed_runs, failures, tell
from assets.slack import Slack, from_environment

if TYPE_CHECKING:
    from pathlib import Path

PAGE = "http://127.0.0.1:3000"
TOKEN = "xoxb-made-up"


class SlackServer(HTTPServer):
    """Takes messages by webhook and by bot token; refuses other tokens."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.texts: list[str] = []
        self.status = 200

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


def _text(body: str) -> str:
    text: str = json.loads(body)["text"] if body.startswith("{") else parse_qs(body)["text"][0]
    return text


class _Handler(BaseHTTPRequestHandler):
    server: SlackServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if self.path == "/hook":
            self._answer(self.server.status, json.loads(body)["text"], "ok")
        elif self.headers.get("Authorization") == f"Bearer {TOKEN}":
            self._answer(self.server.status, _text(body), '{"ok": true}')
        else:
            self._answer(200, None, '{"ok": false, "error": "invalid_auth"}')

    def _answer(self, status: int, text: str | None, body: str) -> None:
        if text is not None and status == 200:
            self.server.texts.append(text)
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlackServer]:
    monkeypatch.setattr("assets.slack.TIMEOUT_S", 200)  # a busy machine may take longer than ours is given
    made = SlackServer()
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


@dg.op
def broken() -> None:
    raise dg.Failure("the archive has no file <of> that day")


@dg.job(executor_def=dg.in_process_executor)
def hopeless() -> None:
    broken()


def test_by_webhook_and_by_token(server: SlackServer) -> None:
    assert Slack(f"{server.url}/hook", "", "").send("one") == ""
    assert Slack("", TOKEN, "#desk", f"{server.url}/api/").send("two") == ""
    assert server.texts == ["one", "two"]


def test_a_fault_says_nothing_secret(server: SlackServer) -> None:
    server.status = 500
    assert Slack(f"{server.url}/hook", "", "").send("one") == "the webhook answered 500"
    fault = Slack("", "xoxb-wrong", "#desk", f"{server.url}/api/").send("two")
    assert fault
    assert "xoxb" not in fault
    server.server_close()
    assert Slack("http://127.0.0.1:1/hook", "", "").send("three")


def test_once_per_cause_and_hour(server: SlackServer) -> None:
    target = Slack(f"{server.url}/hook", "", "")
    same = [Notice("a", "first"), Notice("a", "again"), Notice("b", "other")]
    cursor, faults = tell(same, Cursor(0.0), 1000.0, target)
    assert (server.texts, faults) == (["first", "other"], [])
    cursor, _ = tell([Notice("a", "too soon")], cursor, 1000.0 + HOUR_S - 1, target)
    assert server.texts == ["first", "other"]
    cursor, _ = tell([Notice("a", "an hour later")], cursor, 1000.0 + HOUR_S, target)
    assert server.texts[2:] == ["an hour later"]
    assert cursor == Cursor(1000.0 + HOUR_S, {"a": 1000.0 + HOUR_S})


def test_what_could_not_be_sent_is_tried_again(server: SlackServer) -> None:
    target, server.status = Slack(f"{server.url}/hook", "", ""), 503
    cursor, faults = tell([Notice("a", "first")], Cursor(5.0), 1000.0, target)
    assert faults
    assert cursor == Cursor(5.0, {})


def test_a_failed_run_is_told_with_its_cause_and_a_link() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        run = hopeless.execute_in_process(instance=instance, raise_on_error=False)
        (notice,) = failed_runs(instance, 0.0, PAGE)
        assert list(failed_runs(instance, 4e9, PAGE)) == []
    assert notice.cause == "hopeless: the archive has no file <of> that day"
    assert notice.text.startswith("*hopeless failed*: the archive has no file &lt;of&gt; that day\n")
    assert f"<{PAGE}/runs/{run.run_id}|" in notice.text


def test_the_same_error_of_other_days_is_one_cause() -> None:
    day = "1 of 31 days failed: okx 2026-11-{}: it answers 503 Service Unavailable"
    assert _cause(day.format("06")) == _cause(day.format("17"))
    assert _cause(day.format("06")) != _cause("1 of 31 days failed: okx 2026-11-06: no file")


def test_a_failed_check_is_told(tmp_path: Path) -> None:
    key = dg.AssetCheckKey(dg.AssetKey(["live", "trades"]), "sound")
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        for passed in (False, True):
            event = dg.AssetCheckEvaluation(
                asset_key=key.asset_key, check_name="sound", passed=passed, description="breaks a < b"
            )
            instance.report_runless_asset_event(event)
        (notice,) = failed_checks(instance, [key], 0.0, PAGE)
        assert list(failed_checks(instance, [key], 4e9, PAGE)) == []
    assert notice.cause == "check live/trades sound"
    assert "breaks a &lt; b" in notice.text
    assert f"{PAGE}/assets/live/trades?view=checks" in notice.text


def test_a_check_of_a_run_that_was_begun_before_the_last_look_is_told() -> None:
    """And of two days under way at once the one that ends last, though the other was begun later."""
    looked: list[float] = []

    @dg.asset(check_specs=[dg.AssetCheckSpec("sound", asset="bars")])
    def bars() -> Iterator[dg.Output[None] | dg.AssetCheckResult]:
        context = dg.AssetExecutionContext.get()
        if context.has_tag("long"):
            dg.materialize([bars], instance=context.instance, raise_on_error=False)
        looked.append(time.time())
        yield dg.Output(None)
        yield dg.AssetCheckResult(passed=False, description=f"day {len(looked)}")

    key = dg.AssetCheckKey(dg.AssetKey("bars"), "sound")
    with dg.DagsterInstance.ephemeral() as instance:
        dg.materialize([bars], instance=instance, tags={"long": "yes"})
        (notice,) = failed_checks(instance, [key], looked[-1], PAGE)
    assert "day 2" in notice.text


def test_what_is_stored_only_after_a_look_is_told_by_the_next(server: SlackServer) -> None:
    sensor = failures(PAGE, Slack(f"{server.url}/hook", "", ""))
    defs = dg.Definitions(jobs=[hopeless], sensors=[sensor])
    with dg.DagsterInstance.ephemeral() as instance:
        hopeless.execute_in_process(instance=instance, raise_on_error=False)
        cursor: str | None = msgspec.json.encode(Cursor(time.time())).decode()
        for _ in range(2):
            context = dg.build_sensor_context(instance=instance, cursor=cursor, definitions=defs)
            cursor = sensor.evaluate_tick(context).cursor
    assert len(server.texts) == 1


def test_without_a_token_it_is_off(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("SLACK_WEBHOOK_URL", "SLACK_BOT_TOKEN", "SLACK_CHANNEL"):
        monkeypatch.delenv(name, raising=False)
    sensor = failures(PAGE, from_environment())
    assert sensor.default_status is dg.DefaultSensorStatus.STOPPED
    monkeypatch.setenv("SLACK_BOT_TOKEN", TOKEN)
    assert not from_environment().is_on
    monkeypatch.setenv("SLACK_CHANNEL", "#desk")
    assert failures(PAGE, from_environment()).default_status is dg.DefaultSensorStatus.RUNNING


def test_the_sensor_keeps_its_place(server: SlackServer) -> None:
    sensor = failures(PAGE, Slack(f"{server.url}/hook", "", ""))
    defs = dg.Definitions(jobs=[hopeless], sensors=[sensor])
    with dg.DagsterInstance.ephemeral() as instance:
        hopeless.execute_in_process(instance=instance, raise_on_error=False)
        cursor = None
        for _ in range(2):
            context = dg.build_sensor_context(instance=instance, cursor=cursor, definitions=defs)
            cursor = sensor.evaluate_tick(context).cursor
    assert len(server.texts) == 1


def test_a_check_of_a_day_that_fails_in_a_run_is_told_once(server: SlackServer) -> None:
    """The whole way: a run yields results by partition, the sensor finds them by the location's checks, and tells Slack."""
    days = dg.StaticPartitionsDefinition(["2026-11-20|okx", "2026-11-21|okx"])
    specs = [dg.AssetCheckSpec(name, asset="bars", partitions_def=days) for name in ("sound", "matches_venue")]

    @dg.multi_asset(specs=[dg.AssetSpec("bars", skippable=True)], check_specs=specs, partitions_def=days, can_subset=True)
    def history() -> Iterator[dg.AssetMaterialization | dg.AssetCheckEvaluation]:
        day = dg.AssetExecutionContext.get().partition_key
        yield dg.AssetMaterialization("bars", partition=day)
        for name, passed in (("sound", True), ("matches_venue", False)):
            told = f"{day}: 3 <minutes> differ"
            yield dg.AssetCheckEvaluation(
                asset_key=dg.AssetKey("bars"), check_name=name, passed=passed, description=told, partition=day
            )

    sensor = failures(PAGE, Slack(f"{server.url}/hook", "", ""))
    defs = dg.Definitions(assets=[history], sensors=[sensor])
    cursor, runs = None, []
    with dg.DagsterInstance.ephemeral() as instance:
        for day in days.get_partition_keys():
            runs.append(dg.materialize([history], instance=instance, partition_key=day).run_id)
            context = dg.build_sensor_context(instance=instance, cursor=cursor, definitions=defs)
            cursor = sensor.evaluate_tick(context).cursor
    (text,) = server.texts
    first = "*check bars matches_venue failed* (2026-11-20|okx): 2026-11-20|okx: 3 &lt;minutes&gt; differ"
    assert text == f"{first}\n<{PAGE}/runs/{runs[0]}|look>"
