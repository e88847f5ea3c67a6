"""Bulk volume classification of one-minute bars, and VPIN of it (Easley, Lopez de Prado, O'Hara, RFS 25(5), 2012).

Of a minute's volume the share F = Phi(dp / sigma) counts as bought: dp from the last close to this one, sigma the
standard deviation (ddof 1) of the `SIGMA` changes before it; F is 1/2 while fewer are known and where they are all equal.
A minute fills volume buckets in order, every part with the minute's F. The buckets are those that trades fill, but what
of a bucket was bought is known only when its last minute is over: VPIN at the end of a bucket of trades is that of the
last n buckets known then, so it lags by at most the minute that was open.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numba import njit

from pipelines.kernels.bar import unit
from pipelines.kernels.decimals import mantissa
from pipelines.kernels.wide import at_least, difference, quotient

SIGMA: Final = 60

BULK = np.dtype([("volume", np.float64), ("buy", np.float64)])
"""A complete bucket: V and what counts as bought, units of base."""
OPEN = np.dtype([("lots", np.int64), ("buy", np.float64)])
"""The open bucket: lots so far, and what counts as bought of them, units of base."""

_ZERO = np.uint64(0)
_LARGE = np.uint64(1 << 63)


@njit(cache=True)
def share(change, changes, known):
    """Return F of a change of price; changes: float64, (SIGMA,), the last ones, change k at k % SIGMA; known: how many."""
    if known < SIGMA or changes.min() == changes.max():
        return 0.5
    mean = 0.0
    for k in range(known - SIGMA, known):
        mean += changes[k % SIGMA]
    mean /= SIGMA
    squares = 0.0
    for k in range(known - SIGMA, known):
        squares += (changes[k % SIGMA] - mean) ** 2
    return 0.5 * math.erfc(-change / math.sqrt(squares / (SIGMA - 1)) / math.sqrt(2.0))


@njit(cache=True)
def classify(minutes, price_places, last, changes, known, out):
    """Set the share of each minute's volume that counts as bought.

    minutes: BAR, (n,), closed one-minute bars in order per instrument. price_places: int64, (instruments,). last: float64,
    (instruments,), the last close, NaN before the first; changes: float64, (instruments, SIGMA); known: int64,
    (instruments,), how many changes there were: the state. out: float64, (n,).

    A change is the exact difference in ticks, rounded once, so that it does not depend on the exponent.
    """
    for k in range(minutes.size):
        bar = minutes[k]
        i = bar.instrument
        out[k] = 0.5
        unit_hi, unit_lo = unit(price_places[i])
        if not math.isnan(last[i]):
            ticks = bar.close - mantissa(last[i], price_places[i])
            size = quotient(_ZERO, np.uint64(abs(ticks)), unit_hi, unit_lo)
            change = size if ticks > 0 else -size
            out[k] = share(change, changes[i], known[i])
            changes[i, known[i] % SIGMA] = change
            known[i] += 1
        last[i] = quotient(_ZERO, np.uint64(bar.close), unit_hi, unit_lo)


@njit(cache=True)
def fill(bar, bought, target, places, bucket, ring, entered):
    """Fill buckets with a minute of which the share `bought` was bought; return how many have entered `ring`.

    target: V, lots. places: decimals of lots. bucket: OPEN. ring: BULK, (n,), bucket k at k % n. Of more whole buckets than
    a window holds only the last ones are counted: all of them are alike.
    """
    unit_hi, unit_lo = unit(places)
    hi, lo = bar.volume_hi, bar.volume_lo
    while hi > _ZERO or lo > _ZERO:
        whole = (_LARGE if hi > _ZERO else lo) // np.uint64(target)
        if bucket.lots == 0 and whole > np.uint64(ring.size):
            beyond = whole - np.uint64(ring.size)
            hi, lo = difference(hi, lo, _ZERO, beyond * np.uint64(target))
        wanted = np.uint64(target - bucket.lots)
        piece = wanted if at_least(hi, lo, _ZERO, wanted) else lo
        hi, lo = difference(hi, lo, _ZERO, piece)
        bucket.lots += np.int64(piece)
        bucket.buy += quotient(_ZERO, piece, unit_hi, unit_lo) * bought
        if bucket.lots == target:
            slot = ring[entered % ring.size]
            slot.volume = quotient(_ZERO, np.uint64(target), unit_hi, unit_lo)
            slot.buy = bucket.buy
            entered += 1
            bucket.lots = 0
            bucket.buy = 0.0
    return entered


@njit(cache=True)
def vpin(ring, entered):
    """Return sum |buy - sell| / sum V over the last n buckets; NaN before there are n."""
    if entered < ring.size:
        return np.nan
    imbalance, volume = 0.0, 0.0
    for k in range(entered, entered + ring.size):
        bucket = ring[k % ring.size]
        imbalance += abs(2.0 * bucket.buy - bucket.volume)
        volume += bucket.volume
    return imbalance / volume


@njit(cache=True)
def read(closed, minutes, shares, targets, size_places, buckets, ring, entered, out):
    """Fill buckets with minutes, and read VPIN off them at the end of each bucket that trades closed.

    closed: vpin.BUCKET, (m,), and minutes: BAR, (n,), both in order per instrument; shares: float64, (n,), of `classify`.
    targets, size_places: int64, (instruments,), V in lots, 0: none, and their decimals. buckets: OPEN, (instruments,),
    ring: BULK, (instruments, n), entered: int64, (instruments,): the state. out: float64, (m,).
    """
    following = np.full(minutes.size, -1)
    upcoming = np.full(targets.size, -1)
    for k in range(minutes.size - 1, -1, -1):
        following[k] = upcoming[minutes[k].instrument]
        upcoming[minutes[k].instrument] = k
    for b in range(closed.size):
        i = closed[b].instrument
        k = upcoming[i]
        while k >= 0 and minutes[k].end <= closed[b].end:
            if targets[i] > 0:
                entered[i] = fill(minutes[k], shares[k], targets[i], size_places[i], buckets[i], ring[i], entered[i])
            k = following[k]
        upcoming[i] = k
        out[b] = np.nan if closed[b].partial else vpin(ring[i], entered[i])
    for i in range(targets.size):
        k = upcoming[i]
        while k >= 0:
            if targets[i] > 0:
                entered[i] = fill(minutes[k], shares[k], targets[i], size_places[i], buckets[i], ring[i], entered[i])
            k = following[k]
