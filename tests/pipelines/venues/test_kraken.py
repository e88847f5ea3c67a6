"""Kraken's spot market over WebSocket v2: what is asked of it, and what its messages become."""

from __future__ import annotations

import gzip
import json
import zlib

import numpy as np
import pytest

from pipelines.book import Book
from pipelines.market import Flag, Instrument
from pipelines.tape import TRADE, VOID
from pipelines.venues import venue
from pipelines.venues.kraken import Kraken
from pipelines.venues.venue import GARBLED, Answer, Failure, Sight, Stream, Venue
from tests.conftest import SHARED
from tests.pipelines.venues.mutations import endure
from tests.pipelines.venues.test_coinbase import assert_a_glance_agrees

KRAKEN: Venue = Kraken()
BTC = Instrument("kraken", "BTC-USD", "BTC/USD", "BTC", "USD")
_TRADE = (
    '{"symbol":"BTC/USD","side":"%s","price":%s,"qty":%s,"ord_type":"market","trade_id":%s,"timestamp":"2026-11-20T20:00:00.02Z"}'
)
_BOOK = (
    '{"channel":"book","type":"%s","data":[{"symbol":"BTC/USD","bids":[%s],"asks":[%s],"checksum":%d,'
    '"timestamp":"2026-11-20T20:00:00.0205Z"}]}'
)
TICKER = (
    b'{"channel":"ticker","type":"update","data":[{"symbol":"BTC/USD","bid":91258.1,"bid_qty":0.95000000,"ask":91258.2,'
    b'"ask_qty":0.40000000,"last":91258.9,"timestamp":"2026-11-20T20:00:00.020500Z"}]}'
)
ACK = b'{"method":"subscribe","result":{"channel":"trade","symbol":"BTC/USD"},"success":true}'
ERROR = b'{"error":"Currency pair not supported BTC/USDX","method":"subscribe","success":false,"symbol":"BTC/USDX"}'
PONG = b'{"method":"pong","req_id":9}'


def trade(number: object = 7, side: str = "buy", price: str = "91258.10", qty: str = "0.00210000") -> str:
    return _TRADE % (side, price, qty, number)


def trades(*some: str, form: str = "update") -> bytes:
    return f'{{"channel":"trade","type":"{form}","data":[{",".join(some)}]}}'.encode()


def book(bids: list[tuple[str, str]], asks: list[tuple[str, str]], checksum: int, form: str = "update") -> bytes:
    sides = (",".join(f'{{"price":{price},"qty":{qty}}}' for price, qty in side) for side in (bids, asks))
    return (_BOOK % (form, *sides, checksum)).encode()


def fixtures() -> dict[str, bytes]:
    """Recorded spot frames and answers by file name, digit by digit."""
    with gzip.open(SHARED / "fixtures" / "kraken.jsonl.gz", "rt") as lines:
        return {line.split('"', 4)[3].rsplit("/", 1)[1]: _value(line, '"data":') for line in lines}


def documented() -> list[tuple[str, bytes]]:
    lines = (SHARED / "frames" / "kraken.jsonl").read_text().splitlines()
    return [(json.loads(line)["channel"], _value(line, '"frame":')) for line in lines]


def _value(line: str, key: str) -> bytes:
    return line.split(key, 1)[1].strip().removesuffix("}").encode()


# --- what is asked


def test_it_is_registered() -> None:
    assert venue("kraken").name == "kraken"


def test_a_message_names_a_channel_and_its_symbols() -> None:
    market, own = KRAKEN.routes([BTC], ["trades", "quotes", "book"])
    assert (market.name, market.url) == ("market", "wss://ws.kraken.com/v2")
    assert [json.loads(m) for m in market.subscribe] == [
        {"method": "subscribe", "params": {"channel": "trade", "symbol": ["BTC/USD"], "snapshot": True}},
        {
            "method": "subscribe",
            "params": {"channel": "ticker", "event_trigger": "bbo", "symbol": ["BTC/USD"], "snapshot": True},
        },
    ]
    assert json.loads(own.subscribe[0])["params"]["depth"] == KRAKEN.rules.book_depth == 25
    assert KRAKEN.routes([BTC], ["trades"], "http://127.0.0.1:9")[0].url == "ws://127.0.0.1:9/v2"
    sent = [json.loads(m) for m in KRAKEN.resubscribe(Stream("book", "BTC/USD"))]
    assert [m["method"] for m in sent] == ["unsubscribe", "subscribe"]
    assert sent[0]["params"] == {"channel": "book", "depth": 25, "symbol": ["BTC/USD"]}


def test_rest_has_its_own_names_of_bitcoin_and_dogecoin() -> None:
    assert KRAKEN.repair_request("BTC/USD", 5, 9).params == {"pair": "XBTUSD", "count": "1000"}
    assert KRAKEN.repair_request("DOGE/BTC", 5, None).params["pair"] == "XDGXBT"
    klines = KRAKEN.klines_request("ETH/USD", "1d")
    assert klines is not None
    assert klines.params == {"pair": "ETHUSD", "interval": "1440"}
    assert KRAKEN.book_request("BTC/USD") is None
    assert KRAKEN.funding_request("BTC/USD") is None


# --- what a glance tells


def test_a_glance_tells_what_each_frame_bears() -> None:
    frames = [
        trades(trade(9), trade(8), form="snapshot"),
        trades(trade(10), trade("null"), trade(11)),
        TICKER,
        book([("1.0", "2.0")], [], 5),
        ACK,
        ERROR,
        PONG,
        b'{"channel":"heartbeat"}',
        b'{"channel":"status","type":"update","data":[{"system":"online"}]}',
        b"garbage",
    ]
    seen = KRAKEN.look(frames)
    assert seen.sights == [
        Sight("trades", "BTC/USD", 8, 8, "fill", history=True),
        Sight("trades", "BTC/USD", 9, 9, "fill", history=True),
        Sight("trades", "BTC/USD", 10, 10, "fill"),
        Sight("trades", "BTC/USD", 11, 11, "fill"),
        Sight("quotes", "BTC/USD"),
        Sight("book", "BTC/USD"),
    ]
    assert seen.answers == [Answer("ack"), Answer("error", "Currency pair not supported BTC/USDX"), Answer("pong")]


# --- what messages become


def test_numbers_keep_their_digits_and_the_side_is_the_takers() -> None:
    decoded = KRAKEN.decode([trades(trade(8, "sell", "105944.2", "1E-8"), trade(7))], "fill")
    assert decoded.rows["trade_id"].tolist() == [7, 8]
    assert decoded.rows["side"].tolist() == [1, -1]
    assert decoded.rows["price"].tolist() == [91258.1, 105944.2]
    assert decoded.rows["size"].tolist() == [0.0021, 1e-8]
    assert decoded.rows["ts"].tolist() == [1795204800020000] * 2


def test_the_snapshot_of_trades_is_history() -> None:
    decoded = KRAKEN.decode([trades(trade(7), form="snapshot"), trades(trade(8))], "fill")
    assert decoded.rows["flags"].tolist() == [int(Flag.HISTORY), 0]


@pytest.mark.parametrize(
    ("bad", "reason", "known"),
    [
        (trade(8, price="0.0"), "price was not above zero: '0.0'", True),
        (trade(8, price='"91258.1"'), "price was not a number", True),
        (trade(8, price="1e308"), "price was not plain decimal text", True),
        (trade(8, qty="-1"), "size was not above zero: '-1'", True),
        (trade(8, qty="[1, 2]"), "size was not a number", True),
        (trade(8, qty="1e12"), "size was absurd", True),
        (trade(8, side="both"), "trade was malformed", True),
        (trade(8).replace("2026", "20x6"), "time was not between 2010 and 2100", True),
        (trade('"8"'), "trade was malformed", False),
        (trade(-8), "trade was malformed", False),
        ("5", "trade was malformed", False),
    ],
)
def test_a_bad_trade_leaves_the_others_of_its_frame(bad: str, reason: str, known: bool) -> None:
    decoded = KRAKEN.decode([trades(trade(7), bad, trade(9))], "fill")
    rows = dict(zip(decoded.rows["trade_id"].tolist(), decoded.rows["kind"].tolist(), strict=True))
    assert rows == {7: TRADE, 9: TRADE} | ({8: VOID} if known else {})
    (fault,) = decoded.faults
    assert (fault.frame, fault.part) == (0, 1)
    assert fault.reason.startswith(reason)


def test_a_ticker_is_a_quote() -> None:
    decoded = KRAKEN.decode(
        [TICKER, TICKER.replace(b'"ask":91258.2', b'"ask":null'), TICKER.replace(b'"bid":9', b'"bid":-9')], "fill"
    )
    first, second = decoded.quotes
    assert decoded.symbols == ["BTC/USD"]
    assert (first["bid"], first["bid_size"], first["ask"], first["ask_size"]) == (91258.1, 0.95, 91258.2, 0.4)
    assert (first["ts"], first["update_id"]) == (1795204800020500, -1)
    assert second["ask"] == 0
    assert [f.frame for f in decoded.faults] == [2]


def test_the_checksum_is_made_of_the_digits_as_sent() -> None:
    bids, asks = [("45283.2", "0.10000000")], [("45285.2", "0.00100000"), ("45286.4", "1.54571953")]
    by_hand = zlib.crc32(b"45285210000045286415457195345283210000000")
    assert KRAKEN.checksum(bids, asks) == by_hand
    assert KRAKEN.checksum(bids, [("45285.2", "0.001"), asks[1]]) != by_hand
    many = [(f"{100 + k}.0", "1.0") for k in range(30)]
    assert KRAKEN.checksum([], many) == KRAKEN.checksum([], many[:10])


def test_a_book_is_cut_to_its_depth_after_each_update() -> None:
    asks = [(f"{100 + k}.0", "1.0") for k in range(25)]
    frames = [
        book([("99.0", "2.0")], asks, KRAKEN.checksum([("99.0", "2.0")], asks), "snapshot"),
        book([], [("99.5", "3.0")], KRAKEN.checksum([("99.0", "2.0")], [("99.5", "3.0"), *asks])),
        book([], [("99.5", "0.0")], KRAKEN.checksum([("99.0", "2.0")], asks)),
        book([], [("100.0", "9.0")], 1),
    ]
    whole = Book(KRAKEN.checksum, KRAKEN.rules.book_depth, apart=False)
    depths = KRAKEN.decode(frames, "fill").depths
    assert [whole.apply(depth) for depth in depths] == [None, None, None, "checksum"]
    for depth in depths[:3]:
        whole.apply(depth)
    assert whole.top(30)[1] == asks[:24]


def test_a_refused_update_breaks_the_book() -> None:
    frames = [
        book([("99.0", "2.0")], [], KRAKEN.checksum([("99.0", "2.0")], []), "snapshot"),
        book([("99.0", '"x"')], [], 5),
        b'{"channel":"book","type":"update","data":[{"symbol":"BTC/USD","bids":[],"asks":[]}]}',
    ]
    decoded = KRAKEN.decode(frames, "fill")
    assert [(f.frame, f.symbol) for f in decoded.faults] == [(1, "BTC/USD"), (2, "BTC/USD")]
    for broken in decoded.depths[1:]:
        whole = Book(KRAKEN.checksum, 25)
        assert [whole.apply(decoded.depths[0]), whole.apply(broken)] == [None, "checksum"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "frame was malformed"),
        (b"[" * 100_000, "frame was malformed"),
        (b"[]", "frame was malformed"),
        (b"{}", "unknown message: ''"),
        (b'{"channel":"gift"}', "unknown message: 'gift'"),
        (b'{"method":"gift"}', "unknown message: 'gift'"),
        (b'{"channel":"trade","data":[]}', "unknown type: ''"),
        (b'{"channel":"trade","type":"update","data":5}', "frame was malformed"),
        (b'{"channel":"ticker","type":"update","data":[{"symbol":"BTC/USD"}]}', "ticker was malformed"),
    ],
)
def test_anything_else_is_a_fault(text: bytes, reason: str) -> None:
    decoded = KRAKEN.decode([text, trades(trade())], "fill")
    assert [f.frame for f in decoded.faults] == [0]
    assert decoded.faults[0].reason.startswith(reason)
    assert decoded.rows["frame"].tolist() == [1]


# --- REST


def test_pairs_get_the_names_of_the_socket() -> None:
    pair = {"altname": "XBTUSDT", "wsname": "XBT/USDT", "tick_size": "0.1", "lot_decimals": 8, "status": "online"}
    body = json.dumps({"error": [], "result": {"XBTUSDT": pair, "XDGXBT": pair | {"wsname": "XDG/XBT"}, "dark": {}}}).encode()
    assert KRAKEN.parse_instruments(body) == [
        Instrument("kraken", "BTC-USDT", "BTC/USDT", "BTC", "USDT", "0.1", "0.00000001", "online"),
        Instrument("kraken", "DOGE-BTC", "DOGE/BTC", "DOGE", "BTC", "0.1", "0.00000001", "online"),
    ]
    with pytest.raises(ValueError, match="AssetPairs was malformed"):
        KRAKEN.parse_instruments(b"[]")


def test_a_bad_row_of_an_answer_is_a_fault_with_its_place() -> None:
    good = ["91258.1", "0.01", 1795204799.5, "s", "l", "", 7]
    rows = [good, ["0", *good[1:6], 8], [None, *good[1:6], 9], good[:6]]
    decoded = KRAKEN.decode_rest(json.dumps({"error": [], "result": {"X": rows, "last": "1"}}).encode(), "BTC/USD")
    assert dict(zip(decoded.rows["trade_id"].tolist(), decoded.rows["kind"].tolist(), strict=True)) == {
        7: TRADE,
        8: VOID,
        9: VOID,
    }
    assert sorted((f.frame, f.part) for f in decoded.faults) == [(0, 1), (0, 2), (0, 3)]
    for body in (b"", b"[]", b'{"error":["EGeneral:Too many requests"]}', b'{"result":{"X":5}}'):
        assert len(KRAKEN.decode_rest(body, "BTC/USD").faults) == 1


def test_time_errors_and_names_are_read() -> None:
    assert KRAKEN.parse_time(b'{"error":[],"result":{"unixtime":1762820224}}') == 1762820224000
    with pytest.raises(ValueError, match="malformed"):
        KRAKEN.parse_time(b'{"error":["x"]}')
    assert KRAKEN.parse_error(b'{"error":["EGeneral:Too many requests"]}') == Failure("busy", "EGeneral:Too many requests")
    assert KRAKEN.parse_error(b'{"error":[],"result":{}}') is None
    assert KRAKEN.parse_error(b"<html>") == GARBLED
    assert [KRAKEN.guess(text) for text in ("BTC-USD", "xbt/usd", "BTC/USD")] == [BTC] * 3
    for text in ("BTCUSD", "BTC-USD-PERP", "/USD"):
        with pytest.raises(ValueError, match="write it like BTC-USD"):
            KRAKEN.guess(text)


# --- whole recordings


@pytest.mark.real
def test_the_recorded_frames() -> None:
    orders = ("order", "batch")
    frames = {
        name: body
        for name, body in fixtures().items()
        if name.startswith("ws_") and "futures" not in name and not any(word in name for word in orders)
    }
    counts = {}
    for name, body in frames.items():
        decoded = KRAKEN.decode([body], "fill")
        assert decoded.faults == []
        counts[name] = (decoded.rows.size, decoded.quotes.size, len(decoded.depths), decoded.ignored)
    assert counts == {
        "ws_book_snapshot.json": (0, 0, 1, 0),
        "ws_book_update.json": (0, 0, 1, 0),
        "ws_l3_snapshot.json": (0, 0, 0, 1),
        "ws_l3_update_add.json": (0, 0, 0, 1),
        "ws_l3_update_delete.json": (0, 0, 0, 1),
        "ws_l3_update_modify_price.json": (0, 0, 0, 1),
        "ws_l3_update_modify_qty.json": (0, 0, 0, 1),
        "ws_ohlc_update.json": (0, 0, 0, 1),
        "ws_pong.json": (0, 0, 0, 1),
        "ws_subscribe_response.json": (0, 0, 0, 1),
        "ws_ticker_snapshot.json": (0, 1, 0, 0),
        "ws_trade_update.json": (2, 0, 0, 0),
    }
    # The recorded book was cut to 3 levels by whoever kept it, so that its checksum cannot hold: the feed is unverified.
    assert {s.feed for s in KRAKEN.look(list(frames.values())).sights} - {"book"} == KRAKEN.rules.verified


@pytest.mark.real
def test_the_recorded_answers() -> None:
    answers = fixtures()
    trades = KRAKEN.decode_rest(answers["http_trades.json"], "BTC/USDT")
    assert trades.faults == []
    assert trades.rows.size == 1000
    assert (np.diff(trades.rows["trade_id"]) == 1).all()
    assert (np.diff(trades.rows["ts"]) >= 0).all()
    assert trades.rows["trade_id"][0] == 10218208
    assert (trades.rows["price"][0], trades.rows["side"][0], trades.rows["ts"][0]) == (105433.6, 1, 1762795433971744)
    assert [i.native for i in KRAKEN.parse_instruments(answers["http_asset_pairs.json"])] == ["BTC/USDT"]
    assert [i.symbol for i in KRAKEN.parse_instruments(answers["http_asset_pairs_tokenized.json"])] == ["AAPLx-USD"]
    assert KRAKEN.parse_time(answers["http_server_time.json"]) == 1762820224000
    klines = KRAKEN.parse_klines(answers["http_ohlc.json"])
    assert klines.num_rows > 700
    assert klines["fills"].to_pylist()[:4] == [0, 0, 1, 3]


@pytest.mark.real
def test_recorded_trades_and_candles_tell_the_same_volume() -> None:
    answers = fixtures()
    trades = KRAKEN.decode_rest(answers["http_trades.json"], "BTC/USDT").rows
    klines = KRAKEN.parse_klines(answers["http_ohlc.json"])
    start = klines["ts"].cast("int64").to_numpy()
    minute = trades["ts"] // 60_000_000 * 60_000_000
    whole = [m for m in np.unique(minute)[1:-1] if m in set(start.tolist())]
    assert len(whole) > 50
    for m in whole:
        k = int(np.flatnonzero(start == m)[0])
        assert trades["size"][minute == m].sum() == pytest.approx(klines["volume"][k].as_py(), abs=1e-7)
        assert (minute == m).sum() == klines["fills"][k].as_py()


@pytest.mark.real
def test_the_documented_frames() -> None:
    found = [(c, f) for c, f in documented() if not c.startswith(("rest.", "subscribe.request", "ping."))]
    decoded = KRAKEN.decode([f for _, f in found], "fill")
    assert decoded.faults == []
    assert len(found) == 11
    assert (decoded.rows.size, decoded.quotes.size, len(decoded.depths), decoded.ignored) == (3, 1, 2, 6)
    whole = Book(KRAKEN.checksum, 25)
    assert [whole.apply(depth) for depth in decoded.depths] == [None, None]
    answers = dict(documented())
    assert KRAKEN.decode_rest(answers["rest.Trades"], "BTC/USD").rows["trade_id"].tolist() == [91002010, 91002011]
    assert KRAKEN.parse_klines(answers["rest.OHLC"])["fills"].to_pylist() == [301]


@pytest.mark.parametrize("whole", [trades(trade(7)), TICKER, book([("99.0", "2.0")], [], 5)])
def test_a_message_without_data_is_told(whole: bytes) -> None:
    decoded = KRAKEN.decode([whole.replace(b'"data"', b'"dat"'), whole.partition(b',"data"')[0] + b"}"], "fill")
    assert [(fault.frame, fault.reason) for fault in decoded.faults] == [(0, "message held no data"), (1, "message held no data")]


FORMS = [
    trades(trade(7), trade(8)),
    trades(trade(7), form="snapshot"),
    TICKER,
    book([("99.0", "2.0")], [("100.0", "1.0")], 5, "snapshot"),
    book([("99.0", "0.0")], [], 5),
    *(ACK, ERROR, PONG, b'{"channel":"heartbeat"}'),
]


def test_mutated_frames_are_all_accounted_for() -> None:
    outcome = endure(KRAKEN, FORMS, 20_000)
    assert min(outcome["rows"], outcome["depths"], outcome["quotes"], outcome["faults"]) > 300
    assert_a_glance_agrees(KRAKEN, FORMS)
