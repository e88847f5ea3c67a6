"""Imbalance and run bars: by hand, against slow references, over a hundred days of chance, across midnights."""

from __future__ import annotations

import pickle
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipelines.kernel_names import bar_terms
from pipelines.kernels.imbalance import BAR_FLOW
from pipelines.market import DAY_US
from pipelines.settings import Kernels, SettingsError, load
from pipelines.tape import Rows
from tests import reference, tapes
from tests.pipelines.test_signals import FIGURES, SEEDS, of

FIXED = ("imbalance:tick:5", "imbalance:volume:3.5", "imbalance:dollar:420", "run:tick:7", "run:volume:6", "run:dollar:750.5")
ADAPTIVE = tuple(f"{rule}:{measure}:ewma:12" for rule in ("imbalance", "run") for measure in ("tick", "volume", "dollar"))
KERNELS = Kernels(bars=("1s", "1m", *FIXED, *ADAPTIVE), vpin=())


def trades(*sides: int, size: float = 1.0, price: float = 100.0) -> Rows:
    """Return a tape of one instrument: a trade a second with these sides."""
    rows = tapes.rows(0, len(sides), instruments=1)
    rows["ts"] = tapes.DAY + 1_000_000 * np.arange(len(sides))
    rows["price"], rows["size"], rows["side"] = price, size, sides
    return rows


def bars(tape: Rows, name: str, **more: Any) -> list[dict[str, Any]]:
    """Return the bars of one kind."""
    out = tapes.run(tapes.signals(Kernels(bars=("1m", name), vpin=()), **more), tape)
    return of(out["bars"], bar=name)


def test_an_imbalance_bar_closes_when_one_side_leads_by_its_threshold() -> None:
    ours = bars(trades(1, -1, 1, 1, 1, -1, -1, -1, 1), "imbalance:tick:3")
    assert [(b["trades"], b["imbalance"], b["threshold"]) for b in ours] == [(5, 3.0, 3.0), (3, -3.0, 3.0)]


def test_a_run_bar_closes_when_one_side_alone_reaches_its_threshold() -> None:
    ours = bars(trades(1, -1, 1, -1, 1, -1, -1, -1, 1), "run:tick:3")
    assert [(b["trades"], b["imbalance"], b["threshold"]) for b in ours] == [(5, 1.0, 3.0), (3, -3.0, 3.0)]


def test_imbalance_is_counted_in_trades_in_base_or_in_quote() -> None:
    tape = trades(1, 1, -1, 1, size=0.5, price=10.0)
    assert [b["imbalance"] for b in bars(tape, "imbalance:volume:1")] == [1.0]
    assert [b["imbalance"] for b in bars(tape, "imbalance:dollar:10")] == [10.0]
    assert [b["trades"] for b in bars(tape, "imbalance:dollar:10.01")] == []


def test_an_adaptive_bar_follows_its_definition() -> None:
    """T0 = 4: four trades of warm-up give sqrt(4) x 1 = 2; then E[T] |E[b w]| is 2 or less until a bar is longer."""
    ours = bars(trades(1, 1, 1, 1, -1, -1, 1, -1, 1, 1, 1), "imbalance:tick:ewma:4")
    # The warm-up's own E[T] |E[b w]| is 4 x 1; the bar of -1 -1 1 -1 1 1 1 never leads by 4.
    assert ours == []
    ours = bars(trades(1, -1, 1, -1, -1, -1, 1, -1, 1, 1, 1), "imbalance:tick:ewma:4")
    assert [(b["trades"], b["imbalance"], b["threshold"]) for b in ours] == [(2, -2.0, 2.0), (4, 2.0, 2.0)]


@settings(max_examples=15, deadline=None)
@given(SEEDS)
def test_bars_equal_the_reference_to_the_bit(seed: int) -> None:
    tape = tapes.rows(seed, 500)
    table = tapes.run(tapes.signals(KERNELS), tape)["bars"]
    for i, members in reference.trades(tape).items():
        symbol = tapes.INSTRUMENTS[i].symbol
        for name in FIXED:
            rule, measure, number = name.split(":")
            ours = [{f: b[f] for f in (*FIGURES, "imbalance")} for b in of(table, symbol=symbol, bar=name)]
            assert ours == reference.imbalance_bars(members, rule, measure, Fraction(number))
            assert ours


@settings(max_examples=15, deadline=None)
@given(SEEDS)
@example(2217)
def test_adaptive_bars_equal_the_reference(seed: int) -> None:
    """Thresholds may differ by one in the last of their 12 digits."""
    tape = tapes.rows(seed, 900)
    table = tapes.run(tapes.signals(KERNELS), tape)["bars"]
    for i, members in reference.trades(tape).items():
        for name in ADAPTIVE:
            rule, measure, _, nominal = name.split(":")
            ours = of(table, symbol=tapes.INSTRUMENTS[i].symbol, bar=name)
            theirs = reference.adaptive_bars(members, rule, measure, int(nominal))
            names = (*FIGURES, "imbalance")
            assert [{f: b[f] for f in names} for b in ours] == [{f: b[f] for f in names} for b in theirs]
            assert np.allclose([b["threshold"] for b in ours], [b["threshold"] for b in theirs], rtol=1.1e-11, atol=0)
            assert ours


@settings(max_examples=10, deadline=None)
@given(SEEDS, st.lists(st.integers(0, 900), max_size=12))
def test_bars_do_not_depend_on_cuts_or_restores(seed: int, cuts: list[int]) -> None:
    tape = tapes.rows(seed, 900, begin=tapes.DAY + DAY_US - 300_000_000)
    made, out, at = tapes.signals(KERNELS), [], 0
    for cut in [*sorted(cuts), 900]:
        part = tape[at:cut].copy()
        made.prepare(part)
        made.feed(part)
        out += made.take()
        made, at = pickle.loads(pickle.dumps(made)), cut
    made.finish()
    assert tapes.gather([*out, *made.take()]) == tapes.run(tapes.signals(KERNELS), tape)


@pytest.mark.parametrize("size", [1, 7])
def test_bars_do_not_depend_on_the_size_of_batches(size: int) -> None:
    tape = tapes.rows(3, 900, begin=tapes.DAY + DAY_US - 300_000_000)
    assert tapes.run(tapes.signals(KERNELS), tape, range(size, 900, size)) == tapes.run(tapes.signals(KERNELS), tape)


@settings(max_examples=10, deadline=None)
@given(SEEDS)
def test_flipping_sides_flips_the_imbalance_alone(seed: int) -> None:
    tape = tapes.rows(seed, 500)
    flipped = tape.copy()
    flipped["side"] *= -1
    one, other = (tapes.run(tapes.signals(KERNELS), t)["bars"] for t in (tape, flipped))
    assert one.drop_columns(["imbalance", "buy_volume"]) == other.drop_columns(["imbalance", "buy_volume"])
    assert [-x if x is not None else None for x in one["imbalance"].to_pylist()] == other["imbalance"].to_pylist()


@settings(max_examples=10, deadline=None)
@given(SEEDS)
def test_finer_steps_change_no_bar(seed: int) -> None:
    """A last trade of many digits has every state rescaled in the middle of its bars."""
    tape = tapes.rows(seed, 500, instruments=1)
    tape["price"][400], tape["size"][400] = 100.00001, 0.00000001
    whole = tapes.run(tapes.signals(KERNELS), tape)["bars"]
    assert tapes.run(tapes.signals(KERNELS), tape, [100, 400, 401])["bars"] == whole


@settings(max_examples=10, deadline=None)
@given(SEEDS)
def test_volume_is_conserved(seed: int) -> None:
    tape = tapes.rows(seed, 500, instruments=1)
    table = tapes.run(tapes.signals(KERNELS, complete=True), tape)["bars"]
    total = sum(t["q"] for t in reference.trades(tape)[0])
    for name in FIXED:
        assert sum(Fraction(repr(b["volume"])) for b in of(table, bar=name)) == total
        assert [b["partial"] for b in of(table, bar=name)].count(True) <= 1
    for name in ADAPTIVE:
        ours = of(table, bar=name)
        rest = tape[tape["trade_id"] >= ours[0]["first_id"]]
        assert sum(Fraction(repr(b["volume"])) for b in ours) == sum(Fraction(repr(float(q))) for q in rest["size"])
        assert [b["first_id"] for b in ours[1:]] == [b["last_id"] + 1 for b in ours[:-1]], "what comes before is the warm-up"


TICKS = (
    "1205 1, 1005 1, 1304.75 6, 1904.75 1, 1304.75 20, 1304.75 1, 1304.75 5"
    + 6 * ", 1304.5 1"
    + ", 1304.5 5"
    + (3 * ", 1304.5 1" + ", 1304.5 4, 1304.5 11, 1304.5 9" + 3 * ", 1304.5 1" + ", 1304.5 6, 1304.5 1")
)


def test_first_bars_known_of_another_library() -> None:
    """K2: the first 25 ticks of the sample of mlfinlab's test_standard_data_structures, prices and sizes."""
    ticks = [tuple(map(float, tick.split())) for tick in TICKS.split(", ")]
    tape = trades(*[1] * len(ticks))
    tape["price"], tape["size"] = np.array(ticks).T
    for cuts in ((), (10, 20), (1, 2, 3, 24)):
        made = tapes.signals(Kernels(bars=("1m", "tick:10", "volume", "dollar"), vpin=()))
        made.volumes.complete(0, tapes.DAY - DAY_US, 500 * 30.0, 500 * 1e5)
        out = tapes.run(made, tape, cuts)["bars"]
        for name, close in {"dollar": 1304.5, "volume": 1304.75, "tick:10": 1304.5}.items():
            first = of(out, bar=name)[0]
            assert tuple(first[x] for x in ("open", "high", "low", "close")) == (1205, 1904.75, 1005, close), name


def test_a_short_bar_tells_its_imbalance_and_a_warm_up_is_no_bar() -> None:
    tape = trades(1, 1, -1, 1)
    for name, expected in (("imbalance:tick:9", [(4, 2.0, True)]), ("imbalance:tick:ewma:9", [])):
        assert [(b["trades"], b["imbalance"], b["partial"]) for b in bars(tape, name, complete=True)] == expected


@pytest.mark.parametrize("name", [*(f"imbalance:{m}:ewma:50" for m in ("tick", "volume", "dollar")), "run:tick:ewma:50"])
def test_a_hundred_days_of_chance_keep_the_number_of_bars(name: str) -> None:
    """Neither one trade a bar nor days a bar: what becomes of unguarded thresholds of past bars."""
    days, a_day = 100, 2000
    rng = np.random.default_rng(5)
    tape = tapes.rows(5, days * a_day, instruments=1)
    tape["ts"] = tapes.DAY + np.arange(days * a_day) * (DAY_US // a_day)
    tape["side"], tape["price"] = rng.choice([-1, 1], days * a_day), 100.0
    made = tapes.run(tapes.signals(Kernels(bars=("1m", name), vpin=())), tape)["bars"]
    dates = made.filter(pc.equal(made["bar"], name))["date"].value_counts()
    counts = np.array([d["counts"].as_py() for d in dates])
    assert counts.size == days
    assert counts[1:].max() <= 3 * counts[1:].min()
    assert counts[1:].min() > 10


@pytest.mark.parametrize("name", ["imbalance:tick:ewma:50", "run:volume:ewma:50"])
def test_one_sided_flow_neither_shrinks_nor_swells_bars_without_bound(name: str) -> None:
    tape = tapes.rows(5, 20_000, instruments=1)
    tape["side"], tape["price"] = 1, 100.0
    lengths = [b["trades"] for b in bars(tape, name)]
    assert lengths
    assert max(lengths) <= 25 * 50
    assert np.median(lengths) >= 50 / 5 / 2


@pytest.mark.parametrize("name", ["imbalance:tick:ewma:12", "run:dollar:ewma:12"])
def test_a_date_begins_from_the_last_bars_of_the_dates_before(name: str) -> None:
    """Two dates in one go, and the second alone from the rows of the first, give the same bars."""
    kernels = Kernels(bars=("1m", name), vpin=())
    tape = tapes.rows(9, 3000, begin=tapes.DAY + DAY_US - 300_000_000, instruments=1)
    midnight = int(np.argmax(np.maximum.accumulate(tape["ts"]) >= tapes.DAY + DAY_US))
    whole = of(tapes.run(tapes.signals(kernels), tape)["bars"], bar=name)
    before = [b for b in whole if b["end"] <= tapes.DAY + DAY_US and not b["partial"]]
    total = "trades" if "tick" in name else "notional"
    alone = tapes.signals(kernels)
    alone.measured.plant(0, name, np.array([(b["trades"], b["imbalance"], b[total]) for b in before], BAR_FLOW))
    second = of(tapes.run(alone, tape[midnight:].copy())["bars"], bar=name)
    assert second == [b for b in whole if b["ts"] >= tapes.DAY + DAY_US]
    assert len(second) > 10


def test_the_largest_threshold_and_the_finest_steps_fit() -> None:
    """Thresholds in ticks x lots have more digits than Python's decimals count in."""
    tape = tapes.rows(0, 3, instruments=1)
    tape["price"], tape["size"], tape["side"] = [1e-12, 1e12, 1e5], [1e-8, 1.0, 1e9], 1
    kernels = Kernels(bars=("1m", "dollar", "imbalance:dollar:999999999999999"), vpin=(), bucket_volume="100000000000")
    assert not of(tapes.run(tapes.signals(kernels), tape)["bars"], bar="imbalance:dollar:999999999999999")


WRONG = (
    *("imbalance:tick:0", "imbalance:tick:1.5", "imbalance:volume:0.0", "imbalance:volume", "run:tick:ewma:0", "run:foo:5"),
    *("tick:ewma:5", "volume:5", "imbalance:dollar:1e9", "imbalance", "run:volume:-5", "imbalance:tick:ewma", "2m", ""),
)


@pytest.mark.parametrize("name", WRONG)
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="unknown bar"):
        bar_terms(name)
    with pytest.raises(SettingsError, match="unknown bar"):
        load(kernels={"bars": ["1s", "1m", name]})
