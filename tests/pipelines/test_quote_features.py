"""Measures that need quotes, by hand and through the engine."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable
from datetime import datetime
from fractions import Fraction
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.detector_settings import Detectors
from pipelines.engine import Engine
from pipelines.kernels import microprice, ofi, spreads
from pipelines.market import DAY_US
from pipelines.records import Kind
from pipelines.settings import Kernels
from pipelines.sources import open_source
from tests import tapes
from tests.conftest import SHARED
from tests.pipelines import test_market_feeds as feeds
from tests.pipelines.test_market_feeds import Line, at, beats, depth, feed, frame, in_order, snapshot, trade

KERNELS = Kernels(bars=("1m",), vpin=(), detectors=Detectors())
MINUTE_MS = 60_000
QUOTED = (
    "ofi_1m",
    "ofi_5m",
    "spread_bps",
    "microprice",
    "effective_spread_bps_1m",
    "realised_spread_bps_5s",
    "realised_spread_bps_30s",
)


def engine() -> Engine:
    made = tapes.journal_engine(KERNELS)
    made.connections[2] = feeds.VENUE
    return made


def best(ms: int, update: int, bid: str, bid_size: str, ask: str, ask_size: str) -> Line:
    sides: dict[str, Any] = {"b": bid, "B": bid_size, "a": ask, "A": ask_size}
    return frame(ms, e="bookTicker", u=update, s=feeds.SYMBOL, T=feeds.MS + ms, E=feeds.MS + ms, **sides)


def sold(ms: int, trade_id: int, price: str) -> Line:
    return at(ms, Kind.FRAME, tapes.agg_trade(feeds.SYMBOL, trade_id, feeds.MS + ms, price, "1", seller=True))


def rows(lines: list[Line], size: int = 10_000) -> dict[int, dict[str, float | None]]:
    """Return the measures of quotes by minute of the day."""
    out = feed(engine(), lines, size)
    return {r["at"] // MINUTE_MS: {name: r[name] for name in QUOTED} for r in feeds.table(out, "features")}


@pytest.mark.parametrize(
    ("before", "after", "flow"),
    [
        ((100, 5, 101, 4), (100, 8, 101, 4), 3),  # bids are added
        ((100, 5, 101, 4), (100, 5, 101, 1), 3),  # asks are taken
        ((100, 5, 101, 4), (100.5, 2, 101, 4), 2),  # a better bid
        ((100, 5, 101, 4), (99, 7, 101, 4), -5),  # the best bid is gone
        ((100, 5, 101, 4), (100, 5, 100.5, 6), -6),  # a better ask
        ((100, 5, 101, 4), (100, 5, 102, 9), 4),  # the best ask is gone
        ((100, 5, 101, 4), (0, 0, 101, 4), -5),  # no bid is left
        ((0, 0, 101, 4), (100, 5, 101, 4), 5),
        ((100, 5, 101, 4), (100, 5, 0, 0), 4),  # no ask is left
        ((100, 5, 0, 0), (100, 5, 101, 4), -4),
    ],
)
def test_order_flow_by_hand(before: tuple[float, ...], after: tuple[float, ...], flow: float) -> None:
    assert ofi.order_flow(*map(float, before), *map(float, after)) == flow
    mirrored = [(-a, qa, -b, qb) for b, qb, a, qa in (before, after) if b and a]
    if len(mirrored) == 2:
        up = [(200.0 + b, float(qb), 200.0 + a, float(qa)) for b, qb, a, qa in mirrored]
        assert ofi.order_flow(*up[0], *up[1]) == -flow


def test_what_a_quote_says_of_the_price() -> None:
    assert microprice.middle(99.0, 101.0) == 100.0
    assert microprice.spread_bps(99.0, 101.0) == 200.0
    assert microprice.microprice(99.0, 3.0, 101.0, 1.0) == 100.5
    for bid, ask in ((0.0, 101.0), (99.0, 0.0), (101.0, 99.0)):
        assert math.isnan(microprice.spread_bps(bid, ask))
        assert math.isnan(microprice.microprice(bid, 1.0, ask, 1.0))


def test_spreads_by_hand() -> None:
    paid = np.zeros(4, spreads.PAID)
    paid["eff"], paid["price"], paid["side"] = [0, 1, 10_000_000, 70_000_000], [77, 101, 98, 100], [1, 1, -1, 1]
    paid["ts"] = paid["eff"]
    since, mids = np.array([0, 5_000_000, 9_999_999, 10_000_000, 12_000_000]), np.array([100.0, 100.5, 100.0, 101.0, 99.0])
    assert spreads.effective_spread_bps(paid, since, mids, 0, 60_000_000) == (200 + 400) / 2, "the first has no middle before it"
    realised = spreads.realised_spread_bps(paid, since, mids, 5_000_000, 0, 60_000_000)
    assert math.isclose(realised, (2e4 * 0.5 / 100 + 2e4 * 1 / 100) / 2, rel_tol=1e-12)
    assert math.isnan(spreads.effective_spread_bps(paid[:0], since, mids, 0, 60_000_000))


def test_a_minute_says_what_its_quotes_were() -> None:
    lines = [
        *beats(0, 250_000),
        best(1_000, 1, "99", "5", "101", "5"),
        trade(2_000, 1, price="101"),
        best(61_000, 2, "99", "8", "101", "5"),  # +3
        best(62_000, 3, "99", "8", "101", "1"),  # +4
        sold(63_000, 2, "99"),
        best(70_000, 4, "97", "2", "99", "6"),  # -8 - 6
        trade(181_000, 3),
    ]
    found = rows(in_order(*lines))
    assert found[0] == {
        "ofi_1m": None,
        "ofi_5m": None,
        "spread_bps": 200.0,
        "microprice": 100.0,
        "effective_spread_bps_1m": 200.0,
        "realised_spread_bps_5s": 200.0,
        "realised_spread_bps_30s": 200.0,
    }
    assert found[1]["ofi_1m"] == 3 + 4 - 8 - 6
    assert found[1]["microprice"] == 97 + 2 * 2 / 8
    assert found[1]["effective_spread_bps_1m"] == 200.0
    assert found[1]["realised_spread_bps_5s"] == 200.0
    assert found[1]["realised_spread_bps_30s"] == 2e4 * -((99 - 98) / 100)
    assert set(found) == {0, 1, 3}
    assert found[3]["ofi_1m"] == 0.0
    assert found[3]["spread_bps"] == 1e4 * (2 / 98)


def test_windows_of_order_flow_need_every_minute() -> None:
    lines = [*beats(0, 450_000), *(best(1_000 + 30_000 * k, k, "99", str(5 + k), "101", "5") for k in range(14))]
    lines += [trade(2_000 + MINUTE_MS * k, k) for k in range(7)]
    found = rows(in_order(*lines))
    assert [found[k]["ofi_1m"] for k in range(7)] == [None, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0]
    assert [found[k]["ofi_5m"] for k in range(7)] == [None] * 5 + [10.0, 10.0]


def test_without_quotes_there_is_nothing_to_wait_for() -> None:
    out = rows([trade(1_000, 1), trade(61_000, 2)])
    assert out == {0: dict.fromkeys(QUOTED)}


def test_a_row_waits_until_the_quotes_of_its_minute_are_over() -> None:
    begin = [best(1_000, 1, "99", "5", "101", "5"), trade(2_000, 1), trade(60_100, 2)]
    assert rows(begin) == {}
    assert rows([*begin, best(60_200, 2, "99", "5", "101", "5")])[0]["spread_bps"] == 200.0
    late = best(59_900, 2, "98", "5", "102", "5")
    assert rows([*begin, late, best(60_300, 3, "99", "5", "101", "5")])[0]["spread_bps"] == 400.0


def test_a_lost_connection_takes_its_quote_along() -> None:
    gone = at(30_000, Kind.DISCONNECT, b'{"venue":"binance-usdm","reason":"reset"}')
    lines = [
        *beats(0, 200_000),
        best(1_000, 1, "99", "5", "101", "5"),
        trade(2_000, 1),
        gone,
        *((*trade(ms, k)[:3], 2) for k, ms in ((2, 40_000), (3, 70_000))),
    ]
    found = rows(in_order(*lines))
    assert found[0]["spread_bps"] is None
    assert found[0]["effective_spread_bps_1m"] == 0.0
    assert found[0]["realised_spread_bps_5s"] == 0.0
    assert found[0]["realised_spread_bps_30s"] is None
    assert found[1] == dict.fromkeys(QUOTED)


def test_of_what_does_not_trade_little_is_kept() -> None:
    made = engine()
    lines = [best(10_000 * k, k, str(90 + k % 7), "5", "101", "5") for k in range(2000)]
    feed(made, in_order(*lines, *beats(0, 1_000)))
    side = made.signals.features.quotes.sides[0]
    assert len(side.mids) < 200
    assert len(side.minutes) < 60
    feed(made, [trade(20_001_000, 1, price="101"), best(20_062_000, 2001, "90", "5", "101", "5"), trade(20_063_000, 2)])
    assert len(side.mids) < 20


def test_quotes_begin_anew_at_midnight() -> None:
    day = DAY_US // 1000
    lines = [
        *beats(day - 100_000, day + 130_000),
        best(day - 90_000, 1, "99", "5", "101", "5"),
        trade(day - 80_000, 1, price="101"),
        trade(day - 3_000, 2, price="101"),
        trade(day + 1_000, 3, price="101"),
        best(day + 2_000, 2, "98", "5", "102", "5"),
        trade(day + 62_000, 4, price="102"),
    ]
    found = rows(in_order(*lines))
    before, after, next_one = (found[day // MINUTE_MS + k] for k in (-1, 0, 1))
    assert before["spread_bps"] == 200.0
    assert before["effective_spread_bps_1m"] == 200.0
    assert after == dict.fromkeys(QUOTED), "the trade came before the date's first quote"
    assert next_one["effective_spread_bps_1m"] == 400.0
    assert next_one["ofi_1m"] == 0.0


def test_the_top_of_the_book_stands_where_there_are_no_quotes() -> None:
    lines = [
        *beats(0, 200_000),
        snapshot(0, 1),
        depth(1_000, 1, 2, [("99", "5")], [("101", "5")]),
        trade(2_000, 1, price="101"),
        depth(61_000, 2, 3, [("99", "7")]),
        trade(62_000, 2, price="101"),
        trade(125_000, 3, price="101"),
    ]
    found = rows(in_order(*lines))
    assert found[0]["effective_spread_bps_1m"] == 200.0
    assert found[1]["ofi_1m"] == 2.0
    assert found[1]["microprice"] == 99 + 2 * 7 / 12


def made_up(seed: int) -> list[Line]:
    """Return a journal of trades and quotes: late ones, one-sided ones, a lost connection, quiet minutes."""
    rng = np.random.default_rng(seed)
    lines: list[Line] = beats(0, 900_000)
    ids = 0
    for k in range(500):
        ms = 1_760 * k + int(rng.integers(0, 1_500))
        late = ms + 50 + (3_000 if rng.random() < 0.05 else 0)
        if 300_000 < ms < 420_000:
            continue
        bid, spread = 100 + int(rng.integers(-3, 4)), int(rng.integers(1, 3))
        if rng.random() < 0.6:
            ask = "0" if rng.random() < 0.05 else str(bid + spread)
            data: dict[str, Any] = {
                "b": str(bid),
                "B": str(rng.integers(1, 9)),
                "a": ask,
                "A": "0" if ask == "0" else str(rng.integers(1, 9)),
            }
            lines.append(frame(late, e="bookTicker", u=k, s=feeds.SYMBOL, **data, T=feeds.MS + ms, E=feeds.MS + ms))
        else:
            ids += 1
            lines.append(trade(ms, ids, recv=late, price=str(bid)))
    lines.append(at(600_000, Kind.DISCONNECT, b'{"venue":"binance-usdm","reason":"reset"}', 1))
    return in_order(*lines)


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 1000))
def test_rows_do_not_depend_on_batches_or_restores(seed: int) -> None:
    lines = made_up(seed)
    whole = feed(engine(), lines)["features"]
    for name in QUOTED:
        assert whole[name].null_count < whole.num_rows, name
    assert feed(engine(), lines, 7)["features"] == whole
    made, out = engine(), []
    for batch in feeds.batches(lines, 61):
        out += made.feed(batch).tables
        made = Engine.restore(made.snapshot())
    assert tapes.gather(out)["features"] == whole


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 1000), st.integers(100_000, 800_000))
def test_cutting_the_journal_leaves_the_rows_before(seed: int, until: int) -> None:
    lines = made_up(seed)
    part = rows([line for line in lines if line[0] <= at(until)[0]])
    whole = rows(lines)
    complete = (until - 6_000) // MINUTE_MS
    assert {m: r for m, r in part.items() if m < complete} == {m: r for m, r in whole.items() if m < complete}


def changed(lines: list[Line], change: Callable[[dict[str, Any]], dict[str, Any]], later_us: int = 0) -> list[Line]:
    """Return a journal with other data in its frames, so much later."""
    out = []
    for recv, kind, old, connection in lines:
        new = old
        if kind is Kind.FRAME:
            message = msgspec.json.decode(old)
            new = msgspec.json.encode(message | {"data": message["data"] | change(message["data"])})
        out.append((recv + 1000 * later_us, kind, new, connection))
    return out


def times(by: int, *names: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Numbers in texts are so many times as large; `a` of a trade is its id."""
    return lambda data: {name: str(by * int(data[name])) for name in names if isinstance(data.get(name), str)}


def mirrored(data: dict[str, Any]) -> dict[str, Any]:
    """Prices about 200, bids for asks, buyers for sellers."""
    if "m" in data:
        return {"p": str(200 - int(data["p"])), "m": not data["m"]}
    bid, ask = int(data["b"]), int(data["a"])
    return {"b": str(200 - ask if ask else 0), "B": data["A"], "a": str(200 - bid), "A": data["B"]}


@settings(max_examples=4, deadline=None)
@given(st.integers(0, 1000))
def test_units_and_whole_days_change_only_what_is_in_them(seed: int) -> None:
    lines = made_up(seed)
    one = rows(lines)
    larger, dearer = rows(changed(lines, times(3, "q", "B", "A"))), rows(changed(lines, times(3, "p", "b", "a")))
    for scales, other in (({"ofi_1m": 3, "ofi_5m": 3}, larger), ({"microprice": 3}, dearer)):
        for minute, found in one.items():
            for name, value in found.items():
                assert other[minute][name] == (None if value is None else pytest.approx(scales.get(name, 1) * value, rel=1e-9))
    us = 5 * DAY_US
    later = rows(changed(lines, lambda data: {name: data[name] + us // 1000 for name in ("T", "E") if name in data}, us))
    assert {minute - us // 60_000_000: found for minute, found in later.items()} == one


@settings(max_examples=4, deadline=None)
@given(st.integers(0, 1000))
def test_order_flow_of_the_market_seen_in_a_mirror_is_the_other_way(seed: int) -> None:
    lines = made_up(seed)
    one, other = rows(lines), rows(changed(lines, mirrored))
    assert one.keys() == other.keys()
    for minute, found in one.items():
        for name in ("ofi_1m", "ofi_5m"):
            assert other[minute][name] == (None if (flow := found[name]) is None else -flow)
        price = found["microprice"]
        assert other[minute]["microprice"] == (None if price is None else pytest.approx(200 - price, rel=1e-12))


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "venue"), [("spot_btcusdt_20240808.gz", "binance-spot"), ("usdm_btcusdt_20240719.gz", "binance-usdm")]
)
def test_a_capture_has_spreads_of_sense(name: str, venue: str) -> None:
    source = open_source([SHARED / "captures" / name], venue=venue)
    out = []
    for size in (100_000, 997):
        made = Engine(KERNELS, origin="history")
        made.tape_of_venue[venue] = source.tape
        for instrument in source.instruments:
            made.add(instrument, source.tape)
        tables = [t for piece in source.pieces(size=size) for t in made.feed_piece(piece, name).tables]
        out.append(tapes.gather([*tables, *made.finish().tables]))
    assert out[0]["features"] == out[1]["features"]
    found = out[0]["features"].to_pylist()
    quoted = [r for r in found if r["spread_bps"] is not None]
    assert len(quoted) >= len(found) - 1
    for r in quoted:
        assert 0 < r["spread_bps"] < 1
        assert 0 < r["effective_spread_bps_1m"] < 10
    assert all(a["ts"] < b["ts"] for a, b in pairwise(found))


@pytest.mark.real
def test_a_capture_equals_a_plain_reference() -> None:
    """Best quotes and trades of BTC-USDT as stored, gone through once more in exact fractions."""
    name = "spot_btcusdt_20240808.gz"
    source = open_source([SHARED / "captures" / name], venue="binance-spot")
    made = Engine(KERNELS, origin="history")
    made.tape_of_venue["binance-spot"] = source.tape
    for instrument in source.instruments:
        made.add(instrument, source.tape)
    tables = [t for piece in source.pieces() for t in made.feed_piece(piece, name).tables]
    out = tapes.gather([*tables, *made.finish().tables])
    quotes = _by_event_time(out["quotes"].sort_by("seq").to_pylist())
    trades = _by_event_time(out["trades"].sort_by([("date", "ascending"), ("seq", "ascending")]).to_pylist())
    checked = 0
    for row in out["features"].sort_by("ts").to_pylist()[1:-2]:
        begin, end = _us(row["ts"]), _us(row["end"])
        inside = [k for k in range(1, len(quotes)) if begin <= quotes[k]["eff"] < end]
        flow = sum((_flow(quotes[k - 1], quotes[k]) for k in inside), Fraction(0))
        assert math.isclose(row["ofi_1m"], float(flow), rel_tol=1e-9, abs_tol=1e-9)
        last = max((k for k in range(len(quotes)) if quotes[k]["eff"] < end), default=0)
        bid, ask, bids, asks = (Fraction(repr(quotes[last][n])) for n in ("bid", "ask", "bid_size", "ask_size"))
        assert math.isclose(row["spread_bps"], float(20_000 * (ask - bid) / (ask + bid)), rel_tol=1e-9)
        assert math.isclose(row["microprice"], float((bid * asks + ask * bids) / (bids + asks)), rel_tol=1e-12)
        assert math.isclose(row["effective_spread_bps_1m"], _paid(trades, quotes, 0, begin, end), rel_tol=1e-9)
        for tau in (5, 30):
            assert math.isclose(row[f"realised_spread_bps_{tau}s"], _paid(trades, quotes, tau, begin, end), rel_tol=1e-9)
        checked += 1
    assert checked >= 3


def _us(time: datetime) -> int:
    return round(time.timestamp() * 1e6)


def _by_event_time(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows with their time in us (`us`) and the event time that never falls (`eff`)."""
    latest = 0
    for row in rows:
        row["us"] = _us(row["ts"])
        latest = max(latest, row["us"])
        row["eff"] = latest
    return rows


def _flow(before: dict[str, Any], after: dict[str, Any]) -> Fraction:
    a, b = ({n: Fraction(repr(q[n])) for n in ("bid", "ask", "bid_size", "ask_size")} for q in (before, after))
    bids = b["bid_size"] * (b["bid"] >= a["bid"]) - a["bid_size"] * (b["bid"] <= a["bid"])
    return bids - b["ask_size"] * (b["ask"] <= a["ask"]) + a["ask_size"] * (b["ask"] >= a["ask"])


def _paid(trades: list[dict[str, Any]], quotes: list[dict[str, Any]], tau: int, begin: int, end: int) -> float:
    """Return the mean spread against the middle before the trade (`tau` 0), or `tau` seconds after it."""
    since = [q["eff"] for q in quotes]
    found = []
    for t in trades:
        if begin <= t["eff"] + tau * 1_000_000 < end and t["us"] > since[0]:
            mid, then = (quotes[bisect_left(since, t["us"] + late) - 1] for late in (0, tau * 1_000_000 + bool(tau)))
            middle, after = ((Fraction(repr(q["bid"])) + Fraction(repr(q["ask"]))) / 2 for q in (mid, then))
            found.append(20_000 * t["side"] * (Fraction(repr(t["price"])) - after) / middle)
    return float(sum(found) / len(found))
