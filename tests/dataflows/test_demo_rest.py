"""The REST side: what a recorder asks, in the shapes that the venue's own decoder reads."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dataflows.demo.clock import Clock
from dataflows.demo.faults import Faults
from dataflows.demo.market import GENESIS_MS, Market
from dataflows.demo.rest import Rest
from dataflows.demo.tape import DAY_MS, MINUTE_MS
from pipelines.venues import venue

NOW = GENESIS_MS + 700 * DAY_MS + DAY_MS // 2 + 12_345
DEMO = venue("demo")


class Asked:
    """A REST side whose clocks stand still, and can be moved."""

    def __init__(self) -> None:
        self.market = Market(7, ("BTC-USDT", "ETH-USDT"), 20.0)
        self.faults = Faults([])
        self.wall = 1_000_000.0
        self.rest = Rest(self.market, Clock(origin_ms=NOW), self.faults, wall=lambda: self.wall)

    def get(self, target: str) -> Any:
        answer = self.rest.answer(f"/fapi/v1/{target}")
        assert answer.status == 200, answer.body
        return json.loads(answer.body)

    def error(self, target: str) -> tuple[int, int, str]:
        answer = self.rest.answer(f"/fapi/v1/{target}")
        body = json.loads(answer.body)
        return answer.status, body["code"], body["msg"]


@pytest.fixture
def asked() -> Asked:
    return Asked()


def test_time_is_exchange_time(asked: Asked) -> None:
    assert asked.get("time") == {"serverTime": NOW}
    assert asked.get("ping") == {}


def test_instruments_are_read_by_the_venues_own_decoder(asked: Asked) -> None:
    instruments = DEMO.parse_instruments(asked.rest.answer("/fapi/v1/exchangeInfo").body)
    assert [(i.symbol, i.native, i.base, i.quote, float(i.tick), float(i.lot), i.status) for i in instruments] == [
        ("BTC-USDT", "BTCUSDT", "BTC", "USDT", 0.1, 0.001, "TRADING"),
        ("ETH-USDT", "ETHUSDT", "ETH", "USDT", 0.01, 0.001, "TRADING"),
    ]


def test_agg_trades_by_id_join_without_a_hole(asked: Asked) -> None:
    first = asked.market.unpublished("BTCUSDT", NOW) - 2500
    rows: list[dict[str, Any]] = []
    while page := asked.get(f"aggTrades?symbol=BTCUSDT&fromId={rows[-1]['a'] + 1 if rows else first}&limit=1000"):
        rows += page
    assert [row["a"] for row in rows] == list(range(first, first + 2500))
    frames = asked.market.frames("btcusdt@aggTrade", NOW - 3_600_000, NOW)[-2500:]
    sent = [json.loads(frame.data) for frame in frames]
    assert rows == [{name: frame[name] for name in ("a", "p", "q", "nq", "f", "l", "T", "m")} for frame in sent]


def test_agg_trades_are_read_by_the_venues_own_decoder(asked: Asked) -> None:
    decoded = DEMO.decode_rest(asked.rest.answer("/fapi/v1/aggTrades?symbol=BTCUSDT").body, "BTCUSDT")
    assert len(decoded.rows) == 500
    assert decoded.faults == []
    assert (decoded.rows["fills"] >= 1).all()


def test_agg_trades_by_time(asked: Asked) -> None:
    start = NOW - 600_000
    rows = asked.get(f"aggTrades?symbol=ETHUSDT&startTime={start}&endTime={start + 9_999}&limit=1000")
    assert rows
    assert all(start <= row["T"] <= start + 9_999 for row in rows)
    assert rows[0]["a"] == asked.market.id_at("ETHUSDT", start)
    newest = asked.get(f"aggTrades?symbol=ETHUSDT&endTime={start}&limit=5")
    assert [row["a"] for row in newest] == list(range(rows[0]["a"] - 5, rows[0]["a"]))
    assert asked.get("aggTrades?symbol=ETHUSDT&fromId=0&limit=2")[0]["a"] == 1


def test_nothing_is_told_before_it_is_published(asked: Asked) -> None:
    last = asked.get("aggTrades?symbol=BTCUSDT&limit=1")[0]["a"]
    assert last + 1 == asked.market.unpublished("BTCUSDT", NOW)
    assert asked.get(f"aggTrades?symbol=BTCUSDT&fromId={last + 1}") == []
    assert asked.get(f"aggTrades?symbol=BTCUSDT&startTime={NOW + 1000}") == []
    assert asked.get(f"klines?symbol=BTCUSDT&interval=1m&startTime={NOW + MINUTE_MS}") == []


def test_lost_trades_are_left_out(asked: Asked) -> None:
    last = asked.get("aggTrades?symbol=BTCUSDT&limit=1")[0]["a"]
    asked.faults.lost.add(("BTCUSDT", last - 1))
    asked.faults.lost.add(("ETHUSDT", last - 2))
    assert [row["a"] for row in asked.get(f"aggTrades?symbol=BTCUSDT&fromId={last - 2}")] == [last - 2, last]


def test_klines_are_those_of_the_trades(asked: Asked) -> None:
    start = NOW // MINUTE_MS * MINUTE_MS - 5 * MINUTE_MS
    trades = asked.get(f"aggTrades?symbol=ETHUSDT&startTime={start}&endTime={start + MINUTE_MS - 1}&limit=1000")
    row = asked.get(f"klines?symbol=ETHUSDT&interval=1m&startTime={start}&limit=1")[0]
    assert 100 < len(trades) < 1000
    prices = [float(trade["p"]) for trade in trades]
    volume = sum(float(trade["q"]) for trade in trades)
    buys = sum(float(trade["q"]) for trade in trades if not trade["m"])
    assert row[0] == start
    assert row[6] == start + MINUTE_MS - 1
    assert [float(text) for text in row[1:5]] == [prices[0], max(prices), min(prices), prices[-1]]
    assert float(row[5]) == pytest.approx(volume, rel=1e-12)
    assert float(row[7]) == pytest.approx(sum(p * float(t["q"]) for p, t in zip(prices, trades, strict=True)), rel=1e-12)
    assert row[8] == sum(trade["l"] - trade["f"] + 1 for trade in trades)
    assert float(row[9]) == pytest.approx(buys, rel=1e-12)


def test_a_thousand_minutes_and_thirty_days(asked: Asked) -> None:
    assert [row[0] for row in asked.get("klines?symbol=BTCUSDT&interval=1d&startTime=0&limit=2")] == [
        GENESIS_MS,
        GENESIS_MS + DAY_MS,
    ]
    minutes = DEMO.parse_klines(asked.rest.answer("/fapi/v1/klines?symbol=BTCUSDT&interval=1m&limit=1000").body)
    assert minutes.num_rows == 1000
    days = asked.get("klines?symbol=BTCUSDT&interval=1d&limit=31")
    assert [day[0] for day in days] == [NOW // DAY_MS * DAY_MS - i * DAY_MS for i in range(30, -1, -1)]
    assert [day[0] for day in asked.get(f"klines?symbol=BTCUSDT&interval=1d&endTime={days[-1][0] - 1}&limit=2")] == [
        days[-3][0],
        days[-2][0],
    ]


@pytest.mark.parametrize(
    ("target", "status", "code"),
    [
        ("klines?symbol=NOPE&interval=1m", 400, -1121),
        ("klines?interval=1m", 400, -1102),
        ("klines?symbol=BTCUSDT&interval=7m", 400, -1120),
        ("klines?symbol=BTCUSDT&interval=1m&limit=1501", 400, -1130),
        ("aggTrades?symbol=BTCUSDT&limit=1001", 400, -1130),
        ("aggTrades?symbol=BTCUSDT&fromId=-1", 400, -1130),
        ("aggTrades?symbol=BTCUSDT&fromId=x", 400, -1130),
        ("aggTrades?symbol=BTCUSDT&fromId=1&startTime=5", 400, -1128),
        (f"aggTrades?symbol=BTCUSDT&startTime={NOW - 9_000_000}&endTime={NOW}", 400, -1127),
        ("orders", 404, -5000),
    ],
)
def test_errors_have_the_venues_code(asked: Asked, target: str, status: int, code: int) -> None:
    assert asked.error(target)[:2] == (status, code)


def test_weight_is_counted_and_its_limit_kept(asked: Asked) -> None:
    answer = asked.rest.answer("/fapi/v1/aggTrades?symbol=BTCUSDT&limit=1")
    assert answer.headers["X-MBX-USED-WEIGHT-1M"] == "20"
    for _ in range(119):
        asked.get("aggTrades?symbol=BTCUSDT&limit=1")
    refused = asked.rest.answer("/fapi/v1/time")
    assert (refused.status, json.loads(refused.body)["code"]) == (429, -1003)
    asked.wall += int(refused.headers["Retry-After"])
    assert asked.rest.answer("/fapi/v1/time").headers["X-MBX-USED-WEIGHT-1M"] == "1"
