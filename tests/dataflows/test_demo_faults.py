"""What each fault makes of a stream's frames."""

from __future__ import annotations

import json

import pytest

from dataflows.demo.faults import DEFAULTS, GARBAGE, Fault, Faults, fault, parse
from dataflows.demo.tape import Frame
from pipelines.venues import venue

STREAM = "btcusdt@aggTrade"
TRADE = (
    '{"e":"aggTrade","E":1795254280295,"a":%d,"s":"BTCUSDT","p":"96789.10","q":"0.003","nq":"0.003","f":8,"l":8,'
    '"T":1795254280289,"m":true,"st":1}'
)


def trades(first: int, count: int) -> list[Frame]:
    return [Frame(number, TRADE % number) for number in range(first, first + count)]


def struck(kind: str, value: float, batches: list[int], symbol: str = "") -> tuple[list[int], Faults]:
    """Return the ids sent of batches of so many trades."""
    faults = Faults([])
    faults.strike(fault(kind, value, symbol=symbol))
    sent: list[Frame] = []
    first = 1
    for count in batches:
        sent += faults.alter(STREAM, trades(first, count), now=0.0)
        first += count
    return [frame.id for frame in sent], faults


@pytest.mark.parametrize("batches", [[8], [1] * 8, [3, 0, 5]])
@pytest.mark.parametrize(
    ("kind", "value", "sent"),
    [
        ("duplicates", 2, [1, 1, 2, 2, 3, 4, 5, 6, 7, 8]),
        ("reorder", 2, [2, 1, 4, 3, 5, 6, 7, 8]),
        ("missing", 3, [4, 5, 6, 7, 8]),
        ("unfillable", 1, [2, 3, 4, 5, 6, 7, 8]),
        ("garbage", 2, [1, -1, 2, -1, 3, 4, 5, 6, 7, 8]),
    ],
)
def test_each_kind_wherever_ticks_fall(kind: str, value: float, sent: list[int], batches: list[int]) -> None:
    assert struck(kind, value, batches)[0] == sent


def test_only_unfillable_trades_are_lost_to_rest() -> None:
    assert struck("unfillable", 2, [5])[1].lost == {("BTCUSDT", 1), ("BTCUSDT", 2)}
    assert struck("missing", 2, [5])[1].lost == set()


def test_a_late_trade_comes_when_it_is_due() -> None:
    faults = Faults([])
    faults.strike(fault("late", 2.5))
    assert [f.id for f in faults.alter(STREAM, trades(1, 3), 10.0)] == [2, 3]
    assert [f.id for f in faults.alter(STREAM, trades(4, 1), 12.4)] == [4]
    assert [f.id for f in faults.alter("ethusdt@aggTrade", trades(4, 1), 12.6)] == [4]
    assert [f.id for f in faults.alter(STREAM, [], 12.6)] == [1]
    assert [f.id for f in faults.alter(STREAM, trades(5, 1), 13.0)] == [5]


def test_one_stream_is_struck_and_quotes_never() -> None:
    faults = Faults([])
    faults.strike(fault("missing", 2))
    quotes = [Frame(-1, "{}")] * 3
    assert faults.alter("btcusdt@bookTicker", quotes, 0.0) == quotes
    assert [f.id for f in faults.alter(STREAM, trades(1, 1), 0.0)] == []
    assert [f.id for f in faults.alter("ethusdt@aggTrade", trades(1, 2), 0.0)] == [1, 2]
    assert [f.id for f in faults.alter(STREAM, trades(2, 2), 0.0)] == [3]


def test_a_symbol_can_be_named() -> None:
    assert struck("missing", 1, [3], symbol="ETHUSDT")[0] == [1, 2, 3]
    assert struck("missing", 1, [3], symbol="btc-usdt")[0] == [2, 3]


def test_garbage_is_refused_by_the_venues_decoder_and_changes_no_trade() -> None:
    frames = [make(TRADE % 5) for make in GARBAGE]
    payloads = [frame.data if isinstance(frame.data, bytes) else frame.data.encode() for frame in frames]
    decoded = venue("demo").decode(payloads, "agg")
    assert [item.frame for item in decoded.faults if item.frame != len(GARBAGE) - 1] == list(range(len(GARBAGE) - 1))
    assert len(payloads[-1]) > 10_000_000
    assert set(decoded.rows["trade_id"].tolist()) <= {5}


def test_faults_come_when_scheduled_and_once() -> None:
    faults = Faults([parse("cut@30"), parse("missing@5:3:ETHUSDT"), parse("skew@5:-250.5")])
    assert faults.due(4.9) == []
    assert faults.due(5.0) == [Fault("missing", 3.0, 5.0, "ETHUSDT"), Fault("skew", -250.5, 5.0, "")]
    assert faults.due(31.0) == [Fault("cut", 10.0, 30.0, "")]
    assert faults.due(1e9) == []


@pytest.mark.parametrize(
    "text", ["", "cut", "cut@", "cut@x", "cut@1:", "explode@3", "cut@3:0", "missing@3:-1", "missing@3:0.5", "cut@-1"]
)
def test_what_is_no_fault_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="fault"):
        parse(text)


def test_every_kind_has_a_default() -> None:
    assert {kind: parse(f"{kind}@1").value for kind in DEFAULTS} == {kind: value for kind, (_, value) in DEFAULTS.items()}
    assert json.loads(TRADE % 1)["a"] == 1
