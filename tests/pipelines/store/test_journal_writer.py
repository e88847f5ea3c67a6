"""The journal's writer: one at a time, whole groups, new segments, no torn record after a failed write."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.records import Kind
from pipelines.store.journal import Tail, read, segments
from pipelines.store.journal_writer import JournalLocked, WriteFailed, Writer
from pipelines.store.retention import publish_consumed
from pipelines.store.segment import Record, lay_out


def frame(i: int, size: int = 20) -> Record:
    return Record(10**18 + i, 1, Kind.FRAME, b"%0*d" % (size, i))


def payloads(folder: Path) -> list[bytes]:
    return [payload for batch in Tail(folder) for payload in batch.payload]


def test_a_second_writer_is_refused_and_told_who_holds_the_journal(tmp_path: Path) -> None:
    with Writer(tmp_path) as writer:
        with pytest.raises(JournalLocked, match=f"process {os.getpid()}.*stop it"):
            Writer(tmp_path)
        writer.write([frame(0)])
    with Writer(tmp_path) as writer:
        assert writer.segment == "seg-0000000002.tfj"


def test_every_start_opens_a_new_segment_even_where_all_were_deleted(tmp_path: Path) -> None:
    publish_consumed(tmp_path, "seg-0000000041.tfj", 0)
    with Writer(tmp_path) as writer:
        assert writer.segment == "seg-0000000042.tfj"


def test_a_segment_is_closed_by_size_and_by_age_of_its_records(tmp_path: Path) -> None:
    with Writer(tmp_path, segment_bytes=200, segment_ns=1000) as writer:
        writer.write([frame(0), frame(1)])
        writer.write([frame(2), frame(3), frame(4), frame(5)])  # 156 bytes more would pass 200
        writer.write([frame(900)])
        writer.write([frame(1001)])
        writer.write([frame(1002)])
    sizes = [len(batch.payload) for path in segments(tmp_path) if (batch := read(path))]
    assert sizes == [2, 5, 1 + 1]
    assert len(payloads(tmp_path)) == 9


def test_each_further_segment_begins_with_the_head_at_the_time_of_what_follows(tmp_path: Path) -> None:
    with Writer(tmp_path, segment_bytes=100, head=lambda ns: [Record(ns, 0, Kind.SETTINGS, b"{}")]) as writer:
        for i in range(4):
            writer.write([frame(i), frame(i)])
    kinds = [[*map(int, batch.kind)] for path in segments(tmp_path) if (batch := read(path))]
    assert kinds == [[1, 1], [10, 1, 1], [10, 1, 1], [10, 1, 1]]
    assert [int(batch.recv_ns[0]) for batch in map(read, segments(tmp_path)) if batch] == [frame(i).recv_ns for i in range(4)]


def test_receive_times_never_fall_whatever_the_clock_does(tmp_path: Path) -> None:
    with Writer(tmp_path) as writer:
        writer.write([frame(5), frame(3), frame(7)])
        writer.write([frame(6), frame(8)])
    batch = read(segments(tmp_path)[0])
    assert batch is not None
    assert (batch.recv_ns - 10**18).tolist() == [5, 5, 7, 7, 8]


def full_after(room: int) -> Callable[[int, memoryview], int]:
    """Return a stand-in for `os.write` on a volume with `room` bytes left."""
    real, left = os.write, room

    def write(fd: int, data: memoryview) -> int:
        nonlocal left
        if left == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        n = real(fd, data[:left])
        left -= n
        return n

    return write


@pytest.mark.parametrize(("room", "whole"), [(0, 0), (10, 0), (39, 1), (60, 1), (116, 2)])
def test_a_full_volume_leaves_no_torn_record_and_writing_goes_on_when_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int, whole: int
) -> None:
    with Writer(tmp_path) as writer:
        writer.write([frame(0)])
        with monkeypatch.context() as full:
            full.setattr(os, "write", full_after(room))
            with pytest.raises(WriteFailed, match="No space left") as failure:
                writer.write([frame(1), frame(2), frame(3)])
        assert failure.value.written == whole
        path = tmp_path / writer.segment
        assert path.stat().st_size == writer.size == len(lay_out([frame(0)])) * (1 + whole)
        writer.write([frame(9)])
    assert payloads(tmp_path) == [frame(i).payload for i in [0, *range(1, 1 + whole), 9]]


def test_a_segment_that_cannot_be_opened_leaves_the_present_one_in_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Writer(tmp_path, segment_bytes=50, head=lambda ns: [Record(ns, 0, Kind.SETTINGS, b"{}")]) as writer:
        writer.write([frame(0)])
        with monkeypatch.context() as full:
            full.setattr(os, "write", full_after(5))
            with pytest.raises(WriteFailed) as failure:
                writer.write([frame(1)])
        assert failure.value.written == 0
        assert [path.name for path in tmp_path.glob("seg-*")] == ["seg-0000000001.tfj"]
        writer.write([frame(2)])
    assert payloads(tmp_path) == [frame(0).payload, b"{}", frame(2).payload]


SCRIPT = """
import sys
from pathlib import Path
from pipelines.store.journal_writer import Writer
writer = Writer(Path(sys.argv[1]), segment_bytes=20_000)
i = 0
while True:
    writer.write([(10**18 + i + k, 0, 1, b"%d" % (i + k)) for k in range(50)])
    i += 50
    print(i, flush=True)
"""


def test_nothing_written_is_lost_by_kill_9(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", SCRIPT, str(tmp_path)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        told = [int(writer.stdout.readline()) for _ in range(40)]
        writer.send_signal(signal.SIGKILL)
        told += [int(line) for line in writer.stdout.read().split("\n") if line.isdigit()]
    Writer(tmp_path).close()
    read_back = [int(p) for p in payloads(tmp_path)]
    assert read_back == list(range(len(read_back)))
    assert len(read_back) >= max(told)
    assert len(segments(tmp_path)) > 2


def test_sync_in_another_thread_outlives_rotation(tmp_path: Path) -> None:
    stop = threading.Event()
    faults: list[OSError] = []

    def sync() -> None:
        while not stop.is_set():
            try:
                writer.sync()
            except OSError as error:
                faults.append(error)

    with Writer(tmp_path, segment_bytes=500) as writer:
        thread = threading.Thread(target=sync)
        thread.start()
        try:
            for i in range(200):
                writer.write([frame(i)])
        finally:
            stop.set()
            thread.join()
    assert not faults
    assert len(payloads(tmp_path)) == 200
