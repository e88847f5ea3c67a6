"""Best quotes, of spot (no time, no event type) and USD-M."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from pipelines.venues.binance_quotes import decode_quotes

SPOT = {"u": 81200033011, "s": "BTCUSDT", "b": "91250.09000000", "B": "3.11200000", "a": "91250.10000000", "A": "0.90210000"}
USDM = SPOT | {"e": "bookTicker", "T": 1795204800061, "E": 1795204800063, "ps": "BTCUSDT", "st": 1}


def frame(event: object) -> bytes:
    return json.dumps({"stream": "btcusdt@bookTicker", "data": event}).encode()


def test_quotes_become_rows() -> None:
    quotes = decode_quotes([frame(SPOT), frame(USDM), json.dumps(USDM).encode(), frame(USDM | {"s": "ETHUSDT"})])
    assert quotes.faults == []
    assert quotes.rows["ts"].tolist() == [0] + [1795204800061000] * 3
    assert quotes.rows["bid"].tolist() == [91250.09] * 4
    assert quotes.rows["ask_size"].tolist() == [0.9021] * 4
    assert [quotes.symbols[i] for i in quotes.rows["instrument"]] == ["BTCUSDT"] * 3 + ["ETHUSDT"]


def test_a_bad_quote_is_a_fault_and_other_frames_are_left_alone() -> None:
    frames = [
        frame(USDM | {"b": "-1"}),
        frame(USDM | {"a": 5}),
        frame(USDM),
        b"garbage",
        frame({"e": "aggTrade", "s": "BTCUSDT", "a": 1}),
        b"[1]",
        frame(USDM | {"b": "0", "B": "0"}),
    ]
    quotes = decode_quotes(frames)
    assert quotes.rows["frame"].tolist() == [2, 6]
    assert [f.frame for f in quotes.faults] == [0, 1]
    assert quotes.faults[0].reason == "bid was not above zero: '-1'"
    assert quotes.faults[0].symbol == "BTCUSDT"


@given(st.lists(st.binary(max_size=40), max_size=4))
def test_no_bytes_raise(frames: list[bytes]) -> None:
    assert decode_quotes(frames).rows.size == 0
