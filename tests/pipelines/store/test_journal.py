"""The journal as it is read: round trip, torn tails, damage, positions."""

from __future__ import annotations

import itertools
import os
import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.records import Kind
from pipelines.store.journal import JournalError, Tail, behind, is_segment, read, segments
from pipelines.store.journal_writer import Writer
from pipelines.store.scan import scan
from pipelines.store.segment import HEADER, MAX_PAYLOAD, Record, lay_out, walk


def frames(n: int, start: int = 0) -> list[Record]:
    return [Record(10**18 + i, i % 3, Kind.FRAME, b"frame %d" % i) for i in range(start, start + n)]


def write(folder: Path, *groups: list[Record]) -> Path:
    with Writer(folder) as writer:
        for group in groups:
            writer.write(group)
        return folder / writer.segment


def everything(tail: Tail) -> list[Record]:
    return [
        Record(int(ns), int(connection), int(kind), payload)
        for batch in tail
        for ns, connection, kind, payload in zip(*batch[:1], batch.connection, batch.kind, batch.payload, strict=True)
    ]


def test_a_record_is_laid_out_as_documented() -> None:
    data = lay_out([Record(123456789, 7, Kind.FRAME, b"payload"), Record(123456790, 8, Kind.HEARTBEAT, b"")])
    body = struct.pack("<QHB", 123456789, 7, 1) + b"payload"
    first = struct.pack("<II", 7, zlib.crc32(body)) + body
    body = struct.pack("<QHB", 123456790, 8, 2)
    assert data == first + struct.pack("<II", 0, zlib.crc32(body)) + body


def test_what_was_written_is_read_with_offsets_that_lead_back(tmp_path: Path) -> None:
    records = frames(1000)
    path = write(tmp_path, records[:1], records[1:700], records[700:])
    batch = read(path)
    assert batch is not None
    assert batch.payload == [r.payload for r in records]
    assert batch.recv_ns.tolist() == [r.recv_ns for r in records]
    assert batch.connection.tolist() == [r.connection for r in records]
    assert batch.segment == path.name
    assert batch.end == path.stat().st_size
    again = read(path, int(batch.offset[500]), max_records=3)
    assert again is not None
    assert again.payload == batch.payload[500:503]
    assert again.end == batch.offset[503]
    assert read(path, batch.end) is None


def test_a_record_longer_than_a_read_is_read_whole(tmp_path: Path) -> None:
    path = write(tmp_path, [Record(1, 0, Kind.FRAME, bytes(100_000)), *frames(2)])
    batch = read(path, max_bytes=1000)
    assert batch is not None
    assert batch.payload == [bytes(100_000)]


def test_a_payload_over_the_limit_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with Writer(tmp_path) as writer:
        with pytest.raises(ValueError, match="at most"):
            writer.write([*frames(1), Record(2, 0, Kind.FRAME, bytes(MAX_PAYLOAD + 1))])
        assert writer.size == 0


def test_an_absurd_length_is_told_as_bad_not_as_short() -> None:
    assert scan(struct.pack("<II", MAX_PAYLOAD + 1, 0) + bytes(100)).status == 2


def test_the_tail_waits_for_a_torn_record_until_a_newer_segment_exists(tmp_path: Path) -> None:
    path = write(tmp_path, frames(3))
    whole = path.read_bytes()
    path.write_bytes(whole[:-2])
    tail = Tail(tmp_path)
    assert [r.payload for r in everything(tail)] == [b"frame 0", b"frame 1"]
    assert tail.next() is None
    path.write_bytes(whole)
    assert [r.payload for r in everything(tail)] == [b"frame 2"]

    path.write_bytes(whole + whole[:10])
    assert tail.next() is None
    write(tmp_path, frames(2, 3))
    assert [r.payload for r in everything(tail)] == [b"frame 3", b"frame 4"]
    assert [(d.segment, d.offset, d.length, d.reason) for d in tail.damage] == [(path.name, len(whole), 10, "torn tail")]


@pytest.mark.parametrize("newer", [False, True])
def test_a_damaged_record_costs_itself_alone_and_is_told(tmp_path: Path, newer: bool) -> None:
    path = write(tmp_path, frames(5))
    offsets = read(path).offset.tolist()  # type: ignore[union-attr]  # the segment was just written
    data = bytearray(path.read_bytes())
    data[offsets[2] + HEADER] ^= 1
    path.write_bytes(data)
    assert len(list(walk(path))) == 2
    if newer:
        write(tmp_path, frames(1, 5))
    tail = Tail(tmp_path)
    assert [r.payload[-1:] for r in everything(tail)] == [b"0", b"1", b"3", b"4", *([b"5"] if newer else [])]
    assert [(d.offset, d.length) for d in tail.damage] == [(offsets[2], offsets[3] - offsets[2])]


def test_a_damaged_length_is_passed_over_once_the_segment_is_closed(tmp_path: Path) -> None:
    path = write(tmp_path, frames(5))
    data = bytearray(path.read_bytes())
    data[0:4] = struct.pack("<I", 1_000_000)
    path.write_bytes(data)
    tail = Tail(tmp_path)
    assert tail.next() is None
    write(tmp_path, frames(1, 5))
    assert [r.payload for r in everything(tail)] == [b"frame %d" % i for i in range(1, 6)]
    assert [d.reason for d in tail.damage] == ["damaged record"]


def test_a_tail_resumes_anywhere(tmp_path: Path) -> None:
    for k in range(3):
        write(tmp_path, frames(10, 10 * k))
    first = Tail(tmp_path)
    first.next(max_bytes=100)
    second = Tail(tmp_path, first.segment, first.offset)
    assert behind(tmp_path, first.segment, first.offset) == sum(p.stat().st_size for p in segments(tmp_path)) - first.offset
    rest = everything(second)
    assert len(rest) == 30 - first.offset // (HEADER + 7)
    assert rest[-1].payload == b"frame 29"
    assert behind(tmp_path, second.segment, second.offset) == 0


def test_a_tail_on_an_empty_or_missing_folder_waits(tmp_path: Path) -> None:
    tail = Tail(tmp_path / "journal")
    assert tail.next() is None
    write(tmp_path / "journal", frames(1))
    assert len(everything(tail)) == 1


def test_a_segment_deleted_before_it_was_read_is_an_error_that_names_the_remedy(tmp_path: Path) -> None:
    path = write(tmp_path, frames(1))
    write(tmp_path, frames(1, 1))
    tail = Tail(tmp_path, path.name, 0)
    path.unlink()
    with pytest.raises(JournalError, match="tapeflow rebuild"):
        tail.next()
    with pytest.raises(JournalError, match="tapeflow rebuild"):
        Tail(tmp_path, path.name, 0)


def test_segments_are_known_by_their_content(tmp_path: Path) -> None:
    path = write(tmp_path, frames(1))
    other = tmp_path / "other"
    other.write_bytes(b'1700000000000000000 {"stream":"btcusdt@aggTrade","data":{}}\n')
    renamed = path.rename(tmp_path / "renamed")
    assert is_segment(renamed)
    assert not is_segment(other)
    assert not is_segment(tmp_path / "nowhere")


record = st.builds(Record, st.just(0), st.integers(0, 65535), st.sampled_from(list(Kind)), st.binary(max_size=60))


def rising(groups: list[list[Record]]) -> list[list[Record]]:
    """Give records receive times as a writer lets them be."""
    count = itertools.count()
    return [[r._replace(recv_ns=next(count)) for r in group] for group in groups]


@settings(max_examples=60, deadline=None)
@given(groups=st.lists(st.lists(record, min_size=1, max_size=8), min_size=1, max_size=6), data=st.data())
def test_however_it_is_cut_a_prefix_is_read_and_what_a_restart_writes_follows(
    groups: list[list[Record]], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    path = write(folder, *rising(groups))
    written = [r for group in rising(groups) for r in group]
    os.truncate(path, data.draw(st.integers(0, path.stat().st_size)))
    size = path.stat().st_size
    prefix = everything(Tail(folder))
    assert list(walk(path)) == prefix
    assert prefix == written[: len(prefix)]
    assert len(lay_out(written[: len(prefix) + 1])) > size or len(prefix) == len(written)
    write(folder, written[:1])
    assert path.stat().st_size == size
    assert everything(Tail(folder)) == prefix + written[:1]
