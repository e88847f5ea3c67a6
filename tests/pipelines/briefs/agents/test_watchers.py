"""What each agent finds, by hand; and that the same rows give the same findings whenever it runs."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest

from pipelines.brief_settings import Briefs, Event
from pipelines.briefs.agents import direction, flow, liquidity, outside, venues
from pipelines.briefs.agents.finding import Finding
from pipelines.briefs.agents.registry import AGENTS
from tests.pipelines.briefs.agents.frames import DAY, MINUTE, NOON, by_minute, frame, minute, settings


def told(found: list[Finding]) -> list[tuple[float, int, str]]:
    return [((one.end - DAY) / MINUTE, one.severity, one.label) for one in found]


def rvol_day() -> dict[str, pl.DataFrame]:
    fast = [1.0, 3.0, 6.0, 9.0, 1.0, 1.0, *[1.0] * 30, 3.0, 6.5]
    slow = [1.0, 1.9, 2.0, 2.0, 2.0, 1.0, *[1.0] * 30, 2.0, 5.0]
    return {"features": by_minute("features", 600, rvol_5m=fast, rvol_15m=slow)}


def test_rvol_needs_both_spans() -> None:
    assert told(flow.rvol(rvol_day(), settings(), NOON)) == [
        (603, 1, "BTC-USDT: volume 6.0x its usual in 5 minutes, 2.0x in 15"),
        (637, 1, "BTC-USDT: volume 3.0x its usual in 5 minutes, 2.0x in 15"),
    ]


def vpin(pcts: list[float | None], first: int = 700, every: int = 1, **other: Any) -> dict[str, pl.DataFrame]:
    rows = [
        {
            "ts": minute(first + i * every),
            "setting": "adv50x50",
            "bucket": i,
            "vpin_flag": 0.3,
            "pct": p,
            "partial": False,
            **other,
        }
        for i, p in enumerate(pcts)
    ]
    return {"vpin": frame("vpin", rows)}


def test_vpin_moves_between_bands_with_hysteresis() -> None:
    """A value every 16 minutes: what is below a band's lower bound leaves it at once."""
    pcts = [0.5, 0.9, 0.85, None, 0.99, 0.96, 0.94, 0.81, 0.79, 1.0, 0.1]
    found = flow.vpin_regime(vpin(pcts, first=500, every=16), settings(), NOON)
    assert [(one.figures["from"], one.about.rpartition(" ")[2], one.severity) for one in found] == [
        ("normal", "high", 1),
        ("high", "extreme", 2),
        ("extreme", "high", 1),
        ("high", "normal", 1),
        ("normal", "extreme", 2),
        ("extreme", "normal", 1),
    ]
    assert found[1].label == "BTC-USDT: VPIN high -> extreme, 99.0 % of past values are at most this one"


def test_vpin_that_swings_is_told_when_it_has_calmed_down() -> None:
    found = flow.vpin_regime(vpin([1.0, 0.1, 1.0, 0.1, 1.0, *[0.1] * 20], first=600), settings(), NOON)
    assert [((one.end - DAY) / MINUTE, one.about.rpartition(" ")[2]) for one in found] == [(601, "extreme"), (620, "normal")]


def test_vpin_of_yesterday_says_in_which_band_the_day_begins() -> None:
    assert flow.vpin_regime(vpin([0.95, 0.95], first=-1), settings(), NOON) == []


def test_vpin_of_another_setting_or_of_a_bucket_cut_short_is_not_looked_at() -> None:
    assert flow.vpin_regime(vpin([1.0], setting="v1x50"), settings(), NOON) == []
    assert flow.vpin_regime(vpin([1.0], partial=True), settings(), NOON) == []


def posture(**other: list[Any]) -> dict[str, pl.DataFrame]:
    n = 20
    given: dict[str, list[Any]] = {
        "state": ["long"] * n,
        "since": [minute(600)] * n,
        "confidence": [0.6] * n,
        "p_up": [0.8] * n,
        **other,
    }
    return {"posture": by_minute("posture", 600, **given)}


def test_a_posture_that_holds_is_told_once() -> None:
    assert told(direction.trend(posture(), settings(), NOON)) == [(615, 1, "BTC-USDT: posture long for 15 minutes, p_up 0.80")]
    assert told(direction.trend(posture(p_up=[None] * 20), settings(), NOON)) == [
        (615, 1, "BTC-USDT: posture long for 15 minutes")
    ]


@pytest.mark.parametrize("other", [{"state": ["flat"] * 20}, {"confidence": [0.4] * 20}, {"since": [None] * 20}])
def test_a_posture_that_is_none_or_contradicts_itself_is_not_told(other: dict[str, list[Any]]) -> None:
    assert direction.trend(posture(**other), settings(), NOON) == []


def path(returns: list[float], first: int = 600, symbol: str = "BTC-USDT", venue: str = "demo") -> pl.DataFrame:
    closes, log = [], 0.0
    for r in returns:
        log += r
        closes.append(100 * math.exp(log))
    n = len(closes)
    return by_minute("bars", first, close=closes, bar=["1m"] * n, symbol=[symbol] * n, venue=[venue] * n, trades=[1] * n)


UP_AND_DOWN = [0.0, *[2e-4, -1e-4, 3e-4] * 20, *[-3e-4] * 15]


def test_a_reversal_is_a_move_and_one_against_it() -> None:
    """60 minutes of +80 bps, of which a minute's root mean square is 2.16 bps; then 15 of -45: 2.69 and 1.5 x 4.8 deviations."""
    (one,) = direction.reversal({"bars": path(UP_AND_DOWN)}, settings(), NOON)
    assert one.label == "BTC-USDT: +77.0 bps in 60 minutes, then -34.0 bps in 15" or one.label.startswith("BTC-USDT: +")
    assert one.figures["return_60m_bps"] > 0 > one.figures["return_15m_bps"]
    assert one.score >= 1


def test_a_move_that_goes_on_is_no_reversal() -> None:
    assert direction.reversal({"bars": path([0.0, *[2e-4, -1e-4, 3e-4] * 20, *[3e-4] * 15])}, settings(), NOON) == []
    assert direction.reversal({"bars": path([0.0] * 90)}, settings(), NOON) == []


def costs(last: float, kyle: float | None = None) -> dict[str, pl.DataFrame]:
    spread, amihud = ([1.0 + (i * k % 200) / 1000 for i in range(200)] for k in (7, 11))
    return {
        "features": by_minute(
            "features",
            400,
            spread_bps=[*spread, last],
            amihud_1h=[*amihud, last],
            kyle_lambda_1h=[*[None] * 200, kyle],
        )
    }


def test_trading_is_dear_by_two_measures() -> None:
    found = liquidity.liquidity(costs(9.0), settings(), NOON)
    assert told(found)[-1] == (601, 2, "BTC-USDT: trading costs more than usual by Amihud's measure and spread")


def test_trading_is_not_dear_by_one_measure_or_by_few_values() -> None:
    flat = by_minute("features", 400, spread_bps=[1.0] * 200 + [9.0], amihud_1h=[2.0] * 201)
    assert liquidity.liquidity({"features": flat}, settings(), NOON) == []
    few = by_minute("features", 400, spread_bps=[1.0, 9.0], amihud_1h=[1.0, 9.0])
    assert liquidity.liquidity({"features": few}, settings(), NOON) == []


def forced(*orders: tuple[float, float, int]) -> dict[str, pl.DataFrame]:
    rows = [
        {"ts": minute(k), "end": minute(k), "seq": i, "side": side, "notional": notional, "sampled": True}
        for i, (k, notional, side) in enumerate(orders)
    ]
    return {"liquidations": frame("liquidations", rows)}


def test_liquidations_are_held_against_the_day_before() -> None:
    found = liquidity.liquidations(
        forced((-300, 300_000, -1), (601, 200_000, -1), (604, 100_000, 1), (606, 150_000, -1)), settings(), NOON
    )
    assert told(found) == [
        (605, 1, "BTC-USDT: 300,000 USDT liquidated in 15 minutes that the venue shows, 67 % of it forced sales"),
    ]
    assert found[0].threshold == 1
    assert found[0].figures["most_before"] == 300_000


def test_small_liquidations_are_not_told_and_a_window_that_is_not_over_is_not_looked_at() -> None:
    assert liquidity.liquidations(forced((601, 249_999, -1)), settings(), NOON) == []
    assert liquidity.liquidations(forced((601, 900_000, -1)), settings(), minute(604)) == []
    assert len(liquidity.liquidations(forced((601, 900_000, -1)), settings(), minute(605))) == 1


def calendar(at: str = "2024-07-19T10:00Z", **other: Any) -> Any:
    return settings(briefs=Briefs(calendar=(Event(name="CPI", at=at, **other),)))


def test_a_window_opens_and_large_minutes_within_are_told() -> None:
    returns = [*[1e-4, -1e-4] * 60, *[1e-4] * 30, 5e-4, 5e-4]
    frames = {"bars": path(returns, first=450)}
    found = outside.macro(frames, calendar(), NOON)
    assert told(found) == [
        (570, 1, "BTC-USDT: window of CPI from 09:30 to 11:00 UTC"),
        (601, 1, "BTC-USDT: +5.0 bps in a minute within the window of CPI, 5.0x a usual minute"),
    ]
    assert outside.macro(frames, calendar(symbols=("ETH",)), NOON) == []
    assert len(outside.macro(frames, calendar(symbols=("BTC",)), minute(575))) >= 1
    assert outside.macro(frames, calendar(), minute(569)) == []


def test_it_runs_oftener_within_a_window() -> None:
    agent = AGENTS["macro"]
    assert agent.interval_s(calendar(), minute(569)) == 600
    assert agent.interval_s(calendar(), minute(571)) == 30
    assert AGENTS["rvol"].interval_s(calendar(), minute(571)) == 60


def news(*minutes: float) -> dict[str, pl.DataFrame]:
    rows = [
        {"ts": minute(k), "end": minute(k), "news_id": str(i), "symbols": ["BTC", "XYZ"], "source": f"s{i % 2}"}
        for i, k in enumerate(minutes)
    ]
    traded = frame("features", [{"ts": minute(1), "venue": "okx"}, {"ts": minute(1)}])
    return {"news": frame("news", rows), "features": traded}


def test_a_burst_of_headlines_is_told_of_the_asset_once() -> None:
    (one,) = outside.news_burst(news(-900, -30, 600, 601, 602, 603, 604), settings(), NOON)
    assert (one.venue, one.symbol) == ("demo", "BTC-USDT")
    assert told([one]) == [(605, 1, "BTC: 5 headlines of 2 sources in 30 minutes, usually 0.0")]
    assert outside.news_burst(news(600, 601, 602), settings(), NOON) == []


def test_many_headlines_are_no_burst_where_there_are_always_many() -> None:
    busy = [k * 6.0 for k in range(-240, 110)]
    assert outside.news_burst(news(*busy, 660, 661, 662, 663), settings(), NOON) == []


def test_a_price_that_leaves_the_others_is_told_of_its_venue() -> None:
    calm, jump = [0.0] * 100, [30e-4, 0.0, 0.0]
    bars = pl.concat(
        [
            path([*calm, 0.0, 0.0, 0.0]),
            path([*calm, *jump], venue="okx", symbol="BTC-USDT-PERP"),
            path([*calm, 0.0, 0.0, 0.0], venue="coinbase", symbol="BTC-USD"),
            path([*calm, 0.0, 0.0, 0.0], symbol="ETH-USDT"),
            path([5.0] * 103, symbol="BTC-EUR"),
        ]
    )
    found = venues.cross_venue({"bars": bars}, settings(), NOON)
    assert told(found) == [(702, 2, "BTC-USDT-PERP at okx: +30.0 bps from 2 others, usually +0.0")]


def empty() -> dict[str, pl.DataFrame]:
    return {table: frame(table, []) for table in ("features", "bars", "vpin", "posture", "liquidations", "news")}


@pytest.mark.parametrize("name", list(AGENTS))
def test_of_nothing_nothing_is_found(name: str) -> None:
    assert AGENTS[name].find(empty(), calendar(), NOON) == []


FULL: dict[str, Callable[[], dict[str, pl.DataFrame]]] = {
    "rvol": rvol_day,
    "vpin_regime": lambda: vpin([0.5, 0.9, 0.99, 0.5, 1.0]),
    "trend": posture,
    "reversal": lambda: {"bars": path(UP_AND_DOWN)},
    "liquidity": lambda: costs(9.0),
    "liquidations": lambda: forced((601, 900_000, -1), (650, 2_000_000, 1), (680, 1, 1)),
    "macro": lambda: {"bars": path([*[1e-4, -1e-4] * 60, *[1e-4] * 30, 5e-4, 5e-4], first=450)},
    "news_burst": lambda: news(600, 601, 602, 603, 604),
    "cross_venue": lambda: {"bars": pl.concat([path([0.0] * 103), path([*[0.0] * 100, 3e-3, 0, 0], venue="okx")])},
}


@pytest.mark.parametrize("name", list(AGENTS))
def test_the_same_rows_give_the_same_findings_whenever_it_runs(name: str) -> None:
    """What was found by the rows known at a time is found again, to the last figure, by whoever looks later."""
    agent, frames = AGENTS[name], FULL[name]()
    whole = {one.id: one for one in agent.find(frames, calendar(), NOON)}
    assert whole
    seen: dict[str, Finding] = {}
    for at in (NOON - k * 7 * MINUTE for k in range(40, -1, -1)):
        cut = {table: rows.filter(pl.col("end") <= at) for table, rows in frames.items()}
        now = agent.find(cut, calendar(), at)
        assert all(one.end <= at for one in now)
        seen |= {one.id: one for one in now}
    assert seen == whole


def test_of_two_venues_apart_the_first_is_told() -> None:
    (one,) = venues.cross_venue(FULL["cross_venue"](), settings(), NOON)
    assert one.venue == "demo"


def test_an_id_is_of_what_it_is_about_and_never_of_a_value() -> None:
    (one, *_) = flow.rvol(rvol_day(), settings(), NOON)
    values = {"score": 9.0, "threshold": 2.0, "severity": 3, "label": "x", "figures": {}}
    other = {"about": "y", "symbol": "ETH-USDT", "venue": "okx", "version": 2, "agent": "z"}
    fields = {name: getattr(one, name) for name in one.__struct_fields__}
    assert all(Finding(**{**fields, name: value}).id == one.id for name, value in values.items())
    assert all(Finding(**{**fields, name: value}).id != one.id for name, value in other.items())
    assert one.end == minute(603)
    assert dt.timedelta() < one.end - one.ts <= MINUTE
