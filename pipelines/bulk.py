"""Bulk volume classification over all instruments, and the volume buckets of one VPIN setting that it fills."""

from __future__ import annotations

from decimal import Decimal
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from pipelines.kernels import bvc, vpin
from pipelines.kernels.bar import BAR, Bars
from pipelines.market import DAY_US
from pipelines.reference import limbs, most_places, places_of

MINUTE = 60_000_000

Floats = npt.NDArray[np.float64]
NO_MINUTES: Bars = np.empty(0, BAR)
_Item = TypeVar("_Item", bound=np.generic)


class Classifier:
    """Which share of each minute's volume counts as bought; the same for all settings."""

    def __init__(self) -> None:
        self.last = np.zeros(0)
        self.changes = np.zeros((0, bvc.SIGMA))
        self.known = np.zeros(0, np.int64)

    def grow(self, n: int) -> None:
        """Make room for `n` instruments."""
        more = n - self.last.size
        self.last = np.append(self.last, np.full(more, np.nan))
        self.changes, self.known = _longer(self.changes, n), _longer(self.known, n)

    def feed(self, minutes: Bars, price_places: npt.NDArray[np.int64]) -> Floats:
        """Return the shares of closed one-minute bars."""
        shares = np.empty(minutes.size)
        bvc.classify(minutes, price_places, self.last, self.changes, self.known, shares)
        return shares

    def take_over(self, i: int, other: Classifier) -> None:
        """Begin instrument `i` where the only instrument of `other` stands."""
        self.last[i], self.changes[i], self.known[i] = other.last[0], other.changes[0], other.known[0]


class BulkBuckets:
    """Buckets of one setting; `n` of them are a window."""

    def __init__(self, n: int) -> None:
        self.open = np.zeros(0, bvc.OPEN)
        self.ring = np.zeros((0, n), bvc.BULK)
        self.entered = np.zeros(0, np.int64)
        self.minutes, self.shares = NO_MINUTES, np.zeros(0)

    def grow(self, n: int) -> None:
        """Make room for `n` instruments."""
        self.open, self.ring, self.entered = _longer(self.open, n), _longer(self.ring, n), _longer(self.entered, n)

    def begin_date(self, i: int) -> None:
        """Drop the open bucket of instrument `i`: closed short, it enters no window."""
        self.open[i] = np.zeros((), bvc.OPEN)

    def rescale(self, i: int, factor: int) -> None:
        """Bring the lots of instrument `i` to a step finer by `factor`."""
        self.open["lots"][i] *= factor

    def take(self, minutes: Bars, shares: Floats) -> None:
        """Keep closed one-minute bars, and the shares that were bought in them, for the next `read`."""
        self.minutes, self.shares = minutes, shares

    def read(self, closed: npt.NDArray[np.void], targets: npt.NDArray[np.int64], size_places: npt.NDArray[np.int64]) -> Floats:
        """Fill buckets with the minutes kept; return VPIN as known at the end of each bucket that trades closed.

        A minute is to be kept for the first `read` after it closed, so that none ends after a bucket that is yet to close.
        """
        values = np.empty(closed.size)
        if not closed.size and not self.minutes.size:
            return values
        state = self.open, self.ring, self.entered
        bvc.read(closed, self.minutes, self.shares, targets, size_places, *state, values)
        self.minutes, self.shares = NO_MINUTES, np.zeros(0)
        return values

    def take_over(self, i: int, other: BulkBuckets) -> None:
        """Begin instrument `i` with the window of the only instrument of `other`."""
        self.ring[i], self.entered[i] = other.ring[0], other.entered[0]


class Replay:
    """What an instrument begins with: its state after stored minutes of earlier dates.

    Parameters
    ----------
    ts : int64, (n,)
        Start of each minute that has a bar, in order, us since 1970.
    closes, volumes : float64, (n,)
        As stored.
    """

    def __init__(self, ts: npt.NDArray[np.int64], closes: Floats, volumes: Floats) -> None:
        price, size = most_places(closes), most_places(volumes)
        minutes = np.zeros(ts.size, BAR)
        minutes["ts"], minutes["end"], minutes["close"] = ts, ts + MINUTE, limbs(closes, price)[1]
        minutes["volume_hi"], minutes["volume_lo"] = limbs(volumes, size)
        self.volumes, self.minutes, self.size_places = volumes, minutes, size
        self.classifier = Classifier()
        self.classifier.grow(1)
        self.shares = self.classifier.feed(minutes, np.array([price]))

    def buckets(self, n: int, targets: dict[int, Decimal]) -> BulkBuckets:
        """Return the buckets that these minutes fill; `targets`: V (units of base) by date, us since 1970."""
        made = BulkBuckets(n)
        made.grow(1)
        places = max([self.size_places, *(places_of(v) for v in targets.values())])
        finer = self.minutes.copy()
        finer["volume_hi"], finer["volume_lo"] = limbs(self.volumes, places)
        dates = self.minutes["ts"] // DAY_US * DAY_US
        for day, target in sorted(targets.items()):
            made.begin_date(0)
            made.take(finer[dates == day], self.shares[dates == day])
            made.read(np.empty(0, vpin.BUCKET), np.array([int(target.scaleb(places))]), np.array([places]))
        return made


def _longer(state: npt.NDArray[_Item], n: int) -> npt.NDArray[_Item]:
    return np.concatenate([state, np.zeros((n - len(state), *state.shape[1:]), state.dtype)])
