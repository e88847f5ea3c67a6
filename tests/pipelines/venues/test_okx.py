"""What OKX is asked, what its REST answers say, and what its instruments are called."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.feeds import FEEDS
from pipelines.market import Instrument
from pipelines.sources import open_source
from pipelines.tape import TRADE, VOID
from pipelines.venues import csv_trades, venue
from pipelines.venues.columns import KLINES
from pipelines.venues.okx import MAX_BOOKS, MAX_CHANNELS, Okx
from pipelines.venues.venue import GARBLED, Failure, Stream, Venue

OKX = Okx()
SPOT = Instrument("okx", "BTC-USDT", "BTC-USDT", "BTC", "USDT")
SWAP = Instrument("okx", "BTC-USDT-PERP", "BTC-USDT-SWAP", "BTC", "USDT", contract="0.01")
DATED = Instrument("okx", "BTC-USD-220527", "BTC-USD-220527", "BTC", "USD", contract="100", inverse=True)


def args(frame: bytes) -> list[tuple[str, str]]:
    return [(arg["channel"], arg.get("instId") or arg["instType"]) for arg in json.loads(frame)["args"]]


def answer(*data: object, code: str = "0", msg: str = "") -> bytes:
    return json.dumps({"code": code, "msg": msg, "data": list(data)}).encode()


def test_it_is_a_venue() -> None:
    assert venue("okx") == OKX
    assert OKX.rules.verified < OKX.rules.feeds


# Sockets


def test_each_type_has_its_channels() -> None:
    (route,) = OKX.routes([SPOT, SWAP, DATED], FEEDS)
    assert (route.name, route.url) == ("public", "wss://ws.okx.com:8443/ws/v5/public")
    (message,) = route.subscribe
    assert args(message) == [
        *[("trades", "BTC-USDT"), ("bbo-tbt", "BTC-USDT"), ("books", "BTC-USDT")],
        *[("trades", "BTC-USDT-SWAP"), ("bbo-tbt", "BTC-USDT-SWAP"), ("books", "BTC-USDT-SWAP")],
        *[("funding-rate", "BTC-USDT-SWAP"), ("open-interest", "BTC-USDT-SWAP"), ("mark-price", "BTC-USDT-SWAP")],
        *[("trades", "BTC-USD-220527"), ("bbo-tbt", "BTC-USD-220527"), ("books", "BTC-USD-220527")],
        *[("open-interest", "BTC-USD-220527"), ("mark-price", "BTC-USD-220527")],
        *[("liquidation-orders", "SWAP"), ("liquidation-orders", "FUTURES")],
    ]
    assert route.streams.count(Stream("funding", "BTC-USDT-SWAP")) == 1
    assert route.streams[-1] == Stream("liquidations", "")
    assert Stream("funding", "BTC-USDT") not in route.streams


def test_spot_has_neither_funding_nor_liquidations() -> None:
    assert OKX.routes([SPOT], ["funding", "liquidations"]) == []


def test_channels_are_shared_out_among_connections() -> None:
    many = [SPOT._replace(native=f"C{k}-USDT") for k in range(1000)]
    routes = OKX.routes(many, ["trades", "book"])
    assert [route.name for route in routes[:2]] == ["public", "public-2"]
    for route in routes:
        asked = [arg for message in route.subscribe for arg in args(message)]
        assert len(asked) <= MAX_CHANNELS
        assert sum(channel == "books" for channel, _ in asked) <= MAX_BOOKS
        assert all(len(args(message)) <= 20 for message in route.subscribe)
        assert sum(map(len, route.subscribe)) < 64 * 1024
        assert len({json.loads(message)["id"] for message in route.subscribe}) == len(route.subscribe)
    assert sorted(s for route in routes for s in route.streams) == sorted(
        Stream(f, i.native) for i in many for f in ("trades", "book")
    )
    assert [len(route.streams) for route in OKX.routes(many, ["trades"])] == [400, 400, 200]


def test_a_stand_in_is_asked_instead() -> None:
    (route,) = OKX.routes([SPOT], ["trades"], "http://127.0.0.1:8765/")
    assert route.url == "ws://127.0.0.1:8765/ws/v5/public"
    with pytest.raises(ValueError, match="use a URL like"):
        OKX.routes([SPOT], ["trades"], "127.0.0.1")


def test_a_book_is_asked_for_anew() -> None:
    given_up, asked = map(json.loads, OKX.resubscribe(Stream("book", "BTC-USDT")))
    assert (given_up["op"], asked["op"]) == ("unsubscribe", "subscribe")
    assert given_up["args"] == asked["args"] == [{"channel": "books", "instId": "BTC-USDT"}]


# REST


def test_repair_asks_for_the_page_that_ends_a_gap() -> None:
    request = OKX.repair_request("BTC-USDT", 101, 120)
    assert request.path == "/api/v5/market/history-trades"
    assert request.params == {"instId": "BTC-USDT", "type": "1", "after": "121", "limit": "20"}
    assert OKX.repair_request("BTC-USDT", 101, 900).params["limit"] == "100"
    assert OKX.repair_request("BTC-USDT", 101, None).params == {"instId": "BTC-USDT", "type": "1", "limit": "100"}


def test_matches_come_newest_first_and_are_read_oldest_first() -> None:
    rows = [
        {
            "instId": "BTC-USDT",
            "side": "sell",
            "sz": "3",
            "source": "0",
            "px": "91233.1",
            "tradeId": "107",
            "ts": "1795204800077",
        },
        {
            "instId": "BTC-USDT",
            "side": "hold",
            "sz": "1",
            "source": "0",
            "px": "91233.1",
            "tradeId": "106",
            "ts": "1795204800076",
        },
        {"instId": "BTC-USDT", "side": "buy", "sz": "2", "source": "1", "px": "91233.1", "tradeId": "105", "ts": "1795204800076"},
        7,
    ]
    decoded = OKX.decode_rest(answer(*rows), "BTC-USDT")
    kept = decoded.rows[decoded.rows["kind"] == TRADE]
    assert kept["trade_id"].tolist() == [105, 107]
    assert kept["side"].tolist() == [1, -1]
    assert kept["span"].tolist() == kept["fills"].tolist() == [1, 1]
    assert decoded.rows["frame"].tolist() == [0, 0, 0]
    assert decoded.rows["trade_id"][decoded.rows["kind"] == VOID].tolist() == [106]
    assert sorted((f.frame, f.part, f.symbol) for f in decoded.faults) == [(0, 1, "BTC-USDT"), (0, 3, "BTC-USDT")]


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"code":"0"}', answer(code="50011", msg="Too Many Requests")])
def test_an_answer_without_matches_is_a_fault(body: bytes) -> None:
    decoded = OKX.decode_rest(body, "BTC-USDT")
    (fault,) = decoded.faults
    assert (decoded.rows.size, fault.symbol) == (0, "BTC-USDT")
    assert fault.reason.startswith("the answer about trades was")


def test_errors_are_told_though_http_says_200() -> None:
    assert OKX.parse_error(answer(code="51001", msg="Instrument ID doesn't exist")) == Failure(
        "error", "Instrument ID doesn't exist (code 51001)"
    )
    assert OKX.parse_error(answer()) is None
    assert OKX.parse_error(b"<html>") == GARBLED
    for parse in (OKX.parse_time, OKX.parse_instruments, OKX.parse_klines):
        with pytest.raises(ValueError, match="code 51001"):
            parse(answer(code="51001", msg="no"))
        with pytest.raises(ValueError, match=r"malformed|no valid JSON"):
            parse(b"[7]")
        with pytest.raises(ValueError, match="malformed"):
            parse(answer(7))


def test_time() -> None:
    assert OKX.parse_time(answer({"ts": "1597026383085"})) == 1597026383085
    with pytest.raises(ValueError, match="empty"):
        OKX.parse_time(answer())


def contract(**changes: str) -> dict[str, str]:
    row = {"instType": "SWAP", "instId": "BTC-USDT-SWAP", "uly": "BTC-USDT", "instFamily": "BTC-USDT", "settleCcy": "USDT"}
    row |= {"ctVal": "0.01", "ctMult": "1", "ctValCcy": "BTC", "ctType": "linear", "tickSz": "0.10", "lotSz": "0.01"}
    return row | {"baseCcy": "", "quoteCcy": "", "expTime": "", "state": "live"} | changes


def test_instruments() -> None:
    spot = {
        "instType": "SPOT",
        "instId": "BTC-USDT",
        "baseCcy": "BTC",
        "quoteCcy": "USDT",
        "tickSz": "0.1",
        "lotSz": "0.00000001",
    }
    inverse = {"settleCcy": "BTC", "ctVal": "100", "ctValCcy": "USD", "ctType": "inverse", "uly": "BTC-USD"}
    body = answer(
        spot | {"state": "live", "ctVal": ""},
        contract(),
        contract(ctVal="10", ctMult="0.00100"),
        contract(instId="BTC-USD-SWAP", instFamily="BTC-USD", **inverse),
        contract(instType="FUTURES", instId="BTC-USD-220527", instFamily="", expTime="1653638400000", **inverse),
        contract(instId="BTC-USD_UM-SWAP", instFamily="BTC-USD_UM", settleCcy="USDC"),
    )
    assert OKX.parse_instruments(body) == [
        Instrument("okx", "BTC-USDT", "BTC-USDT", "BTC", "USDT", "0.1", "0.00000001", "live"),
        Instrument("okx", "BTC-USDT-PERP", "BTC-USDT-SWAP", "BTC", "USDT", "0.1", "0.01", "live", "0.01"),
        Instrument("okx", "BTC-USDT-PERP", "BTC-USDT-SWAP", "BTC", "USDT", "0.1", "0.01", "live", "0.01"),
        Instrument("okx", "BTC-USD-PERP", "BTC-USD-SWAP", "BTC", "USD", "0.1", "0.01", "live", "100", inverse=True),
        Instrument("okx", "BTC-USD-220527", "BTC-USD-220527", "BTC", "USD", "0.1", "0.01", "live", "100", inverse=True),
        Instrument("okx", "BTC-USD_UM-PERP", "BTC-USD_UM-SWAP", "BTC", "USDC", "0.1", "0.01", "live", "0.01"),
    ]
    assert [r.params["instType"] for r in OKX.instruments_requests()] == ["SPOT", "SWAP", "FUTURES"]


@pytest.mark.parametrize(
    "odd", [{"ctVal": ""}, {"ctVal": "0"}, {"ctVal": "NaN"}, {"ctMult": "x"}, {"ctType": ""}, {"instType": "OPTION"}]
)
def test_contracts_of_unknown_value_are_left_out(odd: dict[str, str]) -> None:
    assert OKX.parse_instruments(answer(contract(**odd))) == []


def klines(*rows: list[Any]) -> Any:
    return OKX.parse_klines(answer(*rows))


def test_candles_of_spot_and_of_contracts() -> None:
    """The same trade: 2 BTC at 50,000; as 200 contracts of 0.01 BTC; as 1,000 contracts of 100 USD."""
    minute = 1795204740000
    prices = ["50000", "50000", "50000", "50000"]
    spot = klines([str(minute), *prices, "2", "100000", "100000", "1"])
    swap = klines([str(minute), *prices, "200", "2", "100000", "1"])
    inverse = klines([str(minute), *prices, "1000", "2", "100000", "1"])
    assert spot == swap == inverse
    assert spot.schema == KLINES
    assert spot.to_pylist() == [
        {
            "ts": datetime(2026, 11, 20, 19, 59, tzinfo=UTC),
            "end": datetime(2026, 11, 20, 20, 0, tzinfo=UTC),
            **dict.fromkeys(("open", "high", "low", "close"), 50000.0),
            "volume": 2.0,
            "notional": 100000.0,
            **dict.fromkeys(("fills", "taker_buy_volume", "taker_buy_notional")),
        }
    ]


def test_candles_of_coins_worth_less_than_one() -> None:
    """A contract is 1,000 coins at 0.001: contracts and turnover look alike."""
    table = klines(["1795204740000", "0.001", "0.001", "0.001", "0.001", "50", "50000", "50", "1"])
    assert table["volume"].to_pylist() == [50000.0]


def test_candles_are_in_order_and_quiet_ones_stay() -> None:
    day = 86_400_000
    start = 1795132800000
    rows = [[str(start - k * day), "1", "2", "1", "2", "0", "0", "0", str(int(k > 0))] for k in range(3)]
    table = klines(*rows)
    assert np.diff(table["ts"].to_numpy().astype(np.int64)).tolist() == [day * 1000] * 2
    assert table["end"].to_pylist()[-1] == datetime(2026, 11, 21, tzinfo=UTC)
    assert klines().num_rows == 0


@pytest.mark.parametrize(("column", "value"), [(0, "1"), (0, "x"), (1, "NaN"), (5, "inf"), (4, None)])
def test_odd_candles_are_refused(column: int, value: str | None) -> None:
    row: list[Any] = ["1795204740000", "1", "2", "1", "2", "5", "5", "5", "1"]
    row[column] = value
    with pytest.raises(ValueError, match="the answer about candles was malformed"):
        klines(row)


def test_candles_of_days_are_utc() -> None:
    assert OKX.klines_request("BTC-USDT", "1d").params == {"instId": "BTC-USDT", "bar": "1Dutc", "limit": "300"}
    assert OKX.klines_request("BTC-USDT", "1m").params["bar"] == "1m"


def test_what_is_not_asked_for_is_refused() -> None:
    place: Venue = OKX
    assert place.book_request("BTC-USDT") is place.funding_request("BTC-USDT") is None
    assert len(OKX.decode_book(b"{}", "BTC-USDT").faults) == len(OKX.decode_funding(b"{}", "BTC-USDT").faults) == 1


# Names


@pytest.mark.parametrize(
    ("text", "symbol", "native", "worth"),
    [
        ("BTC-USDT", "BTC-USDT", "BTC-USDT", ""),
        (" eth-btc ", "ETH-BTC", "ETH-BTC", ""),
        ("BTC-USDT-SWAP", "BTC-USDT-PERP", "BTC-USDT-SWAP", "0.01"),
        ("BTC-USDT-PERP", "BTC-USDT-PERP", "BTC-USDT-SWAP", "0.01"),
        ("ETH-USDT-PERP", "ETH-USDT-PERP", "ETH-USDT-SWAP", "0.1"),
        ("BTC-USD-PERP", "BTC-USD-PERP", "BTC-USD-SWAP", "100"),
        ("BTC-USD-220527", "BTC-USD-220527", "BTC-USD-220527", "100"),
    ],
)
def test_names_are_told_by_their_dashes(text: str, symbol: str, native: str, worth: str) -> None:
    guessed = OKX.guess(text)
    assert (guessed.venue, guessed.symbol, guessed.native, guessed.contract) == ("okx", symbol, native, worth)
    assert guessed.inverse == (guessed.quote == "USD")


@pytest.mark.parametrize("text", ["BTCUSDT", "", "BTC-USDT-SPOT", "-USDT", "UNI-USD-PERP", "SOL-USDT-SWAP", "BTC-USDT-250328"])
def test_names_that_tell_too_little(text: str) -> None:
    with pytest.raises(ValueError, match=r"write it like|list of instruments"):
        OKX.guess(text)


# Archives

TODAY = b"""instrument_name,trade_id,side,price,size,created_time
BTC-USDT-SWAP,1988200101,buy,91233.1,12.5,1795204800008
BTC-USDT-SWAP,1988200102,sell,9.12e+04,1e-05,1795204800009
BTC-USDT-SWAP,1988200103,hold,91233.1,12.5,1795204800010
"""


def test_an_archive_of_today() -> None:
    layout = OKX.archive_layout(TODAY.splitlines()[0])
    assert layout is not None
    decoded = csv_trades.decode(TODAY, layout, "")
    assert decoded.symbols == ["BTC-USDT-SWAP"]
    assert decoded.rows[["trade_id", "side", "price", "size", "ts"]].tolist()[:2] == [
        (1988200101, 1, 91233.1, 12.5, 1795204800008000),
        (1988200102, -1, 91200.0, 0.00001, 1795204800009000),
    ]
    assert [(f.frame, f.reason) for f in decoded.faults] == [(4, "side was malformed: 'hold'")]
    assert OKX.archive_layout(TODAY.splitlines()[1]) is not None


@pytest.mark.parametrize("encoding", ["gbk", "utf-8", "utf-8-sig"])
def test_an_archive_of_old(encoding: str) -> None:
    header = "trade_id/交易id,side/交易方向,size/数量,price/价格,created_time/成交时间\r\n".encode(encoding)
    layout = OKX.archive_layout(header)
    assert layout is not None
    decoded = csv_trades.decode(header + b"719900001,buy,0.0052,42760.0,1702434103856\r\n", layout, "BTC-USDT")
    assert decoded.faults == []
    assert decoded.symbols == ["BTC-USDT"]
    assert decoded.rows[["trade_id", "side", "price", "size"]].tolist() == [(719900001, 1, 42760.0, 0.0052)]


def test_an_archive_of_old_names_its_instrument_in_the_name_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "BTC-USDT-trades-2023-12-13.csv"
    path.write_bytes(b"trade_id/id,side/s,size/z,price/p,created_time/t\n719900001,buy,0.0052,42760.0,1702434103856\n")
    source = open_source([path], venue="okx")
    assert [i.symbol for i in source.instruments] == ["BTC-USDT"]
    assert not source.whole  # a day of Hong Kong


def test_an_archive_of_today_names_its_instrument(tmp_path: Path) -> None:
    path = tmp_path / "BTC-USDT-SWAP-trades-2026-11-20.csv"
    path.write_bytes(TODAY)
    source = open_source([path], venue="okx")
    assert [(i.symbol, i.contract) for i in source.instruments] == [("BTC-USDT-PERP", "0.01")]
    assert (source.tape, source.whole) == ("fill", False)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"a,b,c",
        b"trade_id,side,price,size",
        b"trade_id,trade_id,side,price,size,created_time",
        b"1,0.5,2,1,1702434103856,true",
    ],
)
def test_what_is_no_archive_of_okx(line: bytes) -> None:
    assert OKX.archive_layout(line) is None
