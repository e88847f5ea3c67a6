"""A cascade, from the exchange to Slack: told at once, and its brief in the thread, while Dagster backfills."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from dataflows.demo.tape import MINUTE_MS
from pipelines.briefs.again import again
from pipelines.briefs.keep import load
from pipelines.briefs.outbox import Outbox, place
from pipelines.briefs.telling import MUTES
from pipelines.store import LakeError
from tests.faults.house import ROOT, House, wait_for
from tests.slack_server import TOKEN, SlackServer, running

LAUNCH = """mutation($p: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $p) { ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } }
}"""
RUNS = "{ runsOrError(filter: {statuses: [STARTED]}) { ... on Runs { results { tags { key } } } } }"
TABLES = ("trades", "bars", "vpin", "features", "posture", "alerts")
DAYS = 25
TOLD_S, BRIEF_S = 10.0, 90.0


@pytest.fixture
def slack() -> Iterator[SlackServer]:
    with running() as server:
        yield server


@pytest.fixture
def house(tmp_path: Path, slack: SlackServer) -> Iterator[House]:
    env = {"SLACK_BOT_TOKEN": TOKEN, "SLACK_CHANNEL": "#desk", "TAPEFLOW_BRIEFS__SLACK__API": slack.api}
    made = House(tmp_path / "data", 6.0, (), **env)
    yield made
    made.close()


def ask(house: House, query: str, **variables: Any) -> dict[str, Any]:
    """Ask Dagster's page."""
    body = json.dumps({"query": query, "variables": variables}).encode()
    url = f"http://127.0.0.1:{house.settings.ports.dagster}/graphql"
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        found: dict[str, Any] = json.load(answer)["data"]
    return found


def answers(house: House) -> bool:
    try:
        return bool(ask(house, "{ version }"))
    except OSError:
        return False


def under_way(house: House) -> int:
    """Return how many runs of a backfill are under way."""
    runs = ask(house, RUNS)["runsOrError"]["results"]
    return sum(any(tag["key"] == "dagster/backfill" for tag in run["tags"]) for run in runs)


def mute(house: House, **until_us: int) -> None:
    """Mute symbols, so that what the demo's ordinary events tell does not come before the cascade."""
    box = Outbox(place(house.settings))
    box.commit([], {MUTES: {name.replace("_", "-"): until for name, until in until_us.items()}})
    box.close()


def heads(slack: SlackServer, begins: str) -> list[dict[str, Any]]:
    return [post for post in slack.space.heads() if post["text"].startswith(begins)]


def committed(house: House, alert: str) -> float:
    """Return when the row of an alert was committed, s since 1970."""
    house.lake.require()
    actions = pl.DataFrame(house.lake.latest("alerts").get_add_actions(flatten=True))
    (end,) = house.lake.table("alerts").filter(pl.col("alert_id").str.starts_with(alert)).select("end").collect()["end"]
    mine = actions.filter(pl.col("min.end") <= end, pl.col("max.end") >= end)["modification_time"].cast(pl.Datetime("ms"))
    first = mine.min()
    assert isinstance(first, dt.datetime)
    return first.replace(tzinfo=dt.UTC).timestamp()


def kept(house: House, episode: str) -> bool:
    try:
        return house.lake.table("briefs", episode=episode).collect().height > 0
    except LakeError:
        return False


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_a_cascade_is_told_at_once_and_its_brief_follows_beside_a_backfill(house: House, slack: SlackServer) -> None:
    never = time.time_ns() // 1000 + 3_600_000_000
    mute(house, BTC_USDT=never, ETH_USDT=never, SOL_USDT=never)
    house.begin(supervised=True)
    today = dt.datetime.now(dt.UTC).date()
    past = [str(today - dt.timedelta(days=k + 1)) for k in range(DAYS)]
    command = [sys.executable, "-m", "tapeflow", "backfill", "--demo", "--venue", "demo", "--dates", past[0]]
    subprocess.run(command, cwd=ROOT, env=house.env, check=True, timeout=400)
    wait_for(lambda: answers(house), "Dagster answers", 120)
    selection = [{"path": [name]} for name in TABLES]
    names = [f"{date}|demo" for date in past[1:]]
    assert "backfillId" in str(ask(house, LAUNCH, p={"assetSelection": selection, "partitionNames": names}))
    wait_for(lambda: under_way(house) > 0, "a backfill is under way", 180)

    house.fault("cascade", 150)
    begin = (time.time_ns() // 1_000_000 + MINUTE_MS // 2) // MINUTE_MS * MINUTE_MS + MINUTE_MS
    mute(house, BTC_USDT=begin * 1000, ETH_USDT=never, SOL_USDT=never)
    wait_for(lambda: bool(heads(slack, "BTC-USDT demo: ")), "the alert at Slack", 200)
    assert under_way(house) > 0, "the backfill was over too soon to be in the way"
    (head,) = heads(slack, "BTC-USDT demo: ")
    row = committed(house, head["text"].rpartition("alert ")[2])
    wait_for(lambda: len(slack.space.thread(head["ts"])) > 1, "the brief in its thread", BRIEF_S * 2)
    reply = slack.space.thread(head["ts"])[0]
    assert head["at"] - row < TOLD_S
    assert reply["at"] - row < BRIEF_S
    assert reply["text"].startswith("BTC-USDT demo, ")

    wait_for(lambda: house.lake.table("briefs", kind="elevated").collect().height == 1, "one brief of one episode", 10)
    brief = load(house.lake)
    assert reply["text"] == brief.head
    assert (brief.venue, brief.symbol, brief.kind) == ("demo", "BTC-USDT", "elevated")
    assert dt.datetime.fromtimestamp(begin / 1000, dt.UTC) < brief.at
    now = dt.datetime.now(dt.UTC)
    found = {fact.id: again(house.lake, fact, brief.id, now) for fact in brief.facts}
    differ = {name: one.reasons for name, one in found.items() if not one.same}
    assert all("nothing in the lake tells why" not in reasons for reasons in differ.values()), differ
    assert len(differ) < len(found) / 2
