"""Detectors on what venues send besides trades: liquidations, spreads, books."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from pipelines import alerts
from pipelines.detector_settings import BookImbalance, LiquidationSpike, SpreadBlowout
from pipelines.feed_rows import Snapshot
from pipelines.kernels import alarm, spread
from pipelines.market import GRACE_US, Instrument

MINUTE_US = 60_000_000


@dataclass
class _Minute:
    """The open minute of an instrument's liquidations, and the totals of those before it."""

    start: int
    past: deque[float]
    orders: list[tuple[int, float]] = field(default_factory=list)
    held: npt.NDArray[np.void] = field(default_factory=lambda: np.zeros(1, alarm.HELD))


class LiquidationSpikes:
    """Minutes whose liquidated notional L is far above the minutes before.

    What must be reached is the highest of: floor, 99 % order statistic, `times` x mean of the W minutes before, minutes
    without any counted as zero; L by it is held against the level. A minute closes with a liquidation of a later one, or
    as time bars do by the venue's clock; one that comes late counts in the open minute. Nothing alerts until W minutes
    since the first liquidation are known.
    """

    def __init__(self, settings: LiquidationSpike) -> None:
        self.settings = settings
        self.open: dict[int, _Minute] = {}

    def feed(self, i: int, ts: int, side: int, notional: float, instrument: Instrument) -> list[alerts.Alert]:
        """Take a liquidation."""
        start = ts // MINUTE_US * MINUTE_US
        minute = self.open.setdefault(i, _Minute(start, deque(maxlen=self.settings.window)))
        found = self._close(minute, start, instrument)
        minute.orders.append((side, notional))
        return found

    def clock(self, i: int, ts: int, instrument: Instrument) -> list[alerts.Alert]:
        """Take the venue's time."""
        minute = self.open.get(i)
        return [] if minute is None else self._close(minute, (ts - GRACE_US) // MINUTE_US * MINUTE_US, instrument)

    def finish(self, instruments: Sequence[Instrument]) -> list[alerts.Alert]:
        """Close the open minutes of a bounded tape."""
        return [a for i, m in sorted(self.open.items()) for a in self._close(m, m.start + MINUTE_US, instruments[i])]

    def _close(self, minute: _Minute, start: int, instrument: Instrument) -> list[alerts.Alert]:
        """Go on to the minute that begins at `start`."""
        if start <= minute.start:
            return []
        total = math.fsum(notional for _, notional in minute.orders)
        found = self._test(minute, total, instrument)
        empty = min((start - minute.start) // MINUTE_US - 1, self.settings.window)
        minute.past.extend([total, *[0.0] * empty])
        if empty:
            alarm.calm(minute.held[0])
        minute.start, minute.orders = start, []
        return found

    def _test(self, minute: _Minute, total: float, instrument: Instrument) -> list[alerts.Alert]:
        s, past = self.settings, minute.past
        if len(past) < s.window:
            return []
        mean, high = math.fsum(past) / s.window, sorted(past)[math.ceil(0.99 * s.window) - 1]
        least = max(s.floor, high, s.times * mean)
        if not alarm.judge(minute.held[0], minute.start, total / least, True, alerts.wanted(s, 1.0, s.rearm)):
            return []
        threshold = least * float(minute.held[0]["level"])
        sold = math.fsum(notional for side, notional in minute.orders if side < 0)
        label = f"{instrument.symbol} liquidations of {total:,.0f} {instrument.quote} in a minute, {sold / total:.0%} of longs"
        figures = {"notional": total, "longs": sold, "orders": len(minute.orders), "mean": mean, "high": high, "window": s.window}
        when = (minute.start, minute.start + MINUTE_US, str(minute.start))
        return [alerts.found("liquidation_spike", s, instrument, when, alerts.Measure(total, threshold, label, figures))]


class Spreads:
    """Seconds that end with a spread far above those before; see `kernels.spread.wide_spreads`."""

    def __init__(self, settings: SpreadBlowout) -> None:
        self.settings = settings
        self.states = np.zeros(0, spread.STATE)
        self.ring = np.zeros((0, settings.window))
        self.held = np.zeros(0, alarm.HELD)

    def feed(self, tops: np.ndarray, instruments: Sequence[Instrument]) -> list[alerts.Alert]:
        """Take best bids and asks (`TOP`) in order of receipt."""
        self._grow(len(instruments))
        out = np.empty(tops.size, spread.WIDE)
        s = self.settings
        wanted = alerts.wanted(s, 1.0, s.rearm)
        found = spread.wide_spreads(tops, self.states, self.ring, self.held, s.times, s.floor_bps, wanted, out)
        return [self._alert(wide, instruments[int(wide["instrument"])]) for wide in out[:found]]

    def finish(self, instruments: Sequence[Instrument]) -> list[alerts.Alert]:
        """Close the open seconds of a bounded tape."""
        tops = np.zeros(len(self.states), spread.TOP)
        tops["instrument"], tops["ts"] = np.arange(tops.size), self.states["second"] + spread.SECOND
        tops["bid"], tops["ask"], tops["of_book"] = 1.0, 1.0, ~self.states["quoted"]
        return self.feed(tops[self.states["second"] > 0], instruments)

    def _grow(self, n: int) -> None:
        more = n - len(self.states)
        if more:
            self.states = np.concatenate([self.states, np.zeros(more, spread.STATE)])
            self.ring = np.concatenate([self.ring, np.zeros((more, self.settings.window))])
            self.held = np.concatenate([self.held, np.zeros(more, alarm.HELD)])

    def _alert(self, wide: np.void, instrument: Instrument) -> alerts.Alert:
        s, second, bps = self.settings, int(wide["second"]), float(wide["spread"])
        median, high = float(wide["median"]), float(wide["high"])
        threshold = float(wide["least"]) * float(wide["level"])
        label = f"{instrument.symbol} spread of {bps:.2f} bps, usually {median:.2f}"
        figures = {"spread_bps": bps, "median_bps": median, "high_bps": high, "window": s.window}
        when = (second, second + spread.SECOND, str(second))
        return alerts.found("spread_blowout", s, instrument, when, alerts.Measure(bps, threshold, label, figures))


@dataclass
class _Run:
    """Snapshots of an instrument's book that follow each other and lean to the same side: how far, the newest last."""

    leans: deque[float]
    ts: int = 0
    held: npt.NDArray[np.void] = field(default_factory=lambda: np.zeros(1, alarm.HELD))


class Imbalances:
    """Books that lean to one side at several snapshots in a row.

    The least lean of the last `snapshots` is held against the level; it is 0 where these are not all to the same side,
    and not known where they do not follow each other.
    """

    def __init__(self, settings: BookImbalance) -> None:
        self.settings = settings
        self.runs: dict[int, _Run] = {}

    def feed(self, shown: Snapshot, sizes: tuple[list[float], list[float]], interval: int, it: Instrument) -> list[alerts.Alert]:
        """Take a snapshot with its sizes in base; `interval` between snapshots in us."""
        s = self.settings
        bids, asks = (math.fsum(side[: s.levels]) for side in sizes)
        lean = (bids - asks) / (bids + asks) if bids + asks > 0 else 0.0
        run = self.runs.setdefault(shown.instrument, _Run(deque(maxlen=s.snapshots)))
        if shown.ts - run.ts != interval:
            run.leans.clear()
        run.leans.append(lean)
        run.ts = shown.ts
        if len(run.leans) < s.snapshots:
            return []
        score = min(abs(x) if x * lean > 0 else 0.0 for x in run.leans)
        if not alarm.judge(run.held[0], shown.ts, score, True, alerts.wanted(s, s.threshold, s.rearm)):
            return []
        side = "bids" if lean > 0 else "asks"
        label = f"{it.symbol} book: {score:.0%} more {side} on {s.levels} levels, {s.snapshots} snapshots in a row"
        figures = {"imbalance": lean, "bids": bids, "asks": asks, "snapshots": s.snapshots, "interval_us": interval}
        when = (shown.ts - (s.snapshots - 1) * interval, shown.ts, str(shown.ts))
        level = float(run.held[0]["level"])
        return [alerts.found("book_imbalance", s, it, when, alerts.Measure(score, level, label, figures))]
