"""What is lost on its way to the journal: told, fetched if the venue has it, and marked if not."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path
from typing import Any

import pytest

from dataflows.recording.liveness import TICK_S, Liveness
from pipelines.settings import Settings
from pipelines.store.journal import Tail
from pipelines.store.journal_report import entries
from tests.dataflows.recording.desk import BTC, Written, exchange, holes, last_id, recording, settings, tape, until

pytestmark = pytest.mark.usefixtures("quick_overlap")


@pytest.fixture
def live_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trades go on: the first one after a loss is waited for, however late."""
    monkeypatch.setattr("dataflows.recording.repair.FIRST_LIVE_S", 100.0)


def test_missing_ids_are_told_and_fetched(tmp_path: Path) -> None:
    async def play() -> Settings:
        async with exchange(BTC) as made:
            wanted = settings(tmp_path, made)
            async with recording(wanted) as recorder:
                made.trade(BTC, 5)
                made.trade(BTC, 3, sockets=slice(0))
                made.trade(BTC, 2)
                await until(lambda: last_id(recorder) == 10 and not holes(recorder))
        return wanted

    written = Written(asyncio.run(play()))
    assert written.gaps() == [("gap_open", "missing_ids", 6, 8), ("gap_close", "repaired", 6, 8)]
    assert written.ids() == dict.fromkeys(range(1, 11), 1)


def test_ids_out_of_order_are_no_gap(tmp_path: Path) -> None:
    async def play() -> Settings:
        async with exchange(BTC) as made:
            wanted = settings(tmp_path, made)
            async with recording(wanted) as recorder:
                made.trade(BTC, 2, sockets=slice(0))
                made.send(BTC, made.trades[BTC][1])
                made.send(BTC, made.trades[BTC][0])
                made.trade(BTC, 2, copies=3)
                await until(lambda: last_id(recorder) == 4)
        return wanted

    assert Written(asyncio.run(play())).gaps() == []


def test_ids_that_the_venue_lacks_are_told_unfillable(tmp_path: Path) -> None:
    async def play() -> Settings:
        async with exchange(BTC) as made:
            wanted = settings(tmp_path, made)
            async with recording(wanted) as recorder:
                made.lacking = {(BTC, 3), (BTC, 4)}
                made.trade(BTC, 2)
                made.trade(BTC, 4, sockets=slice(0))
                made.trade(BTC)
                await until(lambda: last_id(recorder) == 7 and not holes(recorder))
        return wanted

    written = Written(asyncio.run(play()))
    assert written.gaps() == [("gap_open", "missing_ids", 3, 6), ("gap_close", "unfillable", 3, 6)]
    assert set(written.ids()) == {1, 2, 5, 6, 7}


def test_after_a_cut_the_feed_is_opened_again_and_what_was_missed_is_fetched(tmp_path: Path, live_comes: None) -> None:
    async def play() -> Settings:
        async with exchange(BTC) as made:
            wanted = settings(tmp_path, made)
            async with recording(wanted) as recorder:
                made.feed(BTC)
                await until(lambda: last_id(recorder) > 10)
                made.refusing = True
                made.cut()
                await until(lambda: holes(recorder) == 1)
                await asyncio.sleep(0.3)
                made.refusing = False
                await until(lambda: not holes(recorder))
                made.pause()
                await until(lambda: last_id(recorder) == len(made.trades[BTC]))
        return wanted

    written = Written(asyncio.run(play()))
    (told, reason, first, last), (closed, status, *ends) = written.gaps()
    assert (told, reason, last) == ("gap_open", "reconnect", None)
    assert (closed, status) == ("gap_close", "repaired")
    assert ends[0] == first
    kinds = [e["kind"] for e in written.entries]
    assert kinds.index("disconnect") < kinds.index("gap_open") < kinds.index("repair") < kinds.index("gap_close")
    assert set(written.ids()) == set(range(1, max(written.ids()) + 1))


def test_a_cut_in_which_nothing_happened_leaves_no_hole(tmp_path: Path) -> None:
    async def play() -> Settings:
        async with exchange(BTC) as made:
            wanted = settings(tmp_path, made)
            async with recording(wanted) as recorder:
                made.trade(BTC, 3)
                await until(lambda: last_id(recorder) == 3)
                made.cut()
                await until(lambda: holes(recorder) == 1)
                await until(lambda: holes(recorder) == 0)
        return wanted

    assert [gap[1] for gap in Written(asyncio.run(play())).gaps()] == ["reconnect", "none"]


def test_a_stalled_socket_is_found_within_five_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, live_comes: None) -> None:
    look, looks = Liveness.look, [0]

    def counted(*args: Any) -> str | None:
        looks[0] += 1
        return look(*args)

    async def play() -> Settings:
        async with exchange(BTC) as made:
            wanted = settings(tmp_path, made)
            async with recording(wanted) as recorder:
                made.feed(BTC, per_second=20)
                await until(lambda: last_id(recorder) > 5)
                made.stall()
                with monkeypatch.context() as patch:
                    patch.setattr(Liveness, "look", counted)
                    await until(lambda: holes(recorder) == 1)
                await until(lambda: holes(recorder) == 0)
        return wanted

    written = Written(asyncio.run(play()))
    assert looks[0] * TICK_S < 5, "looks are counted, which come late on a busy machine"
    assert written.payloads("disconnect")[0]["reason"] == "stalled"
    assert set(written.ids()) == set(range(1, max(written.ids()) + 1))


def test_a_socket_that_is_acknowledged_and_bears_nothing_is_opened_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dataflows.recording.liveness.FIRST_DATA", 2)

    async def play() -> Settings:
        async with exchange(BTC) as made:
            wanted = settings(tmp_path, made)
            async with recording(wanted) as recorder:
                await until(lambda: len(made.subscribed) >= 2)
                await until(lambda: recorder.stations["demo"].lines[0].silences >= 2)
        return wanted

    assert [d["reason"] for d in Written(asyncio.run(play())).payloads("disconnect")][:2] == ["no_data", "no_data"]


def test_with_two_sockets_the_loss_of_one_is_no_gap(tmp_path: Path) -> None:
    async def play() -> Settings:
        async with exchange(BTC) as made:
            wanted = settings(tmp_path, made, redundancy=2)
            async with recording(wanted) as recorder:
                made.trade(BTC, 3)
                made.trade(BTC, 2, sockets=slice(0, 1))
                made.trade(BTC, 2, sockets=slice(1, 2))
                await until(lambda: last_id(recorder) == 7)
                recorder.stations["demo"].lines[0]._wire.transport.abort()  # type: ignore[union-attr]
                await until(lambda: recorder.stations["demo"].lines[0].reconnects == 1)
                made.trade(BTC)
                await until(lambda: last_id(recorder) == 8)
        return wanted

    written = Written(asyncio.run(play()))
    assert written.gaps() == []
    assert written.ids()[1] == 2
    assert set(written.ids()) == set(range(1, 9))
    assert len(written.payloads("connect")) >= 2


def test_garbage_is_recorded_as_it_came_and_stops_nothing(tmp_path: Path) -> None:
    cut = b'{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","a":'
    garbage = [b"", b"{", cut, b"\xff\xfe\x00", b"[" * 5000, b"null", b" " * 3_000_000]

    async def play() -> Settings:
        async with exchange(BTC) as made:
            wanted = settings(tmp_path, made)
            async with recording(wanted) as recorder:
                for frame in garbage:
                    made.send_raw(frame, "btcusdt@aggTrade")
                made.trade(BTC, 2)
                await until(lambda: last_id(recorder) == 2)
        return wanted

    wanted = asyncio.run(play())
    frames = [p for batch in Tail(wanted.journal_dir) for p, kind in zip(batch.payload, batch.kind, strict=True) if kind == 1]
    assert frames[1:-2] == garbage


def test_a_gap_left_open_by_a_crash_is_mended_by_the_next_recorder(tmp_path: Path) -> None:
    async def play() -> Settings:
        async with exchange(BTC) as made:
            wanted = settings(tmp_path, made)
            async with recording(wanted) as recorder:
                made.rest_status = 500
                made.trade(BTC, 2)
                made.trade(BTC, 2, sockets=slice(0))
                made.trade(BTC, 2)
                await until(lambda: last_id(recorder) == 6 and tape(recorder).holes[0].told)
            made.rest_status = 200
            async with recording(wanted) as recorder:
                await until(lambda: not holes(recorder))
        return wanted

    written = Written(asyncio.run(play()))
    assert ("gap_close", "repaired", 3, 4) in written.gaps()
    assert set(written.ids()) == set(range(1, 7))


def test_lost_quotes_are_told_and_a_venue_taken_out_is_closed(tmp_path: Path) -> None:
    async def play() -> Settings:
        async with exchange(BTC) as made:
            wanted = settings(tmp_path, made, feeds=("trades", "quotes"))
            async with recording(wanted) as recorder:
                made.cut()
                await until(lambda: len(made.subscribed) == 4)
                await recorder.change(wanted.model_copy(update={"venues": {}}))
                assert recorder.stations == {}
        return wanted

    written = Written(asyncio.run(play()))
    assert [g["feed"] for g in written.payloads("gap_close")] == ["quotes"]
    assert [c["route"] for c in written.payloads("connect")].count("public") == 2
    assert len(written.payloads("disconnect")) == 4


def test_quotes_are_shed_before_trades_and_trades_are_fetched_when_there_is_room(tmp_path: Path) -> None:
    room = [0.5]
    quote = b'{"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","u":%d}}'

    async def play() -> Settings:
        async with exchange(BTC) as made:
            wanted = settings(tmp_path, made, feeds=("trades", "quotes"))
            async with recording(wanted, free=lambda folder: room[0]) as recorder:

                def step(share: float, number: int) -> None:
                    room[0] = share
                    recorder.intake.look_at_disk()
                    made.send_raw(quote % number, "btcusdt@bookTicker")
                    made.trade(BTC, 2)

                step(0.5, 1)
                await until(lambda: last_id(recorder) == 2)
                step(0.04, 2)
                await until(lambda: last_id(recorder) == 4 and recorder.intake.dropped["quotes"] == 1)
                step(0.01, 3)
                await until(lambda: recorder.intake.dropped == {"quotes": 2, "trades": 2})
                step(0.5, 4)
                await until(lambda: last_id(recorder) == 8 and not holes(recorder))
        return wanted

    written = Written(asyncio.run(play()))
    assert [p["data"]["u"] for p in written.payloads("frame") if p.get("stream", "").endswith("bookTicker")] == [1, 4]
    assert [(s["feed"], s["reason"]) for s in written.payloads("shed")] == [
        ("quotes", "disk_low"),
        ("trades", "disk_low"),
        ("quotes", "disk_low: 2 frames"),
        ("trades", "disk_low: 2 frames"),
    ]
    assert written.gaps() == [("gap_open", "shed", 5, None), ("gap_close", "repaired", 5, 6)]
    assert set(written.ids()) == set(range(1, 9))


def test_a_full_volume_tears_nothing_and_is_survived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, full = os.write, [False]

    def write(fd: int, data: Any) -> int:
        if full[0] and len(data) > 10:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(fd, data)

    async def play() -> Settings:
        async with exchange(BTC) as made:
            wanted = settings(tmp_path, made)
            async with recording(wanted) as recorder:
                made.trade(BTC, 2)
                await until(lambda: last_id(recorder) == 2)
                with monkeypatch.context() as patch:
                    patch.setattr(os, "write", write)
                    full[0] = True
                    made.trade(BTC, 2)
                    await until(lambda: recorder.intake.dropped["trades"] == 2)
                    made.trade(BTC, 2)
                    await until(lambda: recorder.intake.dropped["trades"] == 4)
                    full[0] = False
                    await until(lambda: recorder.intake.shedding == 0)
                made.trade(BTC, 2)
                await until(lambda: last_id(recorder) == 8 and not holes(recorder))
        return wanted

    written = Written(asyncio.run(play()))
    assert [s["reason"] for s in written.payloads("shed")] == ["write_failed", "write_failed: 4 frames"]
    assert set(written.ids()) == set(range(1, 9))
    assert not [e for e in entries(tmp_path / "journal" / "main") if e["kind"] == "damage"]
