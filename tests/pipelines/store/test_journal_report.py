"""The journal as people see it."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import msgspec

from pipelines.records import Kind, Repair, headed
from pipelines.store.journal import segments
from pipelines.store.journal_report import entries, instant, listing, verify
from pipelines.store.journal_writer import Writer
from pipelines.store.retention import publish_consumed
from pipelines.store.segment import HEADER, Record

T = 1_700_000_000 * 10**9


def journal(folder: Path) -> list[Path]:
    for k in range(3):
        with Writer(folder) as writer:
            writer.write([Record(T + 10 * k, 0, Kind.HEARTBEAT, b""), Record(T + 10 * k + 5, 1, Kind.FRAME, b'{"k":%d}' % k)])
    return segments(folder)


def test_segments_are_listed_with_where_the_flow_is(tmp_path: Path) -> None:
    paths = journal(tmp_path)
    assert [s.state for s in listing(tmp_path)] == ["unread", "unread", "open"]
    publish_consumed(tmp_path, paths[1].name, 0)
    found = listing(tmp_path)
    assert [s.state for s in found] == ["consumed", "reading", "open"]
    assert found[0].first == dt.datetime(2023, 11, 14, 22, 13, 20, tzinfo=dt.UTC)
    assert found[0].bytes == paths[0].stat().st_size


def test_verify_counts_kinds_and_tells_damage(tmp_path: Path) -> None:
    path = journal(tmp_path)[0]
    check = verify(path)
    assert (check.records, check.kinds, check.damage) == (2, {"frame": 1, "heartbeat": 1}, [])
    assert (check.first, check.last) == (instant(T), instant(T + 5))
    data = bytearray(path.read_bytes())
    data[-1] ^= 255
    path.write_bytes(data)
    check = verify(path)
    assert check.records == 1
    assert [(d.offset, d.reason) for d in check.damage] == [(HEADER, "damaged record")]
    assert "damage" in [entry["kind"] for entry in entries(tmp_path)]


def test_entries_are_chosen_by_time_and_kind(tmp_path: Path) -> None:
    journal(tmp_path)
    assert [e["payload"]["k"] for e in entries(tmp_path, kinds=[Kind.FRAME])] == [0, 1, 2]
    assert [e["recv_ns"] - T for e in entries(tmp_path, T + 5, T + 20)] == [5, 10, 15]
    assert [e["recv_ns"] - T for e in entries(tmp_path, T + 20)] == [20, 25]
    assert list(entries(tmp_path, T + 26)) == []


def test_payloads_are_shown_as_json_or_as_text(tmp_path: Path) -> None:
    repair = headed(Repair("demo", "BTCUSDT"), b'[{"a":1}]')
    with Writer(tmp_path) as writer:
        writer.write([Record(T, 0, Kind.REPAIR, repair), Record(T, 0, Kind.FRAME, b"\xffno json")])
    first, second = entries(tmp_path)
    assert (first["head"], first["body"]) == ({"venue": "demo", "symbol": "BTCUSDT"}, [{"a": 1}])
    assert second["payload"] == "\ufffdno json"
    assert msgspec.json.encode([first, second])
