"""Detectors on closed minutes, from rows of table `features`: what stands out, and which way the tape leans.

Each date begins anew: with the minutes of the 4 hours before midnight, and with levels fixed from the dates before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines import alerts, posture
from pipelines.detector_settings import Detectors, Posture, Tuned
from pipelines.kernels import alarm, cusum, standing
from pipelines.kernels import posture as machine
from pipelines.market import DAY_US, Instrument

WARM_US: Final = standing.WARM * alarm.MINUTE
"""Minutes this long before midnight are what a date begins with."""

Floats = npt.NDArray[np.float64]
Minutes = npt.NDArray[np.void]
_SCORES: Final = len(standing.SCORES)
_STATE: Final = ("days", "counts", "warm", "today", "rings", "sums", "alarms", "leans", "levels")


@dataclass
class _Date:
    """What a date leaves: the peaks of each score, and the days in which it was known."""

    peaks: Floats = field(default_factory=lambda: np.full((_SCORES, alarm.PEAKS), np.nan))
    days: Floats = field(default_factory=lambda: np.zeros(_SCORES))


class FeatureAlarms:
    """Detectors on minutes, and postures, of all instruments; plain and picklable.

    Attributes
    ----------
    dates : per instrument, what earlier dates (us) left
    days, counts, ... : arrays over instruments, as `standing.follow` takes them
    """

    def __init__(self, settings: Detectors) -> None:
        self.settings = settings
        self.dates: list[dict[int, _Date]] = []
        self.days = np.zeros(0, np.int64)
        self.counts = np.zeros(0, np.int64)
        self.warm = np.zeros((0, standing.WARM), standing.MINUTE)
        self.today = np.zeros((0, _SCORES, alarm.DAY_MINUTES))
        self.rings = np.zeros(0, standing.RING)
        self.sums = np.zeros(0, cusum.CUSUM)
        self.alarms = np.zeros((0, len(standing.ALARMS)), alarm.ALARM)
        self.leans = np.zeros(0, machine.POSTURE)
        self.levels = np.zeros((0, _SCORES))

    def configure(self, settings: Detectors) -> None:
        """Take new settings; levels are worked out anew from what earlier dates left."""
        self.settings = settings
        for i in np.flatnonzero(self.days >= 0).tolist():
            self.levels[i] = self._levels(i)

    def grow(self, n: int) -> None:
        """Make room for `n` instruments."""
        more = n - len(self.dates)
        for name in _STATE:
            state = getattr(self, name)
            setattr(self, name, np.concatenate([state, np.zeros((more, *state.shape[1:]), state.dtype)]))
        self.days[n - more :] = -1
        self.dates += [{} for _ in range(more)]

    def feed(self, minutes: Minutes, of: Sequence[Instrument]) -> tuple[pa.Table, list[alerts.Alert]]:
        """Take minutes (`standing.MINUTE`), in order of time per instrument; return rows of table `posture`, and alerts."""
        found = self._follow(minutes)
        told = found["alerts"].any(axis=1) | (found["action"] != machine.HOLD)
        return posture.table(found, of), [a for row in found[told] for a in self._alerts(row, of[int(row["instrument"])])]

    def plant(self, i: int, minutes: Minutes) -> None:
        """Begin instrument `i` with stored minutes of earlier dates (`standing.MINUTE`)."""
        minutes["instrument"] = i
        self._follow(minutes)

    def _follow(self, minutes: Minutes) -> Minutes:
        """Return what is found in minutes."""
        out, at = np.zeros(minutes.size, standing.FOUND), 0
        while at < minutes.size:
            at += standing.follow(minutes[at:], out[at:], *self._state())
            if at < minutes.size:
                self._begin_date(int(minutes["instrument"][at]), int(minutes["ts"][at]) // DAY_US * DAY_US)
        return out

    def _begin_date(self, i: int, day: int) -> None:
        """Fix the levels of a date (us), and begin it with the minutes before midnight."""
        if self.days[i] >= 0:
            left = _Date()
            for k in range(_SCORES):
                left.days[k] = alarm.peaks(self.today[i, k], left.peaks[k])
            self.dates[i][int(self.days[i])] = left
        kept = sorted(date for date in self.dates[i] if day - alarm.LOOK_BACK * DAY_US <= date < day)[-alarm.DATES :]
        self.dates[i] = {date: self.dates[i][date] for date in kept}
        self.levels[i] = self._levels(i)
        standing.begin(i, day, np.zeros(1, standing.FOUND), *self._state())

    def _levels(self, i: int) -> Floats:
        """Return the level of each score, from what earlier dates left."""
        wanted: list[Tuned | Posture] = [*self._alarms(), self.settings.posture]
        least = [*(s.least for s in self._alarms()), posture.logit(self.settings.posture.entry)]
        dates = list(self.dates[i].values())
        levels = np.array(least)
        for k in range(_SCORES if dates else 0):
            past = np.concatenate([date.peaks[k] for date in dates])
            levels[k] = alarm.level(past, sum(date.days[k] for date in dates), wanted[k].false_alarms_per_day, least[k])
        return levels

    def _alarms(self) -> list[Tuned]:
        """Return the settings of `standing.ALARMS`."""
        s = self.settings
        return [s.rvol_spike, s.volatility_jump, s.liquidity_drain, s.cusum_break]

    def _state(self) -> tuple[npt.NDArray[np.generic] | float, ...]:
        """Return the state and the settings as the kernel takes them."""
        of, lean = self._alarms(), self.settings.posture
        rearm = np.array([s.rearm for s in of])
        cooldown = np.array([*(s.cooldown_min for s in of), lean.cooldown_min], np.int64) * alarm.MINUTE
        return *(getattr(self, name) for name in _STATE), rearm, cooldown, posture.logit(lean.exit)

    def _alerts(self, found: np.void, it: Instrument) -> list[alerts.Alert]:
        made = [self._alert(j, it, found) for j in np.flatnonzero(found["alerts"]).tolist()]
        return [*made, posture.change(self.settings.posture, it, found)] if found["action"] != machine.HOLD else made

    def _alert(self, j: int, it: Instrument, found: np.void) -> alerts.Alert:
        name, ts, score, level = standing.ALARMS[j], int(found["ts"]), float(found["scores"][j]), float(found["levels"][j])
        label = {
            "rvol_spike": f"volume of 5 minutes is {score:.1f} times its mean",
            "volatility_jump": f"volatility of 15 minutes is {score:.1f} times that of the 45 before",
            "liquidity_drain": f"spread and price impact are {score:.1f} times what they usually are",
            "cusum_break": f"{'rises' if found['up'] else 'falls'} add up to {score:.1f} deviations beyond drift",
        }[name]
        figures = {"side": "up" if found["up"] else "down"} if name == "cusum_break" else {}
        wanted = self._alarms()[j]
        measure = alerts.Measure(score, level, f"{it.symbol} {label}", {"least": wanted.least, **figures})
        return alerts.found(name, wanted, it, (ts, ts + alarm.MINUTE, str(ts)), measure)
