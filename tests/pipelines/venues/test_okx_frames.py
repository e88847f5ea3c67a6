"""OKX's frames become rows, quotes, books, liquidations and funding; what is refused says why, and nothing raises."""

from __future__ import annotations

import json
from typing import Any
from zlib import crc32

import numpy as np
import pytest

from pipelines.book import Book
from pipelines.tape import TRADE, VOID, Decoded
from pipelines.venues.okx import Okx
from pipelines.venues.okx_frames import checksum, decode
from pipelines.venues.okx_sights import look
from pipelines.venues.venue import Answer, Sight
from tests.pipelines.venues.mutations import endure

TRADE_ITEM: dict[str, Any] = json.loads(
    """{"instId":"BTC-USDT-SWAP","tradeId":"1988200104","px":"91233.2","sz":"40","side":"buy","ts":"1795204800008",
        "count":"3","source":"0","seqId":55500100}"""
)
BOOK: dict[str, Any] = json.loads(
    """{"asks":[["91233.2","311.5","0","14"],["91233.5","20","0","2"]],"bids":[["91233.1","120.01","0","9"],["91233","5","0","1"]],
        "ts":"1795204800000","checksum":0,"seqId":55500100,"prevSeqId":-1}"""
)
FORCED: dict[str, Any] = json.loads(
    """{"details":[{"bkLoss":"0","bkPx":"90120.4","ccy":"","posSide":"long","side":"sell","sz":"13.2","ts":"1795204800310"}],
        "instFamily":"BTC-USDT","instId":"BTC-USDT-SWAP","instType":"SWAP","uly":"BTC-USDT"}"""
)


def frame(channel: str, *items: object, symbol: str = "BTC-USDT-SWAP", **more: object) -> bytes:
    arg = {"channel": channel, "instId": symbol} if symbol else {"channel": channel, "instType": "SWAP"}
    return json.dumps({"arg": arg, **more, "data": list(items)}, separators=(",", ":")).encode()


def trade(**changes: object) -> bytes:
    return frame("trades", TRADE_ITEM | changes)


def book(action: str = "update", **changes: object) -> bytes:
    return frame("books", BOOK | changes, action=action)


def reasons(decoded: Decoded) -> list[str]:
    return [fault.reason for fault in decoded.faults]


FRAMES = [
    trade(),
    frame("trades", TRADE_ITEM, TRADE_ITEM | {"tradeId": "1988200105", "count": "1"}),
    frame("trades-all", {k: v for k, v in TRADE_ITEM.items() if k != "count"}),
    book("snapshot"),
    book(prevSeqId=55500100, seqId=55500115, asks=[["91233.5", "0", "0", "0"]]),
    book(asks=[], bids=[], prevSeqId=55500115, seqId=55500115, checksum=-855196043),
    frame("bbo-tbt", {"asks": [["91233.2", "311.5", "0", "14"]], "bids": [], "ts": "1795204800010", "seqId": 55500110}),
    frame("liquidation-orders", FORCED, symbol=""),
    frame(
        "funding-rate",
        {"instId": "BTC-USDT-SWAP", "fundingRate": "-0.0000612", "fundingTime": "1795219200000", "ts": "1795204800900"},
    ),
    frame("open-interest", {"instId": "BTC-USDT-SWAP", "oi": "2811220.13", "oiCcy": "28112.2013", "ts": "1795204803000"}),
    frame("mark-price", {"instId": "BTC-USDT-SWAP", "markPx": "91233.4", "ts": "1795204803100"}),
    frame("tickers", {"instId": "BTC-USDT", "last": "1", "ts": "1795204803100"}),
    b'{"id":"1","event":"subscribe","arg":{"channel":"trades","instId":"BTC-USDT"},"connId":"f00dbeef"}',
    b'{"event":"error","code":"60018","msg":"no such channel","connId":"f00dbeef"}',
    b"pong",
]


def test_a_merged_trade_uses_up_its_ids() -> None:
    decoded = decode([trade()])
    (row,) = decoded.rows
    assert decoded.symbols == ["BTC-USDT-SWAP"]
    assert (row["trade_id"], row["ts"], row["price"], row["size"]) == (1988200104, 1795204800008000, 91233.2, 40.0)
    assert (row["first_fill"], row["last_fill"], row["fills"], row["span"]) == (1988200102, 1988200104, 3, 3)
    assert (row["side"], row["kind"], row["counted"], row["flags"]) == (1, TRADE, True, 0)


def test_a_trade_of_old_uses_up_one_id() -> None:
    old = {k: v for k, v in TRADE_ITEM.items() if k not in {"count", "source", "seqId"}} | {"side": "sell"}
    (row,) = decode([frame("trades", old)]).rows
    assert (row["span"], row["fills"], row["first_fill"], row["last_fill"], row["side"]) == (1, 1, 1988200104, 1988200104, -1)


def test_trades_that_the_book_hides_count() -> None:
    (row,) = decode([trade(source="1")]).rows
    assert (row["counted"], row["flags"]) == (True, 0)


def test_several_trades_of_a_frame_stand_in_order() -> None:
    bad = TRADE_ITEM | {"tradeId": "1988200106", "px": "0", "count": "2"}
    worse = TRADE_ITEM | {"tradeId": "1988200107", "side": "hold"}
    decoded = decode([frame("trades", TRADE_ITEM, bad, worse), trade(tradeId="1988200110")])
    assert decoded.rows["frame"].tolist() == [0, 0, 0, 1]
    assert decoded.rows["trade_id"].tolist() == [1988200104, 1988200106, 1988200107, 1988200110]
    assert decoded.rows["kind"].tolist() == [TRADE, VOID, VOID, TRADE]
    assert decoded.rows["span"].tolist() == [3, 2, 1, 3]
    assert [(f.frame, f.part, f.symbol) for f in decoded.faults] == [(0, 1, "BTC-USDT-SWAP"), (0, 2, "BTC-USDT-SWAP")]


def test_frames_of_other_forms_read_the_same() -> None:
    spaced = json.dumps(json.loads(trade())).encode()
    backward = json.dumps(dict(reversed(json.loads(trade()).items()))).encode()
    numbers = trade(tradeId=1988200104, ts=1795204800008, count=3)
    decoded = decode([trade(), spaced, backward, numbers, memoryview(b" " + trade())[1:]])
    assert decoded.faults == []
    assert decoded.rows["frame"].tolist() == [0, 1, 2, 3, 4]
    assert len(set(decoded.rows[["trade_id", "ts", "price", "size", "side", "span"]].tolist())) == 1


def test_each_tape_leaves_the_other() -> None:
    frames = [FRAMES[0], FRAMES[2]]
    assert decode(frames, "agg").rows["frame"].tolist() == [0]
    merged = decode(frames, "fill")
    assert merged.rows["frame"].tolist() == [1]
    assert merged.rows[["span", "first_fill", "fills"]].tolist() == [(1, -1, 1)]
    assert merged.ignored == 1


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"px": "0"}, "price was not above zero: '0'"),
        ({"sz": "-1"}, "size was not above zero: '-1'"),
        ({"px": "1e308"}, "price was not plain decimal text"),
        ({"px": 91233.2}, "trade was malformed"),
        ({"side": "Buy"}, "trade was malformed"),
        ({"side": None}, "trade was malformed"),
        ({"ts": "1"}, "time was not between 2010 and 2100: 1"),
        ({"ts": "soon"}, "trade was malformed"),
        ({"count": "0"}, "trades was malformed"),
        ({"count": "1988200106"}, "fills were not a range of ids: -1 to 1988200104"),
        ({"tradeId": "-1"}, "trades was malformed"),
        ({"tradeId": "9223372036854775808"}, "trades was malformed"),
        ({"instId": ""}, "trades was malformed"),
    ],
)
def test_what_speaks_against_a_trade(changes: dict[str, object], reason: str) -> None:
    decoded = decode([trade(**changes), trade()])
    (fault,) = decoded.faults
    assert fault.reason.startswith(reason)
    assert fault.frame == 0
    assert (decoded.rows["kind"] == TRADE).sum() == 1
    assert decoded.ignored == 0


def test_a_refused_trade_of_known_id_leaves_a_void() -> None:
    for changes in ({"px": "0"}, {"side": "hold"}):
        (row,) = decode([trade(**changes)]).rows
        assert (row["kind"], row["trade_id"], row["counted"]) == (VOID, 1988200104, False)


def test_a_book_is_a_chain() -> None:
    snapshot, update, alive = decode(FRAMES[3:6]).depths
    assert (snapshot.symbol, snapshot.ts, snapshot.snapshot) == ("BTC-USDT-SWAP", 1795204800000000, True)
    assert (snapshot.first, snapshot.last, snapshot.previous, snapshot.checksum) == (55500100, 55500100, -1, None)
    assert (snapshot.bids, snapshot.asks[1]) == ([("91233.1", "120.01"), ("91233", "5")], ("91233.5", "20"))
    assert (update.snapshot, update.previous, update.last, update.asks) == (False, 55500100, 55500115, [("91233.5", "0")])
    assert (alive.previous, alive.last, alive.bids, alive.asks, alive.checksum) == (55500115, 55500115, [], [], -855196043)


def test_a_book_lives_on_through_quiet_and_maintenance_and_breaks_at_a_hole() -> None:
    kept = Book(checksum, apart=False)
    frames = [
        book("snapshot"),
        book(prevSeqId=55500100, seqId=55500115, asks=[], bids=[["91233.1", "131.2", "0", "10"]]),
        book(prevSeqId=55500115, seqId=55500115, asks=[], bids=[]),
        book(prevSeqId=55500115, seqId=21, asks=[["91233.6", "2", "0", "1"]], bids=[]),
        book(prevSeqId=21, seqId=30, asks=[], bids=[["91233", "0", "0", "0"]]),
    ]
    assert [kept.apply(depth) for depth in decode(frames).depths] == [None] * 5
    assert kept.top(9) == ([("91233.1", "131.2")], [("91233.2", "311.5"), ("91233.5", "20"), ("91233.6", "2")])
    (hole,) = decode([book(prevSeqId=44, seqId=51)]).depths
    assert kept.apply(hole) == "sequence"
    assert not kept.synced


def test_books_of_old_have_a_checksum_for_a_chain() -> None:
    old = {k: v for k, v in BOOK.items() if k not in {"seqId", "prevSeqId"}} | {"checksum": -914047754}
    (depth,) = decode([frame("books", old, action="update")]).depths
    assert (depth.first, depth.last, depth.previous, depth.checksum) == (-1, -1, -1, -914047754)


def test_checksum() -> None:
    """From the reference, of a book with two levels a side."""
    bids, asks = [("91233.1", "120.01"), ("91233", "5")], [("91233.2", "311.5"), ("91233.5", "20")]
    assert checksum(bids, asks) == -1394121463
    many = [(str(k), "1") for k in range(99, 9, -1)]
    assert checksum(many, asks) == checksum(many[:25], asks)
    assert checksum([], []) == 0


def test_checksum_of_uneven_sides() -> None:
    value = crc32(b"3366.1:7:3366.8:9:3366:6:3368:8:3372:8")
    signed = value - 2**32 if value >= 2**31 else value
    assert checksum([("3366.1", "7"), ("3366", "6")], [("3366.8", "9"), ("3368", "8"), ("3372", "8")]) == signed


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"bids": [["NaN", "1", "0", "1"]]}, "price of a level was not finite"),
        ({"bids": [["0", "1", "0", "1"]]}, "price of a level was not above zero"),
        ({"asks": [["1", "-1", "0", "1"]]}, "size of a level was not above zero"),
        ({"asks": [["1;2,3", "1"]]}, "price of a level was not a number"),
        ({"asks": [["1"]]}, "Expected `array` of at least length 2"),
        ({"asks": None}, "Expected"),
        ({"seqId": -2}, "Expected"),
        ({"checksum": 2**31}, "Expected"),
        ({"ts": "4102444800000"}, "Expected"),
    ],
)
def test_a_book_that_cannot_be_read_is_refused(changes: dict[str, Any], reason: str) -> None:
    decoded = decode([book(**changes)])
    assert decoded.depths == []
    assert reasons(decoded)[0].startswith(f"books was malformed: {reason}")


def test_an_unknown_action_is_refused() -> None:
    assert reasons(decode([book("upsert")])) == ["books was malformed: action was 'upsert'"]


def test_books_without_a_time_have_none() -> None:
    (depth,) = decode([book(ts="0")]).depths
    assert depth.ts == 0


def test_a_quote_may_have_one_side() -> None:
    both = frame(
        "bbo-tbt", {"asks": [["8477", "415", "0", "13"]], "bids": [["8476.97", "256", "0", "12"]], "ts": "1795204800010"}
    )
    decoded = decode([both, FRAMES[6], trade(instId="ETH-USDT")])
    assert decoded.symbols == ["ETH-USDT", "BTC-USDT-SWAP"]
    assert decoded.quotes.tolist() == [
        (1795204800010000, -1, 8476.97, 256.0, 8477.0, 415.0, 1, 0),
        (1795204800010000, 55500110, 0.0, 0.0, 91233.2, 311.5, 1, 1),
    ]


def test_an_unsound_quote_is_refused_alone() -> None:
    bad = frame("bbo-tbt", {"asks": [["x", "1"]], "bids": [], "ts": "1795204800010"})
    decoded = decode([FRAMES[6], bad, FRAMES[6]])
    assert decoded.quotes["frame"].tolist() == [0, 2]
    assert [(f.frame, f.reason) for f in decoded.faults] == [(1, "ask was not a number: 'x'")]


def test_liquidations_tell_the_side_of_the_order() -> None:
    shorts = FORCED | {"instId": "ETH-USD-SWAP", "details": [FORCED["details"][0] | {"side": "buy", "posSide": "short"}]}
    decoded = decode([frame("liquidation-orders", FORCED, shorts, symbol="")])
    assert decoded.liquidations == [
        (0, "BTC-USDT-SWAP", 1795204800310000, -1, 90120.4, 13.2, True),
        (0, "ETH-USD-SWAP", 1795204800310000, 1, 90120.4, 13.2, True),
    ]


@pytest.mark.parametrize("changes", [{"sz": "0"}, {"bkPx": "-5"}, {"side": "long"}, {"ts": "0"}])
def test_an_unsound_liquidation_is_refused(changes: dict[str, str]) -> None:
    decoded = decode([frame("liquidation-orders", FORCED | {"details": [FORCED["details"][0] | changes]}, FORCED, symbol="")])
    assert len(decoded.liquidations) == len(decoded.faults) == 1
    assert decoded.ignored == 0


def test_three_channels_tell_of_funding() -> None:
    rate, interest, mark = decode(FRAMES[8:11]).fundings
    assert rate == (0, "BTC-USDT-SWAP", 1795204800900000, -0.0000612, 1795219200000000, None, None, None)
    assert (interest.open_interest, interest.rate, interest.next_ts) == (2811220.13, None, None)
    assert (mark.mark_price, mark.ts) == (91233.4, 1795204803100000)


@pytest.mark.parametrize("changes", [{"fundingRate": "NaN"}, {"fundingRate": "1e308"}, {"markPx": "0"}, {"oi": "-1"}, {"ts": ""}])
def test_unsound_funding_is_refused(changes: dict[str, str]) -> None:
    decoded = decode([frame("funding-rate", {"instId": "BTC-USDT-SWAP", "ts": "1795204800900"} | changes)])
    assert decoded.fundings == []
    assert len(decoded.faults) == 1


def test_an_empty_rate_is_none() -> None:
    said = {"instId": "BTC-USDT-SWAP", "fundingRate": "", "nextFundingRate": "", "fundingTime": "", "ts": "1795204800900"}
    assert decode([frame("funding-rate", said)]).fundings == [
        (0, "BTC-USDT-SWAP", 1795204800900000, None, None, None, None, None)
    ]


@pytest.mark.parametrize(
    "control",
    [
        b"pong",
        b'{"event":"unsubscribe","arg":{"channel":"trades","instId":"BTC-USDT"},"connId":"f00dbeef"}',
        b'{"event":"notice","code":"64008","msg":"soon","connId":"f00dbeef"}',
        b'{"event":"channel-conn-count","channel":"orders","connCount":"2","connId":"abcd1234"}',
        frame("books5", BOOK),
        frame("candle1m", ["1795204800000", "1"]),
        frame("tickers", {}),
        frame("trades"),
    ],
)
def test_what_nobody_records_is_ignored(control: bytes) -> None:
    decoded = decode([control])
    assert (decoded.ignored, decoded.faults, decoded.rows.size) == (1, [], 0)


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        (b"", "frame was no message of a channel"),
        (b"ping", "frame was no message of a channel"),
        (b"{", "frame was no message of a channel"),
        (b"[" * 100_000, "frame was no message of a channel"),
        (b'{"event":"surprise"}', "frame was no message of a channel"),
        (b'{"code":"0","data":[]}', "frame was no message of a channel"),
        (frame("orders", {}), "unknown channel: 'orders'"),
        (b'{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[7]}', "trades was malformed"),
        (frame("books", BOOK, symbol="", action="update"), "books was malformed: no instrument was named"),
    ],
)
def test_what_cannot_be_told_is_refused(odd: bytes, reason: str) -> None:
    decoded = decode([odd])
    (fault,) = decoded.faults
    assert fault.reason.startswith(reason)
    assert decoded.ignored == 0
    assert look([odd]).answers == []


def test_at_a_glance() -> None:
    seen = look(FRAMES)
    assert seen.sights == [
        Sight("trades", "BTC-USDT-SWAP", 1988200102, 1988200104),
        Sight("trades", "BTC-USDT-SWAP", 1988200102, 1988200104),
        Sight("trades", "BTC-USDT-SWAP", 1988200105, 1988200105),
        Sight("trades", "BTC-USDT-SWAP", 1988200104, 1988200104, "fill"),
        *[Sight("book", "BTC-USDT-SWAP")] * 3,
        Sight("quotes", "BTC-USDT-SWAP"),
        Sight("liquidations", ""),
        *[Sight("funding", "BTC-USDT-SWAP")] * 3,
    ]
    assert seen.answers == [Answer("ack"), Answer("error", "no such channel (code 60018)"), Answer("pong")]


def test_a_glance_sees_the_sound_trades_of_a_frame() -> None:
    mixed = frame("trades", TRADE_ITEM | {"tradeId": "x"}, TRADE_ITEM)
    assert look([mixed]).sights == [Sight("trades", "BTC-USDT-SWAP", 1988200102, 1988200104)]
    assert look([trade(px="0", side=None)]).sights == [Sight("trades", "BTC-USDT-SWAP", 1988200102, 1988200104)]


@pytest.mark.parametrize(
    ("frame", "answer"),
    [
        (
            b'{"event":"notice","code":"64008","msg":"about to close","connId":"a"}',
            Answer("shutdown", "about to close (code 64008)"),
        ),
        (b'{"event":"notice","code":"64009","msg":"hello"}', Answer("ack")),
        (b'{"event":"error","code":60012,"msg":"Invalid request"}', Answer("error", "Invalid request (code 60012)")),
        (b'{"event":"channel-conn-count-error","code":"0","msg":"too many"}', Answer("error", "too many (code 0)")),
        (b'{"event":"login","code":"0","msg":""}', Answer("ack")),
    ],
)
def test_the_server_is_understood_by_its_codes(frame: bytes, answer: Answer) -> None:
    assert look([frame]).answers == [answer]


@pytest.mark.parametrize("tape", ["agg", "fill"])
def test_damaged_frames_are_told(tape: Any) -> None:
    outcome = endure(Okx(), FRAMES, 20_000, tape=tape)
    assert min(outcome[name] for name in ("rows", "quotes", "depths", "liquidations", "fundings", "faults", "ignored")) > 250


def test_rows_of_a_large_batch() -> None:
    ids = range(1988200104, 1988200104 + 3 * 5000, 3)
    decoded = decode([trade(tradeId=str(k)) for k in ids])
    assert (np.diff(decoded.rows["trade_id"]) == decoded.rows["span"][1:]).all()
    assert decoded.rows["frame"].tolist() == list(range(5000))
