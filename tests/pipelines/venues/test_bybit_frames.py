"""Bybit's frames: every channel, every quirk, and what is refused says why."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID, uuid5

import numpy as np
import pytest

from pipelines.feeds import Depth, Funding, Liquidation
from pipelines.market import Flag
from pipelines.tape import TRADE, VOID
from pipelines.venues import venue
from pipelines.venues.bybit_frames import decode, decode_rest
from pipelines.venues.venue import Answer, Sight
from tests.pipelines.venues.mutations import endure

T = 1_795_204_800_011
IDS = [str(uuid5(UUID(int=0), str(k))) for k in range(2000)]
LINEAR: dict[str, Any] = {"T": T, "s": "BTCUSDT", "S": "Buy", "v": "0.250", "p": "91240.50", "L": "PlusTick", "i": IDS[0]}
LINEAR |= {"BT": False, "RPI": False, "seq": 480011220100}
SPOT: dict[str, Any] = {"i": "2290000000801234567", "T": T, "p": "91252.1", "v": "0.004", "S": "Sell", "s": "BTCUSDT"}
SPOT |= {"BT": False, "RPI": True, "seq": 100220033}
TICKER = {"symbol": "BTCUSDT", "markPrice": "91238.20", "indexPrice": "91271.02", "openInterest": "51233.112"}
TICKER |= {"nextFundingTime": "1795219200000", "fundingRate": "-0.00005", "bid1Price": "91240.40"}
FORCED = {"T": T, "s": "BTCUSDT", "S": "Buy", "v": "0.120", "p": "90110.30"}


def push(topic: str, data: object, kind: str = "snapshot", **more: object) -> bytes:
    return json.dumps({"topic": topic, "type": kind, "ts": T + 3, "data": data, **more}, separators=(",", ":")).encode()


def trades(*each: object) -> bytes:
    return push("publicTrade.BTCUSDT", list(each))


def book(bids: object, asks: object, u: object = 7, kind: str = "delta", depth: str = "200", **more: object) -> bytes:
    return push(f"orderbook.{depth}.BTCUSDT", {"s": "BTCUSDT", "b": bids, "a": asks, "u": u, "seq": 9}, kind, **more)


def first_63_bits(text: str) -> int:
    return int(f"{UUID(text).int:0128b}"[:63], 2)


def test_several_trades_of_a_message_are_rows_in_order() -> None:
    decoded = decode([trades(LINEAR, LINEAR | {"S": "Sell", "i": IDS[1], "p": "91240.40"}), trades(SPOT)])
    assert decoded.symbols == ["BTCUSDT"]
    assert decoded.faults == []
    assert decoded.ignored == 0
    rows = decoded.rows
    assert rows["frame"].tolist() == [0, 0, 1]
    assert rows["trade_id"].tolist() == [first_63_bits(IDS[0]), first_63_bits(IDS[1]), 2290000000801234567]
    assert rows["side"].tolist() == [1, -1, -1]  # of the taker
    assert rows["ts"].tolist() == [T * 1000] * 3
    assert rows["price"].tolist() == [91240.5, 91240.4, 91252.1]
    assert rows["size"].tolist() == [0.25, 0.25, 0.004]
    assert rows["span"].tolist() == [1, 1, 1]
    assert rows["first_fill"].tolist() == [-1, -1, -1]
    assert rows["counted"].all()  # RPI, too


def test_a_block_trade_did_not_come_from_the_book() -> None:
    (row,) = decode([trades(LINEAR | {"BT": True})]).rows
    assert row["flags"] == Flag.OFF_BOOK
    assert not row["counted"]


def test_the_full_message_of_1024_trades() -> None:
    decoded = decode([trades(*(LINEAR | {"i": number} for number in IDS[:1024]))])
    assert decoded.rows.size == 1024
    assert np.unique(decoded.rows["trade_id"]).size == 1024


@pytest.mark.parametrize("head", [{"type": "snapshot"}, {"ts": 1}])
def test_the_order_of_keys_does_not_matter(head: dict[str, object]) -> None:
    whole = json.loads(trades(LINEAR))
    assert decode([json.dumps(head | whole).encode()]).rows.size == 1


@pytest.mark.parametrize(
    ("change", "reason", "void"),
    [
        ({"i": "x"}, "publicTrade was malformed: id was neither a number nor a UUID", False),
        ({"i": 5}, "publicTrade was malformed: Expected `str`, got `int` - at `$.i`", False),
        ({"i": "9223372036854775808"}, "publicTrade was malformed: id was neither a number nor a UUID", False),
        ({"S": "Maybe"}, "publicTrade was malformed: Invalid enum value 'Maybe' - at `$.S`", True),
        ({"T": "soon"}, "publicTrade was malformed: Expected `int`, got `str` - at `$.T`", True),
        ({"T": 5}, "time was not between 2010 and 2100: 5", True),
        ({"v": "0"}, "size was not above zero: '0'", True),
        ({"v": "-1"}, "size was not above zero: '-1'", True),
        ({"p": "1e308"}, "price was not plain decimal text: '1e308'", True),
        ({"p": None}, "publicTrade was malformed: Expected `str`, got `null` - at `$.p`", True),
        ({"s": ""}, "publicTrade was malformed: Expected `str` of length >= 1 - at `$.s`", False),
    ],
)
def test_a_bad_trade_is_a_fault_and_the_others_of_its_message_stay(change: dict[str, object], reason: str, void: bool) -> None:
    decoded = decode([trades(LINEAR, LINEAR | {"i": IDS[1]} | change, LINEAR | {"i": IDS[2]})])
    kinds = decoded.rows["kind"]
    ids = decoded.rows["trade_id"][kinds == TRADE].tolist()
    assert ids == [first_63_bits(IDS[0]), first_63_bits(IDS[2])]
    assert np.count_nonzero(kinds == VOID) == void
    (fault,) = decoded.faults
    assert (fault.frame, fault.part, fault.reason) == (0, 1, reason)


def test_a_tape_of_aggregates_has_no_trades_here() -> None:
    decoded = decode([trades(LINEAR)], "agg")
    assert decoded.rows.size == 0
    assert decoded.ignored == 1


def test_books_are_linked_by_the_number_of_the_update() -> None:
    decoded = decode(
        [
            book([["91240.40", "3.201"]], [["91240.50", "1.120"]], 7, "snapshot", cts=T),
            book([["91240.40", "0"]], [], 8, cts=T + 20),
            book([["91241.00", "2"]], [["91241.10", "2.1"]], 1, "snapshot"),
            book([["91241.00", "2"]], [["91241.10", "2.1"]], 1),
        ]
    )
    us = T * 1000
    bids, asks = [("91241.00", "2")], [("91241.10", "2.1")]
    assert list(decoded.depths) == [
        Depth(0, "BTCUSDT", us, True, 7, 7, -1, [("91240.40", "3.201")], [("91240.50", "1.120")]),
        Depth(1, "BTCUSDT", us + 20_000, False, 8, 8, 7, [("91240.40", "0")], []),
        Depth(2, "BTCUSDT", us + 3_000, True, 1, 1, -1, bids, asks),  # the service began anew
        Depth(3, "BTCUSDT", us + 3_000, True, 1, 1, -1, bids, asks),
    ]
    assert decoded.ignored == 0


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (book([["-1", "3"]], []), "orderbook was malformed: price of a level was not above zero: '-1'"),
        (book([["1", "x"]], []), "orderbook was malformed: size of a level was not a number: 'x'"),
        (book([["1"]], []), "orderbook was malformed: Expected `array` of length 2"),
        (book([], [], -1), "orderbook was malformed: Expected `int` >= 0"),
        (book([], [], cts=5), "orderbook was malformed: time was not between 2010 and 2100: 5"),
        (book([], [], kind="other"), "orderbook was malformed: Invalid enum value 'other'"),
        (book([], [], depth="deep"), "orderbook was malformed: unknown topic: 'orderbook.deep.BTCUSDT'"),
    ],
)
def test_a_bad_update_of_a_book_is_a_fault(frame: bytes, reason: str) -> None:
    decoded = decode([frame])
    assert not decoded.depths
    (fault,) = decoded.faults
    assert fault.reason.startswith(reason)
    assert fault.symbol == "BTCUSDT"


def test_level_1_is_the_best_quote() -> None:
    frames = [
        book([["91240.40", "3.201"]], [["91240.50", "1.12"]], 7, "snapshot", "1", cts=T),
        book([], [["91240.50", "1.12"]], 8, "snapshot", "1"),  # no bid stands
        book([["91240.30", "1"], ["91240.40", "0"]], [["91240.50", "0"], ["91240.60", "2"]], 9, "delta", "1"),
    ]
    decoded = decode([*frames, trades(LINEAR | {"s": "ETHUSDT"})])
    assert decoded.symbols == ["ETHUSDT", "BTCUSDT"]
    assert decoded.ignored == 0
    assert decoded.quotes.tolist() == [
        (T * 1000, 7, 91240.4, 3.201, 91240.5, 1.12, 1, 0),
        (T * 1000 + 3000, 8, 0.0, 0.0, 91240.5, 1.12, 1, 1),
        (T * 1000 + 3000, 9, 91240.3, 1.0, 91240.6, 2.0, 1, 2),
    ]


@pytest.mark.parametrize(
    ("bids", "asks"),
    [([["1", "1"]], []), ([["1", "1"]], [["2", "0"]]), ([], []), ([["1", "1"]], [["2", "1"], ["3", "1"]])],
)
def test_a_change_that_tells_no_whole_quote_is_ignored(bids: object, asks: object) -> None:
    decoded = decode([book(bids, asks, 7, "delta", "1")])
    assert (decoded.quotes.size, decoded.faults, decoded.ignored) == (0, [], 1)


def test_a_bad_quote_is_a_fault_and_the_next_one_stays() -> None:
    decoded = decode([book([["x", "1"]], [["2", "y"]], 7, "snapshot", "1"), book([["1", "1"]], [["2", "1"]], 8, "snapshot", "1")])
    assert decoded.quotes["update_id"].tolist() == [8]
    (fault,) = decoded.faults
    assert (fault.frame, fault.reason) == (0, "bid was not a number: 'x'")


def test_orders_of_retail_price_improvement_are_another_book() -> None:
    frame = book([], [], depth="rpi")
    assert decode([frame]).ignored == 1
    assert venue("bybit-linear").look([frame]).sights == []


def test_a_liquidated_long_sells() -> None:
    decoded = decode([push("allLiquidation.BTCUSDT", [FORCED, FORCED | {"S": "Sell", "T": T + 1}])])
    assert list(decoded.liquidations) == [
        Liquidation(0, "BTCUSDT", T * 1000, -1, 90110.3, 0.12, sampled=False),
        Liquidation(0, "BTCUSDT", T * 1000 + 1000, 1, 90110.3, 0.12, sampled=False),
    ]


def test_a_bad_liquidation_is_a_fault_and_the_others_of_its_message_stay() -> None:
    decoded = decode([push("allLiquidation.BTCUSDT", [FORCED | {"p": "0"}, FORCED, 5])])
    assert len(decoded.liquidations) == 1
    assert sorted((f.part, f.reason) for f in decoded.faults) == [
        (0, "allLiquidation was malformed: price was not above zero: '0'"),
        (2, "allLiquidation was malformed: Expected `object`, got `int`"),
    ]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (TICKER, Funding(0, "BTCUSDT", T * 1000 + 3000, -0.00005, 1795219200000000, 91238.2, 91271.02, 51233.112)),
        ({"symbol": "BTCUSDT", "openInterest": "0"}, Funding(0, "BTCUSDT", T * 1000 + 3000, open_interest=0.0)),
        ({"symbol": "BTCUSDT", "fundingRate": "0"}, Funding(0, "BTCUSDT", T * 1000 + 3000, rate=0.0)),
        (  # a dated future has none
            {"symbol": "BTC-26JUN26", "fundingRate": "", "nextFundingTime": "0", "markPrice": "1", "indexPrice": "0"},
            Funding(0, "BTC-26JUN26", T * 1000 + 3000, mark_price=1.0),
        ),
        ({"symbol": "BTCUSDT", "bid1Price": "91240.40"}, None),
    ],
)
def test_a_ticker_says_only_what_changed(data: dict[str, str], said: Funding | None) -> None:
    decoded = decode([push("tickers.BTCUSDT", data, "delta")])
    assert list(decoded.fundings) == ([said] if said else [])
    assert decoded.ignored == (said is None)


@pytest.mark.parametrize("change", [{"fundingRate": "NaN"}, {"nextFundingTime": "soon"}, {"markPrice": "-1"}, {"symbol": 5}])
def test_a_bad_ticker_is_a_fault(change: dict[str, object]) -> None:
    decoded = decode([push("tickers.BTCUSDT", TICKER | change)])
    assert not decoded.fundings
    assert len(decoded.faults) == 1


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"", "frame was malformed: Input data was truncated"),
        (trades(LINEAR)[:-1], "frame was malformed: Input data was truncated"),
        (b"[]", "frame named no topic"),
        (b'{"a":1}', "frame named no topic"),
        (push("publicTrades.BTCUSDT", {}), "publicTrades"),
        (push("order", []), "unknown topic: 'order'"),
        (b"[" * 5000, "frame was malformed"),
    ],
)
def test_a_frame_that_cannot_be_read_is_a_fault(frame: bytes, reason: str) -> None:
    decoded = decode([frame])
    (fault,) = decoded.faults
    assert reason in fault.reason
    assert decoded.ignored == 0


ACK = b'{"success":true,"ret_msg":"","conn_id":"0f7c","req_id":"BTCUSDT","op":"subscribe"}'
SPOT_ACK = ACK.replace(b'""', b'"subscribe"', 1)
REFUSED = b'{"success":false,"ret_msg":"error:handler not found,topic:x","conn_id":"0f7c","req_id":"BTCUSDT","op":"subscribe"}'
PONG = b'{"success":true,"ret_msg":"pong","conn_id":"0f7c","req_id":"","op":"ping"}'
OPTION_PONG = b'{"args":["1795204800005"],"op":"pong"}'


@pytest.mark.parametrize(
    ("frame", "answer"),
    [
        (ACK, Answer("ack")),
        (SPOT_ACK, Answer("ack")),
        (REFUSED, Answer("error", "error:handler not found,topic:x BTCUSDT")),
        (PONG, Answer("pong")),
        (OPTION_PONG, Answer("pong")),
        (b'{"op":"auth","success":false,"retCode":10003,"retMsg":"no"}', Answer("error", "no 10003")),
        (b'{"success":false}', Answer("error", "refused")),
    ],
)
def test_what_the_server_says_of_the_connection(frame: bytes, answer: Answer) -> None:
    seen = venue("bybit-linear").look([frame])
    assert seen[:2] == ([], [answer])
    decoded = decode([frame])
    assert (decoded.faults, decoded.ignored) == ([], 1)


def test_sights_of_a_mixed_group() -> None:
    spaced = json.dumps(json.loads(trades(SPOT))).encode()
    frames = [
        trades(LINEAR, LINEAR | {"i": IDS[1]}),
        spaced,
        book([], []),
        book([], [], depth="1"),
        ACK,
        b"x",
        b"[1]",
        b'{"topic":5}',
    ]
    frames += [push("allLiquidation.BTCUSDT", []), push("tickers.BTCUSDT", {}), push("kline.1.BTCUSDT", []), trades({"s": 1})]
    seen = venue("bybit-linear").look(frames)
    ids = [first_63_bits(IDS[0]), first_63_bits(IDS[1]), 2290000000801234567]
    assert seen.sights == [
        *(Sight("trades", "BTCUSDT", number, number, "fill") for number in ids),
        *(Sight(feed, "BTCUSDT") for feed in ("book", "quotes", "liquidations", "funding")),
    ]
    assert seen.answers == [Answer("ack")]


def test_sights_of_trades_alone_are_those_of_each() -> None:
    frames = [trades(LINEAR, LINEAR | {"i": IDS[1]}), trades(SPOT), trades(LINEAR | {"i": "x"}), trades()]
    look = venue("bybit-linear").look
    assert look(frames).sights == [sight for frame in frames for sight in look([frame]).sights]
    assert len(look(frames).sights) == 3
    assert look([])[:2] == ([], [])


RECENT: dict[str, object] = {
    "execId": IDS[1],
    "symbol": "BTCUSDT",
    "price": "91240.60",
    "size": "0.010",
    "side": "Sell",
    "time": str(T),
}
RECENT |= {"isBlockTrade": False, "isRPITrade": False, "seq": "480011220100"}


def recent(*each: object) -> bytes:
    return json.dumps({"retCode": 0, "retMsg": "OK", "result": {"category": "linear", "list": each}, "time": T}).encode()


def test_the_newest_trades_stand_first_over_rest() -> None:
    older = RECENT | {"execId": IDS[0], "time": str(T - 1), "isBlockTrade": True}
    decoded = decode_rest(recent(RECENT, older), "BTCUSDT")
    assert decoded.faults == []
    rows = decoded.rows
    assert rows["trade_id"].tolist() == [first_63_bits(IDS[0]), first_63_bits(IDS[1])]
    assert rows["ts"].tolist() == [T * 1000 - 1000, T * 1000]
    assert rows["counted"].tolist() == [False, True]
    assert rows["side"].tolist() == [-1, -1]
    assert rows["frame"].tolist() == [0, 0]


def test_a_bad_trade_over_rest_is_a_fault_at_its_place() -> None:
    decoded = decode_rest(recent(RECENT, RECENT | {"time": "soon"}, 5, RECENT | {"size": "0"}), "BTCUSDT")
    assert np.count_nonzero(decoded.rows["kind"] == TRADE) == 1
    assert sorted(f.part for f in decoded.faults) == [1, 2, 3]


@pytest.mark.parametrize("time", ["1" * 400, "9223372036854775808", "-1"], ids=["400 digits", "2^63", "-1"])
def test_an_absurd_time_over_rest_is_a_fault(time: str) -> None:
    decoded = decode_rest(recent(RECENT | {"time": time}, RECENT), "BTCUSDT")
    assert np.count_nonzero(decoded.rows["kind"] == TRADE) == 1
    assert len(decoded.faults) == 1


@pytest.mark.parametrize(
    "body", [b"x", b"[]", b'{"retCode":10006,"retMsg":"Too many visits!","result":{}}', b'{"result":{"list":5}}']
)
def test_an_answer_that_holds_no_trades_is_a_fault(body: bytes) -> None:
    decoded = decode_rest(body, "BTCUSDT")
    assert decoded.rows.size == 0
    (fault,) = decoded.faults
    assert (fault.symbol, fault.reason.split(":")[0]) == ("BTCUSDT", "REST answer was malformed")


FORMS = [
    *(trades(LINEAR, SPOT), trades(LINEAR), ACK, REFUSED, PONG, OPTION_PONG),
    *(book([["1", "2"], ["3", "0"]], [["4", "5"]], cts=T), book([["1", "2"]], [["4", "5"]], 7, "snapshot", "1")),
    *(push("allLiquidation.BTCUSDT", [FORCED, FORCED]), push("tickers.BTCUSDT", TICKER, cs=1)),
    push("kline.1.BTCUSDT", [{"start": T, "open": "91240.5", "confirm": False}]),
]


def test_damaged_frames_raise_nothing_and_none_is_lost() -> None:
    outcome = endure(venue("bybit-linear"), FORMS, 20_000)
    assert all(outcome[name] > 100 for name in ("rows", "quotes", "depths", "liquidations", "fundings", "faults", "ignored"))
