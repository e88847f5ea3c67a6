"""Sheets: known answers, what was known at a time, and what is said where little is."""

from __future__ import annotations

import datetime as dt
import itertools
import math
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipelines.briefs import collect, falsifiers, render
from pipelines.briefs.fact import Fact, Unit
from pipelines.briefs.keep import keep
from pipelines.briefs.measure import SETTING, digest, measured
from pipelines.briefs.reading import Reader
from pipelines.briefs.sheet import Brief, Sheet
from pipelines.briefs.words import insert
from pipelines.market import ALERTS, TABLES
from pipelines.settings import Settings, Venue
from pipelines.store.lake import Lake
from tests import tapes
from tests.pipelines.briefs.lakes import AT, DEMO, MINUTES, SETTINGS, copy, cut, known, random_days
from tests.pipelines.store.samples import moment, put, rows

HOUR = dt.timedelta(hours=1)
RANDOM = ("binance-usdm", "AAA-USDT-PERP")
RANDOM_SETTINGS = Settings(venues={"binance-usdm": Venue(symbols=("AAAUSDT",))}, kernels=tapes.KERNELS)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return known(tmp_path_factory.mktemp("known"))


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return random_days(tmp_path_factory.mktemp("days"))


def sheet(lake: Lake, at: dt.datetime = AT, settings: Settings = SETTINGS, who: tuple[str, str] = DEMO) -> Sheet:
    return collect.collect(lake, [who], at, settings, "hourly")[0]


def facts(found: Sheet) -> dict[str, Fact]:
    return {fact.name: fact for fact in found.facts}


def words(found: Sheet, part: str) -> list[str]:
    by_id = {fact.id: fact for fact in found.facts}
    return [insert(sentence.text, by_id) for sentence in getattr(found, part)]


def brief(lake: Lake, at: dt.datetime, settings: Settings = SETTINGS) -> Brief:
    made = collect.collect(lake, collect.watched(lake, settings, at), at, settings, "hourly")
    found = render.render("hourly", made, at=at)
    assert keep(lake, found)
    return found


def test_values_of_a_lake_whose_every_value_is_known(lake: Lake) -> None:
    found = facts(sheet(lake))
    expected = {
        "age": 30.0,
        "newest_minute": AT,
        "minutes_day": 1440,
        "flagged_day": 1,
        "flagged_hour": 0,
        "holes_day": 0,
        "reach": None,
        "price": 117.99,
        "return_hour": 117.99 / 117.39 - 1,
        "return_day": 117.99 / 103.59 - 1,
        "traded": 60 * 1029.0,
        "traded_pct": 1.0,
        "traded_n": 29,
        "vpin": 0.1 + 299 / 1000,
        "vpin_pct": 1.0,
        "vpin_n": 299,
        "vpin_null_low": 0.2,
        "vpin_null_high": 0.5,
        "vpin_gap": 0,
        "rvol": 1.799,
        "rvol_pct": 1.0,
        "volatility": 1799 / 1e6,
        "volatility_n": 1799,
        "imbalance": -99 / 200,
        "imbalance_pct": 1.0,
        "ofi": None,
        "spread": None,
        "impact_pct": 1.0,
        "range": 10_000 * (118.49 - 116.9) / 117.99,
        "range_n": 29,
        "posture": "long",
        "posture_since": AT.replace(hour=0),  # rows say since the day before, of which their date knows nothing
        "p_up": 0.6,
    }
    for name, value in expected.items():
        assert found[name].value == (pytest.approx(value, rel=1e-12) if isinstance(value, float) else value), name
    assert (found["price"].decimals, found["price"].asset, found["vpin"].span) == (2, "USDT", "adv50x50")
    assert math.fsum([1029.0] * 60) == found["traded"].value


def test_what_is_not_known_is_said_and_never_zero(lake: Lake) -> None:
    found = sheet(lake)
    assert words(found, "unknown") == [
        "order flow imbalance: not available",
        "spread: not available",
        "liquidations: none recorded in the last week, or no feed of them",
        "how far the flow has come: no rows of coverage in the last day",
        "precision of vpin_high: unscored",
        "precision of rvol_spike: unscored",
    ]
    assert not any("spread" in line for line in words(found, "levels"))


def test_a_sentence_has_no_digit_of_its_own_and_every_fact_it_names_is_there(lake: Lake) -> None:
    found = sheet(lake)
    by_id = {fact.id: "" for fact in found.facts}
    why = [found.why_confidence] if found.why_confidence else []
    told = [*found.state, *found.levels, *found.changes, *found.evidence, *why, *found.counter, *found.record, *found.unknown]
    for text in [*(sentence.text for sentence in told), *(falsifier.text for falsifier in found.falsifiers)]:
        bare = text
        for name in by_id:
            bare = bare.replace(f"{{{name}}}", "")
        assert "{" not in bare
        assert not any(map(str.isdigit, bare)), text


def assert_given_again(lake: Lake, found: Sheet) -> None:
    """Each fact's own query gives its rows, with nothing held in memory."""
    reader = Reader(Lake(lake.root), found.at)
    assert [f.id for f in found.facts] == [f"F{k}" for k in range(1, len(found.facts) + 1)]
    assert len({f.name for f in found.facts}) == len(found.facts)
    for fact in found.facts:
        if fact.measure != SETTING:
            rows = reader.rows(fact.query)
            assert (measured(rows, fact.measure), digest(rows), rows.height) == (fact.value, fact.rows_digest, fact.n), fact.name


def test_every_fact_is_given_again_by_its_query(lake: Lake, days: Lake) -> None:
    assert_given_again(lake, sheet(lake))
    at = dt.datetime.fromtimestamp(tapes.DAY / 1e6, dt.UTC) + dt.timedelta(hours=43.21)
    assert_given_again(days, sheet(days, at, RANDOM_SETTINGS, RANDOM))


def test_a_lake_in_an_object_store_gives_the_same_bytes(lake: Lake) -> None:
    assert msgspec.json.encode(sheet(Lake(f"file://{lake.root}"))) == msgspec.json.encode(sheet(lake))


def test_claims_rest_on_two_numbers_and_name_what_refutes_them(lake: Lake) -> None:
    found = sheet(lake)
    assert words(found, "evidence") == [
        "flow is one-sided: VPIN at percentile 100.0, trade imbalance -49.5 % at percentile 100.0",
        "trading is busy: 61.74k USDT in the last hour at percentile 100.0, relative volume 1.80x at percentile 100.0",
    ]
    assert [(f.id, f.claim, f.op, f.level, f.due) for f in found.falsifiers] == [
        ("X1", "VPIN stays high", "<", 0.75, AT + HOUR),
        ("X2", "trading stays busy", "<", 0.5, AT + HOUR),
    ]
    assert words(found, "falsifiers")[0] == "VPIN stays high: refuted if VPIN is below percentile 75.0 at 2024-07-20 07:00 UTC"
    assert words(found, "counter") == [
        "VPIN 0.399 is no higher than with independent signs (0.200 to 0.500)",
        "price and flow differ in sign: +0.51 % over the last hour, trade imbalance -49.5 %",
    ]
    assert found.confidence == "medium"
    assert words(found, "record") == ["VPIN stays high: never judged yet", "trading stays busy: never judged yet"]


def features(last: dict[str, float], count: int = MINUTES) -> dict[str, Any]:
    """Return features of `count` minutes that rise and fall between 1 and 2, and in their last minute are something else.

    Trade imbalance ends against the price, so that nothing agrees with the posture.
    """
    ends = {"rvol_15m": 1.5, "rv_1h": 1.5, "trade_imbalance_15m": -1.5, "amihud_1h": 1.5} | last
    return {name: [*(1 + k % 100 / 100 for k in range(count - 1)), end] for name, end in ends.items()}


QUIET: dict[str, Any] = {"notional": [1000.0] * (MINUTES - 60) + [10.0] * 60, **features({"rv_1h": 0.25})}
"""A lake whose last hour trades least of all, at the least volatility."""


def without_vpin(lake: Lake) -> Lake:
    shutil.rmtree(Path(lake.root) / "vpin")
    return Lake(lake.root)


def test_a_quiet_market_is_claimed_where_trading_and_volatility_are_both_low(tmp_path: Path) -> None:
    found = sheet(without_vpin(known(tmp_path, **QUIET)))
    quiet = "the market is quiet: 600.00 USDT in the last hour at percentile 0.0, volatility 50.00 % at percentile 0.0"
    assert words(found, "evidence") == [quiet]
    assert words(found, "counter") == ["relative volume is not low: 1.50x at percentile 51.0"]
    assert words(found, "falsifiers") == [
        "trading stays quiet: refuted if what is traded in an hour is above percentile 50.0 at 2024-07-20 07:00 UTC"
    ]


@pytest.mark.parametrize(("minute", "outcome"), [(10.0, "held"), (2000.0, "refuted")])
def test_that_trading_stays_quiet_is_judged_an_hour_later(tmp_path: Path, minute: float, outcome: str) -> None:
    later = known(
        tmp_path / "later",
        minutes=MINUTES + 60,
        notional=[*QUIET["notional"], *[minute] * 60],
        **{name: [*QUIET[name], *[1.5] * 60] for name in features({})},
    )
    made = brief(without_vpin(later), AT)
    assert [one.claim for one in made.falsifiers] == ["trading stays quiet"]
    assert falsifiers.score(later, AT + HOUR) == 1
    (row,) = later.table("falsifiers", brief=made.id).collect().rows(named=True)
    assert row["outcome"] == outcome


def test_a_level_that_is_low_alone_stands_out_where_that_says_something(tmp_path: Path) -> None:
    calm = sheet(without_vpin(known(tmp_path / "calm", notional=[1000.0] * MINUTES, **features({"rv_1h": 0.25}))))
    assert not any("no level is unusual" in line for line in words(calm, "evidence"))
    assert "volatility of the last hour stands out alone at percentile 0.0: no second number agrees" in words(calm, "counter")
    balanced = features({"trade_imbalance_15m": -0.01, "amihud_1h": 0.01})
    found = sheet(without_vpin(known(tmp_path / "balanced", **balanced)))
    assert words(found, "evidence") == []
    assert words(found, "counter")[0] == "trading of the last hour stands out alone at percentile 100.0: no second number agrees"
    assert not any("imbalance" in line or "impact" in line for line in words(found, "counter"))


def test_a_claim_is_high_confidence_where_its_detector_beats_chance(lake: Lake, tmp_path: Path) -> None:
    lake = copy(lake, tmp_path)
    table = TABLES["scores"]
    score: dict[str, Any] = {
        "detector": "vpin_high",
        "precision": 0.4,
        "precision_low": 0.3,
        "base_rate": 0.1,
        "alerts": 50,
        "horizon_s": 600,
    }
    times: dict[str, Any] = {"ts": moment(0), "end": AT - HOUR, "date": AT.date(), "event": "move:1%/10m", "origin": "live"}
    put(lake, table, rows(table, 1, **times, **score, as_of=AT + HOUR))
    assert sheet(lake).confidence == "medium", "scored later"
    put(lake, table, rows(table, 1, **times, **score, as_of=AT))
    found = sheet(lake)
    assert found.confidence == "high"
    assert (
        words(found, "evidence")[-1]
        == "vpin_high: 40.0 % of 50 alerts were followed by move:1%/10m within 10 min, base rate 10.0 %"
    )


def test_stale_and_short_data_are_insufficient(tmp_path: Path, lake: Lake) -> None:
    stale = sheet(lake, AT + HOUR)
    assert (stale.sufficient, stale.levels, stale.evidence) == (False, (), ())
    assert words(stale, "state")[0] == "data stale: last trade 1 h 30 s ago, newest closed minute 2024-07-20 06:00 UTC"
    assert words(stale, "state")[-1] == "insufficient data: no trade of the last 30 min"
    few = sheet(known(tmp_path / "few", minutes=400), moment(59 * 60))
    assert not few.sufficient
    assert words(few, "state")[-1] == "insufficient data: 59 closed minutes in the last day, 60 are needed"
    none = sheet(lake, AT, SETTINGS, ("demo", "ETH-USDT"))
    assert not none.sufficient
    assert words(none, "state")[0] == "data stale: no trade in the last day, newest closed minute not available"


def test_what_changed_is_told_against_the_last_brief_of_its_kind(lake: Lake, tmp_path: Path) -> None:
    lake = copy(lake, tmp_path)
    first = brief(lake, AT - 2 * HOUR)
    assert first.changed
    table = TABLES["alerts"]
    about: dict[str, Any] = {"detector": "vpin_high", "severity": 2, "alert_id": ["a", "a", "b"], "date": AT.date()}
    times = [AT - dt.timedelta(minutes=k) for k in (90, 90, 20)]
    put(lake, table, rows(table, 3, ts=times, end=times, **about))
    put(lake, table, rows(table, 1, ts=times[0], end=times[0], **(about | {"severity": 1, "alert_id": "c"})))
    found = sheet(lake)
    assert words(found, "changes") == [
        "posture was flat, now long",
        "alerts since 2024-07-20 04:00 UTC, warnings and worse: vpin_high 2",
        "price 116.79 USDT at 2024-07-20 04:00 UTC, now 117.99 USDT",
    ]
    was = facts(found)["was_posture"]
    assert (was.value, was.as_of) == ("flat", AT - 2 * HOUR)
    later = brief(lake, AT)
    assert later.changed
    again = sheet(lake, AT + dt.timedelta(seconds=1))
    assert again.changes == ()


def test_a_percentile_that_crosses_its_limit_is_a_change(tmp_path: Path) -> None:
    half = MINUTES - 30
    lake = known(tmp_path, rv_1h=[1e-6 * (1 + k % 7) if k < half else 1e-4 for k in range(MINUTES)])
    brief(lake, AT - HOUR)
    crossed = "volatility of the last hour rose to or above percentile 90.0"
    assert words(sheet(lake), "changes")[2] == f"{crossed}: was at percentile 57.2, now at percentile 100.0"


def test_data_that_become_stale_are_a_change(lake: Lake, tmp_path: Path) -> None:
    lake = copy(lake, tmp_path)
    brief(lake, AT)
    assert words(sheet(lake, AT + HOUR), "changes") == ["data were current, now stale"]


@pytest.mark.parametrize("hours", [13, 37.25, 60.5])
def test_a_sheet_uses_only_what_was_known_at_its_time(days: Lake, tmp_path: Path, hours: float) -> None:
    at = dt.datetime.fromtimestamp(tapes.DAY / 1e6, dt.UTC) + dt.timedelta(hours=hours)
    part = cut(days, tmp_path / "part", at)
    for lake in (days, part):
        assert collect.watched(lake, RANDOM_SETTINGS, at) == [RANDOM]
    whole, known_then = (msgspec.json.encode(sheet(lake, at, RANDOM_SETTINGS, RANDOM)) for lake in (days, part))
    assert whole == known_then
    assert sheet(days, at, RANDOM_SETTINGS, RANDOM).sufficient


def test_briefs_falsifiers_and_scores_of_later_are_not_seen(lake: Lake, tmp_path: Path) -> None:
    lake = copy(lake, tmp_path)
    for hours in (3, 0.5):
        brief(lake, AT - hours * HOUR)
    at = AT - HOUR
    part = cut(lake, tmp_path / "part", at)
    assert msgspec.json.encode(sheet(lake, at)) == msgspec.json.encode(sheet(part, at))
    assert facts(sheet(lake, at))["last_brief"].value == AT - 3 * HOUR


def test_the_same_lake_gives_the_same_bytes(days: Lake) -> None:
    at = dt.datetime.fromtimestamp(tapes.DAY / 1e6, dt.UTC) + dt.timedelta(hours=40)
    one, other = (msgspec.json.encode(sheet(Lake(days.root), at, RANDOM_SETTINGS, RANDOM)) for _ in range(2))
    assert one == other


def test_percentiles_equal_those_of_the_flow(days: Lake) -> None:
    """The flow counts over `percentile_window` values before; so does a brief."""
    at = dt.datetime.fromtimestamp(tapes.DAY / 1e6, dt.UTC) + dt.timedelta(hours=50)
    found = facts(sheet(days, at, RANDOM_SETTINGS, RANDOM))
    setting = found["vpin"].span
    stored = days.table("vpin", setting=setting).sort("date", "bucket").collect().to_dicts()
    last = [row for row in stored if row["end"] <= at and not row["partial"]][-1]
    assert (found["vpin"].value, found["vpin_pct"].value) == (last["vpin_flag"], last["pct"])
    assert found["vpin_n"].value == RANDOM_SETTINGS.kernels.percentile_window


def test_facts_of_sealed_dates_say_so(days: Lake) -> None:
    begin = dt.datetime.fromtimestamp(tapes.DAY / 1e6, dt.UTC)
    at = begin + dt.timedelta(days=2)
    found = facts(sheet(days, at, RANDOM_SETTINGS, RANDOM))
    sealed = [row["as_of"] for row in days.table("seals_history", ts=begin + dt.timedelta(days=1)).collect().rows(named=True)]
    assert found["traded"].sealed == (min(sealed) <= at)
    assert not facts(sheet(days, at + HOUR, RANDOM_SETTINGS, RANDOM))["traded"].sealed


def test_instruments_are_those_of_the_settings_by_the_names_of_the_lake(lake: Lake, days: Lake) -> None:
    at = dt.datetime.fromtimestamp(tapes.DAY / 1e6, dt.UTC) + dt.timedelta(hours=40)
    assert collect.watched(lake, SETTINGS, AT) == [DEMO]
    assert collect.watched(days, RANDOM_SETTINGS, at) == [RANDOM]
    assert collect.watched(days, Settings(venues={"okx": Venue(symbols=("BTC-USDT",))}), at) == [RANDOM]
    both = Settings(venues={"demo": Venue(symbols=("BTCUSDT", "ETH-USDT"))})
    assert collect.watched(lake, both, AT) == [DEMO, ("demo", "ETH-USDT")]


def test_ids_are_one_series_over_all_instruments(lake: Lake) -> None:
    sheets = collect.collect(lake, [DEMO, ("demo", "ETH-USDT"), DEMO], AT, SETTINGS, "hourly")
    ids = [fact.id for found in sheets for fact in found.facts]
    assert ids == [f"F{k}" for k in range(1, len(ids) + 1)]
    made = list(itertools.chain.from_iterable(found.falsifiers for found in sheets))
    assert [f.id for f in made] == [f"X{k}" for k in range(1, len(made) + 1)]
    assert all(fact.unit in Unit for found in sheets for fact in found.facts)


def test_alerts_are_of_the_instrument_alone(lake: Lake, tmp_path: Path) -> None:
    lake = copy(lake, tmp_path)
    put(lake, ALERTS, rows(ALERTS, 1, symbol="ETH-USDT", ts=AT, end=AT, date=AT.date(), severity=3, detector="big_trade"))
    assert not any("big_trade" in line for line in words(sheet(lake), "changes"))
