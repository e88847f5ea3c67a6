"""The status, gathered from folders made up for the purpose."""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipelines.market import TABLES
from pipelines.settings import Settings, load
from pipelines.store.lake import Lake
from tapeflow import screen, status
from tapeflow.cli import main
from tapeflow.status import Feed, Shed, Status, gather
from tapeflow.verdict import duration, faults, headline

NOW = dt.datetime(2026, 3, 4, 12, 0, tzinfo=dt.UTC)
GONE = 2**22 + 1
"""A process id beyond what the kernel gives."""


class House:
    """A data folder whose processes are all well, until told otherwise."""

    def __init__(self, folder: Path) -> None:
        self.settings: Settings = load(data=folder, lake=None, venues={"demo": {"symbols": ["BTC-USDT"]}})
        self.now = NOW.timestamp()
        self.up: dict[str, Any] = {"pid": os.getpid(), "at": self.now, "children": [self.child("recorder"), self.child("flow")]}
        self.recorder: dict[str, Any] = {
            "pid": os.getpid(),
            "at": int(self.now * 1e9),
            "feeds": {"demo": {"connected": True, "last_frame_ns": int((self.now - 0.5) * 1e9), "symbols": {"BTC-USDT": {}}}},
        }
        self.flow: dict[str, Any] = {
            "pid": os.getpid(),
            "at": self.now,
            "journal": {"segment": "seg-0000000001.tfj", "offset": 5, "lag_bytes": 1000, "lag_s": 0.25},
            "rows": {"trades": 1234},
            "quarantined": 3,
            "instruments": [
                {"venue": "demo", "symbol": "BTC-USDT", "last_trade_ts": self.now - 2, "adv_known": True, "gap_open": False}
            ],
        }

    def child(self, name: str, **other: Any) -> dict[str, Any]:
        standing = {"name": name, "pid": os.getpid(), "state": "running", "restarts": 0, "since": self.now - 3600, "exit": None}
        return {**standing, **other}

    def write(self, name: str, content: dict[str, Any], age: float = 0.0) -> None:
        path = self.settings.data / "status" / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
        os.utime(path, (self.now - age, self.now - age))

    def journal(self, age: float = 0.0) -> None:
        """Let the recorder have written last so long ago."""
        path = self.settings.journal_dir / "seg-0000000001.tfj"
        path.parent.mkdir(parents=True)
        path.write_bytes(bytes(1000))
        os.utime(path, (self.now - age, self.now - age))

    def gather(self) -> Status:
        for name in ("up", "recorder", "flow"):
            if not (self.settings.data / "status" / f"{name}.json").exists():
                self.write(name, getattr(self, name))
        return gather(self.settings, self.now)

    def lake(self) -> Lake:
        lake = Lake(self.settings.lake_root)
        lake.create()
        return lake

    def commit(self, table: str, **row: Any) -> None:
        schema = TABLES[table].lake_schema
        lake, full = self.lake(), {**dict.fromkeys(schema.names), "date": row["ts"].date(), "venue": "demo", **row}
        number = 1 + (lake.version(table, "test") or 0)
        lake.commit(table, "test", number, lake.stage(table, pa.Table.from_pylist([full], schema=schema), f"t-{number}", {}))

    def gap(self, state: str, minutes: float, as_of: float) -> None:
        ts = NOW - dt.timedelta(minutes=minutes)
        end, seen = ts + dt.timedelta(seconds=1), NOW - dt.timedelta(minutes=as_of)
        self.commit("gaps", symbol="BTC-USDT", feed="trades", ts=ts, end=end, status=state, reason="reconnect", as_of=seen)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_all_well(house: House) -> None:
    house.lake()
    found = house.gather()
    assert faults(found) == []
    assert [(p.name, p.state, p.age_s) for p in found.processes] == [("recorder", "running", 3600), ("flow", "running", 3600)]
    (feed,) = found.feeds
    assert feed.connected
    assert feed.age_s == pytest.approx(0.5)
    assert feed.lag_s == pytest.approx(2.0)
    assert (found.trades, found.backlog_s, found.backlog_bytes, found.quarantined) == (1234, 0.25, 1000, 0)


def test_nothing_was_ever_started(house: House) -> None:
    found = gather(house.settings, house.now)
    assert faults(found) == [
        "recorder is stopped; `tapeflow up` starts it",
        "flow is stopped; `tapeflow up` starts it",
        "feed demo is not connected, no frame yet",
    ]
    assert found.quarantined is None
    assert not house.settings.data.joinpath("status").exists()


@pytest.mark.parametrize(
    ("child", "fault"),
    [
        ({"state": "waiting", "pid": None}, "flow is waiting"),
        ({"state": "refused", "pid": None}, "flow is refused"),
        ({"pid": GONE}, f"flow is dead (process {GONE})"),
    ],
)
def test_a_process_that_is_down(house: House, child: dict[str, Any], fault: str) -> None:
    house.up["children"][1] = house.child("flow", **child)
    assert faults(house.gather()) == [fault]


def test_a_process_that_hangs(house: House) -> None:
    house.journal()
    house.write("flow", house.flow, age=31)
    assert faults(house.gather()) == [f"flow is hung (process {os.getpid()})"]


@pytest.mark.parametrize("age", [40.0, 12.0])
def test_a_flow_that_has_nothing_to_read_does_not_hang(house: House, age: float) -> None:
    house.journal(age)
    house.write("flow", house.flow, age=40)
    assert faults(house.gather()) == []


def test_a_flow_whose_journal_is_empty_yet_does_not_hang(house: House) -> None:
    for name in ("up", "recorder"):
        house.write(name, getattr(house, name))
    house.journal()
    (house.settings.journal_dir / "seg-0000000001.tfj").write_bytes(b"")
    assert faults(gather(house.settings, house.now)) == []


def test_a_process_that_has_just_been_started_does_not_hang_yet(house: House) -> None:
    house.write("flow", house.flow, age=31)
    house.up["children"][1] = house.child("flow", since=house.now - 3)
    assert faults(house.gather()) == []


def test_a_process_that_was_never_started_has_no_age(house: House) -> None:
    house.up["children"][1] = house.child("flow", state="stopped", pid=None, since=0.0)
    assert house.gather().processes[1].age_s is None


def test_when_the_supervisor_was_killed_its_word_counts_no_more(house: House) -> None:
    house.up["pid"] = GONE
    house.flow["pid"] = GONE
    found = house.gather()
    assert [(p.name, p.state) for p in found.processes] == [("recorder", "running"), ("flow", "stopped")]
    assert faults(found) == ["flow is stopped; `tapeflow up` starts it"]


def test_recorder_and_flow_may_run_without_supervisor(house: House) -> None:
    house.write("up", house.up, age=31)
    assert faults(house.gather()) == []


def test_a_damaged_file_counts_as_none(house: House) -> None:
    house.journal()
    house.write("flow", house.flow)
    (house.settings.data / "status" / "flow.json").write_text('{"pid": 1')
    assert faults(house.gather()) == [f"flow is hung (process {os.getpid()})"]


def test_a_silent_feed(house: House) -> None:
    house.recorder["feeds"]["demo"]["last_frame_ns"] = int((house.now - 31) * 1e9)
    assert faults(house.gather()) == ["feed demo is silent, last frame 31.0 s ago"]


def test_a_feed_that_is_down(house: House) -> None:
    house.recorder["feeds"]["demo"]["connected"] = False
    assert faults(house.gather()) == ["feed demo is not connected, last frame 0.5 s ago"]


def test_what_a_venue_refuses_and_what_never_came_are_told(house: House) -> None:
    house.recorder["feeds"]["demo"] |= {
        "silent_streams": ["quotes BTC-USDT", "trades BTC-USDT"],
        "refused": ["HTTP 451: as told"],
    }
    assert faults(house.gather()) == [
        "feed demo: refused: HTTP 451: as told",
        "feed demo: nothing has come of quotes BTC-USDT, trades BTC-USDT",
    ]


def test_a_venue_that_cannot_be_reached_is_told_with_what_to_do(house: House) -> None:
    why = "https://demo.example could not be reached (no route); check the network, or set endpoints.demo to a stand-in"
    house.recorder["feeds"]["demo"] = {"connected": False, "last_frame_ns": 0, "symbols": {}, "waits": why}
    found = house.gather()
    assert faults(found) == ["feed demo is not connected, no frame yet", f"feed demo: waits: {why}"]
    assert headline(found).endswith(f" · demo waits: {why}")
    assert found.feeds[0].symbols == ["BTC-USDT"]


def test_books_that_are_broken_for_long(house: House) -> None:
    feed = house.recorder["feeds"]["demo"]
    feed |= {"books_broken": ["BTC-USDT"], "books_broken_s": 60.0}
    assert faults(house.gather()) == []
    feed["books_broken_s"] = 61.0
    house.write("recorder", house.recorder)
    found = house.gather()
    assert found.feeds[0].books_broken == ["BTC-USDT"]
    assert faults(found) == ["feed demo: no sound book of BTC-USDT for 61.0 s"]


def test_shedding_is_told_with_its_reason(house: House) -> None:
    house.recorder["shed"] = {
        "now": "frames",
        "reasons": {"quotes": "disk_low", "trades": "write_failed", "book": "disk_low"},
        "frames": {"quotes": 7},
    }
    found = house.gather()
    assert found.shed == Shed("frames", house.recorder["shed"]["reasons"], {"quotes": 7})
    assert faults(found) == [
        "the recorder sheds book, quotes: the disk is nearly full",
        "the recorder sheds trades: the journal cannot be written",
    ]
    assert "sheds book, quotes, trades" in headline(found)


def test_what_a_recorder_said_before_it_died_is_no_news(house: House) -> None:
    house.recorder["feeds"]["demo"] |= {"silent_streams": ["trades BTC-USDT"], "refused": ["HTTP 429"]}
    house.recorder["shed"] = {"now": "quotes", "reasons": {"quotes": "disk_low"}, "frames": {}}
    house.write("recorder", house.recorder, age=31)
    house.up["children"][0] = house.child("recorder", state="waiting", pid=None)
    assert faults(house.gather()) == ["recorder is waiting", "feed demo is not connected, last frame 31.5 s ago"]


def test_a_recorder_that_was_just_killed_is_connected_no_more(house: House) -> None:
    house.recorder["pid"] = GONE
    house.up["children"][0] = house.child("recorder", state="waiting", pid=None)
    assert faults(house.gather()) == ["recorder is waiting", "feed demo is not connected, last frame 0.5 s ago"]


def test_a_process_that_a_signal_suspended(house: House) -> None:
    if not Path("/proc/self/stat").exists():
        pytest.skip("the system does not say which process is suspended")
    with subprocess.Popen(["/bin/sleep", "60"]) as process:
        try:
            process.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
            house.up["children"][1] = house.child("flow", pid=process.pid)
            assert faults(house.gather()) == [f"flow is suspended (process {process.pid})"]
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("offset", "note"),
    [
        (-5.0, "its clock is 5.0 s ahead of this machine's"),
        (5.0, "trades come 5.0 s after their time"),
        (-0.9, None),
        (0.9, None),
    ],
)
def test_clocks_that_differ_are_noted(house: House, offset: float, note: str | None) -> None:
    house.flow["clock_offset_us"] = {"demo": int(offset * 1e6)}
    found = house.gather()
    assert found.feeds[0].clock_offset_s == offset
    assert [note in line for line in found.notes if note] == ([True] if note else [])
    assert (len(found.notes), faults(found)) == (1 if note else 0, [])


def test_a_gap_that_the_ledger_does_not_hold_yet(house: House) -> None:
    known = {
        "venue": "demo",
        "symbol": "BTC-USDT",
        "from_id": None,
        "to_id": None,
        "missing": 0,
        "reason": "reconnect",
        "age": 99.0,
    }
    house.recorder["gaps_open"] = [known, known | {"symbol": "ETH-USDT", "from_id": 7, "to_id": 9, "missing": 3, "age": 660.0}]
    house.gap("open", minutes=1, as_of=1)
    found = house.gather()
    assert [(g.symbol, g.from_id, g.to_id, round(g.age_s)) for g in found.gaps] == [
        ("BTC-USDT", None, None, 60),
        ("ETH-USDT", 7, 9, 660),
    ]
    assert faults(found) == ["gap in trades of demo ETH-USDT open for 11 min, since 2026-03-04 11:49:00"]


def test_a_clock_that_runs_faster_changes_no_age(house: House) -> None:
    """The demo's recorder may run on a scaled clock, far ahead of ours."""
    ahead = 86_400
    house.recorder["at"] += ahead * 10**9
    house.recorder["feeds"]["demo"]["last_frame_ns"] += ahead * 10**9
    house.flow["instruments"][0]["last_trade_ts"] += ahead
    house.recorder["gaps_open"] = [
        {"venue": "demo", "symbol": "BTC-USDT", "from_id": 1, "to_id": 2, "missing": 2, "reason": "missing_ids", "age": 4.0}
    ]
    found = house.gather()
    (feed,), (gap,) = found.feeds, found.gaps
    assert feed.age_s == pytest.approx(0.5, abs=1e-3)
    assert feed.lag_s == pytest.approx(2.0, abs=1e-3)
    assert gap.since.timestamp() == pytest.approx(house.now + ahead - 4, abs=1e-3)


def test_gaps(house: House) -> None:
    house.gap("open", minutes=9, as_of=9)
    assert faults(house.gather()) == []
    house.gap("open", minutes=11, as_of=11)
    found = house.gather()
    assert len(found.gaps) == 2
    assert faults(found) == ["gap in trades of demo BTC-USDT open for 11 min, since 2026-03-04 11:49:00"]
    house.gap("repaired", minutes=11, as_of=1)
    assert faults(house.gather()) == []


def test_backlog(house: House) -> None:
    house.flow["journal"]["lag_s"] = 60.0
    assert faults(house.gather()) == []
    house.flow["journal"]["lag_s"] = 61.0
    house.write("flow", house.flow)
    assert faults(house.gather()) == ["the flow is 61.0 s behind the journal"]


def test_disk(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = house.settings.journal_dir
    folder.mkdir(parents=True)
    for number, hours in ((1, 30), (2, 10), (3, 4), (4, 0)):
        path = folder / f"seg-{number:010}.tfj"
        path.write_bytes(b"x" * 1_000_000)
        os.utime(path, (house.now - hours * 3600, house.now - hours * 3600))
    usage = type(shutil.disk_usage("/"))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(100_000_000, 90_000_000, 10_000_000))
    found = house.gather()
    assert found.disk.journal_bytes == 4_000_000
    assert found.disk.journal_bytes_per_day == pytest.approx(2_000_000 * 2.4)  # two segments in the last 10 h
    assert found.disk.days_left == pytest.approx(5_000_000 / 4_800_000)  # the last 5 % are not for use
    assert faults(found) == []
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(100_000_000, 91_000_000, 9_000_000))
    assert faults(house.gather()) == ["the disk is full in 20 h at the journal's growth"]


def test_a_segment_that_is_deleted_meanwhile_has_no_bytes(house: House) -> None:
    """Listed, and gone when it is looked at, as the recorder deletes what has expired."""
    folder = house.settings.journal_dir
    folder.mkdir(parents=True)
    (folder / "seg-0000000001.tfj").symlink_to(folder / "gone")
    (folder / "seg-0000000002.tfj").write_bytes(b"x" * 1000)
    assert house.gather().disk.journal_bytes == 1000


def test_seals(house: House) -> None:
    def cover(date: dt.date) -> None:
        ts = dt.datetime.combine(date, dt.time(12), dt.UTC)
        house.commit("coverage", shard="main", ts=ts, end=ts)

    def seal(date: dt.date) -> None:
        ts = dt.datetime.combine(date, dt.time(), dt.UTC)
        house.commit("seals", symbol="BTC-USDT", ts=ts, end=ts + dt.timedelta(days=1), as_of=ts)

    for day in (1, 2, 3, 4):
        cover(dt.date(2026, 3, day))
    assert house.gather().unsealed == [], "a seal cannot be late where nothing was ever sealed"
    seal(dt.date(2026, 3, 1))
    found = house.gather()
    assert found.last_seal == "demo 2026-03-01"
    assert [u.date for u in found.unsealed] == [dt.date(2026, 3, 2), dt.date(2026, 3, 3)]
    assert faults(found) == ["demo 2026-03-02 is not sealed, due for 36 h"]
    seal(dt.date(2026, 3, 2))
    assert faults(house.gather()) == []


def test_missing_volume_is_explained(house: House) -> None:
    house.flow["instruments"][0]["adv_known"] = False
    (note,) = house.gather().notes
    assert "demo BTC-USDT: no average daily volume" in note


def test_a_news_feed_that_fails_again_and_again(house: House) -> None:
    good = {"items": 7, "failing": 0, "error": None, "last_ok_ns": int((house.now - 60) * 1e9)}
    house.recorder["news"] = {"a": good, "b": {"items": 0, "failing": 3, "error": "HTTP 403", "last_ok_ns": None}}
    gathered = house.gather()
    assert [(n.feed, n.items, n.age_s and round(n.age_s)) for n in gathered.news] == [("a", 7, 60), ("b", 0, None)]
    assert faults(gathered) == ["news feed b has failed 3 times in a row: HTTP 403"]


def test_a_file_that_is_refused(house: House) -> None:
    house.recorder["refused"] = {"rules": ["rules.yaml:2: unknown metric clos", "rules.yaml:3: no name"]}
    gathered = house.gather()
    assert gathered.refused == house.recorder["refused"]
    assert faults(gathered) == ["rules refused: rules.yaml:2: unknown metric clos", "rules refused: rules.yaml:3: no name"]


def test_the_quick_way_opens_no_lake(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.gather()
    monkeypatch.setattr(status, "_lake", lambda *_: pytest.fail("opened the lake"))
    line = headline(gather(house.settings, house.now, lake=False))
    assert line == "2 of 2 running · 1,234 trades · last frame 0.5 s ago · backlog 0.2 s · 3 quarantined"


def test_the_headline_names_what_is_down(house: House) -> None:
    house.up["children"][0] = house.child("recorder", state="waiting", pid=None)
    assert headline(house.gather()).startswith("1 of 2 running")
    assert headline(house.gather()).endswith("recorder waiting")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (119, "119.0 s"), (120, "2.0 min"), (7199, "120 min"), (90_000, "25 h"), (1e7, "116 days")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_json_is_what_the_documentation_says(house: House) -> None:
    found = json.loads(screen.as_json(house.gather()))
    assert list(found) == [*Status.__struct_fields__, "faults"]
    assert found["at"] == "2026-03-04T12:00:00Z"
    assert found["processes"][0].keys() == {"name", "state", "pid", "restarts", "age_s"}
    assert set(found["feeds"][0]) == set(Feed.__struct_fields__)
    assert found["shed"] == {"level": "nothing", "reasons": {}, "frames": {}}
    assert found["disk"].keys() == {"free_bytes", "journal_bytes", "journal_bytes_per_day", "days_left"}


def test_the_screen_shows_it_all(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    house.gap("open", minutes=11, as_of=11)
    house.recorder["feeds"]["demo"] |= {"refused": ["no"], "silent_streams": ["a", "b"], "books_broken": ["BTC-USDT"]}
    house.recorder["shed"] = {"now": "quotes", "reasons": {"quotes": "disk_low", "book": "disk_low"}, "frames": {}}
    screen.show(house.gather())
    shown = " ".join(capsys.readouterr().out.split())
    wanted = (
        "1 refused, 2 silent, 1 without book, 1 gaps open",
        "sheds book quotes",
        "recorder",
        "running",
        "BTC-USDT",
        "gaps open 1",
        "quarantined 0",
        "backlog 0.2 s",
        "last seal none",
        "! gap in",
    )
    assert [text for text in wanted if text not in shown] == []


def test_the_command_exits_with_1_when_something_is_wrong(
    house: House, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TAPEFLOW_DATA", str(house.settings.data))
    monkeypatch.setenv("TAPEFLOW_VENUES", '{"demo": {"symbols": ["BTC-USDT"]}}')
    monkeypatch.setattr("tapeflow.commands.operate.time.time", lambda: house.now)
    house.gather()
    assert main(["status", "--json"]) == 0
    house.journal()
    house.write("flow", house.flow, age=31)
    assert main(["status", "--json"]) == 1
    assert "flow is hung" in capsys.readouterr().out


def test_the_sender_is_told_of_where_it_runs(house: House) -> None:
    assert house.gather().messages is None
    sender = {
        "pid": os.getpid(),
        "at": 0,
        "way": "bot",
        "pending": 3,
        "oldest_s": 90.0,
        "sent": 7,
        "fault": "HTTP 500; is tried again",
    }
    house.write("sender", sender)
    house.up["children"].append(house.child("sender"))
    house.write("up", house.up)
    found = house.gather()
    assert [p.name for p in found.processes] == ["recorder", "flow", "sender"]
    assert found.messages
    assert (found.messages.way, found.messages.sent) == ("bot", 7)
    assert faults(found) == ["3 posts wait for Slack, the first for 90.0 s: HTTP 500; is tried again"]
    house.write("sender", sender, age=31)
    found = house.gather()
    assert faults(found) == [f"sender is hung (process {os.getpid()})"]
    assert found.messages is None


def test_a_sender_without_supervisor_is_told_of_while_it_lives(house: House) -> None:
    house.write("up", house.up, age=31)
    house.write("sender", {"pid": os.getpid(), "way": "none"})
    assert [p.name for p in house.gather().processes] == ["recorder", "flow", "sender"]
    house.write("sender", {"pid": GONE, "way": "none"})
    assert [p.name for p in house.gather().processes] == ["recorder", "flow"]
