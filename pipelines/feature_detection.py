"""Detectors on closed minutes, from rows of table `features`: what stands out, and which way the tape leans.

Each date begins anew: with the minutes of the 4 hours before midnight, and with levels fixed from the dates before.
"""

from __future__ import annotations

from collections import deque
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
from pipelines.kernels.bar import Bars
from pipelines.market import DAY_US, Instrument
from pipelines.tape import joined

WARM_US: Final = 240 * alarm.MINUTE
"""Minutes this long before midnight are what a date begins with."""
LOOK_BACK: Final = 28
"""Dates are looked at no further back than this many days."""

Floats = npt.NDArray[np.float64]
Minutes = npt.NDArray[np.void]
_SCORES: Final = len(standing.SCORES)


@dataclass
class _Date:
    """What a date leaves: the peaks of each score, and the days in which it was known."""

    peaks: Floats = field(default_factory=lambda: np.full((_SCORES, alarm.PEAKS), np.nan))
    days: Floats = field(default_factory=lambda: np.zeros(_SCORES))


@dataclass
class _Side:
    """An instrument: minutes that wait for their features, those a date begins with, and where its detectors stand."""

    closed: deque[tuple[int, float, float]] = field(default_factory=deque)
    featured: dict[int, tuple[float, ...]] = field(default_factory=dict)
    warm: Minutes = field(default_factory=lambda: np.zeros(0, standing.MINUTE))
    day: int = -1
    dates: dict[int, _Date] = field(default_factory=dict)
    today: Floats = field(default_factory=lambda: np.full((_SCORES, alarm.DAY_MINUTES), np.nan))
    levels: Floats = field(default_factory=lambda: np.zeros(_SCORES))
    ring: Minutes = field(default_factory=lambda: np.zeros(1, standing.RING))
    sums: Minutes = field(default_factory=lambda: np.zeros(1, cusum.CUSUM))
    alarms: Minutes = field(default_factory=lambda: np.zeros(len(standing.ALARMS), alarm.ALARM))
    lean: Minutes = field(default_factory=lambda: np.zeros(1, machine.POSTURE))

    def ready(self) -> Minutes:
        """Return the oldest minutes of which all is known."""
        rows = []
        while self.closed and self.closed[0][0] in self.featured:
            ts, close, volume = self.closed.popleft()
            rows.append((ts, *self.featured.pop(ts), close, volume))
        return np.array(rows, standing.MINUTE)


class FeatureAlarms:
    """Detectors on minutes, and postures, of all instruments; plain and picklable."""

    def __init__(self, settings: Detectors) -> None:
        self.settings = settings
        self.sides: list[_Side] = []

    def configure(self, settings: Detectors) -> None:
        """Take new settings; levels are worked out anew from what earlier dates left."""
        self.settings = settings
        for side in self.sides:
            if side.day >= 0:
                side.levels = self._levels(side)

    def grow(self, n: int) -> None:
        """Make room for `n` instruments."""
        self.sides += [_Side() for _ in range(n - len(self.sides))]

    def minutes(self, bars: Bars, close: Floats, volume: Floats) -> None:
        """Take one-minute bars that closed, in order per instrument; close in quote, volume in base."""
        known = zip(bars["instrument"].tolist(), bars["ts"].tolist(), close.tolist(), volume.tolist(), strict=True)
        for i, *minute in known:
            self.sides[i].closed.append((minute[0], minute[1], minute[2]))

    def features(self, table: pa.Table, of: Sequence[Instrument]) -> tuple[pa.Table | None, list[alerts.Alert]]:
        """Take rows of table `features`, each after its bar; return rows of table `posture`, and alerts."""
        places = {(it.venue, it.symbol): i for i, it in enumerate(of)}
        names = zip(table["venue"].to_pylist(), table["symbol"].to_pylist(), strict=True)
        ts = table["ts"].cast(pa.int64()).to_pylist()
        figures = zip(*(table[name].to_numpy().tolist() for name in standing.COLUMNS), strict=True)
        touched: dict[int, None] = {}
        for name, at, row in zip(names, ts, figures, strict=True):
            i = places[name]
            self.sides[i].featured[at] = row
            touched[i] = None
        parts = [part for i in touched for part in self._follow(i, self.sides[i].ready())]
        found = [alert for part in parts for alert in self._alerts(part, of[part.instrument])]
        return (posture.table(parts, of) if parts else None), found

    def plant(self, i: int, rows: Minutes) -> None:
        """Begin instrument `i` with stored minutes of earlier dates (`standing.MINUTE`)."""
        self._follow(i, rows)

    def _follow(self, i: int, rows: Minutes) -> list[posture.Followed]:
        """Take minutes of an instrument, in order; return what was found, date by date."""
        side, parts = self.sides[i], []
        days = rows["ts"] // DAY_US * DAY_US
        one = days.size > 0 and days[0] == days[-1]
        for day in days[:1].tolist() if one else np.unique(days).tolist():
            mine = rows[days == day]
            if day != side.day:
                self._begin_date(side, day)
            found, free = self._run(side, mine)
            side.today[:, mine["ts"] // alarm.MINUTE % alarm.DAY_MINUTES] = free.T
            warm = joined([side.warm, mine])
            side.warm = warm[np.searchsorted(warm["ts"], warm["ts"][-1] - WARM_US, side="right") :].copy()
            parts.append(posture.Followed(i, mine["ts"].copy(), found, side.levels))
        return parts

    def _begin_date(self, side: _Side, day: int) -> None:
        """Fix the levels of a date (us), and begin it with the minutes before midnight."""
        if side.day >= 0:
            left = _Date()
            for k in range(_SCORES):
                left.days[k] = alarm.peaks(side.today[k], left.peaks[k])
            side.dates[side.day] = left
        kept = sorted(date for date in side.dates if day - LOOK_BACK * DAY_US <= date < day)[-alarm.DATES :]
        side.dates = {date: side.dates[date] for date in kept}
        side.today[:] = np.nan
        side.day = day
        side.levels = self._levels(side)
        side.warm = side.warm[side.warm["ts"] >= day - WARM_US]
        begin = int(side.warm["ts"][0]) if side.warm.size else day
        standing.begin(side.ring, side.sums, side.alarms, side.lean, begin)
        self._run(side, side.warm)

    def _levels(self, side: _Side) -> Floats:
        """Return the level of each score, from what earlier dates left."""
        wanted: list[Tuned | Posture] = [*self._alarms(), self.settings.posture]
        least = [*(s.least for s in self._alarms()), posture.logit(self.settings.posture.entry)]
        dates = list(side.dates.values())
        levels = np.array(least)
        for k in range(_SCORES if dates else 0):
            past = np.concatenate([date.peaks[k] for date in dates])
            levels[k] = alarm.level(past, sum(date.days[k] for date in dates), wanted[k].false_alarms_per_day, least[k])
        return levels

    def _alarms(self) -> list[Tuned]:
        """Return the settings of `standing.ALARMS`."""
        s = self.settings
        return [s.rvol_spike, s.volatility_jump, s.liquidity_drain, s.cusum_break]

    def _run(self, side: _Side, rows: Minutes) -> tuple[Minutes, Floats]:
        """Return what is found in minutes of one date, and their scores as if no level had ever been reached."""
        out, free = np.zeros(rows.size, standing.FOUND), np.empty((rows.size, _SCORES))
        if rows.size:
            of, lean = self._alarms(), self.settings.posture
            rearm = np.array([s.rearm for s in of])
            cooldown = np.array([*(s.cooldown_min for s in of), lean.cooldown_min], np.int64) * alarm.MINUTE
            state = side.ring, side.sums, side.alarms, side.lean
            standing.follow(rows, *state, side.levels, rearm, cooldown, posture.logit(lean.exit), free, out)
        return out, free

    def _alerts(self, part: posture.Followed, it: Instrument) -> list[alerts.Alert]:
        found = []
        told = part.found["alerts"].any(axis=1) | (part.found["action"] != machine.HOLD)
        for k in np.flatnonzero(told).tolist():
            ts, row = int(part.ts[k]), part.found[k]
            which = np.flatnonzero(row["alerts"]).tolist()
            found += [self._alert(j, it, ts, row, float(part.levels[j])) for j in which]
            if row["action"] != machine.HOLD:
                found.append(posture.change(self.settings.posture, it, ts, row, part.entry))
        return found

    def _alert(self, j: int, it: Instrument, ts: int, row: np.void, level: float) -> alerts.Alert:
        name, score = standing.ALARMS[j], float(row["scores"][j])
        label = {
            "rvol_spike": f"volume of 5 minutes is {score:.1f} times its mean",
            "volatility_jump": f"volatility of 15 minutes is {score:.1f} times that of the 45 before",
            "liquidity_drain": f"spread and price impact are {score:.1f} times what they usually are",
            "cusum_break": f"{'rises' if row['up'] else 'falls'} add up to {score:.1f} deviations beyond drift",
        }[name]
        figures = {"side": "up" if row["up"] else "down"} if name == "cusum_break" else {}
        wanted = self._alarms()[j]
        measure = alerts.Measure(score, level, f"{it.symbol} {label}", {"least": wanted.least, **figures})
        return alerts.found(name, wanted, it, (ts, ts + alarm.MINUTE, str(ts)), measure)
