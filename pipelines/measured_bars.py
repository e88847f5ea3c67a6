"""Bars that close at a threshold, over all instruments: tick, volume, dollar, imbalance and run bars."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from pipelines.kernel_names import bar_terms
from pipelines.kernels import bar, imbalance, threshold_bars
from pipelines.kernels.wide import join, split
from pipelines.market import BAR_WIDTHS_US
from pipelines.reference import BARS_A_DAY, Adv, rounded
from pipelines.tape import Rows

Named = list[tuple[str, bar.Bars]]
"""Bars that closed, by kind."""

_NEVER = (1 << 128) - 1
"""No sum reaches it."""
_Item = TypeVar("_Item", bound=np.generic)
_RULES = {"": imbalance.PLAIN, "imbalance": imbalance.IMBALANCE, "run": imbalance.RUN}
_MEASURES = {"tick": threshold_bars.TRADES, "volume": threshold_bars.VOLUME, "dollar": threshold_bars.NOTIONAL}


class MeasuredBars:
    """The state of all kinds; arrays over (kinds, instruments).

    Attributes
    ----------
    names : tuple of str
        As in `bars.bar`.
    thresholds : per kind, per instrument
        Of the open date; of an adaptive kind T0. None: no bars.
    """

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names: tuple[str, ...] = ()
        self.thresholds: list[list[Decimal | None]] = []
        self.open = np.zeros((0, 0), bar.BAR)
        self.flows = np.zeros((0, 0), imbalance.FLOW)
        self.limits = np.zeros((0, 0, 2), np.uint64)
        self.rings = np.zeros((0, 0, imbalance.WINDOW), imbalance.BAR_FLOW)
        self.entered = np.zeros((0, 0), np.int64)
        self.price_places = np.zeros(0, np.int64)
        self.size_places = np.zeros(0, np.int64)
        self.configure(names)

    def configure(self, names: tuple[str, ...]) -> None:
        """Take the names of all bars; those that stay keep their state, new ones begin with the next date."""
        names = tuple(name for name in names if name not in BAR_WIDTHS_US)
        n = self.price_places.size
        before = [self.names.index(name) if name in self.names else -1 for name in names]
        self.thresholds = [self.thresholds[k] if k >= 0 else [None] * n for k in before]
        for state in ("open", "flows", "limits", "rings", "entered"):
            setattr(self, state, _chosen(getattr(self, state), before, n))
        self.open["imbalance"][[k < 0 for k in before]] = np.nan
        self.names = names
        self.terms = [bar_terms(name) for name in names]
        self.kinds = np.array([(_MEASURES[t.measure], _RULES[t.rule], t.adaptive) for t in self.terms], threshold_bars.KIND)

    @property
    def adaptive(self) -> tuple[str, ...]:
        """Names of the kinds whose threshold is made of past bars."""
        return tuple(name for name, terms in zip(self.names, self.terms, strict=True) if terms.adaptive)

    def grow(self, n: int) -> None:
        """Make room for `n` instruments."""
        known = self.price_places.size
        for state in ("open", "flows", "limits", "rings", "entered"):
            setattr(self, state, _longer(getattr(self, state), n, 1))
        self.open["imbalance"][:, known:] = np.nan
        self.price_places, self.size_places = _longer(self.price_places, n, 0), _longer(self.size_places, n, 0)
        self.thresholds = [texts + [None] * (n - known) for texts in self.thresholds]

    def feed(self, rows: Rows) -> Named:
        """Feed rows; return the bars that closed."""
        out, closed = np.empty((len(self.names), rows.size), bar.BAR), np.empty(len(self.names), np.int64)
        places = self.price_places, self.size_places
        state = self.open, self.flows, self.limits, self.kinds, self.rings, self.entered
        threshold_bars.threshold_bars(rows, *state, *places, out, closed)
        return [(name, bars[:count]) for name, bars, count in zip(self.names, out, closed, strict=True)]

    def fix(self, i: int, adv: Adv | None, price: float) -> None:
        """Fix the thresholds of instrument `i` for a new date, whose first price is given; `rescale` makes them count."""
        notional = adv.notional if adv and adv.notional is not None else adv and adv.volume * price
        average = {"volume": adv.volume if adv else None, "dollar": notional}
        for m, terms in enumerate(self.terms):
            if terms.threshold is not None:
                self.thresholds[m][i] = terms.threshold
            else:
                volume = average[terms.measure]
                self.thresholds[m][i] = rounded(volume / BARS_A_DAY) if volume else None
            if terms.adaptive:
                self.open["threshold"][m, i] = self._expected(m, i)

    def _expected(self, m: int, i: int) -> float:
        """Return the threshold of kind `m` that past bars expect; NaN where there are none."""
        if not self.entered[m, i]:
            return math.nan
        nominal = self.terms[m].threshold
        assert nominal is not None, "an adaptive kind names its T0"
        value: float = imbalance.expected(self.rings[m, i], self.entered[m, i], self.kinds["rule"][m], np.uint64(nominal))
        return value

    def rescale(self, i: int, price_places: int, size_places: int) -> None:
        """Bring the state of instrument `i` to finer steps; no output changes by it."""
        ticks = 10 ** (price_places - int(self.price_places[i]))
        lots = 10 ** (size_places - int(self.size_places[i]))
        self.price_places[i], self.size_places[i] = price_places, size_places
        for m, terms in enumerate(self.terms):
            finer(self.open[m], i, ticks, lots)
            factor = {"tick": 1, "volume": lots, "dollar": ticks * lots}[terms.measure]
            if self.open["trades"][m, i]:
                _multiply(self.flows[m], i, "buy", factor)
                _multiply(self.flows[m], i, "sell", factor)
        for m, (terms, texts) in enumerate(zip(self.terms, self.thresholds, strict=True)):
            text = texts[i]
            places = 0 if terms.adaptive else self._places(m, i)
            self.limits[m, i] = split(min(math.ceil(Fraction(text) * 10**places), _NEVER)) if text is not None else (0, 0)
            if not terms.adaptive:
                self.open["threshold"][m, i] = float(text) if text is not None else math.nan

    def close_short(self, i: int, end: int) -> Named:
        """Close the open bars of instrument `i` at the end of its date (us); a warm-up is no bar."""
        closed = []
        for m, name in enumerate(self.names):
            short = self.open[m, i : i + 1].copy()
            self.open["trades"][m, i] = 0
            if short["trades"][0] == 0 or math.isnan(short["threshold"][0]):
                continue
            short["partial"], short["end"] = True, end
            if self.terms[m].rule:
                short["imbalance"] = imbalance.signed(self.flows[m, i], self._places(m, i))
            closed.append((name, short))
        return closed

    def plant(self, i: int, name: str, past: npt.NDArray[np.void]) -> None:
        """Begin instrument `i` with the last complete bars of an adaptive kind, BAR_FLOW, oldest first."""
        m = self.names.index(name)
        past = past[-imbalance.WINDOW :]
        self.rings[m, i, : past.size], self.entered[m, i] = past, past.size

    def _places(self, m: int, i: int) -> int:
        """Return the decimal places of the integers that kind `m` of instrument `i` is counted in."""
        places = int(self.price_places[i]), int(self.size_places[i])
        return int(threshold_bars.places_of(self.kinds["measure"][m], *places))


def finer(bars: bar.Bars, i: int, ticks: int, lots: int) -> None:
    """Bring bar `i` to steps of price and size finer by these factors."""
    if ticks == 1 and lots == 1:
        return
    for name in ("open", "high", "low", "close"):
        bars[name][i] *= ticks
    for name, factor in (("volume", lots), ("buy", lots), ("notional", ticks * lots)):
        _multiply(bars, i, name, factor if bars["trades"][i] else 0)


def _multiply(state: npt.NDArray[np.void], i: int, name: str, factor: int) -> None:
    """Multiply a sum in two limbs."""
    state[name + "_hi"][i], state[name + "_lo"][i] = split(join(state[name + "_hi"][i], state[name + "_lo"][i]) * factor)


def _longer(state: npt.NDArray[_Item], n: int, axis: int) -> npt.NDArray[_Item]:
    """Return a state with room for `n` instruments, which are along `axis`."""
    shape = list(state.shape)
    shape[axis] = n - shape[axis]
    return np.concatenate([state, np.zeros(shape, state.dtype)], axis)


def _chosen(state: npt.NDArray[_Item], rows: list[int], n: int) -> npt.NDArray[_Item]:
    """Return rows of a state over `n` instruments; -1 stands for one that is new."""
    chosen = np.zeros((len(rows), n, *state.shape[2:]), state.dtype)
    for k, row in enumerate(rows):
        if row >= 0:
            chosen[k] = state[row]
    return chosen
