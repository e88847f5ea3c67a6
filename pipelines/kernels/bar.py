"""A bar in integers: prices in ticks, sizes in lots, sums in two limbs (see `wide`)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from pipelines.kernels.wide import add, product
from pipelines.market import Flag

BAR = np.dtype(
    [
        ("instrument", np.int64),
        ("ts", np.int64),  # us
        ("end", np.int64),  # us
        ("first_id", np.int64),
        ("last_id", np.int64),
        ("open", np.int64),  # ticks
        ("high", np.int64),
        ("low", np.int64),
        ("close", np.int64),
        ("volume_hi", np.uint64),  # lots
        ("volume_lo", np.uint64),
        ("buy_hi", np.uint64),  # lots where the buyer was the taker
        ("buy_lo", np.uint64),
        ("notional_hi", np.uint64),  # ticks x lots
        ("notional_lo", np.uint64),
        ("trades", np.int64),  # 0: no bar is open
        ("fills", np.int64),
        ("threshold", np.float64),  # NaN: a time bar
        ("partial", np.bool_),
        ("repaired", np.bool_),
        ("gap", np.bool_),
        ("late", np.int64),  # bit k: late for the k-th time bar of market.BAR_WIDTHS_US
    ]
)
SUMS = ("volume", "buy", "notional")

Bars = npt.NDArray[np.void]
"""An array of `BAR`."""

_REPAIRED = int(Flag.REPAIRED)
_AFTER_GAP = int(Flag.AFTER_GAP)
_ZERO = np.uint64(0)


@njit(cache=True, inline="always")
def begin(bar, row, ts, end):
    """Open `bar` at its first trade `row`, empty as yet."""
    bar.instrument = row.instrument
    bar.ts = ts
    bar.end = end
    bar.first_id = row.trade_id
    bar.open = row.ticks
    bar.high = row.ticks
    bar.low = row.ticks
    bar.volume_hi, bar.volume_lo = _ZERO, _ZERO
    bar.buy_hi, bar.buy_lo = _ZERO, _ZERO
    bar.notional_hi, bar.notional_lo = _ZERO, _ZERO
    bar.trades = 0
    bar.fills = 0
    bar.partial = False
    bar.repaired = False
    bar.gap = False
    bar.late = 0


@njit(cache=True, inline="always")
def extend(bar, row):
    """Add the trade `row` to the open `bar`."""
    lots = np.uint64(row.lots)
    bar.last_id = row.trade_id
    bar.close = row.ticks
    bar.high = max(bar.high, row.ticks)
    bar.low = min(bar.low, row.ticks)
    bar.volume_hi, bar.volume_lo = add(bar.volume_hi, bar.volume_lo, _ZERO, lots)
    if row.side > 0:
        bar.buy_hi, bar.buy_lo = add(bar.buy_hi, bar.buy_lo, _ZERO, lots)
    hi, lo = product(row.ticks, row.lots)
    bar.notional_hi, bar.notional_lo = add(bar.notional_hi, bar.notional_lo, hi, lo)
    bar.trades += 1
    bar.fills += row.fills
    bar.repaired |= (row.flags & _REPAIRED) != 0
    bar.gap |= (row.flags & _AFTER_GAP) != 0


@njit(cache=True, inline="always")
def merge(bar, child):
    """Add the closed bar `child`, which follows it in time, to the open `bar`."""
    bar.last_id = child.last_id
    bar.close = child.close
    bar.high = max(bar.high, child.high)
    bar.low = min(bar.low, child.low)
    bar.volume_hi, bar.volume_lo = add(bar.volume_hi, bar.volume_lo, child.volume_hi, child.volume_lo)
    bar.buy_hi, bar.buy_lo = add(bar.buy_hi, bar.buy_lo, child.buy_hi, child.buy_lo)
    bar.notional_hi, bar.notional_lo = add(bar.notional_hi, bar.notional_lo, child.notional_hi, child.notional_lo)
    bar.trades += child.trades
    bar.fills += child.fills
    bar.repaired |= child.repaired
    bar.gap |= child.gap
    bar.late |= child.late
