"""The same symbol at several venues: closes of one-second bars that are further apart than they usually are.

A second is judged once every venue's tape has passed it, so that what is found does not depend on which came first.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

import numpy as np
import numpy.typing as npt

from pipelines import alerts
from pipelines.detector_settings import Dislocation
from pipelines.kernels import alarm
from pipelines.kernels.bar import Bars
from pipelines.market import DAY_US, Instrument

SECOND_US = 1_000_000
CARRY_US = 2 * SECOND_US
"""A close stands for the seconds without trades after it, no longer than this."""
_MINUTE_US = 60_000_000


@dataclass
class _Leg:
    """One instrument of a group: closes still to be judged, the last one judged, and its distances before."""

    since: int
    past: deque[float]
    closes: deque[tuple[int, float]] = field(default_factory=deque)
    last: tuple[int, float] = (-1, 0.0)

    def at(self, second: int) -> float | None:
        """Return ln of the price that stands at the end of `second`; None where it is too old, or not yet to be used."""
        while self.closes and self.closes[0][0] <= second:
            self.last = self.closes.popleft()
        fresh = second - self.last[0] <= CARRY_US and second >= self.since
        return math.log(self.last[1]) if self.last[0] >= 0 and fresh else None


@dataclass
class _Group:
    """The instruments of one symbol that have traded, and how far one was apart in the last seconds in a row."""

    run: deque[float]
    legs: dict[int, _Leg] = field(default_factory=dict)
    last: int = 0
    held: npt.NDArray[np.void] = field(default_factory=lambda: np.zeros(1, alarm.HELD))


class Dislocations:
    """The detector over all symbols that several venues have. An instrument takes part from the second minute of its tape.

    Of each instrument, its distance is d = ln(its close) - ln(median of the others'), in bps, and its excess |d - median
    of d over the W seconds before|; of the highest one, the least of some seconds in a row is held against the level. The
    baseline begins anew with each UTC date.
    """

    def __init__(self, settings: Dislocation) -> None:
        self.settings = settings
        self.symbols: dict[str, list[int]] = {}
        self.shared = np.zeros(0, np.bool_)
        self.groups: dict[str, _Group] = {}

    def grow(self, instruments: Sequence[Instrument]) -> None:
        """Take note of new instruments."""
        for i in range(len(self.shared), len(instruments)):
            self.symbols.setdefault(instruments[i].symbol, []).append(i)
        self.shared = np.array([len(self.symbols[x.symbol]) > 1 for x in instruments], np.bool_)

    def feed(
        self, seconds: Bars, floor: npt.NDArray[np.int64], places: npt.NDArray[np.int64], instruments: Sequence[Instrument]
    ) -> list[alerts.Alert]:
        """Take closed one-second bars; return an alert for each symbol that came apart.

        Parameters
        ----------
        seconds : BAR, (n,)
            In time order per instrument.
        floor : int64, (instruments,)
            Time before which no bar is open, us.
        places : int64, (instruments,)
            Ticks as decimal places.
        """
        if not self.shared.any():
            return []
        for bar in seconds[self.shared[seconds["instrument"]]]:
            i, ts = int(bar["instrument"]), int(bar["ts"])
            group = self.groups.setdefault(instruments[i].symbol, _Group(deque(maxlen=self.settings.seconds)))
            if i not in group.legs:
                group.legs[i] = _Leg((ts // _MINUTE_US + 2) * _MINUTE_US, deque(maxlen=self.settings.window))
            group.legs[i].closes.append((ts, int(bar["close"]) / 10 ** int(places[i])))
        return [a for group in self.groups.values() for a in self._judge(group, floor, instruments)]

    def _judge(self, group: _Group, floor: npt.NDArray[np.int64], instruments: Sequence[Instrument]) -> list[alerts.Alert]:
        """Judge the seconds that every leg has passed."""
        passed = min(int(floor[i]) for i in group.legs) - SECOND_US
        due = sorted({ts for leg in group.legs.values() for ts, _ in leg.closes if ts <= passed})
        found = []
        for second in due:
            if second // DAY_US > group.last // DAY_US:
                for leg in group.legs.values():
                    leg.past.clear()
            if second - group.last > CARRY_US:
                group.run.clear()
            prices = {i: price for i, leg in sorted(group.legs.items()) if (price := leg.at(second)) is not None}
            if len(prices) > 1:
                found += self._second(group, second, prices, instruments)
                group.last = second
        return found

    def _second(
        self, group: _Group, second: int, prices: dict[int, float], instruments: Sequence[Instrument]
    ) -> list[alerts.Alert]:
        s = self.settings
        worst, most, details = -1, -1.0, {}
        for i, price in prices.items():
            past = group.legs[i].past
            apart = 1e4 * (price - median(p for k, p in prices.items() if k != i))
            usual = median(past) if len(past) == s.window else None
            excess = abs(apart - usual) if usual is not None else -1.0
            if excess > most:
                worst, most = i, excess
            past.append(apart)
            details[instruments[i].venue] = {"close": math.exp(price), "bps": apart, "usual_bps": usual}
        if most < 0:
            group.run.clear()
            return []
        group.run.append(most)
        if len(group.run) < s.seconds:
            return []
        if not alarm.judge(group.held[0], second, min(group.run), True, alerts.wanted(s, s.threshold_bps, s.rearm)):
            return []
        it = instruments[worst]
        label = f"{it.symbol} at {it.venue} is {most:.1f} bps further from {len(prices) - 1} other venue(s) than usual"
        when = (second, second + SECOND_US, str(second))
        measure = alerts.Measure(most, float(group.held[0]["level"]), label, {"venues": details, "window": s.window})
        return [alerts.found("dislocation", s, it, when, measure)]
