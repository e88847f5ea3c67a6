"""Tick, volume, dollar, imbalance and run bars (Lopez de Prado, AFML 2018, 2.3).

A tick, volume or dollar bar closes at the first trade with which its count, sum of size or sum of price x size reaches
the threshold; an imbalance or run bar as `imbalance` says. That trade belongs to it whole, and the next bar starts from
nothing. `tick` counts rows of the tape, not fills.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numba import njit

from pipelines.kernels.bar import begin, extend, terms, unit
from pipelines.kernels.imbalance import CAP, PLAIN, WINDOW, clear, expected, reading, signed, take, total
from pipelines.kernels.wide import at_least, quotient
from pipelines.tape import TRADE

TRADES: Final = 0
VOLUME: Final = 1
NOTIONAL: Final = 2

KIND = np.dtype([("measure", np.int64), ("rule", np.int64), ("adaptive", np.bool_)])
"""A kind of bar: its threshold is in trades, lots or ticks x lots; PLAIN, IMBALANCE or RUN; made of past bars or not."""

_ZERO = np.uint64(0)
_ONE = np.uint64(1)


@njit(cache=True, inline="always")
def _sum(bar, measure):
    """Return what the bar holds of its measure, as (hi, lo)."""
    if measure == TRADES:
        return _ZERO, np.uint64(bar.trades)
    if measure == VOLUME:
        return bar.volume_hi, bar.volume_lo
    return bar.notional_hi, bar.notional_lo


@njit(cache=True, inline="always")
def _weight(trade, measure):
    """Return w of a trade, given by its `terms`, as (hi, lo)."""
    if measure == TRADES:
        return _ZERO, _ONE
    if measure == VOLUME:
        return _ZERO, trade[2]
    return trade[4]


@njit(cache=True)
def places_of(measure, price_places, size_places):
    """Return the decimal places of a measure's integers."""
    return 0 if measure == TRADES else size_places if measure == VOLUME else price_places + size_places


@njit(cache=True)
def _reached(bar, flow, kind, hi, lo, places):
    """Return whether an imbalance or run bar closes; (hi, lo): its limit, or T0 of an adaptive one."""
    if not kind.adaptive:
        value_hi, value_lo = reading(flow, kind.rule)
        return at_least(value_hi, value_lo, hi, lo)
    if math.isnan(bar.threshold) or bar.trades >= CAP * lo:
        return np.uint64(bar.trades) >= lo
    value_hi, value_lo = reading(flow, kind.rule)
    unit_hi, unit_lo = unit(places)
    return quotient(value_hi, value_lo, unit_hi, unit_lo) >= bar.threshold


@njit(cache=True)
def _adapt(bar, flow, ring, entered, kind, nominal, places):
    """Take a closed bar into the ring of past bars, unless it was the warm-up; return how many have entered it.

    Its threshold becomes that of the next bar: of the warm-up, for which the first place is free, as of a bar.
    """
    past = ring[entered % WINDOW]
    past.trades = bar.trades
    past.imbalance = bar.imbalance
    past.total = total(flow, places)
    if not math.isnan(bar.threshold):
        entered += 1
    bar.threshold = expected(ring, max(entered, 1), kind.rule, nominal)
    return entered


@njit(cache=True)
def threshold_bars(rows, open_bars, flows, limits, kinds, rings, entered, price_places, size_places, out, closed):
    """Feed rows to the open bars of several kinds.

    rows: ROW, (n,), in tape order. open_bars: BAR and flows: FLOW, (kinds, instruments), the state. limits: uint64,
    (kinds, instruments, 2), the thresholds as (hi, lo), of adaptive kinds T0; 0: no bars. kinds: KIND, (kinds,). rings:
    BAR_FLOW, (kinds, instruments, WINDOW), the last complete bars of adaptive kinds; entered: int64, (kinds,
    instruments), how many have entered; a NaN threshold of the open bar stands for the warm-up. price_places,
    size_places: int64, (instruments,). out: BAR, (kinds, n), receives the bars that close; closed: int64, (kinds,), how
    many did.
    """
    closed[:] = 0
    for k in range(rows.size):
        row = rows[k]
        if row.kind != TRADE or not row.counted:
            continue
        trade = terms(row)
        i = row.instrument
        for m in range(kinds.size):
            kind = kinds[m]
            hi, lo = limits[m, i, 0], limits[m, i, 1]
            if hi == _ZERO and lo == _ZERO:
                continue
            bar = open_bars[m, i]
            if bar.trades == 0:
                begin(bar, row, row.eff, row.eff)
                clear(flows[m, i])
            extend(bar, trade)
            bar.end = row.eff
            if kind.rule == PLAIN:
                value_hi, value_lo = _sum(bar, kind.measure)
                if at_least(value_hi, value_lo, hi, lo):
                    out[m, closed[m]] = bar
                    closed[m] += 1
                    bar.trades = 0
                continue
            flow = flows[m, i]
            take(flow, row.side, _weight(trade, kind.measure))
            places = places_of(kind.measure, price_places[i], size_places[i])
            if not _reached(bar, flow, kind, hi, lo, places):
                continue
            bar.imbalance = signed(flow, places)
            if not math.isnan(bar.threshold):
                out[m, closed[m]] = bar
                closed[m] += 1
            if kind.adaptive:
                entered[m, i] = _adapt(bar, flow, rings[m, i], entered[m, i], kind, lo, places)
            bar.trades = 0
