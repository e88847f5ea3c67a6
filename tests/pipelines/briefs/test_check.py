"""What a model may not write, kind by kind, and what it may; and that every number of a finished text is a fact."""

from __future__ import annotations

import datetime as dt
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.briefs.check import FAULTS, check, verify
from pipelines.briefs.fact import Fact, Unit
from pipelines.briefs.sheet import Sentence, Sheet
from tests.pipelines.briefs.made_up import AT, EARLIER, fact
from tests.pipelines.briefs.planted import correct

BTC = (
    fact(1, 117.99, Unit.PRICE, name="price", label="price", asset="USDT"),
    fact(2, 0.0051, Unit.SHARE, name="return", label="change of price over the last hour", signed=True, span="1h"),
    fact(3, 0.4, Unit.SCORE, decimals=3),
    fact(4, 0.3, Unit.SCORE, decimals=3, label="VPIN, brief before", as_of=EARLIER),
    fact(5, 0.5, Unit.SCORE, decimals=3, label="null band of VPIN, high end"),
    fact(6, 0.99, Unit.PERCENTILE, decimals=1, label="percentile of VPIN"),
    fact(7, 299, Unit.COUNT, decimals=0, label="values behind the percentile of VPIN"),
    fact(8, 3600, Unit.SECONDS, decimals=0, label="length of time", measure="setting"),
    fact(9, 2.5, Unit.BPS, label="spread"),
    fact(10, None, Unit.SHARE, label="funding rate"),
    fact(11, 30.0, Unit.SECONDS, decimals=0, label="age of the last trade"),
    fact(12, 61_740.0, Unit.NOTIONAL, label="volume of the last hour", span="1h", asset="USDT"),
    fact(13, "long", Unit.WORD, label="posture"),
    fact(14, EARLIER, Unit.TIME, label="time of the brief before", measure="setting"),
    fact(15, 2, Unit.COUNT, decimals=0, label="alerts of new_trend"),
    fact(16, 1, Unit.COUNT, decimals=0, label="alerts of cascade_proxy"),
    fact(17, EARLIER, Unit.TIME, label="beginning of the posture"),
    fact(18, 0.86, Unit.SCORE, label="trend score"),
    fact(19, -0.4, Unit.SHARE, label="trade imbalance", signed=True, decimals=1),
)
ETH = (
    fact(21, 0.25, Unit.SCORE, decimals=3, symbol="ETH-USDT"),
    fact(22, -0.01, Unit.SHARE, label="change of price over the last hour", signed=True, span="1h", symbol="ETH-USDT"),
    fact(23, 40.0, Unit.PRICE, label="price", asset="USDT", symbol="ETH-USDT"),
)


def sheet(facts: tuple[Fact, ...], *, sufficient: bool = True) -> Sheet:
    said = (Sentence("data current: last trade {F11} ago"),) if facts is BTC else (Sentence("data stale"),)
    told = (Sentence("flow is one-sided: VPIN {F3} at {F6}"), Sentence("no level is unusual")) if facts is BTC else ()
    return Sheet(
        venue="okx",
        symbol=facts[0].symbol,
        at=AT,
        facts=facts,
        sufficient=sufficient,
        state=said,
        changes=(Sentence("VPIN was {F4}, now {F3}"),) if facts is BTC else (),
        evidence=told,
        confidence="medium",
    )


SHEETS = [sheet(BTC), sheet(ETH)]
BY_ID = {one.id: one for one in (*BTC, *ETH)}


def faults(text: str) -> list[str]:
    return check(text, BY_ID, SHEETS)


CASES: dict[str, list[tuple[str, str]]] = {
    "bare_digits": [("BTC-USDT: VPIN is 0.4.", "'0' may not"), ("BTC-USDT: VPIN {F3} of 299 values.", "'2' may not")],
    "digits_beside": [("BTC-USDT: VPIN is {F3}5.", "touches"), ("BTC-USDT: VPIN is 1{F3}.", "touches")],
    "wrong_unit": [("BTC-USDT: price up {F2} bps.", "'bps' behind"), ("BTC-USDT: VPIN of {F7} hours.", "'hours' behind")],
    "percent_after_price": [("BTC-USDT: price {F1}%.", "'%' may not"), ("BTC-USDT: price {F1} percent.", "percent")],
    "other_symbol": [("BTC-USDT: VPIN is {F21}.", "F21 is not of BTC-USDT"), ("VPIN of ETH is {F3}.", "F3 is not of ETH-USDT")],
    "other_heading": [("ETH-USDT okx\nVPIN is {F3}.", "F3 is not of ETH-USDT"), ("BTC-USDT:\nVPIN is {F21}.", "F21 is not of")],
    "rose_but_fell": [("ETH-USDT: the price rose {F22}.", "'rose'"), ("BTC-USDT: price {F1}, down {F2}.", "'down'")],
    "above_but_below": [("BTC-USDT: VPIN {F3} is above its null band, {F5}.", "'above'")],
    "from_to_swapped": [
        ("BTC-USDT: VPIN fell from {F4} to {F3}.", "'fell'"),
        ("BTC-USDT: VPIN rose from {F3} to {F4}.", "'rose'"),
    ],
    "stale_as_now": [
        ("BTC-USDT: VPIN is {F4}.", "F4 is of 13:00"),
        ("BTC-USDT: VPIN was {F3} at the last brief.", "F3 is of now"),
    ],
    "since_yesterday": [("BTC-USDT: price up {F2} since yesterday.", "'yesterday' is not")],
    "invented_fact": [("BTC-USDT: VPIN is {F99}.", "no fact {F99}")],
    "number_word": [("BTC-USDT: VPIN {F3}, three of them.", "'three' is a number"), ("BTC: VPIN {F3}, twenty-one.", "number")],
    "half_or_doubled": [("BTC-USDT: VPIN {F3} doubled.", "'doubled' is a number"), ("BTC-USDT: half of VPIN {F3}.", "'half'")],
    "link": [("BTC-USDT: VPIN {F3} https://x.example", "'/' may not"), ("BTC-USDT: VPIN {F3} www.x", "not in the vocabulary")],
    "mention": [("<!channel> BTC-USDT: VPIN {F3}", "'<' may not"), ("BTC-USDT: VPIN {F3} @here", "'@' may not")],
    "because": [("BTC-USDT: VPIN {F3} because of the spread.", "names a cause"), ("BTC: VPIN {F3}, thus.", "names a cause")],
    "informed_traders": [("BTC-USDT: informed traders, VPIN {F3}.", "intent")],
    "buy": [("BTC-USDT: buy, VPIN {F3}.", "advises"), ("BTC-USDT: price {F1}, sell.", "advises")],
    "will": [("BTC-USDT: VPIN {F3} will change.", "foretells")],
    "unicode_digits": [("BTC-USDT: VPIN \u0663.", "may not be written"), ("BTC-USDT: VPIN {F3}\u00b2.", "may not")],
    "malformed": [("BTC-USDT: VPIN {F3.", "'{' may not"), ("BTC-USDT: VPIN {f3}.", "may not"), ("BTC: VPIN {F03}.", "may not")],
    "digits_in_word": [("BTC-USDT: 1h change {F2}.", "'1' may not")],
    "percent_word": [("BTC-USDT: VPIN {F3}, a percent.", "number in words")],
    "empty": [("", "empty"), (" \n ", "empty")],
    "too_long": [("BTC-USDT: VPIN {F3}.\n" * 2000, "more than"), ("BTC-USDT: VPIN {F3}" + ", VPIN {F3}" * 99, "a line of")],
}
"""By kind of fault; planted answers have kinds besides, which stand nowhere here."""
BELOW = frozenset(
    {
        *("negated", "confidence", "levels_of_insufficient", "other_measure", "no_fact", "swapped_pair", "other_window"),
        "count_as_time",
    }
)
"""Kinds that single tests show, here or where another fact is put in the place of one."""


@pytest.mark.parametrize(("text", "why"), [case for cases in CASES.values() for case in cases])
def test_a_fault_is_refused_and_named(text: str, why: str) -> None:
    assert any(why in found for found in faults(text)), faults(text)


@pytest.mark.parametrize(
    "text",
    [
        "BTC-USDT: price {F1}, up {F2} over the last hour.",
        "BTC rose {F2} in the last hour to {F1}.",
        "Bitcoin traded at {F1}.",
        "On BTC-USDT okx, the price rose {F2} over {F8} and is at {F1}.",
        "BTC-USDT: VPIN {F3} ({F6} of {F7} values).",
        "BTC-USDT: VPIN rose from {F4} to {F3}.",
        "BTC-USDT: VPIN is {F3}, up from {F4}.",
        "BTC-USDT: VPIN was {F4} at the last brief and is {F3} now.",
        "BTC-USDT: VPIN was {F4} at {F14}.",
        "BTC-USDT: VPIN, {F3}, is below the high end of its null band, {F5}.",
        "BTC-USDT: VPIN lies at {F3}, higher than the {F4} of the last brief.",
        "BTC-USDT: VPIN is high, at {F6}.",
        "BTC-USDT: VPIN {F4} -> {F3}.",
        "BTC-USDT: the funding rate is {F10}.",
        "BTC-USDT: the funding rate is not available: {F10}.",
        "BTC-USDT: the data is current; the last trade was {F11} ago.",
        "BTC-USDT: flow is one-sided: VPIN {F3} at {F6}.",
        "BTC-USDT: no level is unusual.",
        "BTC-USDT: confidence is medium.",
        "BTC-USDT: posture {F13}.",
        "BTC-USDT: volume was {F12} in the last hour.",
        "ETH-USDT: nothing changed since the last brief.",
        "BTC-USDT okx\n- VPIN {F3}\n- price {F1}, higher by {F2}\n\nETH-USDT okx:\n- the price fell {F22} and is at {F23}",
        "VPIN of BTC-USDT is {F3}, above that of ETH-USDT, {F21}.",
        "BTC-USDT VPIN is {F3} while ETH-USDT VPIN is {F21}.",
        "BTC-USDT: VPIN is {F3}, higher than {F4} at {F14}.",
        "BTC-USDT: VPIN {F3} lies between {F4} at the last brief and the high end of its null band, {F5}.",
        "BTC-USDT: VPIN changed from {F4} to {F3} since the last brief.",
        "BTC-USDT: price up {F2} in the past hour, volume {F12} within the hour.",
        "BTC-USDT: VPIN is at {F6} among {F7} values.",
        "BTC-USDT: volume over the last hour totalled {F12}.",
        "BTC-USDT: trade imbalance is negative at {F19}.",
        "BTC-USDT: the change of price over the last hour is positive at {F2}.",
        "BTC-USDT: posture has been {F13} since {F17}.",
        "BTC-USDT: {F15} new_trend alerts and {F16} cascade_proxy alert.",
        "BTC-USDT: VPIN at {F6} of {F7} earlier values.",
    ],
)
def test_what_the_facts_say_may_be_said_in_many_ways(text: str) -> None:
    assert faults(text) == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("ETH-USDT: data is current, VPIN {F21}.", "the state of the data is another"),
        ("BTC-USDT: nothing changed since the last brief.", "is not of BTC-USDT"),
        ("BTC-USDT: not so: no level is unusual.", "own words"),
        ("BTC-USDT: VPIN is {F5}.", "F5 is null band of VPIN"),
        ("BTC-USDT: VPIN {F4} -> {F3}, {F3} -> {F4}.", "arrow"),
        ("BTC-USDT: VPIN changed by {F3}.", "is no change"),
        ("BTC-USDT: VPIN was {F3} in the past.", "'past' is not in"),
        ("BTC-USDT: VPIN {F3} is within its null band, high end {F5}.", "'within' is not in"),
        ("BTC-USDT: price up {F2} in the past day.", "'day' is not the time"),
        ("BTC-USDT: price up {F2} within the day.", "'day' is not the time"),
        ("BTC-USDT: VPIN {F3} among venues, {F6}.", "'among' is not in"),
        ("BTC-USDT: VPIN {F3} across {F7} values.", "'across' is not in"),
        ("BTC-USDT: VPIN totalled {F3}.", "'totalled' is not in"),
        ("BTC-USDT: trade imbalance is positive at {F19}.", "'positive': no signed fact"),
        ("BTC-USDT: VPIN is positive at {F3}.", "'positive': no signed fact"),
        ("BTC-USDT: trade imbalance was positive before, {F19}.", "'positive': no signed fact"),
        ("BTC-USDT: posture had been {F13} since {F17}.", "F13 is of now"),
        ("BTC-USDT: VPIN has been {F3} since {F14}.", "F3 is of now"),
        ("BTC-USDT: {F16} new_trend alerts.", "not of new trend"),
        ("BTC-USDT: {F16} new_trend alert.", "not of new trend"),
        ("BTC-USDT: alerts: {F16} new_trend.", "not of new trend"),
        ("BTC-USDT: alerts: new_trend {F18}.", "not of new trend"),
        ("BTC-USDT: {F7} new_trend alerts.", "is no number of alerts"),
        ("BTC-USDT: alert: VPIN {F3}.", "'alert' is not in"),
        ("BTC-USDT: the price moved {F1} in the last hour.", "is no change"),
        ("BTC-USDT: to trade at {F2} in the last hour, price {F1}.", "is no price, as 'trade at' needs"),
        ("BTC-USDT: trade imbalance {F19} of {F7} values.", "is no part of F7"),
        ("BTC-USDT: volume {F12} of the last {F7} values, in the last hour.", "is no part of F7"),
    ],
)
def test_what_no_fact_says_is_refused(text: str, why: str) -> None:
    assert any(why in found for found in faults(text)), faults(text)


def test_of_an_instrument_with_too_little_data_only_its_state_is_told() -> None:
    sheets = [sheet(BTC, sufficient=False), SHEETS[1]]
    assert check("BTC-USDT: data current: last trade {F11} ago.", BY_ID, sheets) == []
    assert check("BTC-USDT: insufficient data.", BY_ID, sheets) == []
    assert any("not enough data" in found for found in check("BTC-USDT: VPIN {F3}.", BY_ID, sheets))


def test_the_venue_must_be_said_where_two_have_the_symbol() -> None:
    other = fact(31, 0.6, Unit.SCORE, venue="kraken")
    facts = BY_ID | {"F31": other}
    sheets = [*SHEETS, Sheet(venue="kraken", symbol="BTC-USDT", at=AT, facts=(other,), sufficient=True, state=())]
    assert check("BTC-USDT kraken: VPIN {F31}.", facts, sheets) == []
    assert check("BTC-USDT kraken\nVPIN of BTC {F31}.", facts, sheets) == []
    assert any("not of BTC-USDT kraken" in found for found in check("BTC-USDT kraken: VPIN {F3}.", facts, sheets))
    assert any("is not clear" in found for found in check("BTC-USDT: VPIN {F31}.", facts, sheets))


def test_an_answer_to_a_question_needs_no_sheets() -> None:
    assert check("VPIN rose from {F4} to {F3} on BTC-USDT.", BY_ID, []) == []
    assert check("Confidence is high: VPIN {F3} on BTC-USDT.", BY_ID, []) != []


def test_of_many_faults_some_are_told() -> None:
    assert len(faults("\n".join(f"BTC-USDT: word{chr(97 + i)} {{F3}} 1" for i in range(26)))) == FAULTS


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_digit_put_anywhere_into_a_correct_answer_is_refused(data: st.DataObject) -> None:
    answer = next(correct(data.draw(st.integers(0, 50)), 1))
    text, digit = answer.draft.text, data.draw(st.sampled_from("0123456789\u0663\u00bd"))
    at = data.draw(st.integers(0, len(text)))
    facts = {one.id: one for market in answer.markets for one in market.facts.values()}
    changed = text[:at] + digit + text[at:]
    inside = text.rfind("{", 0, at) > text.rfind("}", 0, at)  # another fact of the same instrument may be named by then
    assert inside or check(changed, facts, [market.sheet for market in answer.markets])


@given(st.text(max_size=300))
@settings(max_examples=200, deadline=None)
def test_no_text_stops_the_checker_and_none_that_rests_on_no_fact_passes(text: str) -> None:
    found = faults(text)
    assert found or not any(c.isalnum() for c in text)


@given(
    st.lists(
        st.sampled_from(["VPIN", "{F3}", "{F4}", "rose", "from", "to", "BTC-USDT", "above", "{F14}", ",", ".", "is", "since"])
    )
)
@settings(max_examples=200, deadline=None)
def test_no_order_of_words_stops_the_checker(words: list[str]) -> None:
    assert isinstance(faults(" ".join(words)), list)


def test_facts_of_two_instruments_changed_for_one_another_are_refused() -> None:
    random = Random(5)
    for answer in correct(7, 40):
        if len(answer.markets) < 2 or not answer.draft.text.count("{F"):
            continue
        one, other = random.sample(answer.markets, 2)
        swap = {a.id: b for name, a in one.facts.items() for b in [other.facts[name].id]}
        swap |= {b: a for a, b in swap.items()}
        text = answer.draft.text
        changed = "".join(f"{{{swap.get(part[1:-1], part[1:-1])}}}" if part[:1] == "{" else part for part in _parts(text))
        facts = {f.id: f for market in answer.markets for f in market.facts.values()}
        assert changed == text or check(changed, facts, [market.sheet for market in answer.markets])


def _parts(text: str) -> list[str]:
    return text.replace("{", "\0{").replace("}", "}\0").split("\0")


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("BTC-USDT okx: VPIN 0.400 (percentile 99.0 of 299 values)", []),
        ("BTC-USDT: price +0.51 % [F2] over 1 h [F8], to 117.99 USDT [F1]", []),
        ("as of 2026-03-04 14:00 UTC; posture long; rate not available", []),
        ("VPIN 0.40", ["0.40"]),  # another rounding
        ("VPIN 0.401", ["0.401"]),
        ("price up 0.51 %", ["0.51 %"]),  # without its sign
        ("+0.51 bps", ["+0.51 bps"]),
        ("117.99 BTC", ["117.99"]),
        ("three holes", ["three"]),
        ("volume doubled", ["doubled"]),
        ("from 0.300-0.400", []),
        ("at 2026-03-05 14:00 UTC", ["2026-03-05 14:00 UTC"]),
        ("tapeflow fact F1 --brief 00ff00ff00ff00ff", []),
    ],
)
def test_every_number_of_a_text_is_a_fact_as_it_is_shown(text: str, wrong: list[str]) -> None:
    assert verify(text, BY_ID) == [f"no fact is shown as {number!r}" for number in wrong]


def test_numbers_in_a_quotation_are_its_own() -> None:
    assert verify("said: ETF takes $500m", BY_ID, ["ETF takes $500m"]) == []
    assert verify("said: ETF takes $500m", BY_ID) != []


def test_numbers_in_names_are_no_numbers() -> None:
    facts = {"F1": fact(1, 0.5, Unit.SCORE, venue="gate4", symbol="1000PEPE-USDT")}
    assert verify("1000PEPE-USDT gate4: 0.50; 1000PEPE", facts) == []
    assert verify("1000SHIB-USDT: 0.50", facts) != []
    held = {
        "F1": fact(1, 45.05, Unit.SIZE, symbol="1000PEPE-USDT", asset="1000PEPE"),
        "F2": fact(2, 3.0, Unit.SIZE, symbol="ONE-USDT"),
    }
    assert verify("ONE: 3.00, size 45.05 1000PEPE", held) == []
    assert verify("size 45.05 ONE", held) != []


def test_a_fact_of_some_minutes_ago_is_one_of_now() -> None:
    recent = fact(41, 0.7, Unit.SCORE, decimals=3, as_of=AT - dt.timedelta(minutes=4))
    assert check("BTC-USDT: VPIN is {F41}.", BY_ID | {"F41": recent}, SHEETS) == []
