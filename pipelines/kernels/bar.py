"""A bar in integers: prices in ticks, sizes in lots, sums in two limbs (see `wide`)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from pipelines.kernels.wide import add, product, quotient, split
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
        ("imbalance", np.float64),  # buy less sell, in units of the threshold; NaN: no imbalance or run bar
        ("partial", np.bool_),
        ("repaired", np.bool_),
        ("gap", np.bool_),
        ("late", np.int64),  # bit k: late for the k-th time bar of market.BAR_WIDTHS_US
    ],
    align=True,
)
SUMS = ("volume", "buy", "notional")
FIGURES = ("open", "high", "low", "close", "volume", "buy_volume", "notional", "vwap")

Bars = npt.NDArray[np.void]
"""An array of `BAR`."""

_REPAIRED = int(Flag.REPAIRED)
_AFTER_GAP = int(Flag.AFTER_GAP)
_ZERO = np.uint64(0)
_TENS = np.array([split(10**e) for e in range(39)], np.uint64)


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
def terms(row):
    """Return what the trade `row` adds to each bar it belongs to; see `extend`."""
    bought = np.uint64(row.lots * (1 + row.side) >> 1)  # no branch: a side is chance
    return row.trade_id, row.ticks, np.uint64(row.lots), bought, product(row.ticks, row.lots), row.fills, row.flags


@njit(cache=True, inline="always")
def extend(bar, trade):
    """Add a trade, given by its `terms`, to the open `bar`."""
    trade_id, ticks, lots, bought, value, fills, flags = trade
    bar.last_id = trade_id
    bar.close = ticks
    bar.high = max(bar.high, ticks)
    bar.low = min(bar.low, ticks)
    bar.volume_hi, bar.volume_lo = add(bar.volume_hi, bar.volume_lo, _ZERO, lots)
    bar.buy_hi, bar.buy_lo = add(bar.buy_hi, bar.buy_lo, _ZERO, bought)
    bar.notional_hi, bar.notional_lo = add(bar.notional_hi, bar.notional_lo, value[0], value[1])
    bar.trades += 1
    bar.fills += fills
    if flags:
        bar.repaired |= (flags & _REPAIRED) != 0
        bar.gap |= (flags & _AFTER_GAP) != 0


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


@njit(cache=True, inline="always")
def unit(places):
    """Return 10**places as (hi, lo)."""
    return _TENS[places, 0], _TENS[places, 1]


@njit(cache=True)
def figures(bars, price_places, size_places, out):
    """Write the `FIGURES` of bars in units of quote and base, each rounded to a double once.

    bars: BAR, (n,). price_places, size_places: int64, (instruments,), ticks and lots as decimal places. out: float64,
    (FIGURES, n).
    """
    for k in range(bars.size):
        bar = bars[k]
        price, size = price_places[bar.instrument], size_places[bar.instrument]
        tick_hi, tick_lo = _TENS[price, 0], _TENS[price, 1]
        lot_hi, lot_lo = _TENS[size, 0], _TENS[size, 1]
        out[0, k] = quotient(_ZERO, np.uint64(bar.open), tick_hi, tick_lo)
        out[1, k] = quotient(_ZERO, np.uint64(bar.high), tick_hi, tick_lo)
        out[2, k] = quotient(_ZERO, np.uint64(bar.low), tick_hi, tick_lo)
        out[3, k] = quotient(_ZERO, np.uint64(bar.close), tick_hi, tick_lo)
        out[4, k] = quotient(bar.volume_hi, bar.volume_lo, lot_hi, lot_lo)
        out[5, k] = quotient(bar.buy_hi, bar.buy_lo, lot_hi, lot_lo)
        out[6, k] = quotient(bar.notional_hi, bar.notional_lo, _TENS[price + size, 0], _TENS[price + size, 1])
        ticks_hi, ticks_lo = product(bar.volume_lo, tick_lo)
        ticks_hi += bar.volume_hi * tick_lo
        out[7, k] = quotient(bar.notional_hi, bar.notional_lo, ticks_hi, ticks_lo)
