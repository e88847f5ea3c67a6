"""Frames and REST rows become rows; what is refused says why, once, and nothing raises."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.market import Flag
from pipelines.tape import TRADE, VOID, Decoded
from pipelines.venues import binance_frames
from pipelines.venues.binance_frames import decode, decode_rest, decode_rows
from pipelines.venues.binance_sights import aggregate_ids, glance

AGG: dict[str, Any] = json.loads(
    """{"e":"aggTrade","E":1795204800115,"a":3055120001,"s":"BTCUSDT","p":"91231.40","q":"0.420","nq":"0.420",
        "f":7090110001,"l":7090110009,"T":1795204800005,"m":true,"st":1}"""
)
FILL: dict[str, Any] = json.loads(
    """{"e":"trade","E":1795204800070,"T":1795204800061,"s":"BTCUSDT","t":7090110011,"p":"91231.50","q":"0.015",
        "X":"MARKET","m":false}"""
)


def frame(event: object, stream: str = "btcusdt@aggTrade") -> bytes:
    return json.dumps({"stream": stream, "data": event}, separators=(",", ":")).encode()


def agg(**changes: object) -> bytes:
    return frame(AGG | changes)


def fill(**changes: object) -> bytes:
    return frame(FILL | changes, "btcusdt@trade")


def accounted(decoded: Decoded, frames: int) -> None:
    """Every frame is a trade, a fault or ignored; a void stands only where a fault is."""
    faults = [f.frame for f in decoded.faults]
    trades = decoded.rows[decoded.rows["kind"] == TRADE]
    voids = decoded.rows[decoded.rows["kind"] == VOID]
    assert len(set(faults)) == len(faults)
    assert faults == sorted(faults)
    assert trades.size + len(faults) + decoded.ignored == frames
    assert set(voids["frame"].tolist()) <= set(faults)
    assert not set(trades["frame"].tolist()) & set(faults)
    assert (np.diff(decoded.rows["frame"]) > 0).all()
    assert np.isfinite(trades["price"]).all()
    assert (trades["price"] > 0).all()
    assert (trades["size"] > 0).all()


def test_an_aggregate_becomes_a_row() -> None:
    decoded = decode([agg()])
    (row,) = decoded.rows
    assert decoded.symbols == ["BTCUSDT"]
    assert (row["trade_id"], row["ts"], row["price"], row["size"]) == (3055120001, 1795204800005000, 91231.4, 0.42)
    assert (row["first_fill"], row["last_fill"], row["fills"]) == (7090110001, 7090110009, 9)
    assert (row["side"], row["kind"], row["counted"], row["flags"]) == (-1, TRADE, True, 0)
    assert np.isnan(row["contracts"])


def test_a_fill_becomes_a_row() -> None:
    (row,) = decode([fill()], "fill").rows
    assert (row["trade_id"], row["side"], row["fills"], row["first_fill"], row["last_fill"]) == (7090110011, 1, 1, -1, -1)


def test_raw_frames_and_views_read_the_same() -> None:
    wrapped = agg()
    raw = json.dumps(AGG, separators=(",", ":")).encode()
    spaced = json.dumps(AGG).encode()
    late_type = json.dumps(dict(reversed(AGG.items()))).encode()
    decoded = decode([wrapped, raw, spaced, late_type, memoryview(b"  " + wrapped)[2:]])
    assert decoded.faults == []
    assert decoded.rows["frame"].tolist() == [0, 1, 2, 3, 4]
    assert len(set(decoded.rows[["trade_id", "ts", "price", "size", "side"]].tolist())) == 1


def test_microseconds_are_kept() -> None:
    (row,) = decode([agg(T=1795204800098777)]).rows
    assert row["ts"] == 1795204800098777


def test_each_tape_leaves_the_other() -> None:
    frames = [agg(), fill()]
    assert decode(frames, "agg").rows["frame"].tolist() == [0]
    assert decode(frames, "fill").rows["frame"].tolist() == [1]
    assert decode(frames, "fill").ignored == 1


@pytest.mark.parametrize("origin", ["INSURANCE_FUND", "ADL", "NA"])
def test_off_book_fills_are_kept_and_not_counted(origin: str) -> None:
    decoded = decode([fill(), fill(X=origin, t=7090110012)], "fill")
    assert decoded.faults == []
    assert decoded.rows["counted"].tolist() == [True, False]
    assert decoded.rows["flags"].tolist() == [0, int(Flag.OFF_BOOK)]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"p": "0"}, "price was not above zero: '0'"),
        ({"q": "-1"}, "size was not above zero: '-1'"),
        ({"p": "NaN"}, "price was not finite"),
        ({"p": "1e308"}, "price was not plain decimal text"),
        ({"q": "1000000000000"}, "size was absurd"),
        ({"p": 91231.4}, "aggTrade was malformed"),
        ({"p": None}, "aggTrade was malformed"),
        ({"m": "true"}, "aggTrade was malformed"),
        ({"m": 1}, "aggTrade was malformed"),
        ({"T": 123456785}, "time was not between 2010 and 2100: 123456785"),
        ({"T": 5 * 10**13}, "time was not between 2010 and 2100"),
        ({"T": 2**70}, "aggTrade was malformed"),
        ({"f": 9, "l": 3}, "fills were not a range of ids: 9 to 3"),
        ({"f": -1, "l": -1}, "fills were not a range of ids: -1 to -1"),
        ({"f": 0, "l": 2**40}, "fills were not a range of ids"),
    ],
)
def test_a_bad_trade_is_a_fault_and_its_id_a_void(changes: dict[str, object], reason: str) -> None:
    decoded = decode([agg(), agg(a=3055120002, **changes), agg(a=3055120003)])
    accounted(decoded, 3)
    assert decoded.rows["trade_id"].tolist() == [3055120001, 3055120002, 3055120003]
    assert decoded.rows["kind"].tolist() == [TRADE, VOID, TRADE]
    void = decoded.rows[1]
    assert (void["price"], void["size"], void["counted"], void["first_fill"]) == (0, 0, False, -1)
    (fault,) = decoded.faults
    assert (fault.frame, fault.symbol, fault.part) == (1, "BTCUSDT", 0)
    assert fault.reason.startswith(reason)


def test_an_unknown_origin_is_a_fault_and_its_id_a_void() -> None:
    decoded = decode([fill(), fill(X="GIFT", t=7090110012)], "fill")
    assert decoded.rows["kind"].tolist() == [TRADE, VOID]
    assert "GIFT" in decoded.faults[0].reason


@pytest.mark.parametrize(
    "changes", [{"a": -1}, {"a": 2**63}, {"a": "7"}, {"a": True}, {"a": 1.5}, {"s": ""}, {"s": None}, {"s": "X" * 41}]
)
def test_without_a_sound_id_and_symbol_there_is_no_void(changes: dict[str, object]) -> None:
    decoded = decode([agg(**changes), agg()])
    assert decoded.rows["frame"].tolist() == [1]
    assert [f.frame for f in decoded.faults] == [0]


def test_symbols_are_told_apart_also_where_one_has_only_voids() -> None:
    decoded = decode([agg(), agg(s="ETHUSDT", a=5), agg(s="\u5e01\u5b89USDT", a=6, p=None), agg(a=3055120002)])
    names = [decoded.symbols[i] for i in decoded.rows["instrument"]]
    assert names == ["BTCUSDT", "ETHUSDT", "\u5e01\u5b89USDT", "BTCUSDT"]


OTHERS: list[object] = [
    {"result": None, "id": 1},
    {"code": 2, "msg": "Invalid request", "id": 2},
    {"error": {"code": 2, "msg": "no"}, "id": 2},
    {"stream": "btcusdt@depth5", "data": {"lastUpdateId": 1, "bids": [], "asks": []}},
    {"stream": "btcusdt@blockTrade", "data": {"e": "blockTrade", "E": 1, "s": "BTCUSDT", "t": 731}},
    {"stream": "btcusdt@kline_1m", "data": {"e": "kline", "E": 1, "s": "BTCUSDT", "k": {}}},
    {"stream": "!miniTicker@arr", "data": [{"e": "24hrMiniTicker", "s": "BTCUSDT"}]},
    {"stream": "!serverShutdown", "data": {"e": "serverShutdown", "E": 1}},
    {"stream": "!markPrice@arr", "data": [{"e": "markPriceUpdate", "s": "BTCUSDT"}]},
]


@pytest.mark.parametrize("message", OTHERS)
def test_what_bears_no_trade_is_ignored(message: object) -> None:
    decoded = decode([json.dumps(message).encode()])
    assert (decoded.rows.size, decoded.faults, decoded.ignored) == (0, [], 1)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "frame was no valid JSON"),
        (b"garbage", "frame was no valid JSON"),
        (agg()[:-20], "frame was no valid JSON"),
        (b'{"stream":"x","data":"\xff\xfe"}', "frame was no valid JSON"),
        (b"[" * 100_000, "frame was"),
        (b"[" * 100_000 + b"]" * 100_000, "frame was nested too deep"),
        (b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b',"data":{}}', "frame was nested too deep"),
        (b"1" * 10_000, "frame"),
        (b"null", "frame held no event"),
        (b"[]", "frame held no event"),
        (b'[{"e":[]}]', "frame held no event"),
        (b"{}", "frame named no event type"),
        (b'{"e":null,"s":"BTCUSDT"}', "frame named no event type"),
        (b'{"e":["aggTrade"]}', "unknown event"),
        (b'{"stream":"x","data":{"e":"newTrade","a":1}}', "unknown event: 'newTrade'"),
        (b'{"e":"' + b"x" * 10_000_000 + b'"}', "unknown event: 'xxx"),
    ],
)
def test_anything_else_is_a_fault(text: bytes, reason: str) -> None:
    decoded = decode([text, agg()])
    accounted(decoded, 2)
    assert decoded.faults[0].reason.startswith(reason)
    assert len(decoded.faults[0].reason) < 300
    assert decoded.rows["frame"].tolist() == [1]


def test_batches_longer_than_a_block_keep_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = [agg(a=k) if k % 5 else b"garbage" for k in range(1, 100)]
    whole = decode(frames)
    monkeypatch.setattr(binance_frames, "BLOCK", 7)
    cut = decode(frames)
    assert cut.rows.tobytes() == whole.rows.tobytes()
    assert (cut.faults, cut.ignored, cut.symbols) == (whole.faults, whole.ignored, whole.symbols)
    accounted(cut, len(frames))


def test_an_empty_batch_is_empty() -> None:
    assert decode([]).rows.size == 0


def test_ids_of_many_aggregates_are_told_only_if_all_frames_are_such() -> None:
    assert aggregate_ids([agg(), agg(s="ETHUSDT", a=7)]) == [("BTCUSDT", 3055120001), ("ETHUSDT", 7)]
    assert aggregate_ids([]) == []
    for other in (b"", b"{", b"1", b'{"result":null,"id":1}', json.dumps(FILL).encode(), agg() + b"," + agg(), b"\xff"):
        assert aggregate_ids([agg(), other]) is None


def test_a_glance_tells_tape_symbol_and_id() -> None:
    assert glance(agg()) == ("trades", "BTCUSDT", 3055120001, 3055120001, "agg", False)
    assert glance(json.dumps(FILL).encode()) == ("trades", "BTCUSDT", 7090110011, 7090110011, "fill", False)
    assert glance(agg(p="0")) == glance(agg())
    assert [glance(f) for f in (agg(a=-1), agg()[:-9], b"", b'{"data":{"e":"aggTrade"}}', json.dumps(OTHERS[5]).encode())] == [
        None
    ] * 5


@given(st.lists(st.binary(max_size=60), max_size=5))
def test_no_bytes_raise(frames: list[bytes]) -> None:
    accounted(decode(frames), len(frames))


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["1e308", "-1", "0", "NaN", "91231.4"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(AGG)), inner, max_size=4),
    max_leaves=6,
)


@settings(max_examples=300)
@given(st.dictionaries(st.sampled_from(sorted(AGG | FILL)), _JSON, max_size=4), st.booleans(), st.sampled_from(["agg", "fill"]))
def test_no_mutated_event_raises_and_glance_agrees(changes: dict[str, object], wrapped: bool, tape: Any) -> None:
    event = (AGG if tape == "agg" else FILL) | changes
    text = frame(event) if wrapped else json.dumps(event).encode()
    decoded = decode([text], tape)
    accounted(decoded, 1)
    sight = glance(text)
    if sight and sight.tape == tape:
        assert decoded.rows["trade_id"].tolist() == [sight.last]
        assert decoded.symbols == [sight.symbol]
    else:
        assert decoded.rows.size == 0


@settings(max_examples=200)
@given(st.data())
def test_no_damaged_frame_raises(data: st.DataObject) -> None:
    text = bytearray(agg())
    for _ in range(data.draw(st.integers(1, 4))):
        text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))
    accounted(decode([bytes(text), agg()]), 2)


def test_rest_rows_say_where_they_stood_in_the_answer() -> None:
    rows = [{k: v for k, v in AGG.items() if k in "apqflTm"} | {"a": a} for a in (1, 2, 3)]
    rows[1]["p"] = "0"
    rows[2]["q"] = None
    decoded = decode_rest(json.dumps(rows).encode(), "BTCUSDT")
    assert decoded.rows["trade_id"].tolist() == [1, 2, 3]
    assert decoded.rows["kind"].tolist() == [TRADE, VOID, VOID]
    assert decoded.rows["frame"].tolist() == [0, 0, 0]
    assert [(f.frame, f.part, f.symbol) for f in decoded.faults] == [(0, 1, "BTCUSDT"), (0, 2, "BTCUSDT")]


@pytest.mark.parametrize("body", [b"", b"{}", b'{"code":-1121,"msg":"Invalid symbol."}', b"[1,", b"\xff"])
def test_an_answer_that_is_no_list_is_one_fault(body: bytes) -> None:
    decoded = decode_rest(body, "BTCUSDT")
    assert (decoded.rows.size, len(decoded.faults)) == (0, 1)


def test_rows_that_are_no_aggregates_are_faults() -> None:
    decoded = decode_rows([b"1", b"{}", b'{"a":5}', json.dumps(AGG).encode()], "BTCUSDT")
    assert [f.frame for f in decoded.faults] == [0, 1, 2]
    assert decoded.rows["trade_id"].tolist() == [5, 3055120001]
