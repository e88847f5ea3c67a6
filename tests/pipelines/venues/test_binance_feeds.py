"""Quotes, books, liquidations and funding of Binance: known answers, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pipelines.feeds import Depth, Funding, Liquidation
from pipelines.tape import Decoded
from pipelines.venues import binance_frames
from pipelines.venues.binance import Binance

SPOT_QUOTE: dict[str, Any] = json.loads(
    """{"u":81200033011,"s":"BTCUSDT","b":"91250.09000000","B":"3.11200000","a":"91250.10000000","A":"0.90210000"}"""
)
QUOTE: dict[str, Any] = SPOT_QUOTE | {"e": "bookTicker", "T": 1795204800061, "E": 1795204800063, "ps": "BTCUSDT", "st": 1}
DEPTH: dict[str, Any] = json.loads(
    """{"e":"depthUpdate","E":1795204800100,"T":1795204800094,"s":"BTCUSDT","U":50,"u":58,"pu":47,
        "b":[["91231.40","8.113"]],"a":[["91231.50","0.000"]],"st":1}"""
)
SNAPSHOT: dict[str, Any] = {"lastUpdateId": 49, "bids": [["91231.40", "8.000"]], "asks": [["91231.50", "2.900"]]}
ORDER: dict[str, Any] = json.loads(
    """{"s":"BTCUSDT","S":"SELL","o":"LIMIT","f":"IOC","q":"0.250","p":"90760.20","ap":"91228.70","X":"FILLED","l":"0.050",
        "z":"0.200","T":1795204800690}"""
)
FORCED: dict[str, Any] = {"e": "forceOrder", "E": 1795204800700, "o": ORDER}
MARK: dict[str, Any] = json.loads(
    """{"e":"markPriceUpdate","E":1795204801000,"s":"BTCUSDT","p":"91236.10","ap":"91236.02","P":"91201.77","i":"91270.44",
        "r":"-0.00006120","T":1795219200000,"st":1}"""
)
USDM = Binance("binance-usdm", "usdm")
COINM = Binance("binance-coinm", "coinm")


def frame(event: object, stream: str = "btcusdt@x") -> bytes:
    return json.dumps({"stream": stream, "data": event}, separators=(",", ":")).encode()


def decode(frames: list[bytes]) -> Decoded:
    return USDM.decode(frames, "agg")


def test_quotes_become_rows() -> None:
    decoded = decode([frame(SPOT_QUOTE), frame(QUOTE), json.dumps(QUOTE).encode(), frame(QUOTE | {"s": "ETHUSDT"})])
    quotes = decoded.quotes
    assert (decoded.faults, decoded.ignored, decoded.rows.size) == ([], 0, 0)
    assert quotes["ts"].tolist() == [0] + [1795204800061000] * 3
    assert quotes["bid"].tolist() == [91250.09] * 4
    assert quotes["ask_size"].tolist() == [0.9021] * 4
    assert quotes["update_id"].tolist() == [81200033011] * 4
    assert [decoded.symbols[i] for i in quotes["instrument"]] == ["BTCUSDT"] * 3 + ["ETHUSDT"]


def test_a_side_without_orders_is_zero_and_a_bad_quote_a_fault() -> None:
    frames = [
        frame(QUOTE | {"b": "-1"}),
        frame(QUOTE | {"a": 5}),
        frame(QUOTE),
        frame(QUOTE | {"b": "0", "B": "0"}),
        frame(QUOTE | {"T": 123456785}),
        frame(SPOT_QUOTE | {"B": "1e308"}),
    ]
    decoded = decode(frames)
    assert decoded.quotes["frame"].tolist() == [2, 3]
    assert [f.frame for f in decoded.faults] == [0, 1, 4, 5]
    assert decoded.faults[0] == (0, "bid was not above zero: '-1'", "BTCUSDT", 0)
    assert decoded.faults[1].reason.startswith("bookTicker was malformed")
    assert decoded.faults[2].reason == "time was not between 2010 and 2100: 123456785"


def test_symbols_of_trades_and_quotes_are_one_list() -> None:
    trade = {"e": "aggTrade", "s": "ETHUSDT", "a": 1, "p": "1", "q": "1", "f": 1, "l": 1, "T": 1795204800061, "m": True}
    decoded = decode([frame(QUOTE), frame(trade), frame(QUOTE | {"s": "ETHUSDT"})])
    assert decoded.symbols == ["ETHUSDT", "BTCUSDT"]
    assert decoded.rows["instrument"].tolist() == [0]
    assert decoded.quotes["instrument"].tolist() == [1, 0]


def test_quotes_of_batches_longer_than_a_block_keep_their_order_and_names(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("ETHUSDT", "BTCUSDT", "SOLUSDT")
    frames = [frame(QUOTE | {"s": names[k // 4 % 3], "u": k, "B": "x" if k % 7 == 0 else "1"}) for k in range(60)]
    whole = decode(frames)
    monkeypatch.setattr(binance_frames, "BLOCK", 5)
    cut = decode(frames)
    assert (cut.symbols, cut.faults, cut.ignored) == (whole.symbols, whole.faults, whole.ignored) == (list(names), cut.faults, 0)
    assert cut.quotes.tobytes() == whole.quotes.tobytes()
    assert cut.quotes["update_id"].tolist() == [k for k in range(60) if k % 7]
    assert [cut.symbols[k] for k in cut.quotes["instrument"]] == [names[k // 4 % 3] for k in range(60) if k % 7]
    assert len(cut.faults) == 9


def test_an_update_of_futures_says_what_was_before() -> None:
    bids, asks = [("91231.40", "8.113")], [("91231.50", "0.000")]
    assert decode([frame(DEPTH)]).depths == [Depth(0, "BTCUSDT", 1795204800094000, False, 50, 58, 47, bids, asks)]


def test_an_update_of_spot_begins_one_behind_the_last() -> None:
    spot = {key: value for key, value in DEPTH.items() if key not in ("T", "pu", "st")}
    (depth,) = decode([frame(spot)]).depths
    assert (depth.ts, depth.first, depth.last, depth.previous) == (1795204800100000, 50, 58, 49)


def test_a_snapshot_among_frames_is_a_book_and_the_best_levels_of_a_stream_are_none() -> None:
    decoded = decode([json.dumps(SNAPSHOT).encode(), frame(SNAPSHOT, "btcusdt@depth5")])
    assert decoded.depths == [Depth(0, "", 0, True, -1, 49, -1, [("91231.40", "8.000")], [("91231.50", "2.900")])]
    assert (decoded.ignored, decoded.faults) == (1, [])
    named = json.dumps(SNAPSHOT | {"symbol": "BTCUSD_PERP", "T": 1723161257823}).encode()
    assert decode([named]).depths[0][:3] == (0, "BTCUSD_PERP", 1723161257823000)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"b": [["1e308", "1"]]}, "price of a level was not plain decimal text: '1e308'"),
        ({"a": [["91231.5", "-1"]]}, "size of a level was not above zero: '-1'"),
        ({"a": [["91231.5"]]}, "depthUpdate was malformed"),
        ({"b": [[91231.5, 1]]}, "depthUpdate was malformed"),
        ({"U": 59}, "updates were not a range of ids: 59 to 58"),
        ({"T": 5}, "time was not between 2010 and 2100: 5"),
        ({"u": None}, "depthUpdate was malformed"),
    ],
)
def test_an_update_that_cannot_be_is_a_fault(changes: dict[str, Any], reason: str) -> None:
    decoded = decode([frame(DEPTH | changes), frame(DEPTH)])
    assert [depth.frame for depth in decoded.depths] == [1]
    assert [fault.frame for fault in decoded.faults] == [0]
    assert decoded.faults[0].reason.startswith(reason)


def test_a_liquidation_is_what_was_filled_at_the_average_price() -> None:
    assert decode([frame(FORCED)]).liquidations == [
        Liquidation(0, "BTCUSDT", 1795204800690000, -1, 91228.7, 0.2, sampled=True),
    ]
    short = FORCED | {"o": ORDER | {"S": "BUY"}}
    assert decode([frame(short)]).liquidations[0].side == 1


def test_an_order_of_which_nothing_was_filled_is_no_liquidation() -> None:
    decoded = decode([frame(FORCED | {"o": ORDER | {"z": "0.000", "ap": "0"}})])
    assert (list(decoded.liquidations), decoded.faults, decoded.ignored) == ([], [], 1)


@pytest.mark.parametrize("changes", [{"S": "LONG"}, {"ap": "0"}, {"ap": "NaN"}, {"z": "-1"}, {"T": 0}, {"s": ""}])
def test_a_liquidation_that_cannot_be_is_a_fault(changes: dict[str, Any]) -> None:
    decoded = decode([frame(FORCED | {"o": ORDER | changes})])
    assert (list(decoded.liquidations), len(decoded.faults), decoded.ignored) == ([], 1, 0)


def test_each_futures_market_takes_its_own_of_what_streams_of_both_carry() -> None:
    inverse = FORCED | {"o": ORDER | {"s": "BTCUSD_PERP", "z": "12"}, "st": 2}
    frames = [frame(FORCED | {"st": 1}), frame(inverse), frame(FORCED), frame(QUOTE), frame(QUOTE | {"st": 2})]
    usdm, coinm = USDM.decode(frames, "agg"), COINM.decode(frames, "agg")
    assert [forced.frame for forced in usdm.liquidations] == [0, 2]
    assert [forced.frame for forced in coinm.liquidations] == [1, 2]
    assert (usdm.quotes["frame"].tolist(), coinm.quotes["frame"].tolist()) == ([3], [4])
    assert (usdm.ignored, coinm.ignored) == (2, 2)


def test_funding_has_its_sign_and_may_be_missing() -> None:
    dated = {key: value for key, value in MARK.items() if key != "i"} | {"r": "", "T": 0}
    assert decode([frame(MARK), frame(dated)]).fundings == [
        Funding(0, "BTCUSDT", 1795204801000000, -0.0000612, 1795219200000000, 91236.1, 91270.44),
        Funding(1, "BTCUSDT", 1795204801000000, None, None, 91236.1, None),
    ]


@pytest.mark.parametrize("changes", [{"r": "1e308"}, {"r": "x"}, {"p": "0"}, {"p": None}, {"T": 1}, {"E": 0}, {"i": "NaN"}])
def test_a_funding_that_cannot_be_is_a_fault(changes: dict[str, Any]) -> None:
    decoded = decode([frame(MARK | changes)])
    assert (list(decoded.fundings), len(decoded.faults), decoded.ignored) == ([], 1, 0)


def test_rest_answers_with_a_book() -> None:
    decoded = USDM.decode_book(json.dumps(SNAPSHOT | {"T": 1795204800022}).encode(), "BTCUSDT")
    assert decoded.depths == [
        Depth(0, "BTCUSDT", 1795204800022000, True, -1, 49, -1, [("91231.40", "8.000")], [("91231.50", "2.900")])
    ]
    for body in (b"", b"[]", b'{"code":-1121,"msg":"Invalid symbol."}', json.dumps(SNAPSHOT | {"bids": [["x", "1"]]}).encode()):
        decoded = USDM.decode_book(body, "BTCUSDT")
        assert (list(decoded.depths), [fault.symbol for fault in decoded.faults]) == ([], ["BTCUSDT"])
        assert decoded.faults[0].reason.startswith("REST answer was no book: ")


def test_rest_answers_with_open_interest() -> None:
    answer = {"symbol": "BTCUSDT", "openInterest": "81233.511", "time": 1795204800800}
    decoded = USDM.decode_funding(json.dumps(answer).encode(), "BTCUSDT")
    assert decoded.fundings == [Funding(0, "BTCUSDT", 1795204800800000, open_interest=81233.511)]
    for body in (b"", b"{}", json.dumps(answer | {"openInterest": "-1"}).encode(), json.dumps(answer | {"time": 0}).encode()):
        decoded = USDM.decode_funding(body, "BTCUSDT")
        assert (list(decoded.fundings), [fault.symbol for fault in decoded.faults]) == ([], ["BTCUSDT"])
