"""Detectors with their state: from what kernels find to alerts."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from pipelines import alerts
from pipelines.detector_settings import BigTrade, VolumeSurge
from pipelines.kernels import alarm, anomalies
from pipelines.kernels.bar import BAR, Bars
from pipelines.market import BAR_WIDTHS_US, Instrument
from pipelines.tape import CLOCK, Rows, empty

DATES: Final = 3
"""Earlier dates that the level of big trades is taken from: no more, as history reads all their trades anew."""


class BigTrades:
    """The big-trade detector over all instruments."""

    def __init__(self, settings: BigTrade) -> None:
        self.settings = settings
        self.open = np.zeros(0, anomalies.SWEEP)
        self.ring = np.zeros((0, settings.window))
        self.count = np.zeros(0, np.int64)
        self.held = np.zeros(0, alarm.HELD)

    def grow(self, n: int) -> None:
        """Make room for `n` instruments."""
        more = n - len(self.open)
        self.open = np.concatenate([self.open, np.zeros(more, anomalies.SWEEP)])
        self.ring = np.concatenate([self.ring, np.zeros((more, self.settings.window))])
        self.count = np.concatenate([self.count, np.zeros(more, np.int64)])
        self.held = np.concatenate([self.held, np.zeros(more, alarm.HELD)])

    def plant(self, i: int, **columns: npt.NDArray[np.generic]) -> None:
        """Begin instrument `i` with the trades of an earlier date, after those before; `columns` of `Rows`, in tape order."""
        rows = empty(columns["ts"].size + 1)
        for name, column in columns.items():
            rows[name][:-1] = column
        rows["instrument"] = i
        rows["kind"][-1], rows["ts"][-1] = CLOCK, np.iinfo(np.int64).max
        self._find(rows)

    def feed(self, rows: Rows, instruments: list[Instrument]) -> list[alerts.Alert]:
        """Return an alert for each big sweep that ended within `rows`."""
        return [self._alert(sweep, instruments[int(sweep["instrument"])]) for sweep in self._find(rows)]

    def _find(self, rows: Rows) -> npt.NDArray[np.void]:
        """Return what alerts, as `SWEEP`."""
        out, s = np.empty(rows.size, anomalies.SWEEP), self.settings
        wanted = alerts.wanted(s, s.z, math.inf, DATES)
        return out[: anomalies.big_trades(rows, self.open, self.ring, self.count, self.held, wanted, s.floor, out)]

    def finish(self, instruments: list[Instrument]) -> list[alerts.Alert]:
        """End the open sweeps of a bounded tape."""
        ticks = empty(len(instruments))
        ticks["kind"], ticks["instrument"] = CLOCK, np.arange(len(instruments))
        ticks["ts"] = np.iinfo(np.int64).max
        return self.feed(ticks, instruments)

    def _alert(self, sweep: np.void, instrument: Instrument) -> alerts.Alert:
        ts, z, notional, size = int(sweep["ts"]), float(sweep["z"]), float(sweep["notional"]), float(sweep["size"])
        level = float(sweep["level"])
        side = "buy" if sweep["side"] > 0 else "sell"
        return alerts.Alert(
            alerts.alert_id("big_trade", self.settings.model_dump_json().encode(), instrument, str(int(sweep["last_id"]))),
            instrument,
            ts,
            ts,
            "big_trade",
            alerts.severity(z, level),
            z,
            level,
            f"{instrument.symbol} {side} of {notional:,.0f} {instrument.quote} (z {z:.1f} of log notional)",
            alerts.details(
                notional=notional,
                size=size,
                side=side,
                trades=int(sweep["trades"]),
                first_id=int(sweep["first_id"]),
                last_id=int(sweep["last_id"]),
                mean=float(sweep["mean"]),
                deviation=float(sweep["deviation"]),
                window=self.settings.window,
            ),
        )


class Surges:
    """The volume-surge detector over all instruments."""

    def __init__(self, settings: VolumeSurge) -> None:
        self.settings = settings
        self.ring = np.zeros((0, 2, settings.window))
        self.count = np.zeros(0, np.int64)
        self.last = np.zeros(0, np.int64)
        self.held = np.zeros(0, alarm.HELD)

    def grow(self, n: int) -> None:
        """Make room for `n` instruments."""
        more = n - len(self.count)
        self.ring = np.concatenate([self.ring, np.zeros((more, 2, self.settings.window))])
        self.count = np.concatenate([self.count, np.zeros(more, np.int64)])
        self.last = np.concatenate([self.last, np.zeros(more, np.int64)])
        self.held = np.concatenate([self.held, np.zeros(more, alarm.HELD)])

    def plant(self, i: int, ts: npt.NDArray[np.int64], volume: npt.NDArray[np.float64]) -> None:
        """Begin instrument `i` with the bars of earlier dates, oldest first; `ts` in us, `volume` in base."""
        bars = np.zeros(ts.size, BAR)
        bars["instrument"], bars["ts"], bars["end"] = i, ts, ts + BAR_WIDTHS_US[self.settings.bar]
        self._find(bars, volume)

    def feed(self, bars: Bars, volume: npt.NDArray[np.float64], instruments: list[Instrument]) -> list[alerts.Alert]:
        """Return an alert for each closed bar whose volume surged; `volume` in units of base."""
        return [
            self._alert(surge, bars[int(surge["bar"])], float(volume[int(surge["bar"])]), instruments)
            for surge in self._find(bars, volume)
        ]

    def _find(self, bars: Bars, volume: npt.NDArray[np.float64]) -> npt.NDArray[np.void]:
        """Return what alerts, as `SURGE`."""
        out = np.empty(bars.size, anomalies.SURGE)
        s = self.settings
        width, wanted = BAR_WIDTHS_US[s.bar], alerts.wanted(s, s.z, s.rearm)
        found = anomalies.volume_surges(bars, volume, width, self.ring, self.count, self.last, self.held, wanted, s.rvol, out)
        return out[:found]

    def _alert(self, surge: np.void, bar: np.void, volume: float, instruments: list[Instrument]) -> alerts.Alert:
        instrument = instruments[int(bar["instrument"])]
        z, rvol, level = float(surge["z"]), float(surge["rvol"]), float(surge["level"])
        return alerts.Alert(
            alerts.alert_id("volume_surge", self.settings.model_dump_json().encode(), instrument, str(int(bar["ts"]))),
            instrument,
            int(bar["ts"]),
            int(bar["end"]),
            "volume_surge",
            alerts.severity(z, level),
            z,
            level,
            f"{instrument.symbol} volume of {volume:,.4g} {instrument.base} in {self.settings.bar}, {rvol:.1f} times its mean",
            alerts.details(
                volume=volume, mean=float(surge["mean"]), rvol=rvol, bar=self.settings.bar, window=self.settings.window
            ),
        )
