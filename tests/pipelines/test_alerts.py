"""What is told of alerts: cooldown per detector, instrument and date."""

from __future__ import annotations

import numpy as np

from pipelines import alerts
from pipelines.bucketing import Bucketing
from pipelines.detector_settings import Detectors, VpinHigh
from pipelines.kernels import vpin
from pipelines.market import DAY_US
from pipelines.settings import Kernels
from tests import tapes

SECOND = 1_000_000
SETTINGS = Detectors()


def alert(second: float, *, detector: str = "volume_surge", instrument: int = 0) -> alerts.Alert:
    ts = tapes.DAY + round(second * SECOND)
    measure = alerts.Measure(6.0, 4.0, "", {})
    settings = SETTINGS.volume_surge
    return alerts.found(detector, settings, tapes.INSTRUMENTS[instrument], (ts, ts, str(ts)), measure)


def told(*found: alerts.Alert, cooldown_s: int = 60) -> list[int]:
    quiet = alerts.Quiet()
    return [k for k, a in enumerate(found) if quiet.told([a], {"volume_surge": cooldown_s})]


def test_nothing_is_told_within_the_cooldown_of_what_was() -> None:
    assert told(alert(0), alert(59), alert(60), alert(119), alert(121)) == [0, 2, 4]


def test_without_a_cooldown_everything_is_told() -> None:
    assert told(alert(5), alert(5), alert(4), cooldown_s=0) == [0, 1, 2]


def test_detectors_and_instruments_are_told_apart() -> None:
    assert told(alert(0), alert(1, instrument=1), alert(2, detector="big_trade"), alert(3)) == [0, 1, 2]


def test_each_date_begins_anew() -> None:
    day = DAY_US // SECOND
    assert told(alert(day - 5), alert(day + 5), alert(day + 6)) == [0, 1]


def test_detectors_without_a_level_have_a_cooldown() -> None:
    assert SETTINGS.cooldowns() == {"stale_feed": 0, "pipeline_behind": 60}


def test_high_vpin_alerts_again_only_once_it_was_low() -> None:
    made = Bucketing("v1x1", Kernels(vpin=("v1x1",)))
    made.grow(1)
    pct = [0.96, 0.92, 0.97, 0.89, 0.94, 0.95, 0.99]
    closed = np.zeros(len(pct), vpin.BUCKET)
    read = np.zeros((len(pct), 5))
    read[:, 1] = pct
    closed["last_id"], closed["end"] = range(len(pct)), tapes.DAY
    found = made._crossings(closed, read, tapes.INSTRUMENTS)
    assert [a.score for a in found] == [0.96, 0.95]


def test_a_date_takes_over_no_more_than_the_last_percentile() -> None:
    made = Bucketing("v1x1", Kernels(vpin=("v1x1",)))
    made.grow(1)
    closed, read = np.zeros(4, vpin.BUCKET), np.zeros((4, 5))
    closed["end"] = tapes.DAY + np.array([1, 2, DAY_US, DAY_US + 1])
    read[:, 1] = 0.96, 0.92, 0.96, 0.97
    assert [a.score for a in made._crossings(closed, read, tapes.INSTRUMENTS)] == [0.96, 0.96]
    made = Bucketing("v1x1", Kernels(vpin=("v1x1",)))
    made.grow(1)
    read[:, 1] = 0.96, 0.97, 0.96, 0.97
    assert len(made._crossings(closed, read, tapes.INSTRUMENTS)) == 1, "it was high at midnight, and still is"


def test_new_settings_of_the_alert_on_vpin_hold_at_once() -> None:
    made = Bucketing("v1x1", Kernels(vpin=("v1x1",)))
    made.grow(1)
    closed, read = np.zeros(3, vpin.BUCKET), np.zeros((3, 5))
    closed["end"], read[:, 1] = tapes.DAY, (0.96, 0.5, 0.96)
    made.settle(VpinHigh(pct=0.99))
    assert not made._crossings(closed, read, tapes.INSTRUMENTS)
    made.settle(VpinHigh(pct=0.92))
    found = made._crossings(closed, read, tapes.INSTRUMENTS)
    assert [a.threshold for a in found] == [0.92], "what was high before is not told, what becomes high is"
