"""The generated market's book, liquidations and funding: consistent, and read by the venue's own decoder."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from dataflows.demo.clock import Clock
from dataflows.demo.depth import IDS, STEP_MS
from dataflows.demo.faults import Faults
from dataflows.demo.market import FUNDING_MS, GENESIS_MS, MARK_MS, Market
from dataflows.demo.rest import Rest
from dataflows.demo.tape import DAY_MS, MINUTE_MS
from pipelines.book import Book
from pipelines.tape import Decoded
from pipelines.venues import venue

NOON = GENESIS_MS + 1000 * DAY_MS + DAY_MS // 2
DEMO = venue("demo")


@pytest.fixture(scope="module")
def market() -> Market:
    return Market(7, ("BTC-USDT", "SOL-USDT"), 20.0)


def read(market: Market, stream: str, after_ms: int, upto_ms: int) -> Decoded:
    frames = market.frames(stream, after_ms, upto_ms)
    assert all(frame.id == -1 for frame in frames)
    decoded = DEMO.decode([str(frame.data).encode() for frame in frames], "agg")
    assert (decoded.faults, decoded.ignored, decoded.rows.size) == ([], 0, 0)
    return decoded


def answered(market: Market, target: str, now_ms: int = NOON) -> tuple[int, Any]:
    answer = Rest(market, Clock(origin_ms=now_ms), Faults([])).answer(f"/fapi/v1/{target}")
    return answer.status, json.loads(answer.body)


@pytest.mark.parametrize("native", ["BTCUSDT", "SOLUSDT"])
def test_a_book_follows_from_any_snapshot_and_meets_each_later_one(market: Market, native: str) -> None:
    book = Book(DEMO.checksum)
    request = DEMO.book_request(native)
    assert request is not None
    updates = read(market, f"{native.lower()}@depth@100ms", NOON - 3000, NOON + MINUTE_MS).depths
    for update in updates[:20]:
        assert book.apply(update) is None
    _, body = answered(market, f"depth?symbol={native}&limit=1000", NOON + 130)
    (snapshot,) = DEMO.decode_book(json.dumps(body).encode(), native).depths
    assert book.apply(snapshot) is None
    assert book.synced
    for update in updates[20:]:
        assert book.apply(update) is None
    assert (book.synced, book.resyncs, book.last) == (True, 0, (NOON + MINUTE_MS - GENESIS_MS) // STEP_MS * IDS)
    later = market.depth[native].shown(NOON + MINUTE_MS)
    assert [list(side.values()) for side in (later.bids, later.asks)] == [
        [round(float(size) * 10 ** market.listings[native].size_decimals) for _, size in side] for side in book.top(100)
    ]


def test_the_same_update_is_sent_however_time_is_cut(market: Market) -> None:
    whole = market.frames("btcusdt@depth@100ms", NOON, NOON + 5000)
    parts = [market.frames("btcusdt@depth@100ms", at, min(at + 137, NOON + 5000)) for at in range(NOON, NOON + 5000, 137)]
    assert [frame for part in parts for frame in part] == whole
    assert len(whole) == 5000 // STEP_MS


def test_the_best_of_the_book_is_near_the_trades(market: Market) -> None:
    trades = market.trades("BTCUSDT", *(market.id_at("BTCUSDT", NOON + ms) for ms in (0, MINUTE_MS)))
    best = [min(market.depth["BTCUSDT"].shown(time).asks) for time in trades.time.tolist()]
    assert np.abs(np.array(best) / trades.price - 1).max() < 1e-3


def test_liquidations_are_trades_on_the_side_of_their_event(market: Market) -> None:
    forced = read(market, "btcusdt@forceOrder", NOON, NOON + 60 * MINUTE_MS).liquidations
    trades = market.trades("BTCUSDT", *(market.id_at("BTCUSDT", NOON + ms) for ms in (-MINUTE_MS, 60 * MINUTE_MS)))
    listing = market.listings["BTCUSDT"]
    prices, sizes = trades.price / 10**listing.price_decimals, trades.size / 10**listing.size_decimals
    known = set(zip(trades.time.tolist(), prices.tolist(), sizes.tolist(), strict=True))
    assert 60 <= len(forced) < 400
    assert {(f.ts // 1000, f.price, f.size) for f in forced} <= known
    assert {f.side for f in forced} == {-1, 1}


def test_funding_is_told_every_three_seconds(market: Market) -> None:
    told = read(market, "btcusdt@markPrice", NOON, NOON + MINUTE_MS).fundings
    assert [f.ts for f in told] == [1000 * (NOON + k * MARK_MS) for k in range(1, 21)]
    assert {f.next_ts for f in told} == {1000 * (NOON // FUNDING_MS + 1) * FUNDING_MS}
    assert all(f.rate is not None and abs(f.rate) < 1e-3 for f in told)
    assert market.frames("btcusdt@markPrice", NOON, NOON + 1) == []


def test_rest_answers_about_book_and_open_interest(market: Market) -> None:
    status, body = answered(market, "depth?symbol=BTCUSDT&limit=5")
    assert (status, len(body["bids"]), len(body["asks"])) == (200, 5, 5)
    assert answered(market, "depth?symbol=BTCUSDT&limit=7")[1]["code"] == -4021
    assert answered(market, "depth?symbol=XRPUSDT&limit=5")[1]["code"] == -1121
    _, body = answered(market, "openInterest?symbol=BTCUSDT")
    (funding,) = DEMO.decode_funding(json.dumps(body).encode(), "BTCUSDT").fundings
    assert funding.ts == 1000 * NOON
    assert (funding.open_interest or 0) > 0
