"""A recorded market: each trade once, in the recording's own time."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect

from dataflows.demo.playback import Recording
from dataflows.demo.server import exchange
from dataflows.demo.tape import DAY_MS, MINUTE_MS
from pipelines.settings import SettingsError
from tests.conftest import SHARED

START = 1_721_347_200_000  # 2024-07-19, ms
CAPTURES = SHARED / "captures"


def trade(number: int, after: int, **changes: Any) -> dict[str, Any]:
    data = {
        "e": "trade",
        "E": START + after + 2,
        "T": START + after,
        "s": "BTCUSDT",
        "t": number,
        "p": "63960.10",
        "q": "0.010",
    }
    return {"stream": "btcusdt@trade", "data": {**data, "X": "MARKET", "m": False, **changes}}


def capture(path: Path, frames: list[Any], pack: bool = True) -> Path:
    lines = "".join(
        f"{START * 10**6 + i} {frame if isinstance(frame, str) else json.dumps(frame)}\n" for i, frame in enumerate(frames)
    )
    path.write_bytes(gzip.compress(lines.encode()) if pack else lines.encode())
    return path


QUOTE = {"e": "bookTicker", "u": 7, "s": "BTCUSDT", "b": "63960.00", "B": "1", "a": "63960.10", "A": "2"}
FRAMES = [
    trade(100, 0),
    {"stream": "btcusdt@bookTicker", "data": QUOTE},
    trade(101, 10, p="63000.00", X="INSURANCE_FUND"),
    trade(102, 20, p="63960.0", q="1.5", m=True),
    "{broken",
    {"lastUpdateId": 5, "bids": []},
    trade(103, 61_000),
    trade(102, 20, p="63960.0", q="1.5", m=True),
]


def rows(recording: Recording, stream: str = "btcusdt@aggTrade") -> list[dict[str, Any]]:
    return [json.loads(frame.data) for frame in recording.frames(stream, 0, recording.end_ms)]


@pytest.mark.parametrize("pack", [True, False])
def test_each_trade_of_the_book_becomes_an_aggregated_trade(tmp_path: Path, pack: bool) -> None:
    recording = Recording([capture(tmp_path / "c", FRAMES, pack)])
    assert [(r["a"], r["f"], r["l"], r["p"], r["q"], r["m"], r["T"] - START) for r in rows(recording)] == [
        (100, 100, 100, "63960.1", "0.01", False, 0),
        (101, 102, 102, "63960.0", "1.50", True, 20),
        (102, 103, 103, "63960.1", "0.01", False, 61_000),
    ]
    listing = recording.listings["BTCUSDT"]
    assert (listing.base, listing.quote, listing.price_decimals, listing.size_decimals) == ("BTC", "USDT", 1, 2)


def test_other_streams_are_sent_as_recorded(tmp_path: Path) -> None:
    recording = Recording([capture(tmp_path / "c", FRAMES)])
    assert rows(recording, "btcusdt@bookTicker") == [QUOTE]
    assert [data["t"] for data in rows(recording, "btcusdt@trade")] == [100, 101, 102, 103, 102]
    assert rows(recording, "btcusdt@depth") == rows(recording, "ethusdt@aggTrade") == []


def test_frames_are_due_at_their_event_time(tmp_path: Path) -> None:
    recording = Recording([capture(tmp_path / "c", FRAMES)])
    assert (recording.begin_ms, recording.end_ms) == (START + 2, START + 61_002)
    assert [f.id for f in recording.frames("btcusdt@aggTrade", START + 2, START + 61_001)] == [101]
    assert len(recording.frames("btcusdt@bookTicker", START + 1, START + 2)) == 1
    assert recording.unpublished("BTCUSDT", START + 22) == 102
    assert recording.id_at("BTCUSDT", START + 1) == 101
    assert recording.id_at("BTCUSDT", START + DAY_MS) == 103


def test_several_files_are_one_recording_in_order_of_time(tmp_path: Path) -> None:
    eth = {"s": "ETHUSDT", "p": "3400.12"}
    files = [
        capture(tmp_path / "b", [trade(102, 90_000), {**trade(9, 90_500, **eth), "stream": "ethusdt@trade"}]),
        capture(tmp_path / "a", [trade(100, 0), trade(101, 5)]),
    ]
    recording = Recording(files)
    assert [data["a"] for data in rows(recording)] == [100, 101, 102]
    assert sorted(recording.listings) == ["BTCUSDT", "ETHUSDT"]


def test_recorded_aggregates_are_kept_as_they_are(tmp_path: Path) -> None:
    agg = {
        "e": "aggTrade",
        "E": START + 5,
        "T": START,
        "s": "BTCUSDT",
        "a": 7,
        "f": 90,
        "l": 99,
        "p": "1.5",
        "q": "2",
        "m": True,
    }
    recording = Recording([capture(tmp_path / "c", [{"stream": "btcusdt@aggTrade", "data": agg}, trade(100, 10)])])
    assert [(r["a"], r["f"], r["l"], r["p"], r["q"], r["E"] - r["T"]) for r in rows(recording)] == [(7, 90, 99, "1.5", "2", 5)]


def test_candles_are_those_of_the_trades_and_never_of_part_of_a_day(tmp_path: Path) -> None:
    recording = Recording([capture(tmp_path / "c", FRAMES)])
    minutes = recording.candles("BTCUSDT", "1m", 0, START + DAY_MS, START + DAY_MS)
    assert [(c.start, c.open, c.high, c.low, c.close, c.volume) for c in minutes] == [
        (START, 639601, 639601, 639600, 639600, 151),
        (START + MINUTE_MS, 639601, 639601, 639601, 639601, 1),
    ]
    assert [c.volume for c in recording.candles("BTCUSDT", "1m", 0, START + DAY_MS, START + 10)] == [1]
    assert recording.candles("BTCUSDT", "1d", 0, START + DAY_MS, START + 2 * DAY_MS) == []
    long = Recording([capture(tmp_path / "d", [trade(100, -5), trade(101, 0), trade(102, DAY_MS - 1), trade(103, DAY_MS)])])
    assert [(c.start, c.volume) for c in long.candles("BTCUSDT", "1d", 0, START + 3 * DAY_MS, START + 3 * DAY_MS)] == [(START, 2)]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "no lines"),
        (b"id,price\n1,2\n", "no lines"),
        (gzip.compress(b"1721347200000000000 {}\n")[:-9], "c:"),
        (json.dumps({"a": 1}).encode(), "no lines"),
        (
            f"{START} {json.dumps({'stream': 'btcusdt@bookTicker', 'data': {**QUOTE, 'E': START}})}\n".encode(),
            "holds no trades",
        ),
        (f"{START} {json.dumps({**trade(1, 0, s='BTCUSD_PERP'), 'stream': 'btcusd_perp@trade'})}\n".encode(), "COIN-M"),
    ],
    ids=["empty", "csv", "cut short", "json", "no trades", "inverse contract"],
)
def test_what_cannot_be_played_is_refused_by_name(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "c").write_bytes(content)
    with pytest.raises(ValueError, match=why) as refused:
        Recording([tmp_path / "c"])
    assert str(tmp_path / "c") in str(refused.value)


def test_a_missing_file_is_told() -> None:
    with pytest.raises(SettingsError, match="nowhere"):
        exchange(seed=1, symbols=(), rate=1.0, recording=Path("nowhere.gz"), speed=1.0, faults=())


async def played(recording: list[Path], streams: list[str], last: int, speed: float) -> dict[str, list[dict[str, Any]]]:
    """Subscribe from the start and return what came, by stream, up to trade `last` of each."""
    came: dict[str, list[dict[str, Any]]] = {stream: [] for stream in streams}
    served = exchange(seed=1, symbols=(), rate=1.0, recording=Path(os.pathsep.join(map(str, recording))), speed=speed, faults=())
    async with asyncio.timeout(250), served.serving(0) as port:
        await asyncio.sleep(0.05)  # it must wait for its first listener
        url = f"ws://127.0.0.1:{port}/market/stream"
        async with connect(url, compression=None, max_queue=None, proxy=None, open_timeout=200, ping_interval=None) as ws:
            await ws.send(json.dumps({"method": "SUBSCRIBE", "params": streams, "id": 1}))
            assert json.loads(await ws.recv())["result"] is None
            while not all(data and last in (data[-1].get("a"), data[-1].get("t")) for data in came.values()):
                frame = json.loads(await ws.recv())
                came[frame["stream"]].append(frame["data"])
    return came


def test_a_recording_waits_for_its_first_listener_and_loses_nothing(tmp_path: Path) -> None:
    path = capture(tmp_path / "c", [trade(100 + i, 40 * i) for i in range(50)])
    came = asyncio.run(played([path], ["btcusdt@aggTrade", "btcusdt@trade"], 149, speed=20.0))
    assert [data["a"] for data in came["btcusdt@aggTrade"]] == list(range(100, 150))
    assert [data["t"] for data in came["btcusdt@trade"]] == list(range(100, 150))


@pytest.mark.real
def test_a_real_recording_through_a_real_socket() -> None:
    paths = [CAPTURES / "usdm_btcusdt_20240719.gz", CAPTURES / "usdm_btcusdt_20240718.gz"]
    recorded = []
    for path in sorted(paths):
        with gzip.open(path) as lines:
            for line in lines:
                frame = json.loads(line.partition(b" ")[2])
                if frame.get("stream") == "btcusdt@trade":
                    recorded.append(frame["data"])
    came = asyncio.run(played(paths, ["btcusdt@aggTrade"], recorded[-1]["t"], speed=300.0))["btcusdt@aggTrade"]
    assert [(r["a"], float(r["p"]), float(r["q"]), r["T"], r["m"]) for r in came] == [
        (r["t"], float(r["p"]), float(r["q"]), r["T"], r["m"]) for r in recorded
    ]
    assert len(came) > 10_000


@pytest.mark.real
@pytest.mark.parametrize("name", ["usdm_ethusdt_20240719.gz", "spot_btcusdt_20240808.gz"])
def test_real_recordings_answer_for_any_id(name: str) -> None:
    recording = Recording([CAPTURES / name])
    (native,) = recording.listings
    first, stop = recording.id_at(native, 0), recording.unpublished(native, recording.end_ms)
    trades = recording.trades(native, first, stop)
    assert len(trades.id) == stop - first > 5000
    assert recording.trades(native, first + 17, first + 19).id.tolist() == [first + 17, first + 18]
