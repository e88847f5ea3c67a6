"""Rules held against closed minutes: cases worked by hand, and that nothing hangs on when rows come."""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.alerts import Alert
from pipelines.engine import Engine
from pipelines.market import DAY_US, TABLES, Instrument
from pipelines.records import Kind
from pipelines.rules.book import Rule, canonical, read
from pipelines.rules.metrics import BARS, FEATURES, METRICS, POSTURE, VPIN
from pipelines.rules.watch import MINUTE_US, UNDEFINED, Watch
from pipelines.settings import Kernels
from pipelines.signals import Signals
from tests import tapes

A = Instrument("okx", "AAA-USDT", "AAAUSDT", "AAA", "USDT")
B = Instrument("okx", "BBB-USDT", "BBBUSDT", "BBB", "USDT")
C = Instrument("kraken", "AAA-USDT", "AAA/USDT", "AAA", "USDT")
IT = (A, B, C)
FOREVER = np.iinfo(np.int64).max


class Feed:
    """A watch, and minutes numbered from 0 in the date of `tapes.DAY` to feed it with."""

    def __init__(self, *rules: Rule, setting: str = "adv50x50", begun: Sequence[bool] = (True, True, True)) -> None:
        self.watch = Watch()
        self.watch.setting = setting
        self.watch.configure(rules)
        self.watch.grow(IT)
        self.begun = np.array(begun)
        self.floor = np.zeros(len(IT), np.int64)

    def bar(self, i: int, minute: int, **figures: float) -> None:
        values = np.array([[figures.get(name, 1.0)] for name in BARS])
        ts = np.array([tapes.DAY + minute * MINUTE_US])
        self.watch.minutes(np.array([i]), ts, values, self.begun)
        self.floor[i] = ts[0] + MINUTE_US

    def features(self, i: int, minute: int, **figures: float | bool | None) -> None:
        ts = tapes.DAY + minute * MINUTE_US
        row = {"date": 0, "venue": IT[i].venue, "symbol": IT[i].symbol, "ts": ts, "end": ts + MINUTE_US} | figures
        schema = TABLES["features"].lake_schema
        self.watch.features(pa.table({f.name: pa.array([row.get(f.name)], f.type) for f in schema}, schema=schema))

    def bucket(self, i: int, end: int, value: float | None, *, setting: str = "adv50x50", partial: bool = False) -> None:
        row = {"date": 0, "venue": IT[i].venue, "symbol": IT[i].symbol, "setting": setting, "bucket": 0, "ts": 0, "end": end}
        row |= dict.fromkeys(VPIN, value) | {"partial": partial}
        schema = TABLES["vpin"].lake_schema
        self.watch.vpin(pa.table({f.name: pa.array([row.get(f.name)], f.type) for f in schema}, schema=schema))

    def minute(self, i: int, minute: int, **figures: float | bool | None) -> list[Alert]:
        """Close a minute with everything it has."""
        bars = {name: value for name, value in figures.items() if name in BARS and value is not None}
        self.bar(i, minute, **bars)
        self.features(i, minute, **{name: value for name, value in figures.items() if name not in BARS})
        return self.judge()

    def judge(self) -> list[Alert]:
        return self.watch.judge(self.floor)

    def fired(self, i: int, closes: Sequence[float], begin: int = 0) -> list[int]:
        """Return the minutes at which a rule on `close` fired."""
        return [k for k, close in enumerate(closes, begin) if self.minute(i, k, close=close)]


def test_an_alert_says_what_was_seen() -> None:
    rule = Rule("hot", "abs(mom_bps_5m) > 2 * close and rvol_1m > 1", severity=3)
    feed = Feed(rule)
    (alert,) = feed.minute(0, 7, close=10.0, mom_bps_5m=-25.0, rvol_1m=1.5)
    assert alert.instrument == A
    assert (alert.ts, alert.end) == (tapes.DAY + 7 * MINUTE_US, tapes.DAY + 8 * MINUTE_US)
    assert (alert.source, alert.detector, alert.version, alert.severity) == ("rule", "hot", rule.version, 3)
    assert (alert.score, alert.threshold) == (25.0, 20.0), "the two sides of the first comparison"
    assert json.loads(alert.details) == {
        "when": rule.when,
        "values": {"mom_bps_5m": -25.0, "close": 10.0, "rvol_1m": 1.5},
        "minutes": 1,
    }
    assert alert.label == "AAA-USDT hot: mom_bps_5m -25, close 10, rvol_1m 1.5"
    again = Feed(rule).minute(0, 7, close=1.0, mom_bps_5m=9.0, rvol_1m=9.0)
    assert again[0].alert_id == alert.alert_id, "it hangs on no value"
    other = Feed(Rule("hot", rule.when, severity=2)).minute(0, 7, close=1.0, mom_bps_5m=9.0, rvol_1m=9.0)
    assert other[0].alert_id != alert.alert_id


@pytest.mark.parametrize(
    ("persistence", "cooldown", "closes", "fired"),
    [
        (1, 0, [2, 2, 2, 1, 2, 2], [0, 4]),
        (2, 0, [2, 1, 2, 2, 2, 1, 2, 2], [3, 7]),
        (3, 0, [2, 2, 1, 2, 2], []),
        (1, 4, [2, 1, 2, 1, 2, 2, 2], [0, 4]),
        (1, 4, [2, 1, 2, 2, 2, 2, 2], [0, 4]),
        (1, 4, [2, 1, 2, 2, 1, 1, 1, 2], [0, 7]),
        (2, 3, [2, 2, 1, 2, 2, 2, 1, 2, 2], [1, 4, 8]),
    ],
)
def test_persistence_cooldown_and_rearming(persistence: int, cooldown: int, closes: list[float], fired: list[int]) -> None:
    """A rule fires once until its condition was false, and rests for the cooldown; still true after it, it fires then."""
    assert Feed(Rule("up", "close > 1", persistence=persistence, cooldown=cooldown)).fired(0, closes) == fired


def test_minutes_without_trades_do_not_count() -> None:
    feed = Feed(Rule("up", "close > 1", persistence=2))
    assert [k for k in (0, 5, 6) if feed.minute(0, k, close=2.0)] == [5]


def test_everything_begins_anew_with_a_date() -> None:
    feed = Feed(Rule("up", "close > 1", cooldown=600))
    assert feed.fired(0, [2.0] * 4, begin=1438) == [1438, 1440]


def test_instruments_and_rules_go_their_own_ways() -> None:
    feed = Feed(Rule("all", "close > 1"), Rule("one", "close > 1", symbol="AAAUSDT"), Rule("venue", "close > 1", venue="kraken"))
    found = [feed.minute(i, 0, close=2.0) for i in range(3)]
    assert [[a.detector for a in alerts] for alerts in found] == [["all", "one"], ["all"], ["all", "venue"]]
    assert all(a.instrument == IT[i] for i, alerts in enumerate(found) for a in alerts)


def test_null_makes_a_rule_false_and_is_counted() -> None:
    feed = Feed(Rule("a", "not (rvol_1m > 1)"), Rule("b", "rvol_1m > 1 or close > 1"), Rule("c", "close / volume > 0"))
    assert feed.minute(0, 0, close=2.0, volume=0.0) == []
    assert feed.minute(0, 1, close=2.0, volume=1.0, rvol_1m=0.5) != []
    here = ("okx", "AAA-USDT")
    assert feed.watch.missing == {("a", *here, "rvol_1m"): 1, ("b", *here, "rvol_1m"): 1, ("c", *here, UNDEFINED): 1}
    assert set(feed.watch.judged.values()) == {2}


def test_what_is_true_or_false_is_a_condition() -> None:
    feed = Feed(Rule("jump", "jump_5m and not gap"))
    assert feed.minute(0, 0, jump_5m=True, gap=True) == []
    assert feed.minute(0, 1, gap=False) == []
    (alert,) = feed.minute(0, 2, jump_5m=True, gap=False)
    assert (alert.score, alert.threshold) == (1.0, 1.0)


def test_vpin_is_that_of_the_last_bucket_complete_before_the_end_of_the_minute() -> None:
    feed = Feed(Rule("toxic", "pct >= 0.9"), Rule("other", "pct >= 0.9", setting="v10x50"))
    end = tapes.DAY + MINUTE_US
    feed.bucket(0, tapes.DAY - 1, 0.95)
    assert feed.minute(0, 0) == [], "a bucket of the date before"
    feed.bucket(0, end, 0.99)
    feed.bucket(0, end + MINUTE_US - 1, 0.1)
    feed.bucket(0, end + MINUTE_US - 1, 1.0, setting="v10x50")
    feed.bucket(0, end + MINUTE_US - 1, 1.0, partial=True)
    feed.bucket(0, end + MINUTE_US, 0.91)
    assert [a.detector for a in feed.minute(0, 1)] == ["other"], "0.1 by then; that at its very end is the next minute's"
    assert [a.detector for a in feed.minute(0, 2)] == ["toxic"]
    assert [a.detector for a in feed.minute(0, 3)] == [], "it stays until another is complete"
    assert [key[0] for key in feed.watch.missing] == ["toxic", "other"]


def test_a_minute_waits_for_its_features() -> None:
    feed = Feed(Rule("up", "mom_bps_1m > 1"))
    feed.bar(0, 0)
    feed.bar(0, 1)
    feed.features(0, 1, mom_bps_1m=2.0)
    assert feed.judge() == []
    feed.features(0, 0, mom_bps_1m=2.0)
    assert [a.ts for a in feed.judge()] == [tapes.DAY]


APART = Rule("apart", 'close > m("BBB-USDT", "close")', symbol="AAA-USDT", venue="okx")


def test_two_instruments_are_joined_on_the_minute_once_both_have_passed_it() -> None:
    feed = Feed(APART)
    assert feed.minute(0, 0, close=2.0) == []
    feed.bar(1, 0, close=1.0)
    assert feed.judge() == [], "its features may still come"
    feed.features(1, 0)
    (alert,) = feed.judge()
    assert (alert.instrument, alert.ts, alert.score, alert.threshold) == (A, tapes.DAY, 2.0, 1.0)
    assert json.loads(alert.details)["values"] == {"close": 2.0, 'm("BBB-USDT", "close")': 1.0}
    feed.minute(0, 1, close=0.5)
    feed.minute(0, 2, close=2.0)
    feed.minute(1, 2, close=1.0)
    assert [len(side.rows) for side in feed.watch._sides] == [0, 0, 0], "nothing is kept that no rule asks for"
    assert len(feed.watch._due) == 0
    feed.minute(0, 3, close=0.0)
    feed.minute(0, 4, close=2.0)
    feed.floor[1] = tapes.DAY + 5 * MINUTE_US
    assert feed.judge() == [], "no trades there in that minute: no value"
    assert feed.watch.missing == {("apart", "okx", "AAA-USDT", 'm("BBB-USDT", "close")'): 3}


def test_the_other_may_be_ahead() -> None:
    feed = Feed(APART)
    assert [feed.minute(1, k, close=1.0) for k in range(3)] == [[], [], []]
    assert [len(feed.minute(0, k, close=2.0 - k % 2)) for k in range(3)] == [1, 0, 1]


def test_the_other_may_have_begun_long_before() -> None:
    feed = Feed(APART, begun=(False, True, True))
    for k in range(90):
        feed.minute(1, k, close=1.0)
    assert len(feed.watch._sides[1].rows) == 61, "and no more is kept"
    feed.begun[0] = True
    assert [len(feed.minute(0, k, close=2.0 - k % 2)) for k in range(86, 90)] == [1, 0, 1, 0]


@pytest.mark.parametrize("begun", [(True, False, True), (True, True, True)])
def test_an_instrument_that_has_not_begun_is_not_waited_for(begun: tuple[bool, ...]) -> None:
    feed = Feed(APART, Rule("none", 'close > m("CCC-USDT", "close")', symbol="AAA-USDT"), begun=begun)
    feed.minute(0, 0, close=2.0)
    assert {key[0] for key in feed.watch.missing} == ({"apart", "none"} if not begun[1] else {"none"})


def test_a_metric_may_be_of_another_venue() -> None:
    feed = Feed(Rule("apart", 'close > m("kraken", "AAA-USDT", "close")', venue="okx", symbol="AAA-USDT"))
    feed.minute(2, 0, close=1.0)
    assert [a.instrument for a in feed.minute(0, 0, close=2.0)] == [A]


def test_rules_that_stay_go_on_and_new_ones_begin() -> None:
    up, down = Rule("up", "close > 1", cooldown=10), Rule("down", "close < 3")
    feed = Feed(up)
    assert feed.fired(0, [2.0]) == [0]
    feed.watch.configure((down, up))
    assert [a.detector for a in feed.minute(0, 1, close=2.0)] == ["down"]
    feed.watch.configure((Rule("up", "close > 1", cooldown=9),))
    assert [a.detector for a in feed.minute(0, 2, close=2.0)] == ["up"], "a changed rule is another"
    feed.watch.configure(())
    assert not feed.watch
    feed.watch.configure((up,))
    feed.features(0, 2)
    assert [a.detector for a in feed.minute(0, 3, close=2.0)] == ["up"]


def test_a_rule_that_waits_survives_a_change_of_others() -> None:
    feed = Feed(Rule("x", "close > 5"), APART)
    feed.minute(0, 0, close=2.0)
    feed.watch.configure((APART,))
    assert [a.detector for a in feed.minute(1, 0, close=1.0)] == ["apart"]


def test_no_metric_hides_another() -> None:
    columns = [*BARS, *FEATURES, *POSTURE, *VPIN]
    assert sorted(METRICS) == sorted(columns)


# --- over the kernels

EVERY = read("""
rules:
- {name: above, when: close > vwap, cooldown: 2}
- {name: lead, symbol: AAA-USDT-PERP, when: 'mom_bps_1m > m("BBB-USDT-PERP", "mom_bps_1m")'}
- {name: both, when: 'm("AAA-USDT-PERP", "close") > m("BBBUSDT", "close") or trades > 0'}
- {name: toxic, when: vpin_flag > 0.3 and pct >= 0, setting: v2.5x5, persistence: 2}
- {name: bulk, when: vpin_bvc > 0.1}
- {name: never, when: 'close > m("CCC-USDT-PERP", "close")'}
""")


def ruled() -> Signals:
    made = tapes.signals()
    made.watch.configure(EVERY)
    return made


def rules_of(table: pa.Table) -> pa.Table:
    return table.filter(pc.equal(table["source"], "rule"))


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10_000), st.lists(st.integers(0, 600), max_size=12), st.booleans())
def test_alerts_do_not_depend_on_cuts_or_restores(seed: int, cuts: list[int], across_midnight: bool) -> None:
    tape = tapes.rows(seed, 600, begin=tapes.DAY + DAY_US - 300_000_000 if across_midnight else tapes.DAY)
    whole = rules_of(tapes.run(ruled(), tape)["alerts"])
    made, out, at = ruled(), [], 0
    for cut in [*sorted(cuts), 600]:
        part = tape[at:cut].copy()
        made.prepare(part)
        made.feed(part)
        out += made.take()
        made, at = pickle.loads(pickle.dumps(made)), cut
    made.finish()
    assert rules_of(tapes.gather([*out, *made.take()])["alerts"]) == whole
    assert {"above", "both"} <= set(whole["detector"].to_pylist())
    assert "never" not in whole["detector"].to_pylist()


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000), st.integers(60, 599))
def test_a_cut_leaves_every_alert_that_ended_before_it(seed: int, second: int) -> None:
    tape = tapes.rows(seed, 400)
    cut = tapes.DAY + second * 1_000_000
    known = np.ones(tape.size, np.bool_)
    for i in np.unique(tape["instrument"]):
        mine = tape["instrument"] == i
        known[mine] = np.maximum.accumulate(tape["ts"][mine]) < cut
    whole, part = (rules_of(tapes.run(ruled(), rows)["alerts"]) for rows in (tape, tape[known]))
    before = [t.filter(pc.less_equal(t["end"].cast(pa.int64()), cut)) for t in (whole, part)]
    assert before[0] == before[1]


def test_alerts_of_a_rule_on_one_metric_are_what_the_rows_say() -> None:
    out = tapes.run(ruled(), tapes.rows(5, 800))
    bars = out["bars"].filter(pc.equal(out["bars"]["bar"], "1m")).to_pylist()
    expected: list[tuple[str, object]] = []
    for symbol in ("AAA-USDT-PERP", "BBB-USDT-PERP"):
        last, armed = -math.inf, True
        for k, bar in enumerate(b for b in bars if b["symbol"] == symbol):
            true = bar["close"] > bar["vwap"]
            if true and armed and k - last >= 2:
                expected.append((symbol, bar["end"]))
                last, armed = k, False
            armed = armed or not true
    found = [a for a in rules_of(out["alerts"]).to_pylist() if a["detector"] == "above"]
    assert sorted(expected, key=str) == sorted(((a["symbol"], a["end"]) for a in found), key=str)
    assert len(expected) > 3


# --- through the engine


def _trades(begin: int, count: int, first_id: int) -> list[tuple[int, Kind, bytes]]:
    lines = []
    for k in range(count):
        ts_ms = tapes.DAY // 1000 + (begin + k) * 1000
        frame = tapes.agg_trade("AAAUSDT", first_id + k, ts_ms, f"{100 + k % 7}", "1")
        lines.append((ts_ms * 1_000_000 + 20_000_000, Kind.FRAME, frame))
    return lines


@pytest.mark.parametrize("cuts", [(), range(0, 500, 7)])
def test_rules_come_and_go_by_records_of_the_journal(cuts: Sequence[int]) -> None:
    one, two = Rule("one", "trades > 1"), Rule("two", "trades > 1")
    lines: list[tuple[int, Kind, bytes]] = []
    for k, payload in enumerate(
        (b"[]", canonical((one,)), b'[{"name":"x","when":"clos > 1"}]', canonical((two,)), canonical((one,)))
    ):
        lines += [(tapes.DAY * 1000 + k * 90_000_000_000, Kind.RULES, payload), *_trades(90 * k, 90, 1 + 90 * k)]
    out = tapes.feed(tapes.journal_engine(), lines, cuts)
    found = rules_of(out["alerts"]).to_pylist()
    assert [(a["detector"], (a["ts"].minute)) for a in sorted(found, key=lambda a: a["ts"])] == [
        ("one", 1),
        ("two", 4),
        ("one", 5),
    ]
    noted = [row["value"] for row in out["inputs"].sort_by("ts").to_pylist() if row["kind"] == "rules"]
    assert noted == [canonical(rules).decode() for rules in ((one,), (two,), (one,))]
    assert "there is no metric clos" in out["quarantine"]["reason"].to_pylist()[0]


def test_rules_are_part_of_the_state() -> None:
    engine = tapes.journal_engine(Kernels())
    engine.rule(EVERY, 0)
    assert Engine.restore(engine.snapshot()).signals.watch.rules == EVERY
