"""Detectors on the tape's pace and on its minutes: silence, delay, and what looks like a cascade."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pipelines import alerts
from pipelines.detector_settings import CascadeProxy, PipelineBehind, StaleFeed
from pipelines.kernels import alarm, cascade, silence
from pipelines.kernels.bar import BAR, Bars
from pipelines.kernels.clock import UNKNOWN
from pipelines.market import Instrument
from pipelines.tape import Rows

Floats = npt.NDArray[np.float64]


class Silences:
    """Instruments that stop trading while the venue's clock goes on; see `kernels.silence.silences`."""

    def __init__(self, settings: StaleFeed) -> None:
        self.settings = settings
        self.traded = np.zeros(0, silence.TRADED)
        self.minutes = np.zeros((0, settings.window_min + 1), np.int64)

    def grow(self, n: int) -> None:
        """Make room for `n` instruments."""
        more = n - len(self.traded)
        self.traded = np.concatenate([self.traded, np.zeros(more, silence.TRADED)])
        self.minutes = np.concatenate([self.minutes, np.zeros((more, self.minutes.shape[1]), np.int64)])

    def feed(self, rows: Rows, instruments: Sequence[Instrument]) -> list[alerts.Alert]:
        """Return an alert for each silence that has become too long within `rows`, which are in tape order."""
        s, out = self.settings, np.empty(rows.size, silence.STALE)
        least = s.per_minute * s.window_min
        found = silence.silences(rows, self.traded, self.minutes, s.gaps, round(s.floor_s * 1e6), least, out)
        return [self._alert(stale, instruments[int(stale["instrument"])]) for stale in out[:found]]

    def _alert(self, stale: np.void, instrument: Instrument) -> alerts.Alert:
        s, last, now, gap = self.settings, int(stale["last"]), int(stale["now"]), float(stale["gap"])
        threshold = max(s.floor_s * 1e6, s.gaps * gap)
        label = f"{instrument.symbol}: no trade for {(now - last) / 1e6:.0f} s, usually one every {gap / 1e6:.3g} s"
        figures = {"silence_s": (now - last) / 1e6, "usual_s": gap / 1e6, "trades": int(stale["trades"])}
        measure = alerts.Measure((now - last) / 1e6, threshold / 1e6, label, figures | {"window_min": s.window_min})
        return alerts.found("stale_feed", s, instrument, (last, now, str(last)), measure)


class Delays:
    """Venues whose trades arrive later than they did before; see `kernels.silence.delays`."""

    def __init__(self, settings: PipelineBehind) -> None:
        self.settings = settings
        self.venues = np.zeros(0, silence.DELAY)

    def feed(self, rows: Rows, venue_of: npt.NDArray[np.int64], venues: Sequence[str]) -> list[alerts.Alert]:
        """Return an alert for each run of late seconds; `rows` in order of receipt."""
        fresh = np.zeros(len(venues) - len(self.venues), silence.DELAY)
        fresh["second"], fresh["slots"] = -1, UNKNOWN
        self.venues = np.concatenate([self.venues, fresh])
        s, out = self.settings, np.empty(rows.size, silence.BEHIND)
        found = silence.delays(rows, venue_of, self.venues, round(s.lag_s * 1e6), s.seconds, out)
        return [self._alert(behind, venues[int(behind["venue"])]) for behind in out[:found]]

    def _alert(self, behind: np.void, venue: str) -> alerts.Alert:
        s, lag, usual = self.settings, int(behind["lag"]) / 1e6, int(behind["usual"])
        end = (int(behind["second"]) + 1) * 1_000_000 - usual
        label = f"trades of {venue} arrive {lag:.1f} s later than usual"
        measure = alerts.Measure(lag, s.lag_s, label, {"lag_s": lag, "offset_us": usual, "seconds": s.seconds})
        everything = Instrument(venue, "all", "", "", "")
        when = (end - s.seconds * 1_000_000, end, str(int(behind["second"])))
        return alerts.found("pipeline_behind", s, everything, when, measure)


class Cascades:
    """Minutes that look like a cascade, of instruments without liquidations; see `kernels.cascade.cascades`.

    Attributes
    ----------
    forced : set of int
        Instruments whose liquidations are recorded: these say for themselves what happens.
    """

    def __init__(self, settings: CascadeProxy) -> None:
        self.settings = settings
        self.forced: set[int] = set()
        self.states = np.zeros(0, cascade.STATE)
        self.ring = np.zeros((0, 2, settings.window))
        self.held = np.zeros(0, alarm.HELD)

    def grow(self, n: int) -> None:
        """Make room for `n` instruments."""
        more = n - len(self.states)
        self.states = np.concatenate([self.states, np.zeros(more, cascade.STATE)])
        self.ring = np.concatenate([self.ring, np.zeros((more, 2, self.settings.window))])
        self.held = np.concatenate([self.held, np.zeros(more, alarm.HELD)])

    def plant(self, i: int, ts: npt.NDArray[np.int64], close: Floats, volume: Floats, buy: Floats) -> None:
        """Begin instrument `i` with the minutes of earlier dates, oldest first; `ts` in us."""
        bars = np.zeros(ts.size, BAR)
        bars["instrument"], bars["ts"], bars["end"] = i, ts, ts + cascade.MINUTE
        self._find(bars, close, volume, buy)

    def feed(self, bars: Bars, close: Floats, volume: Floats, buy: Floats, of: Sequence[Instrument]) -> list[alerts.Alert]:
        """Return an alert for each closed one-minute bar that looks like a cascade."""
        hits = [(hit, bars[int(hit["bar"])]) for hit in self._find(bars, close, volume, buy)]
        return [
            self._alert(hit, bar, of[int(bar["instrument"])]) for hit, bar in hits if int(bar["instrument"]) not in self.forced
        ]

    def _find(self, bars: Bars, close: Floats, volume: Floats, buy: Floats) -> npt.NDArray[np.void]:
        """Return what alerts, as `CASCADE`."""
        s, out = self.settings, np.empty(bars.size, cascade.CASCADE)
        terms = (self.held, alerts.wanted(s, s.move, s.rearm), s.volume, s.one_sided)
        return out[: cascade.cascades(bars, close, volume, buy, self.states, self.ring, *terms, out)]

    def _alert(self, hit: np.void, bar: np.void, instrument: Instrument) -> alerts.Alert:
        s, move, change, volume, side = self.settings, *(float(hit[n]) for n in ("move", "change", "volume", "one_sided"))
        label = (
            f"{instrument.symbol} cascade-like (no liquidation data): {change:+.2%} in a minute on {volume:.1f} times the volume"
        )
        figures = {"move": move, "log_return": change, "volume_ratio": volume, "one_sided": side, "window": s.window}
        when = (int(bar["ts"]), int(bar["end"]), str(int(bar["ts"])))
        measure = alerts.Measure(abs(move), float(hit["level"]), label, figures)
        return alerts.found("cascade_proxy", s, instrument, when, measure)
