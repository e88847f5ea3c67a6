"""OKX as it was recorded: a capture of 2022, single frames and REST answers, and the frames of the reference."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from typing import Any

import msgspec
import pytest

from pipelines.book import Book
from pipelines.market import Instrument
from pipelines.sources import open_source
from pipelines.sources.files import blocks
from pipelines.tape import Decoded
from pipelines.venues.okx import Okx
from pipelines.venues.venue import Failure
from tests.conftest import SHARED

pytestmark = pytest.mark.real
OKX = Okx()


def capture(kind: str) -> list[dict[str, Any]]:
    lines = [line for block in blocks(SHARED / "captures" / "OKX.jsonl.zst", 0, 1000) for line in block]
    return [record for line in lines if (record := json.loads(line))["t"] == kind]


def received() -> list[bytes]:
    return [record["data"].encode() for record in capture("recv")]


def fixtures() -> dict[str, bytes]:
    with gzip.open(SHARED / "fixtures" / "okx.jsonl.gz") as lines:
        found = map(json.loads, lines)
        return {each["path"].rpartition("/")[2].removesuffix(".json"): msgspec.json.encode(each["data"]) for each in found}


def reference() -> list[tuple[str, bytes]]:
    found = map(json.loads, (SHARED / "frames" / "okx.jsonl").read_text().splitlines())
    return [
        (each["channel"], each["frame"].encode() if isinstance(each["frame"], str) else msgspec.json.encode(each["frame"]))
        for each in found
        if each["venue"] == "okx"
    ]


def counted(decoded: Decoded) -> dict[str, int]:
    kinds = {"rows": decoded.rows, "quotes": decoded.quotes, "depths": decoded.depths, "liquidations": decoded.liquidations}
    kinds |= {"fundings": decoded.fundings, "faults": decoded.faults}
    return {name: len(kind) for name, kind in kinds.items() if len(kind)} | (
        {"ignored": decoded.ignored} if decoded.ignored else {}
    )


def test_every_frame_of_the_capture_is_told() -> None:
    frames = received()
    assert len(frames) == 410
    by_channel = Counter(json.loads(frame).get("event") or json.loads(frame)["arg"]["channel"] for frame in frames)
    assert by_channel == {"subscribe": 18, "trades": 74, "books": 290, "tickers": 28}
    decoded = OKX.decode(frames, "agg")
    assert counted(decoded) == {"rows": 74, "depths": 290, "ignored": 46}
    assert decoded.symbols == ["BTC-USD-220527", "UNI-USD-SWAP", "BTC-USDT"]
    seen = OKX.look(frames)
    assert Counter(sight.feed for sight in seen.sights) == {"trades": 74, "book": 290}
    assert Counter(answer.kind for answer in seen.answers) == {"ack": 18}


def test_no_trade_of_the_capture_is_missing() -> None:
    decoded = OKX.decode(received(), "agg")
    steps = Counter[int]()
    for k in range(len(decoded.symbols)):
        rows = decoded.rows[decoded.rows["instrument"] == k]
        steps.update((rows["trade_id"][1:] - rows["span"][1:] - rows["trade_id"][:-1]).tolist())
    assert steps == {0: 71}


def test_every_checksum_of_the_capture_holds_and_takers_take_from_the_book() -> None:
    decoded = OKX.decode(received(), "agg")
    books = {name: Book(OKX.checksum, apart=False) for name in decoded.symbols}
    events: list[Any] = sorted([*decoded.depths, *decoded.rows], key=lambda e: e["frame"] if hasattr(e, "dtype") else e.frame)
    sides = Counter[bool]()
    for event in events:
        if not hasattr(event, "dtype"):
            assert event.checksum is not None
            assert books[event.symbol].apply(event) is None
            bid, ask = books[event.symbol].best()
            assert bid is not None
            assert ask is not None
            assert float(bid[0]) < float(ask[0])
            continue
        bid, ask = books[decoded.symbols[event["instrument"]]].best()
        if bid and ask and not float(bid[0]) < event["price"] < float(ask[0]):
            sides[(event["price"] >= float(ask[0])) == (event["side"] > 0)] += 1
    assert sum(depth.checksum is not None for depth in decoded.depths) == 290
    assert sides == {True: 71}
    assert all(book.resyncs == 0 for book in books.values())


def test_one_wrong_level_is_found_by_the_checksum() -> None:
    depths = [depth for depth in OKX.decode(received(), "agg").depths if depth.symbol == "BTC-USDT"]
    book = Book(OKX.checksum, apart=False)
    assert book.apply(depths[0]) is None
    at = next(k for k, depth in enumerate(depths[1:], 1) if depth.bids)
    wrong = [(price, size + "1") for price, size in depths[at].bids]
    assert [book.apply(depth) for depth in depths[1:at]] == [None] * (at - 1)
    assert book.apply(depths[at]._replace(bids=wrong)) == "checksum"


def test_instruments_of_2022() -> None:
    by_type: dict[str, list[Instrument]] = {}
    for record in capture("http"):
        kind = record["url"].partition("instType=")[2]
        by_type[kind] = OKX.parse_instruments(record["data"].encode())
    assert {kind: len(found) for kind, found in by_type.items()} == {
        "SPOT": 513,
        "SWAP": 166,
        "FUTURES": 104,
        "OPTION&uly=BTC-USD": 0,
        "OPTION&uly=ETH-USD": 0,
    }
    every = [instrument for found in by_type.values() for instrument in found]
    assert len({i.symbol for i in every}) == len({i.native for i in every}) == 783
    natives = {i.native: i for i in every}
    assert natives["UNI-USD-SWAP"][1:] == ("UNI-USD-PERP", "UNI-USD-SWAP", "UNI", "USD", "0.001", "1", "live", "10", True)
    assert natives["BTC-USD-220527"][1:] == ("BTC-USD-220527", "BTC-USD-220527", "BTC", "USD", "0.1", "1", "live", "100", True)
    assert natives["BTC-USDT-SWAP"].contract == OKX.guess("BTC-USDT-PERP").contract == "0.01"
    assert natives["ETH-USDT-SWAP"].contract == OKX.guess("ETH-USDT-PERP").contract == "0.1"
    assert natives["BTC-USD-SWAP"].contract == OKX.guess("BTC-USD-PERP").contract == "100"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ws_trades", {"rows": 1}),
        ("ws_bbo_tbt", {"quotes": 1}),
        ("ws_books_snapshot", {"depths": 1}),
        ("ws_books_update", {"depths": 1}),
        ("ws_funding_rate", {"fundings": 1}),
        ("ws_tickers", {"ignored": 1}),
        ("ws_candle", {"ignored": 1}),
        ("ws_instruments", {"ignored": 1}),
        ("ws_orders", {"faults": 1}),  # of an account: never asked for
    ],
)
def test_recorded_frames(name: str, expected: dict[str, int]) -> None:
    assert counted(OKX.decode([fixtures()[name]], "agg")) == expected


def test_recorded_answers() -> None:
    found = fixtures()
    symbols = {
        name: [i.symbol for i in OKX.parse_instruments(found[f"http_get_instruments_{name}"])]
        for name in ("spot", "swap", "futures")
    }
    assert symbols["swap"] == ["BTC-USD-PERP", "ETH-USDT-PERP", "BTC-USDT-PERP"]
    assert symbols["spot"] == ["BTC-USD", "ETH-USD", "SOL-USD", "XRP-USD", "USDT-USD"]
    assert symbols["futures"] == [f"BTC-USD-{day}" for day in ("241220", "241227", "250131", "250228", "250328", "250627")]
    assert [OKX.parse_instruments(found[f"http_get_instruments_{kind}"]) for kind in ("option", "margin")] == [[], []]
    assert OKX.decode_rest(found["http_get_trades"], "BTC-USDT").rows["trade_id"].tolist() == [734864332, 734864333]
    assert OKX.parse_klines(found["http_get_candlesticks_full"])["volume"].to_pylist() == [71.6404, 10.4037]
    assert OKX.parse_klines(found["http_get_candlesticks"])["volume"].to_pylist() == [778.838, 0.123]


def test_frames_of_the_reference() -> None:
    """Invented values in true formats; what is sent to the venue, and answers of REST, are no frames of a socket."""
    outcome = {channel: counted(OKX.decode([frame], "agg")) for channel, frame in reference() if not channel.startswith("rest")}
    by_outcome = {
        "faults": ("subscribe.request", "ping.request"),
        "ignored": ("subscribe.ack", "error", "notice", "pong", "trades-all", "candle1m.business"),
        "rows": ("trades", "trades.gap"),
        "quotes": ("bbo-tbt",),
        "depths": (
            *("books.snapshot", "books.snapshot.before_2026_06_23_with_crc32", "books.update"),
            *("books.update.keepalive", "books.update.seq_reset", "books.update.gap"),
        ),
        "liquidations": ("liquidation-orders",),
        "fundings": ("funding-rate", "open-interest"),
    }
    assert outcome == {channel: {kind: 1} for kind, channels in by_outcome.items() for channel in channels}


def test_answers_of_the_reference() -> None:
    found = dict(reference())
    (swap,) = OKX.parse_instruments(found["rest.instruments"])
    assert (swap.symbol, swap.contract, swap.inverse) == ("BTC-USDT-PERP", "0.01", False)
    assert OKX.decode_rest(found["rest.history-trades"], "BTC-USDT-SWAP").rows["trade_id"].tolist() == [1988200106, 1988200107]
    assert OKX.parse_klines(found["rest.history-candles"])["volume"].to_pylist() == [180.205]
    assert OKX.parse_error(found["rest.error"]) == Failure("error", "Instrument ID doesn't exist (code 51001)")


def test_the_capture_is_a_tape_of_described_instruments() -> None:
    source = open_source([SHARED / "captures" / "OKX.jsonl.zst"], venue="okx")
    assert [(i.symbol, i.contract, i.inverse) for i in source.instruments] == [
        ("BTC-USD-220527", "100", True),
        ("UNI-USD-PERP", "10", True),
        ("BTC-USDT", "", False),
    ]
