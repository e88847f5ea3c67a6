"""Table `features`: what the kernels say of each closed minute, and the volume of the same minute of earlier dates."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pipelines import minute_measures
from pipelines.kernels import atr, features, minutes
from pipelines.kernels.bar import BAR, Bars
from pipelines.minute_measures import NONE, OF_QUOTES, Measured
from pipelines.quote_features import COLUMNS as QUOTED
from pipelines.quote_features import QuoteFeatures
from pipelines.reference import limbs

DATES = 20
"""Complete earlier dates whose same minute is looked at."""
LEAST_DATES = 5
STORED = minutes.FAR + 1
"""Minutes of earlier dates from which the state can be made again."""

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]

_FOREVER = np.iinfo(np.int64).max
_MINUTES = 1440
_SUMS = ("volume", "buy", "notional")
_STATE = ("states", "buffers", "atrs", "ranges", "closes", "daily", "today", "usual", "dates")


class Features:
    """The state of all measures of minutes; arrays over instruments.

    Attributes
    ----------
    today : float64, (instruments, 1440)
        Volume of each minute of the open date, base.
    usual, dates : float64, (instruments, 1440); int64, (instruments,)
        Sum of the volume of each minute over earlier complete dates, and how many these are.
    earlier : per instrument, volumes by complete date (us)
    waiting : per instrument, time and measures of rows whose quotes are not over yet
    behind : Measured
        Rows that detectors are not given yet: an earlier minute of the instrument waits.
    """

    def __init__(self) -> None:
        self.states = np.zeros(0, minutes.STATE)
        self.buffers = np.zeros((0, minutes.ROOM), minutes.CLOSED)
        self.atrs = np.zeros((0, len(features.WIDTHS)), atr.ATR)
        self.ranges = np.zeros((0, len(features.WIDTHS), atr.BARS, 2))
        self.closes = np.zeros((0, features.CLOSES), np.int64)
        self.daily = np.zeros(0, features.DAILY)
        self.today = np.zeros((0, _MINUTES))
        self.usual = np.zeros((0, _MINUTES))
        self.dates = np.zeros(0, np.int64)
        self.earlier: list[dict[int, Floats]] = []
        self.quotes = QuoteFeatures()
        self.waiting: dict[int, list[tuple[int, Floats]]] = {}
        self.behind = NONE
        self._ready: list[Measured] = []

    def grow(self, n: int) -> None:
        """Make room for `n` instruments."""
        more = n - len(self.states)
        for name in _STATE:
            state = getattr(self, name)
            setattr(self, name, np.concatenate([state, np.zeros((more, *state.shape[1:]), state.dtype)]))
        self.daily["figures"][n - more :] = np.nan
        self.earlier += [{} for _ in range(more)]

    def feed(self, bars: Bars, close: Floats, volume: Floats, price_places: Places, size_places: Places) -> None:
        """Take closed one-minute bars, with close in quote and volume in base."""
        out = self._measure(bars, price_places, size_places)
        at, ts = bars["instrument"].copy(), bars["ts"].copy()
        minute = ts // minutes.MINUTE % _MINUTES
        self.today[at, minute] = volume
        usual, dates = self.usual[at, minute], self.dates[at]
        known = (dates >= LEAST_DATES) & (usual > 0)
        relative = np.divide(volume * dates, usual, out=np.full(bars.size, np.nan), where=known)
        values = np.column_stack([out, relative, np.full((bars.size, len(QUOTED)), np.nan), close, volume])
        values[~np.isfinite(values)] = np.nan
        closed = Measured(at, ts, values)
        if self.quotes.sides:
            waits = np.array([self.quotes.concerns(*which) for which in zip(at.tolist(), ts.tolist(), strict=True)], np.bool_)
            for k in np.flatnonzero(waits).tolist():
                self.waiting.setdefault(int(at[k]), []).append((int(ts[k]), values[k]))
            closed = closed.chosen(~waits)
        self._ready.append(closed)

    def take(self, *, ending: bool = False) -> Measured | None:
        """Return the rows that wait for no quotes any more; at the end of a bounded tape none does."""
        for i, rows in list(self.waiting.items()):
            while rows and (ending or self.quotes.ready(i, rows[0][0])):
                ts, values = rows.pop(0)
                values[OF_QUOTES] = self.quotes.measure(i, ts)
                values[~np.isfinite(values)] = np.nan
                self._ready.append(Measured(np.array([i]), np.array([ts]), values[None]))
            if not rows:
                del self.waiting[i]
        ready, self._ready = [part for part in self._ready if part.ts.size], []
        return minute_measures.joined(ready) if ready else None

    def in_order(self, taken: Measured) -> Measured:
        """Return those rows taken so far, not returned before, of which no earlier minute waits; in order of time."""
        if not self.quotes.sides:
            return taken
        rows = minute_measures.joined([self.behind, taken])
        rows = rows.chosen(np.argsort(rows.ts, kind="stable"))
        oldest = np.full(len(self.states), _FOREVER)
        for i, waiting in self.waiting.items():
            oldest[i] = waiting[0][0]
        ready = rows.ts < oldest[rows.instrument]
        self.behind = rows.chosen(~ready)
        return rows.chosen(ready)

    def _measure(self, bars: Bars, price_places: Places, size_places: Places) -> Floats:
        out = np.empty((bars.size, len(features.COLUMNS)))
        state = (self.states, self.buffers, self.atrs, self.ranges, self.closes, self.daily)
        features.features(bars, *state, price_places, size_places, out)
        return out

    def begin_date(self, i: int, day: int, complete: Sequence[int], price_places: int, size_places: int) -> None:
        """Begin a date (us) of instrument `i`, given which dates are complete.

        From here on minutes of earlier dates are what the table of bars says of them, so that it does not matter whether
        they were seen or read.
        """
        buffer = self.buffers[i, : self.states["filled"][i]]
        told = np.empty((buffer.size, 3))
        minutes.figures(buffer, price_places, size_places, told)
        for name, figures, places in zip(_SUMS, told.T, (size_places, size_places, price_places + size_places), strict=True):
            buffer[name + "_hi"], buffer[name + "_lo"] = limbs(figures, places)
        chosen = sorted(date for date in complete if date < day)[-DATES:]
        self.earlier[i] = {date: of for date, of in self.earlier[i].items() if date in chosen}
        volumes = list(self.earlier[i].values())
        self.dates[i] = len(volumes)
        self.usual[i] = [math.fsum(same) for same in zip(*volumes, strict=True)] if volumes else 0.0
        self.today[i] = 0.0

    def complete(self, i: int, day: int) -> None:
        """Note that the open date (us) of instrument `i` is over, and whole."""
        self.earlier[i][day] = self.today[i].copy()

    def rescale(self, i: int, ticks: int, lots: int) -> None:
        """Bring the state of instrument `i` to steps of price and size finer by these factors."""
        minutes.rescale(self.buffers[i, : self.states["filled"][i]], ticks, lots)
        for name in ("high", "low", "before"):
            self.atrs[name][i] *= ticks
        self.closes[i] *= ticks

    def plant(self, i: int, bars: Bars, price_places: Places, size_places: Places) -> None:
        """Begin instrument `i` with the last one-minute bars of earlier dates."""
        bars["instrument"] = i
        self._measure(bars, price_places, size_places)

    def plant_date(self, i: int, day: int, minute: npt.NDArray[np.int64], volume: Floats) -> None:
        """Give instrument `i` the volume of the minutes (0 to 1439) of a complete date (us)."""
        self.earlier[i][day] = np.zeros(_MINUTES)
        self.earlier[i][day][minute] = volume


def stored(ts: npt.NDArray[np.int64], figures: dict[str, Floats], gap: npt.NDArray[np.bool_], places: tuple[int, int]) -> Bars:
    """Return one-minute bars of the table as the kernels count them.

    Parameters
    ----------
    ts : int64, (n,)
        Start, us.
    figures : dict
        `high low close volume buy_volume notional`, float64, (n,).
    gap : bool, (n,)
    places : (int, int)
        Decimal places of price and size.
    """
    price, size = places
    bars = np.zeros(ts.size, BAR)
    bars["ts"], bars["end"], bars["gap"] = ts, ts + minutes.MINUTE, gap
    for name in ("high", "low", "close"):
        bars[name] = limbs(figures[name], price)[1]
    for name, column, of in (("volume", "volume", size), ("buy", "buy_volume", size), ("notional", "notional", price + size)):
        bars[name + "_hi"], bars[name + "_lo"] = limbs(figures[column], of)
    return bars
