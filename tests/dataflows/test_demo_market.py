"""The generated market: pure, contiguous, and lifelike enough for every detector of the demo to have its day."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataflows.demo.days import NATURES
from dataflows.demo.market import FADE_MS, GENESIS_MS, Market
from dataflows.demo.tape import DAY_MS, MINUTE_MS, Trades, candles
from pipelines.aggressor import agreement
from pipelines.venues import venue

SYMBOLS = ("BTC-USDT", "ETH-USDT", "SOL-USDT")
NOON = GENESIS_MS + 1000 * DAY_MS + DAY_MS // 2
BTC = "BTCUSDT"


@pytest.fixture(scope="module")
def market() -> Market:
    return Market(7, SYMBOLS, 20.0)


def texts(market: Market, stream: str, start: int, end: int) -> list[str]:
    return [str(frame.data) for frame in market.frames(stream, start, end)]


def between(market: Market, native: str, start: int, end: int) -> Trades:
    return market.trades(native, market.id_at(native, start), market.id_at(native, end))


def test_the_same_time_gives_the_same_bytes_whatever_was_asked_before(market: Market) -> None:
    other = Market(7, SYMBOLS, 20.0)
    texts(other, "solusdt@aggTrade", NOON + DAY_MS, NOON + DAY_MS + 90_000)
    for stream in ("btcusdt@bookTicker", "ethusdt@aggTrade", "btcusdt@aggTrade"):
        assert texts(other, stream, NOON, NOON + 90_000) == texts(market, stream, NOON, NOON + 90_000) != []


def test_a_quote_stands_before_the_trade_that_meets_it() -> None:
    """So that the rule that finds mirrored sides sees nearly all trades of a quick market at their quotes."""
    rules, data = venue("demo"), []
    for stream in ("btcusdt@bookTicker", "btcusdt@aggTrade"):
        told = texts(Market(7, SYMBOLS, 500.0), stream, NOON, NOON + 60_000)
        data += [f'{{"stream":"{stream}","data":{text}}}'.encode() for text in told]
    decoded = rules.decode(data, rules.rules.tape)
    found = agreement(decoded.rows, decoded.quotes)
    assert found.agreed > 1000
    assert found.disagreed < 0.005 * found.agreed


def test_another_process_gives_the_same_bytes(market: Market) -> None:
    code = f"""
import hashlib
from dataflows.demo.market import Market
frames = Market(7, ("SOL-USDT", "ETH-USDT", "BTC-USDT"), 20.0).frames("btcusdt@aggTrade", {NOON}, {NOON + 70_000})
print(hashlib.sha256("".join(frame.data for frame in frames).encode()).hexdigest())
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    ours = "".join(texts(market, "btcusdt@aggTrade", NOON, NOON + 70_000))
    assert told == hashlib.sha256(ours.encode()).hexdigest()


def test_another_seed_gives_another_market(market: Market) -> None:
    assert texts(Market(8, SYMBOLS, 20.0), "btcusdt@aggTrade", NOON, NOON + 10_000) != texts(
        market, "btcusdt@aggTrade", NOON, NOON + 10_000
    )


@pytest.mark.parametrize("edge", [NOON, NOON + DAY_MS // 2, GENESIS_MS + DAY_MS], ids=["hour", "midnight", "first midnight"])
def test_ids_are_contiguous_over_edges_of_hours_and_days(market: Market, edge: int) -> None:
    for native in market.listings:
        trades = between(market, native, edge - 3 * MINUTE_MS, edge + 3 * MINUTE_MS)
        assert len(trades.id) > 100
        assert (np.diff(trades.id) == 1).all()
        assert (np.diff(trades.time) >= 0).all()
        assert (np.diff(trades.published) >= 0).all()
        assert (trades.published >= trades.time).all()
        assert trades.time[0] >= edge - 3 * MINUTE_MS
        assert trades.time[-1] < edge + 3 * MINUTE_MS


def test_a_day_holds_its_ids_and_no_more() -> None:
    sparse = Market(7, ("BTC-USDT",), 0.01)
    ids = [int(number) for minute in range(1440) for number in sparse.minute(BTC, minute).trades.id]
    assert ids == list(range(1, 864 + 1))
    assert sparse.id_at(BTC, GENESIS_MS + DAY_MS) == 865


def test_every_day_ends_where_the_next_begins(market: Market) -> None:
    """Not an id before: rounding once cost every fiftieth day its last."""
    for native in market.listings:
        days = [market.day(native, number) for number in range(200)]
        assert all(a.first[-1] == b.first[0] for a, b in pairwise(days))


def test_windows_of_any_length_join_to_the_same_tape(market: Market) -> None:
    whole = texts(market, "btcusdt@aggTrade", NOON, NOON + 120_000)
    edges = [NOON, NOON + 1, NOON + 7, NOON + 5_000, NOON + 59_999, NOON + 60_000, NOON + 60_005, NOON + 120_000]
    assert [text for a, b in pairwise(edges) for text in texts(market, "btcusdt@aggTrade", a, b)] == whole


@settings(deadline=None, max_examples=30)
@given(number=st.integers(1, 10**9))
def test_any_id_can_be_asked_for(number: int) -> None:
    trades = FRESH.trades(BTC, number, number + 3)
    assert trades.id.tolist() == [number, number + 1, number + 2]
    assert FRESH.id_at(BTC, int(trades.time[0])) <= number < FRESH.id_at(BTC, int(trades.time[0]) + 1)


FRESH = Market(7, SYMBOLS, 20.0)


def test_times_before_the_genesis_have_no_trades(market: Market) -> None:
    assert market.id_at(BTC, GENESIS_MS - 1) == market.unpublished(BTC, GENESIS_MS - DAY_MS) == 1
    assert market.frames("btcusdt@aggTrade", GENESIS_MS - 5000, GENESIS_MS - 1) == []
    assert market.trades(BTC, -5, 3).id.tolist() == [1, 2]


def test_unknown_streams_are_silent(market: Market) -> None:
    for stream in ("xrpusdt@aggTrade", "BTCUSDT@aggTrade", "btcusdt@kline_1m", "", "@", "btcusdt"):
        assert market.frames(stream, NOON, NOON + 60_000) == []


def test_prices_are_continuous_and_on_the_grid(market: Market) -> None:
    midnight = NOON + DAY_MS // 2
    for native, listing in market.listings.items():
        path = np.log(market.mid(native, np.arange(midnight - 600_000, midnight + 600_000, 50.0)))
        assert np.abs(np.diff(path)).max() < 1e-3
        trades = between(market, native, midnight - 60_000, midnight + 60_000)
        assert (trades.price % listing.tick == 0).all()
        assert (trades.size >= 1).all()


def test_an_event_moves_the_price_and_is_forgotten(market: Market) -> None:
    minute = (NOON - GENESIS_MS) // MINUTE_MS
    day = market.day(BTC, minute // 1440)
    struck = int(np.argmax(np.abs(day.move)))
    begin = GENESIS_MS + (minute // 1440 * 1440 + struck) * MINUTE_MS + day.strike[struck]
    before, after = np.log(market.mid(BTC, np.array([begin, begin + day.length[struck]])))
    assert (after - before) * day.move[struck] > 0
    assert abs(after - before) > 0.5 * abs(day.move[struck])
    assert (day.strike + day.length + FADE_MS < 3 * MINUTE_MS).all(), "else the price would jump where it is dropped"


def test_the_rate_cuts_the_same_flow_finer() -> None:
    slow, fast = (Market(7, SYMBOLS, rate) for rate in (20.0, 80.0))
    for native in slow.listings:
        few, many = (between(market, native, NOON, NOON + 600_000) for market in (slow, fast))
        assert len(many.id) == pytest.approx(4 * len(few.id), rel=0.01)
        assert many.size.sum() == pytest.approx(few.size.sum(), rel=0.01)
    days = [slow.id_at(native, NOON + DAY_MS) - slow.id_at(native, NOON) for native in slow.listings]
    assert sum(days) / 86_400 == pytest.approx(20, rel=0.1)


def test_takers_buy_at_the_ask_and_sell_at_the_bid_that_are_shown(market: Market) -> None:
    minute = market.minute(BTC, (NOON - GENESIS_MS) // MINUTE_MS)
    trades, leads = minute.trades, minute.leads
    assert (minute.ask > minute.bid).all()
    assert (trades.price[leads] == np.where(trades.sell, minute.bid, minute.ask)[leads]).all()
    assert (trades.price[trades.sell] <= minute.bid[trades.sell]).all()
    assert (trades.price[~trades.sell] >= minute.ask[~trades.sell]).all()


def test_flow_is_clustered_heavy_tailed_and_persistent_in_sign(market: Market) -> None:
    trades = between(market, BTC, NOON, NOON + 1_800_000)
    counts = np.bincount((trades.time - NOON) // 1000)
    assert counts.var() > 5 * counts.mean(), "a Poisson process has 1"
    sizes = np.sort(trades.size)
    assert sizes[-len(sizes) // 100 :].sum() > 0.1 * sizes.sum(), "the largest hundredth has a tenth of the volume"
    sign = np.where(trades.sell, -1, 1)
    assert np.corrcoef(sign[:-1], sign[1:])[0, 1] > 0.1
    assert 0.35 < 1 - trades.sell.mean() < 0.6
    swept = (np.diff(trades.time) == 0) & (np.diff(trades.sell.astype(int)) == 0) & (np.diff(trades.price) != 0)
    assert swept.sum() > 100, "taker orders over several prices"


def test_a_bucket_of_half_a_coin_fills_in_about_a_second(market: Market) -> None:
    flows = {native: market.candles(native, "1d", NOON - 14 * DAY_MS, NOON - DAY_MS, NOON) for native in market.listings}
    per_second = {
        native: np.mean([day.volume for day in days]) / 10 ** market.listings[native].size_decimals / 86_400
        for native, days in flows.items()
    }
    assert per_second[BTC] == pytest.approx(0.5, rel=0.2)
    assert all(flow / 0.5 < 20 for flow in per_second.values())


def zscores(values: npt.NDArray[np.float64], window: int) -> npt.NDArray[np.float64]:
    past = np.lib.stride_tricks.sliding_window_view(values, window)[:-1]
    scores: npt.NDArray[np.float64] = (values[window:] - past.mean(1)) / past.std(1)
    return scores


def test_within_a_minute_or_so_something_strikes_the_detectors_of_the_demo(market: Market) -> None:
    start, hour = NOON, 3_600_000
    big, surges = [np.array([start])], [np.array([start])]
    for native, listing in market.listings.items():
        trades = between(market, native, start - 300_000, start + hour)
        notional = trades.price * trades.size / 10.0 ** (listing.price_decimals + listing.size_decimals)
        heads = np.flatnonzero((np.diff(trades.time, prepend=0) != 0) | (np.diff(trades.sell.astype(int), prepend=9) != 0))
        orders = np.add.reduceat(notional, heads)
        struck = (zscores(np.log(orders), 200) >= 3.0) & (orders[200:] >= 20_000)
        big.append(trades.time[heads][200:][struck])
        seconds = candles(trades, 1000)
        volume = np.array([bar.volume for bar in seconds]) / 10.0**listing.size_decimals
        ratio = volume[60:] / np.lib.stride_tricks.sliding_window_view(volume, 60)[:-1].mean(1)
        struck = (zscores(np.log1p(volume), 60) >= 3.0) & (ratio >= 3.0)
        surges.append(np.array([bar.start for bar in seconds])[60:][struck])
    for times in big, surges:
        when = np.unique(np.append(np.concatenate(times), start + hour))
        when = when[when >= start]
        assert np.diff(when).max() < 90_000
        assert np.median(np.diff(when)) < 60_000


def test_minute_candles_are_those_of_the_trades(market: Market) -> None:
    now = NOON + 30_500
    rows = market.candles(BTC, "1m", NOON - 3 * MINUTE_MS, NOON, now)
    assert [row.start for row in rows] == [NOON + i * MINUTE_MS for i in (-3, -2, -1, 0)]
    for row in rows:
        stop = min(market.id_at(BTC, row.start + MINUTE_MS), market.unpublished(BTC, now))
        trades = market.trades(BTC, market.id_at(BTC, row.start), stop)
        price, size, sell = trades.price.tolist(), trades.size.tolist(), trades.sell.tolist()
        assert (row.open, row.high, row.low, row.close) == (price[0], max(price), min(price), price[-1])
        assert row.volume == sum(size)
        assert row.notional == sum(p * q for p, q in zip(price, size, strict=True))
        assert row.buy_volume == sum(q for q, m in zip(size, sell, strict=True) if not m)
        assert row.buy_notional == sum(p * q for p, q, m in zip(price, size, sell, strict=True) if not m)
        assert row.fills == sum(b - a + 1 for a, b in zip(trades.first.tolist(), trades.last.tolist(), strict=True))


def test_the_volume_of_a_daily_candle_is_that_of_its_minutes() -> None:
    market = Market(7, ("ETH-USDT",), 1.0)
    day = NOON - DAY_MS // 2
    now = day + DAY_MS + 12_345_678
    full, partial = market.candles("ETHUSDT", "1d", day, now, now)
    minutes = market.candles("ETHUSDT", "1m", day, now, now)
    assert full.volume == sum(row.volume for row in minutes if row.start < day + DAY_MS)
    assert partial.volume == sum(row.volume for row in minutes if row.start >= day + DAY_MS)
    assert full.notional == pytest.approx(sum(row.notional for row in minutes if row.start < day + DAY_MS), rel=0.01)


def test_candles_at_high_rates_reach_back_less_far() -> None:
    rows = Market(7, ("BTC-USDT",), 10_000.0).candles(BTC, "1m", NOON - 1000 * MINUTE_MS, NOON, NOON)
    assert 2 <= len(rows) <= 6


def test_an_instrument_of_no_known_nature_trades_too() -> None:
    market = Market(7, ("XYZ-USDC",), 5.0)
    assert list(market.listings) == ["XYZUSDC"]
    assert len(between(market, "XYZUSDC", NOON, NOON + 60_000).id) > 50
    assert "XYZ" not in NATURES


def test_a_symbol_that_cannot_be_split_is_refused() -> None:
    with pytest.raises(ValueError, match="write it like BTC-USDT"):
        Market(7, ("NONSENSE",), 20.0)


def test_a_cascade_falls_on_high_volume_and_leaves_ids_and_other_minutes_alone(market: Market) -> None:
    planted = Market(7, SYMBOLS, 20.0)
    planted.prepare(NOON + 30_000)
    begin = planted.cascade(BTC, 0.015, NOON + 10_000)
    assert begin == NOON + MINUTE_MS
    ours, theirs = (between(of, BTC, begin, begin + MINUTE_MS) for of in (planted, market))
    assert np.array_equal(ours.id, theirs.id)
    assert ours.size.sum() == 8 * theirs.size.sum()
    low = ours.price.min() / between(planted, BTC, NOON, begin).price[-1]
    assert -0.017 < np.log(low) < -0.012
    struck = (ours.time >= begin + 3_000) & (ours.time < begin + 15_000)
    assert ours.sell[struck].mean() > 0.7
    assert len(planted.frames("btcusdt@forceOrder", begin, begin + MINUTE_MS)) > 30
    before, after = NOON, begin + 10 * MINUTE_MS
    for stream, start in (("btcusdt@aggTrade", before), ("ethusdt@aggTrade", begin), ("btcusdt@aggTrade", after)):
        assert texts(planted, stream, start, start + MINUTE_MS - 1) == texts(market, stream, start, start + MINUTE_MS - 1)


def test_a_cascade_is_there_when_its_day_is_drawn_anew(market: Market) -> None:
    planted = Market(7, SYMBOLS, 20.0)
    begin = planted.cascade(BTC, 0.015, NOON)
    first = texts(planted, "btcusdt@aggTrade", begin, begin + MINUTE_MS)
    planted.day.cache_clear()
    planted.minute.cache_clear()
    assert texts(planted, "btcusdt@aggTrade", begin, begin + MINUTE_MS) == first
    assert first != texts(market, "btcusdt@aggTrade", begin, begin + MINUTE_MS)
