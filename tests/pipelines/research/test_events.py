"""Events made from prices: known answers, a slow reference, and what must not change them."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.market import DAY_US
from pipelines.research import events
from pipelines.research.events import find
from pipelines.research.rules import RuleError, parse, span_text, span_us
from tests.conftest import SHARED
from tests.pipelines.research.minutes import DAY, MINUTE, bars, minutes, spans

FLAT = [100.0] * 5
PRICE = st.sampled_from([98.0, 99.0, 100.0, 101.0, 102.0, 103.0])
PRICES = st.lists(st.none() | PRICE, min_size=1, max_size=60)
RULES = st.sampled_from(["move:1%/1m", "move:1%/5m", "move:2%/3m", "move:3%/10m", "rv:20%/5m", "rv:50%/2m", "jump:1%/5m"])


def found(rule: str, frame: pl.DataFrame) -> list[tuple[float, float]]:
    return minutes(find(parse(rule), frame))


def watched(frame: pl.DataFrame, rule: str = "move:1%/5m") -> pl.DataFrame:
    return events.watched(parse(rule), frame)


def test_a_move_starts_at_the_latest_close_it_is_far_enough_from() -> None:
    frame = bars([*FLAT, 100.4, 100.7, 101.0, 101.0])
    assert found("move:1%/10m", frame) == [(5, 8)], "ends with the minute of 101, starts when 100 was last the price"
    assert found("move:1%/3m", frame) == [(5, 8)]
    assert found("move:1%/2m", frame) == []


def test_a_move_down_is_one_and_a_move_of_exactly_the_share_too() -> None:
    assert found("move:1%/1m", bars([100.0, 99.0])) == [(1, 2)]
    assert found("move:0.1%/1m", bars([1000.0, 1001.0])) == [(1, 2)], "1001 / 1000 - 1 is rounded to less than 0.001"
    assert found("move:1%/1m", bars([100.0, 100.99])) == []


def test_moves_do_not_overlap() -> None:
    assert found("move:1%/5m", bars([100.0, 101.0, 102.0, 102.5, 103.1])) == [(1, 2), (2, 4)], "102 is not 1 % from 101"
    assert found("move:1%/5m", bars([100.0, 102.0, 100.0])) == [(1, 2), (2, 3)]
    assert found("move:1%/5m", bars([100.0, 100.5, 101.0, 101.5])) == [(1, 3)], "101.5 is far from 100.5, before the end"


def test_the_price_stays_over_minutes_without_a_trade() -> None:
    assert found("move:1%/2m", bars([100.0, None, None, None, 101.0])) == [(4, 5)]


def test_nobody_watched_where_bars_are_missing_for_long_or_lost() -> None:
    quiet, long = [100.0, *[None] * 10, 101.0], [100.0, *[None] * 11, 101.0]
    assert minutes(watched(bars(quiet))) == [(0, 12)]
    assert minutes(watched(bars(long))) == [(0, 1), (12, 13)]
    assert found("move:1%/1m", bars(quiet)) == [(11, 12)]
    assert found("move:1%/20m", bars(long)) == []
    assert minutes(watched(bars([100.0, None, 101.0], quality="gap"))) == [(0, 1), (2, 3)]
    assert minutes(watched(bars([100.0, 100.0, 101.0], quality="gap"))) == [(0, 3)], "no minute is missing"
    unknown = bars([100.0, None, 101.0]).with_columns(quality=pl.lit(None, pl.String))
    assert minutes(watched(unknown)) == [(0, 3)]


def test_what_is_no_minute_is_left_out() -> None:
    frame = bars([100.0, 101.0])
    hour = frame.head(1).with_columns(end=pl.col("ts") + pl.duration(hours=1), close=500.0)
    assert minutes(watched(pl.concat([hour, frame, frame]))) == [(0, 2)]
    assert found("move:1%/1m", pl.concat([hour, frame, frame])) == [(1, 2)]


def test_instruments_are_apart() -> None:
    frame = pl.concat([bars([100.0, 100.0]), bars([200.0, 202.0], symbol="ETH-USDT")])
    assert find(parse("move:1%/5m"), frame).rows()[0][:2] == ("demo", "ETH-USDT")
    assert watched(frame)["symbol"].to_list() == ["BTC-USDT", "ETH-USDT"]


def test_volatile_spans_are_the_top_share_and_only_the_first_of_a_run() -> None:
    calm, wild = [100.0, 100.0], [101.0, 100.0]
    frame = bars([100.0, *calm, *wild, *wild, *calm, *calm], begin=DAY - MINUTE)
    assert found("rv:40%/2m", frame) == [(2, 4)], "two of five spans are high, and they are neighbours"
    assert found("rv:19%/2m", frame) == [], "no whole span is in the top share"
    assert found("rv:40%/2m", bars([100.0] * 20)) == [], "a price that stays is never volatile"
    assert found("rv:99%/2m", bars([100.0])) == []


def five_minutes(returns: list[float]) -> pl.DataFrame:
    """Return minutes whose close changes at the end of every fifth."""
    steps = np.exp(np.cumsum([0.0, *returns]))
    return bars(np.repeat(100.0 * steps, 5).tolist(), begin=DAY - MINUTE)


def test_a_jump_is_a_return_that_stands_out_against_the_day_before() -> None:
    calm = [0.001, -0.001] * 200
    jumping = [*calm[:350], 0.0054, *calm[351:]]
    end = 5 * 350
    assert found("jump:1%/5m", five_minutes(calm)) == []
    assert found("jump:1%/5m", five_minutes(jumping)) == [(end, end + 5)], "5.4 sigma; from 5.395 on it is a jump"
    assert found("jump:1%/5m", five_minutes([*calm[:350], 0.00539, *calm[351:]])) == []
    assert found("jump:5%/5m", five_minutes([*calm[:350], 0.00539, *calm[351:]])) == [(end, end + 5)]
    assert found("jump:1%/5m", five_minutes([*calm[:100], 0.05, *calm[101:]])) == [], "nothing is known of the day before"
    assert found("jump:1%/5m", five_minutes([0.0] * 400)) == []


def test_a_rule_is_watched_for_from_when_it_can_tell() -> None:
    frame = bars([100.0] * 3000)
    assert minutes(watched(frame, "move:1%/5m")) == minutes(watched(frame, "rv:1%/5m")) == [(0, 3000)]
    assert minutes(watched(frame, "jump:1%/5m")) == [(325 * 5, 3000)]
    assert minutes(watched(frame.head(325 * 5), "jump:1%/5m")) == []


def test_no_bars_no_events() -> None:
    assert found("move:1%/5m", bars([])) == minutes(watched(bars([]))) == []
    assert find(parse("rv:1%/5m"), bars([])).schema == spans([(0, 1)]).schema


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("move", "write move:1%/10m, rv:5%/10m or jump:1%/5m"),
        ("crash:1%/10m", "no event rule"),
        ("move:1/10m", "no event rule"),
        ("move:0%/10m", "between 0% and 100%"),
        ("move:100%/10m", "between 0% and 100%"),
        ("move:1%/90s", "whole minutes"),
        ("move:1%/2d", "up to a day"),
        ("move:1%/10x", "no span of time"),
        ("rv:1%/7m", "no whole number"),
        ("jump:1%/10m", "write 5m"),
    ],
)
def test_a_wrong_rule_is_refused(text: str, told: str) -> None:
    with pytest.raises(RuleError, match=told):
        parse(text)


@pytest.mark.parametrize(("text", "us"), [("90s", 90_000_000), ("10m", 10 * MINUTE), ("1h", 60 * MINUTE), ("2d", 2 * DAY_US)])
def test_spans_of_time(text: str, us: int) -> None:
    assert span_us(text) == us
    assert span_text(us) == text
    for wrong in ("0m", "-1m", "m", "1.5h", "1w", ""):
        with pytest.raises(RuleError):
            span_us(wrong)


def slow_moves(share: float, minutes_within: int, closes: list[float]) -> list[tuple[float, float]]:
    """Return the moves within one spell, by looking at every pair of closes."""
    out, over = [], 0
    for i, close in enumerate(closes):
        since = [j for j in range(max(over, i - minutes_within), i) if abs(close / closes[j] - 1) > share - 1e-9]
        if since:
            out.append((since[-1] + 1.0, i + 1.0))
            over = i
    return out


@settings(max_examples=60, deadline=None)
@given(st.lists(PRICE, min_size=1, max_size=60), st.sampled_from([(1, 1), (1, 5), (2, 3), (3, 10)]))
def test_moves_equal_those_of_a_slow_search(closes: list[float], rule: tuple[int, int]) -> None:
    assert found(f"move:{rule[0]}%/{rule[1]}m", bars(closes)) == slow_moves(rule[0] / 100, rule[1], closes)


@settings(max_examples=40, deadline=None)
@given(PRICES, RULES, st.integers(-30, 30))
def test_a_shift_by_whole_days_shifts_events(closes: list[float | None], rule: str, days: int) -> None:
    there = bars(closes, begin=DAY + days * DAY_US)
    back = pl.col("start", "end") - pl.duration(days=days)
    assert minutes(find(parse(rule), there).with_columns(back)) == found(rule, bars(closes))
    assert minutes(watched(there).with_columns(back)) == minutes(watched(bars(closes)))


@settings(max_examples=40, deadline=None)
@given(PRICES, RULES, st.sampled_from([2.0**-20, 0.5, 1024.0]))
def test_the_scale_of_prices_changes_no_event(closes: list[float | None], rule: str, scale: float) -> None:
    scaled = [c and c * scale for c in closes]
    assert found(rule, bars(scaled)) == found(rule, bars(closes))


@settings(max_examples=40, deadline=None)
@given(PRICES, st.sampled_from(["move:1%/5m", "move:3%/10m"]), st.integers(0, 60))
def test_a_move_is_the_same_when_later_bars_are_deleted(closes: list[float | None], rule: str, keep: int) -> None:
    early = [e for e in found(rule, bars(closes)) if e[1] <= keep]
    assert found(rule, bars(closes[:keep])) == early


@settings(max_examples=40, deadline=None)
@given(PRICES, RULES)
def test_events_lie_one_after_the_other_within_what_was_watched(closes: list[float | None], rule: str) -> None:
    frame = bars(closes)
    spells, over = minutes(watched(frame)), -math.inf
    for start, end in found(rule, frame):
        assert over <= start < end <= start + parse(rule).within_us / MINUTE
        assert any(a <= start and end <= b for a, b in spells)
        over = end


@pytest.mark.real
def test_a_price_that_never_moves_has_no_events() -> None:
    """FTTUSDT, delisted: constant price, zero volume."""
    path = SHARED / "ohlcv/farukort_binance_usdm_1m_20250617-20250623.parquet"
    rows = pl.read_parquet(path).filter(pl.col("symbol").is_in(["FTTUSDT", "BTCUSDT"]))
    ts = pl.col("open_time").dt.replace_time_zone("UTC")
    frame = rows.select(
        "symbol", "close", ts=ts, end=ts + pl.duration(minutes=1), venue=pl.lit("binance-usdm"), quality=pl.lit("")
    )
    for rule in ("move:0.1%/60m", "rv:10%/10m"):
        assert find(parse(rule), frame)["symbol"].unique().to_list() == ["BTCUSDT"]
    assert watched(frame).height == 2
