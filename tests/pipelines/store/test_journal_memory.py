"""What a recorder remembers of the journal."""

from __future__ import annotations

from pathlib import Path

import msgspec

from pipelines.records import Connect, Gap, Kind, Reference, Repair, headed
from pipelines.store.journal_memory import recall
from pipelines.store.journal_writer import Writer
from pipelines.store.segment import Record

BTC, ETH = ("demo", "BTC"), ("demo", "ETH")
CONNECT = msgspec.json.encode(Connect("demo", "market", ["trades"], ["BTC", "ETH"]))


def ids(venue: str, frame: bytes) -> list[tuple[str, int, int]]:
    symbol, *numbers = frame.decode().split()
    return [(symbol, int(number), int(number)) for number in numbers]


def rest_id(venue: str, body: bytes) -> int | None:
    return max(msgspec.json.decode(body), default=None)


def write(folder: Path, *parts: tuple[Kind, bytes], connect: bytes = CONNECT) -> None:
    with Writer(folder) as writer:
        writer.write([Record(1, 3, kind, payload) for kind, payload in [(Kind.CONNECT, connect), *parts]])


def gap(status: str, from_id: int, to_id: int | None, symbol: str = "BTC") -> tuple[Kind, bytes]:
    kind = Kind.GAP_OPEN if status == "open" else Kind.GAP_CLOSE
    return kind, msgspec.json.encode(Gap("demo", symbol, "trades", "missing_ids", status, from_id, to_id))


def test_the_greatest_id_of_frames_and_repairs_counts(tmp_path: Path) -> None:
    write(tmp_path, (Kind.FRAME, b"BTC 7"), (Kind.FRAME, b"BTC 6"), (Kind.FRAME, b"ack"), (Kind.FRAME, b"ETH 2"))
    repairs = [headed(Repair("demo", "ETH"), b"[3,4]"), headed(Repair("demo", "BTC"), b"[]")]
    write(tmp_path, *((Kind.REPAIR, repair) for repair in repairs))
    assert recall(tmp_path, {BTC, ETH}, ids, rest_id).last == {BTC: 7, ETH: 4}


def test_the_repair_of_an_old_hole_does_not_tell_how_far_the_tape_went(tmp_path: Path) -> None:
    write(tmp_path, (Kind.FRAME, b"BTC 70"))
    write(tmp_path, (Kind.REPAIR, headed(Repair("demo", "BTC"), b"[5,6]")))
    assert recall(tmp_path, {BTC}, ids, rest_id).last == {BTC: 70}


def test_a_connection_belongs_to_the_venue_that_connected_last(tmp_path: Path) -> None:
    write(tmp_path, (Kind.FRAME, b"BTC 7"))
    write(tmp_path, (Kind.FRAME, b"BTC 5"), connect=CONNECT.replace(b"demo", b"other"))
    assert recall(tmp_path, {BTC}, ids, rest_id).last == {BTC: 7, ("other", "BTC"): 5}


def test_reading_stops_when_all_is_known_or_at_the_limit(tmp_path: Path) -> None:
    write(tmp_path, (Kind.FRAME, b"ETH 1"))
    write(tmp_path, (Kind.FRAME, b"ETH 2"))
    write(tmp_path, (Kind.FRAME, b"BTC 1"))
    assert recall(tmp_path, {BTC}, ids, rest_id).last == {BTC: 1}
    assert recall(tmp_path, {BTC, ETH}, ids, rest_id).last == {BTC: 1, ETH: 2}
    assert recall(tmp_path, {BTC, ETH}, ids, rest_id, limit_bytes=1).last == {BTC: 1}


def test_the_newest_ids_of_each_tape_are_remembered_in_order(tmp_path: Path) -> None:
    write(tmp_path, (Kind.FRAME, b"BTC 7 3"), (Kind.FRAME, b"ETH 1"))
    write(tmp_path, (Kind.FRAME, b"BTC 5"), (Kind.FRAME, b"BTC 9"))
    found = recall(tmp_path, {BTC, ETH}, ids, rest_id)
    assert found.recent == {BTC: [7, 3, 5, 9], ETH: [1]}
    assert found.last == {BTC: 9, ETH: 1}


def test_gaps_that_were_not_closed_are_remembered_with_an_end(tmp_path: Path) -> None:
    opened = [gap("open", 10, 12), gap("open", 20, 22), gap("open", 30, None)]
    write(tmp_path, *opened, (Kind.FRAME, b"BTC 40"), gap("open", 41, None))
    write(tmp_path, gap("repaired", 10, 12))
    found = recall(tmp_path, {BTC, ETH}, ids, rest_id)
    assert [(g.from_id, g.to_id) for g in found.open] == [(20, 22), (30, 40)]


def test_the_newest_reference_of_each_date_is_remembered(tmp_path: Path) -> None:
    told = [Reference("demo", "BTC", "2026-01-01", adv, 1.0, 30, "2025-12-31") for adv in (1.0, 2.0)]
    write(tmp_path, *((Kind.REFERENCE, msgspec.json.encode(r)) for r in told), (Kind.FRAME, b"BTC 1"))
    write(tmp_path, (Kind.HEARTBEAT, b""))
    assert recall(tmp_path, {BTC}, ids, rest_id).references == {("demo", "BTC", "2026-01-01"): told[1]}


def test_an_empty_journal_remembers_nothing(tmp_path: Path) -> None:
    assert recall(tmp_path, {BTC}, ids, rest_id) == ({}, {}, [], {})
