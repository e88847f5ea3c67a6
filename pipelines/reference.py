"""Average daily volumes, and the thresholds that are made of them.

The volume of a date's thresholds is the recorded one; else the mean of up to 30 complete earlier dates; else what
`bucket_volume` stands for; else there is none. Derived thresholds are rounded to 6 significant digits, so that a
bucket is a whole number of lots at a sensible step.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipelines.kernels import decimals
from pipelines.kernels.decimals import WIDEST
from pipelines.kernels.wide import split

Floats = npt.NDArray[np.float64]

DATES = 30
SIGNIFICANT = 6
BARS_A_DAY = 500
"""Volume and dollar bars per average day."""


class Adv(NamedTuple):
    """Average daily volume in units of base and, where known, in quote currency."""

    volume: float
    notional: float | None
    source: str


def rounded(value: float) -> Decimal:
    """Return `value` rounded half-even to 6 significant digits."""
    return Decimal(f"{value:.{SIGNIFICANT}g}")


def places_of(value: Decimal) -> int:
    """Return how many decimal places a value needs."""
    exponent = value.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def most_places(values: Floats) -> int:
    """Return how many decimal places are needed for all values, as their shortest texts have them."""
    _, places = _read_off(values)
    slow = (places_of(Decimal(repr(x))) for x in values[places < 0].tolist())
    return max(int(places.max(initial=0)), *slow, 0)


def limbs(values: Floats, places: int) -> npt.NDArray[np.uint64]:
    """Return values in units of 10**-places, rounded half-even, as (hi, lo) limbs, (2, n)."""
    mantissas, own = _read_off(values)
    finer = np.clip(places - own, 0, 18)
    fits = (own >= 0) & (own <= places) & (places - own <= 18) & (mantissas < WIDEST // 10**finer)
    out = np.zeros((2, values.size), np.uint64)
    out[1, fits] = (mantissas * 10**finer)[fits]
    for k in np.flatnonzero(~fits).tolist():
        out[:, k] = split(round(Decimal(repr(float(values[k]))).scaleb(places)))
    return out


def _read_off(values: Floats) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    mantissas, places = np.empty(values.size, np.int64), np.empty(values.size, np.int64)
    decimals.read_off(np.ascontiguousarray(values, np.float64), mantissas, places)
    return mantissas, places


class Volumes:
    """What is known of daily volumes, by instrument; plain and picklable.

    Attributes
    ----------
    recorded : dict of (instrument, day us) to (volume, notional)
        From journal records.
    daily : dict of instrument to list of (day us, volume, notional)
        Complete dates, in order.
    """

    def __init__(self, bucket_volume: str | None) -> None:
        self.bucket_volume = bucket_volume
        self.recorded: dict[tuple[int, int], tuple[float, float]] = {}
        self.daily: dict[int, list[tuple[int, float, float]]] = {}

    def record(self, i: int, day: int, volume: float, notional: float) -> None:
        """Take a recorded average for thresholds of `day` (us since 1970)."""
        self.recorded[i, day] = (volume, notional)
        for key in [k for k in self.recorded if k[0] == i and k[1] < day - 2 * 86_400_000_000]:
            del self.recorded[key]

    def complete(self, i: int, day: int, volume: float, notional: float) -> None:
        """Take the volume of a complete date."""
        dates = [d for d in self.daily.get(i, []) if d[0] != day]
        self.daily[i] = sorted([*dates, (day, volume, notional)])[-DATES:]

    def of(self, i: int, day: int) -> Adv | None:
        """Return the average daily volume for thresholds of `day`; None where nothing is known."""
        if (i, day) in self.recorded:
            volume, notional = self.recorded[i, day]
            return Adv(volume, notional, "recorded")
        earlier = [d for d in self.daily.get(i, []) if d[0] < day]
        if earlier:
            volume = sum(d[1] for d in earlier) / len(earlier)
            return Adv(volume, sum(d[2] for d in earlier) / len(earlier), f"{len(earlier)} dates")
        if self.bucket_volume is not None:
            return Adv(50 * float(self.bucket_volume), None, "bucket_volume")
        return None
