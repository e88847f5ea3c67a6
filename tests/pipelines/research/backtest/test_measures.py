"""Measures on the clock: by hand, and unchanged by what comes later."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.market import DAY_US
from pipelines.research.backtest import alarms, measures, protocol, trades
from pipelines.research.backtest.measures import STEPS, Clock
from pipelines.research.backtest.protocol import Cell, Grid
from pipelines.research.backtest.trades import MINUTES, Floats, Minutes
from tests.pipelines.research.backtest.made import BTC, tape

HOUR = 12
"""Steps."""


def minutes(dates: list[int], **given: Floats) -> Minutes:
    n = len(dates)
    plain = {"closes": np.full((n, MINUTES), 100.0), "volumes": np.ones((n, MINUTES)), "trades": np.ones((n, MINUTES))}
    figures = {**plain, "buys": np.full((n, MINUTES), 0.75), **given}
    return Minutes(np.array(dates), **figures)


def test_an_hour_up_to_each_step_by_hand() -> None:
    closes = np.full((1, MINUTES), 100.0)
    closes[0, 90:] = 110.0
    at = measures.clock(minutes([10], closes=closes))
    square = np.log(1.1) ** 2
    rv = at.hour["rv_1h"]
    assert np.isnan(rv[:HOUR]).all(), "the first minute of all has no return: 61 minutes are needed"
    np.testing.assert_allclose(rv[17:32], [0] + [square] * 12 + [0] * 2, atol=1e-18)
    np.testing.assert_allclose(at.rv_next[:24], rv[HOUR : HOUR + 24])
    assert np.isnan(at.rv_next[-HOUR:]).all()
    assert at.hour["volume_1h"][HOUR - 1] == 60
    assert np.isnan(at.hour["volume_1h"][HOUR - 2])
    assert at.hour["imbalance_1h"][HOUR] == 0.5, "0.75 bought, 0.25 sold"


def test_dates_in_a_row_hang_together_and_others_do_not() -> None:
    at = measures.clock(minutes([10, 11, 13]))
    volume = at.hour["volume_1h"].reshape(3, STEPS)
    assert volume[1, 0] == 60
    assert np.isnan(volume[2, 0])
    assert at.rv_1d[2 * STEPS - 1] == 0
    assert np.isnan(at.rv_1d[:STEPS]).all()
    assert np.isnan(at.rv_1d[2 * STEPS :]).all()
    assert at.rv_next[STEPS - 1] == 0
    assert np.isnan(at.rv_next[2 * STEPS - HOUR : 2 * STEPS]).all(), "the date after is missing"


def test_until_the_first_trade_of_a_date_the_last_close_stands() -> None:
    closes = np.full((2, MINUTES), 100.0)
    closes[1, :30] = np.nan
    closes[1, 30:] = 110.0
    at = measures.clock(minutes([10, 11], closes=closes))
    assert at.hour["rv_1h"][STEPS + 5] == 0
    assert at.hour["rv_1h"][STEPS + 6] == pytest.approx(np.log(1.1) ** 2)


def flat(days: int) -> Clock:
    times = np.arange(1, days * STEPS + 1) * protocol.STEP_US
    none = np.full(times.size, np.nan)
    return Clock(times, np.repeat(np.arange(days), STEPS), {}, none, none)


def test_the_level_is_the_lowest_that_was_cheap_enough_on_the_dates_before() -> None:
    """Each date reaches 0.7 for six hours, and 0.9 for one step: above 0.7 that is an alarm a date."""
    pct = np.full((10, STEPS), 0.5)
    pct[:, 100 : 100 + 6 * HOUR] = 0.7
    pct[:, 120] = 0.9
    level = alarms.levels(flat(10), pct.ravel())
    assert np.isnan(level[:7]).all(), "seven dates must be known"
    assert level[7:].tolist() == [0.71, 0.71, 0.71]
    sounded = alarms.alarms(flat(10), pct.ravel(), level)
    assert (sounded // protocol.STEP_US - 1).tolist() == [date * STEPS + 120 for date in (7, 8, 9)]


def test_a_measure_that_is_never_cheap_enough_never_sounds() -> None:
    pct = np.ones(10 * STEPS)
    level = alarms.levels(flat(10), pct)
    assert np.isinf(level[7:]).all()
    assert alarms.alarms(flat(10), pct, level).size == 0


def test_what_comes_later_changes_no_measure_no_level_and_no_alarm() -> None:
    """The tape is cut behind a date: all that was known by then stays as it was, but what is to be explained."""
    made = tape()
    cut = made.made.dates()[22]
    found = []
    for until in (made.until, cut):
        passed = trades.read(made._replace(until=until).days(BTC), (50,), protocol.starts(3))
        at = measures.clock(passed.minutes)
        readings = [*measures.benchmarks(at), *measures.vpins(passed, at, Grid((50,), (25,), 3))]
        levels = [alarms.levels(at, one.pct) for one in readings]
        found.append((readings, levels, [alarms.alarms(at, one.pct, level) for one, level in zip(readings, levels, strict=True)]))
    whole, part = found
    steps, dates = part[0][0].pct.size, part[1][0].size
    limit = ((cut - trades.EPOCH).days + 1) * DAY_US
    for k, one in enumerate(part[0]):
        np.testing.assert_array_equal(whole[0][k].pct[:steps], one.pct, one.name)
        np.testing.assert_array_equal(whole[1][k][:dates], part[1][k], one.name)
        assert whole[2][k][whole[2][k] <= limit].tolist() == part[2][k].tolist()
    assert sum(times.size for times in part[2]) > 10


def test_vpin_stands_on_the_clock_once_its_bucket_is_complete() -> None:
    made = tape()
    passed = trades.read(made.days(BTC), (50,), np.ones(1))
    at = measures.clock(passed.minutes)
    (one,) = measures.vpins(passed, at, Grid((50,), (25,), 0))
    assert one.cell == Cell(50, 25, 0)
    closed, read = passed.buckets[50, 0], measures.windows(passed.buckets[50, 0], 25, passed.places)
    for step in range(at.times.size - 200, at.times.size, 37):
        last = np.flatnonzero(closed["end"] <= at.times[step])[-1]
        assert one.pct[step] == read[last, 1]
