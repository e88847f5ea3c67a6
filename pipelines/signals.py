"""All kernels over one tape: rows in tape order in, rows of bars, vpin and alerts out.

The state is arrays over instruments; what comes out does not depend on where the rows are cut.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines import alerts, ledger
from pipelines import rows as to_rows
from pipelines.best_quotes import Passed
from pipelines.bucketing import Bucketing
from pipelines.bulk import Classifier
from pipelines.feature_detection import FeatureAlarms
from pipelines.features import Features
from pipelines.kernels import bar, clock, decimals, time_bars, vpin
from pipelines.kernels.wide import join
from pipelines.learned import LearnedAlarms
from pipelines.market import BAR_WIDTHS_US, DAY_US, Flag, Instrument
from pipelines.measured_bars import MeasuredBars, finer
from pipelines.reference import Volumes
from pipelines.rules.metrics import BARS
from pipelines.rules.watch import Watch
from pipelines.settings import Kernels
from pipelines.tape import Rows
from pipelines.tape_detectors import TapeDetectors

PASS = 32_768
"""Rows that all kernels take before the next are touched: as many as stay in the processor's cache."""

_Item = TypeVar("_Item", bound=np.generic)
_AFTER_GAP = int(Flag.AFTER_GAP)
_FOREVER = np.iinfo(np.int64).max
_WIDER = np.array(list(BAR_WIDTHS_US.values())[1:], np.int64)


class Signals:
    """Kernels and their state.

    Parameters
    ----------
    kernels : Kernels
        Which bars, buckets and detectors.
    origin : str
        `live` or `history`, as stored in `alerts.origin`.
    complete : bool
        Every date of this tape is whole (a venue's archive of whole days), so its volume counts for later dates, and
        neither its beginning nor its end cuts a bar.

    Attributes
    ----------
    begun : bool, (instruments,)
        The tape has begun; where it is not whole, its first time bars are marked as cut.
    """

    def __init__(self, kernels: Kernels, origin: str, *, complete: bool = False) -> None:
        self.kernels = kernels
        self.origin = origin
        self.complete = complete
        self.ending = False
        self.instruments: list[Instrument] = []
        self.volumes = Volumes(kernels.bucket_volume)
        self.clock = np.zeros(0, clock.INSTRUMENT)
        self.first_day = np.zeros(0, np.int64)
        self.begun = np.zeros(0, np.bool_)
        self.price_places = np.zeros(0, np.int64)
        self.size_places = np.zeros(0, np.int64)
        self.levels = np.zeros((len(BAR_WIDTHS_US), 0), bar.BAR)
        self.measured = MeasuredBars(kernels.bars)
        self.bucketing: dict[str, Bucketing] = {}
        self.classifier = Classifier()
        self.on_tape = TapeDetectors(kernels.detectors)
        self.features = Features()
        self.feature_alarms = FeatureAlarms(kernels.detectors)
        self.learned = LearnedAlarms(kernels.detectors.learned.model)
        self.watch = Watch()
        self.known_alerts: frozenset[str] = frozenset()
        self.quiet = alerts.Quiet()
        self._out: list[tuple[str, pa.Table]] = []
        self._closed: list[to_rows.Closed] = []
        self.configure(kernels)

    def configure(self, kernels: Kernels) -> None:
        """Take new settings; what they leave as it was keeps its state."""
        self.kernels = kernels
        self.volumes.bucket_volume = kernels.bucket_volume
        n = len(self.instruments)
        self.measured.configure(kernels.bars)
        self.bucketing = {s: self._bucketing(s, n) for s in kernels.vpin_settings()}
        self.watch.setting = next(iter(kernels.vpin_settings()), "")
        of = kernels.detectors
        self.on_tape.configure(of, self.instruments)
        if of != self.feature_alarms.settings:
            self.feature_alarms.configure(of)
        if of.learned.model != self.learned.settings:
            self.learned.configure(of.learned.model, self.features.states["last"])

    def _bucketing(self, setting: str, n: int) -> Bucketing:
        known = self.bucketing.get(setting)
        if known and known.fits(self.kernels):
            known.settle(self.kernels.detectors.vpin_high)
            return known
        made = Bucketing(setting, self.kernels)
        made.grow(n)
        return made

    def add(self, instrument: Instrument) -> int:
        """Add an instrument; return its index."""
        self.instruments.append(instrument)
        n = len(self.instruments)
        self.clock = _longer(self.clock, n)
        self.clock["day"][n - 1] = -1
        self.first_day = _longer(self.first_day, n)
        self.first_day[n - 1] = _FOREVER
        self.begun = _longer(self.begun, n)
        self.begun[n - 1] = self.complete
        self.price_places, self.size_places = _longer(self.price_places, n), _longer(self.size_places, n)
        self.levels = _longer(self.levels, n, axis=1)
        self.levels["threshold"] = self.levels["imbalance"] = np.nan
        self.measured.grow(n)
        self.classifier.grow(n)
        for bucketing in self.bucketing.values():
            bucketing.grow(n)
        self.on_tape.grow(self.instruments)
        self.features.grow(n)
        self.feature_alarms.grow(n)
        self.learned.grow(n)
        self.watch.grow(self.instruments)
        return n - 1

    def take(self) -> list[tuple[str, pa.Table]]:
        """Return the (table, rows) made since the last call."""
        self._write_bars()
        out, self._out = self._out, []
        return out

    def prepare(self, rows: Rows) -> npt.NDArray[np.bool_]:
        """Make the steps of price and size fine enough for every trade; return which no step fits.

        rows in order of receipt; those that do not fit become voids.
        """
        unfit = np.zeros(rows.size, np.bool_)
        price, size = self.price_places.copy(), self.size_places.copy()
        decimals.widen(rows, price, size, unfit)
        for i in np.flatnonzero((price > self.price_places) | (size > self.size_places)):
            self._rescale(int(i), int(price[i]), int(size[i]))
        return unfit

    def feed(self, rows: Rows) -> npt.NDArray[np.bool_]:
        """Feed rows in tape order, made ready by `prepare`; return which were too large beside others' finer steps."""
        unfit = np.zeros(rows.size, np.bool_)
        cuts = [*np.flatnonzero(rows["flags"] & _AFTER_GAP).tolist(), rows.size]
        first, at = -1, 0
        while at < rows.size:
            if at == cuts[0]:
                self._mark(int(rows["instrument"][at]))
                cuts.pop(0)
            part = rows[at : min(at + PASS, cuts[0]) if first < 0 else at + 1]
            decimals.to_integers(part, self.price_places, self.size_places, unfit[at:])
            n = clock.admit(part, self.clock)
            self._run(part[:n])
            if first >= 0:
                self._mark(first)
                self.begun[first], first = True, -1
            elif n < part.size:
                i = int(part["instrument"][n])
                self._begin_date(i, int(part["eff"][n]) // DAY_US * DAY_US, float(part["price"][n]))
                first = -1 if self.begun[i] else i
            at += n
        self._features()
        self._judge()
        return unfit

    def _mark(self, i: int) -> None:
        """Mark the open time bars of instrument `i`: something is missing in them."""
        open_bars = self.levels["trades"][:, i] > 0
        self.levels["gap"][open_bars, i] = True

    def finish(self) -> None:
        """End a bounded tape: open time bars close; other open bars and buckets are written only of a whole date."""
        self.ending = True
        if not self.complete:
            reached = np.maximum(self.clock["now"], self.clock["closed"])
            self.levels["gap"] |= (self.levels["trades"] > 0) & (self.levels["end"] > reached)
        seconds = self.levels[0]
        open_seconds = seconds[seconds["trades"] > 0]
        seconds["trades"] = 0
        self._roll_up(open_seconds, np.full(len(self.instruments), _FOREVER))
        self._features()
        self._judge()
        self.alert(self.on_tape.big_trades.finish(self.instruments))
        if self.complete:
            for i in np.flatnonzero(self.clock["day"] >= 0):
                self._close_short(int(i))

    def _run(self, rows: Rows) -> None:
        if rows.size == 0:
            return
        if rows["quoted"].any():
            self.features.quotes.trades(rows)
        seconds = np.empty(rows.size, bar.BAR)
        self._roll_up(seconds[: time_bars.seconds(rows, self.levels[0], seconds)], self._floor())
        for name, bars in self.measured.feed(rows):
            self._bars(name, -1, bars)
        for bucketing in self.bucketing.values():
            self._vpin(bucketing, bucketing.feed(rows, np.power(10.0, self.size_places)))
        self.alert(self.on_tape.big_trades.feed(rows, self.instruments))
        self.alert(self.on_tape.silences.feed(rows, self.instruments))

    def _floor(self) -> npt.NDArray[np.int64]:
        """Return for each instrument the time before which no bar is open, us."""
        floor: npt.NDArray[np.int64] = np.maximum(self.clock["closed"], self.clock["now"] // 1_000_000 * 1_000_000)
        return floor

    def _roll_up(self, seconds: bar.Bars, floor: npt.NDArray[np.int64]) -> None:
        out = np.empty((_WIDER.size, seconds.size + len(self.instruments)), bar.BAR)
        closed = np.empty(_WIDER.size, np.int64)
        time_bars.roll_up(seconds, floor, self.levels[1:], _WIDER, out, closed)
        by_width = [seconds, *(bars[:count] for bars, count in zip(out, closed, strict=True))]
        for level, (name, bars) in enumerate(zip(BAR_WIDTHS_US, by_width, strict=True)):
            if not bars.size:
                continue
            if name in self.kernels.bars:
                self._bars(name, level, bars)
            surge = name == self.kernels.detectors.volume_surge.bar
            if surge or name == "1m":
                close, volume, buy = self._figures(bars, "close", "volume", "buy_volume")
            if surge:
                self.alert(self.on_tape.surges.feed(bars, volume, self.instruments))
            if name == "1m":
                self._classify(bars)
                self.alert(self.on_tape.cascades.feed(bars, close, volume, buy, self.instruments))
                self._watch(bars)
                self.features.feed(bars, close, volume, self.price_places, self.size_places)
            if name == "1d":
                self._complete_dates(bars)
        self.alert(self.on_tape.dislocations.feed(seconds, floor, self.price_places, self.instruments))

    def _classify(self, minutes: bar.Bars) -> None:
        shares = self.classifier.feed(minutes, self.price_places)
        for bucketing in self.bucketing.values():
            bucketing.bulk.take(minutes, shares)

    def _complete_dates(self, days: bar.Bars) -> None:
        """Note the volume of dates of which the tape holds everything; of a bounded tape they are sealed."""
        for day in days:
            i = int(day["instrument"])
            whole = self.first_day[i] < day["ts"] and not self.ending
            if not (whole or self.complete):
                continue
            size, price = int(self.size_places[i]), int(self.price_places[i])
            volume = join(day["volume_hi"], day["volume_lo"]) / 10**size
            notional = join(day["notional_hi"], day["notional_lo"]) / 10 ** (size + price)
            self.volumes.complete(i, int(day["ts"]), volume, notional)
            self.features.complete(i, int(day["ts"]))
            if self.origin == "history":
                self._out.append(("seals", ledger.seal(self.instruments[i], day, volume, notional)))

    def _figures(self, closed: bar.Bars, *names: str) -> npt.NDArray[np.float64]:
        """Return figures of closed bars, in units of quote and base."""
        figures: npt.NDArray[np.float64] = np.empty((len(bar.FIGURES), closed.size))
        bar.figures(closed, self.price_places, self.size_places, figures)
        chosen: npt.NDArray[np.float64] = figures[[bar.FIGURES.index(name) for name in names]]
        return chosen

    def _begin_date(self, i: int, day: int, price: float) -> None:
        """Close what may not cross midnight, and fix the thresholds of the new date."""
        second = self.levels[0, i : i + 1].copy()
        self.levels["trades"][0, i] = 0
        floor = self._floor()
        floor[i] = day
        self._roll_up(second[second["trades"] > 0], floor)
        self._close_short(i)
        self.clock["day"][i], self.clock["seq"][i] = day, 0
        self.first_day[i] = min(self.first_day[i], day)
        complete = [date for date, _, _ in self.volumes.daily.get(i, [])]
        self.features.begin_date(i, day, complete, int(self.price_places[i]), int(self.size_places[i]))
        self._fix_thresholds(i, day, price)

    def _close_short(self, i: int) -> None:
        end = int(self.clock["day"][i]) + DAY_US
        for name, bars in self.measured.close_short(i, end):
            self._bars(name, -1, bars)
        for bucketing in self.bucketing.values():
            self._vpin(bucketing, bucketing.close_short(i, end))

    def _fix_thresholds(self, i: int, day: int, price: float) -> None:
        adv = self.volumes.of(i, day)
        self.measured.fix(i, adv, price)
        places = max([self.size_places[i], *(b.fix(i, adv) for b in self.bucketing.values())])
        self._rescale(i, int(self.price_places[i]), int(places))

    def refine(self, i: int, size_places: int, price_places: int = 0) -> None:
        """Make the steps of instrument `i` at least as fine as these decimals."""
        self._rescale(i, max(int(self.price_places[i]), price_places), max(int(self.size_places[i]), size_places))

    def _rescale(self, i: int, price_places: int, size_places: int) -> None:
        """Bring the state of instrument `i` to finer steps; no output changes by it."""
        ticks = 10 ** (price_places - int(self.price_places[i]))
        lots = 10 ** (size_places - int(self.size_places[i]))
        if ticks > 1 or lots > 1:
            self._write_bars()
        self.price_places[i], self.size_places[i] = price_places, size_places
        if ticks > 1 or lots > 1:
            for level in self.levels:
                finer(level, i, ticks, lots)
            self.features.rescale(i, ticks, lots)
        self.measured.rescale(i, price_places, size_places)
        for bucketing in self.bucketing.values():
            bucketing.rescale(i, lots, size_places)

    def _bars(self, name: str, level: int, closed: bar.Bars) -> None:
        if closed.size:
            self._closed.append((name, level, closed.copy()))  # a part would keep the whole pass in memory

    def _write_bars(self) -> None:
        """Turn the bars that closed into rows, at the steps of price and size they were counted in."""
        if self._closed:
            venues, symbols = [x.venue for x in self.instruments], [x.symbol for x in self.instruments]
            self._out.append(("bars", to_rows.bars(self._closed, venues, symbols, self.price_places, self.size_places)))
            self._closed = []

    def _watch(self, minutes: bar.Bars) -> None:
        if self.watch:
            counts = minutes["trades"], minutes["fills"]
            figures = np.vstack([self._figures(minutes, *BARS[: -len(counts)]), *counts])
            self.watch.minutes(minutes["instrument"], minutes["ts"], figures, self.first_day < _FOREVER)

    def _judge(self) -> None:
        """Hold the rules against the minutes of which all is known."""
        if self.watch:
            floor = np.full(len(self.instruments), _FOREVER) if self.ending else self._floor()
            self.alert(self.watch.judge(floor))

    def quoted(self, passed: list[Passed], *, ending: bool = False) -> None:
        """Take minutes of quotes that are over."""
        self.features.quotes.quotes(passed)
        self._features(ending=ending)
        self._judge()

    def _features(self, *, ending: bool = False) -> None:
        """Make rows of minutes of which all is known, and let the detectors on minutes follow them."""
        taken = self.features.take(ending=ending)
        if taken is None:
            return
        table = taken.table(self.instruments)
        self._out.append(("features", table))
        if self.watch:
            self.watch.features(table)
        minutes = self.features.in_order(taken)
        if minutes.ts.size:
            postures, found = self.feature_alarms.feed(minutes.standing(), self.instruments)
            self._out.append(("posture", postures))
            self.alert(found)
            self.alert(self.learned.feed(minutes, self.instruments))
            if self.watch:
                self.watch.postures(postures)

    def _vpin(self, bucketing: Bucketing, closed: npt.NDArray[np.void]) -> None:
        if not closed.size:
            bucketing.bulk.read(closed, bucketing.targets, self.size_places)
        else:
            table, found = bucketing.rows(closed, self.instruments, self.size_places)
            self._out.append(("vpin", table))
            for last in closed[closed["bucket"] == vpin.MOST - 1]:
                it = self.instruments[int(last["instrument"])]
                self._out.append(("inputs", ledger.vpin_full(it, bucketing.setting, int(last["end"]))))
            self.alert(found)
            if self.watch:
                self.watch.vpin(table)

    def alert(self, found: list[alerts.Alert]) -> None:
        """Write alerts to table `alerts`, but for those within a cooldown and those that an earlier life has written."""
        told = self.quiet.told(found, self.kernels.detectors.cooldowns()) if found else []
        fresh = [a for a in told if a.alert_id not in self.known_alerts]
        if fresh:
            self._out.append(("alerts", alerts.rows(fresh, self.origin)))


def _longer(state: npt.NDArray[_Item], n: int, axis: int = 0) -> npt.NDArray[_Item]:
    """Return a state with room for `n` instruments, which are along `axis`."""
    shape = list(state.shape)
    shape[axis] = n - shape[axis]
    return np.concatenate([state, np.zeros(shape, state.dtype)], axis)
