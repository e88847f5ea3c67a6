"""Real frames of Binance: every one is accounted for, books chain, and the sides of trades agree with the quotes."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from pipelines.aggressor import agreement
from pipelines.records import Kind
from pipelines.sources import open_source
from pipelines.sources.files import unpacked
from pipelines.tape import TRADE, Decoded
from pipelines.venues.binance import Binance
from tests.conftest import SHARED

pytestmark = pytest.mark.real

SPOT, USDM = Binance("binance-spot", "spot"), Binance("binance-usdm", "usdm")
COINM = Binance("binance-coinm", "coinm")


class Capture(NamedTuple):
    """A capture, and what is to come of it.

    Attributes
    ----------
    trades, quotes, depths, ignored : int
        Frames that bear these, and nothing.
    agreed, disagreed : int
        See `aggressor.Agreement`.
    """

    venue: Binance
    name: str
    trades: int
    quotes: int
    depths: int
    ignored: int
    agreed: int
    disagreed: int


CAPTURES = [
    Capture(SPOT, "spot_btcusdt_20240808.gz", 9757, 28040, 3452, 0, 2885, 0),
    Capture(SPOT, "spot_btcusdt_20240809.gz", 10147, 45134, 3044, 0, 3783, 0),
    Capture(USDM, "usdm_btcusdt_20240718.gz", 974, 7113, 3327, 0, 974, 0),
    Capture(USDM, "usdm_btcusdt_20240719.gz", 9727, 45147, 5696, 0, 9724, 0),
    Capture(USDM, "usdm_ethusdt_20240718.gz", 1640, 9089, 3274, 0, 1640, 0),
    Capture(USDM, "usdm_ethusdt_20240719.gz", 12015, 38239, 5656, 0, 12001, 10),
    Capture(COINM, "cm_btcusd_perp_20240808.gz", 2286, 19136, 26848, 0, 2281, 0),
    Capture(SPOT, "BINANCE.jsonl.zst", 2, 84, 177, 2, 2, 0),
    Capture(USDM, "BINANCE_FUTURES.jsonl.zst", 91, 613, 764, 67, 89, 0),
]


class Read(NamedTuple):
    """A capture's frames, and what came of them."""

    capture: Capture
    frames: list[bytes]
    decoded: Decoded


@pytest.fixture(scope="module", params=CAPTURES, ids=[capture.name for capture in CAPTURES])
def read(request: pytest.FixtureRequest) -> Read:
    capture: Capture = request.param
    source = open_source([SHARED / "captures" / capture.name], venue=capture.venue.name)
    batches = [piece.batch for piece in source.pieces() if piece.batch]
    frames = [payload for b in batches for kind, payload in zip(b.kind, b.payload, strict=True) if kind == Kind.FRAME]
    return Read(capture, frames, capture.venue.decode(frames, source.tape))


def test_every_frame_of_a_capture_is_read(read: Read) -> None:
    capture, decoded = read.capture, read.decoded
    assert decoded.faults == []
    counts = (decoded.rows.size, decoded.quotes.size, len(decoded.depths), decoded.ignored)
    assert counts == (capture.trades, capture.quotes, capture.depths, capture.ignored)
    assert sum(counts) == len(read.frames)
    assert (decoded.rows["kind"] == TRADE).all()
    assert decoded.rows["counted"].all()


def test_every_frame_of_a_capture_is_seen(read: Read) -> None:
    seen = read.capture.venue.look(read.frames)
    updates = sum(not depth.snapshot for depth in read.decoded.depths)
    assert Counter(sight.feed for sight in seen.sights) == {
        "trades": read.capture.trades,
        "quotes": read.capture.quotes,
        "book": updates,
    }
    assert seen.answers == []


def test_each_update_of_a_book_follows_the_one_before(read: Read) -> None:
    last: dict[str, int] = {}
    breaks = 0
    for depth in read.decoded.depths:
        if not depth.snapshot:
            assert depth.first <= depth.last
            breaks += depth.previous != last.get(depth.symbol, depth.previous)
            last[depth.symbol] = depth.last
    assert breaks == 0


def test_who_trades_at_the_ask_buys(read: Read) -> None:
    rows, quotes = read.decoded.rows, read.decoded.quotes
    each = [agreement(rows[rows["instrument"] == k], quotes[quotes["instrument"] == k]) for k in range(len(read.decoded.symbols))]
    agreed, disagreed = sum(a.agreed for a in each), sum(a.disagreed for a in each)
    assert (agreed, disagreed) == (read.capture.agreed, read.capture.disagreed)
    assert agreed >= 99 * disagreed


def test_rest_books_of_the_captures_are_read() -> None:
    for venue, name in ((SPOT, "BINANCE"), (USDM, "BINANCE_FUTURES")):
        with unpacked(SHARED / "captures" / f"{name}.jsonl.zst") as lines:
            answers = [line for line in map(json.loads, lines) if "/depth?" in line.get("url", "")]
        assert len(answers) == 4
        for answer in answers:
            (depth,) = venue.decode_book(answer["data"].encode(), "X").depths
            assert depth.snapshot
            assert (len(depth.bids), len(depth.asks)) <= (1000, 1000)
            assert min(float(price) for price, _ in depth.asks) > max(float(price) for price, _ in depth.bids)


def fixtures() -> dict[str, Any]:
    with gzip.open(SHARED / "fixtures" / "binance.jsonl.gz", "rt") as lines:
        found = {Path(entry["path"]): entry["data"] for entry in map(json.loads, lines)}
    return {f"{path.parent.parent.name}/{path.stem}": data for path, data in found.items() if "user_data" not in path.parent.name}


@pytest.mark.parametrize(
    ("name", "bears"),
    [
        ("agg_trade_stream", "time was not between 2010 and 2100: 123456785"),
        ("trade_stream", "ignored"),
        ("book_ticker_stream", "quotes"),
        ("depth_update_stream", "time was not between 2010 and 2100: 123456788"),
        ("kline_stream_closed", "ignored"),
        ("kline_stream_open", "ignored"),
        ("liquidation_stream", "liquidations"),
        ("mark_price_stream", "fundings"),
        ("ticker_stream", "ignored"),
    ],
)
def test_each_fixture_of_a_stream_is_read(name: str, bears: str) -> None:
    event = fixtures()[f"futures/{name}"]
    for frame in (event, {"stream": "x", "data": event}):
        decoded = USDM.decode([json.dumps(frame).encode()], "agg")
        if bears == "ignored":
            assert decoded.ignored == 1
        elif bears in Decoded._fields:
            assert len(getattr(decoded, bears)) == 1
            assert (decoded.faults, decoded.ignored) == ([], 0)
        else:
            assert [fault.reason for fault in decoded.faults] == [bears]


def test_the_fixtures_of_rest_are_read() -> None:
    found = fixtures()
    (depth,) = SPOT.decode_book(json.dumps(found["spot/depth_response"]).encode(), "LTCBTC").depths
    assert (depth.last, depth.bids, depth.asks) == (1027024, [("4.00000000", "431.00000000")], [("4.00000200", "12.00000000")])
    assert SPOT.parse_time(json.dumps(found["spot/server_time_response"]).encode()) == 1499827319559
    assert [i.symbol for i in SPOT.parse_instruments(json.dumps(found["spot/exchange_info_response"]).encode())] == ["ETH-BTC"]
    assert SPOT.parse_klines(json.dumps(found["spot/klines_response"]).encode())["fills"].to_pylist() == [308]


def documented(name: str) -> list[tuple[str, bytes]]:
    lines = (SHARED / "frames" / f"{name}.jsonl").read_text().splitlines()
    return [(entry["channel"], json.dumps(entry["frame"]).encode()) for entry in map(json.loads, lines)]


@pytest.mark.parametrize(
    ("venue", "name", "expected"),
    [
        (SPOT, "binance_spot", (5, 1, 4, 0, 0, 8, 4)),
        (USDM, "binance_um", (2, 1, 4, 1, 1, 6, 1)),
    ],
)
def test_the_documented_frames(venue: Binance, name: str, expected: tuple[int, ...]) -> None:
    frames = [frame for channel, frame in documented(name) if not channel.startswith(("rest.", "subscribe.request"))]
    decoded = venue.decode(frames, "agg")
    assert decoded.faults == []
    liquidations, fundings, answers = decoded.liquidations, decoded.fundings, venue.look(frames).answers
    counts = (decoded.rows, decoded.quotes, decoded.depths, liquidations, fundings)
    assert (*map(len, counts), decoded.ignored, len(answers)) == expected


def test_the_documented_off_book_fills() -> None:
    frames = [frame for channel, frame in documented("binance_um") if channel.startswith("trade.")]
    decoded = USDM.decode(frames, "fill")
    assert decoded.rows["trade_id"].tolist() == [7090110011, 7090110010, 7090110012]
    assert decoded.rows["counted"].tolist() == [True, False, False]
    assert [int(kind == TRADE) for kind in decoded.rows["kind"]] == [1, 1, 0]
    assert decoded.faults[0].reason == "price was not above zero: '0'"
