"""What an exchange has to show: listings, trades and candles, in integers, and where they come from."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from pipelines.venues import venue

Ints = npt.NDArray[np.int64]
MINUTE_MS = 60_000
DAY_MS = 86_400_000
INTERVALS_MS = {"1m": MINUTE_MS, "1d": DAY_MS}


class Listing(NamedTuple):
    """An instrument as the exchange lists it.

    Attributes
    ----------
    native : str
        Like `BTCUSDT`.
    price_decimals, size_decimals : int
        Prices and sizes are integers in units of 10**-decimals.
    tick : int
        Smallest step of price, in those units.
    """

    native: str
    base: str
    quote: str
    price_decimals: int
    size_decimals: int
    tick: int = 1


class Trades(NamedTuple):
    """Aggregated trades in the order of their ids, a column each.

    Attributes
    ----------
    id : int64, (n,)
        Contiguous.
    time, published : int64, (n,)
        When matched (`T`) and when sent (`E`), ms since 1970; the second never falls, the first only in recordings.
    price, size : int64, (n,)
        In the units of the listing.
    sell : bool, (n,)
        The seller was the taker.
    first, last : int64, (n,)
        First and last fill.
    """

    id: Ints
    time: Ints
    published: Ints
    price: Ints
    size: Ints
    sell: npt.NDArray[np.bool_]
    first: Ints
    last: Ints

    def cut(self, part: slice | Ints | npt.NDArray[np.bool_]) -> Trades:
        """Return the trades of a part, as numpy indexes."""
        return Trades(
            self.id[part],
            self.time[part],
            self.published[part],
            self.price[part],
            self.size[part],
            self.sell[part],
            self.first[part],
            self.last[part],
        )


def join(parts: list[Trades]) -> Trades:
    """Return the parts as one; no parts give no trades."""
    if not parts:
        none = np.zeros(0, np.int64)
        return Trades(none, none, none, none, none, np.zeros(0, np.bool_), none, none)
    return Trades._make(np.concatenate(columns) for columns in zip(*parts, strict=True))


class Candle(NamedTuple):
    """A candle. Prices and volumes are in the units of the listing, notional in their product, `start` in ms."""

    start: int
    open: int
    high: int
    low: int
    close: int
    volume: int
    notional: int
    fills: int
    buy_volume: int
    buy_notional: int


def candles(trades: Trades, width_ms: int) -> list[Candle]:
    """Return the candles of `width_ms` that trades of rising time make; spans without a trade have none."""
    if not len(trades.id):
        return []
    start = trades.time // width_ms * width_ms
    head = np.flatnonzero(np.diff(start, prepend=-1))
    tail = np.append(head[1:], len(start)) - 1
    notional = trades.price * trades.size
    columns = (
        start[head],
        trades.price[head],
        np.maximum.reduceat(trades.price, head),
        np.minimum.reduceat(trades.price, head),
        trades.price[tail],
        np.add.reduceat(trades.size, head),
        np.add.reduceat(notional, head),
        np.add.reduceat(trades.last - trades.first + 1, head),
        np.add.reduceat(np.where(trades.sell, 0, trades.size), head),
        np.add.reduceat(np.where(trades.sell, 0, notional), head),
    )
    return [Candle(*row) for row in zip(*(c.tolist() for c in columns), strict=True)]


class Frame(NamedTuple):
    """A frame to send: the `data` of a stream, or (if `bare`) the whole frame. `id` is that of a trade, else -1."""

    id: int
    data: str | bytes
    bare: bool = False


class Tape(Protocol):
    """A market, generated or recorded. Every answer is a function of what is asked, never of when."""

    @property
    def listings(self) -> dict[str, Listing]:
        """What is traded, by native name."""

    def id_at(self, native: str, time_ms: int) -> int:
        """Return the id of the first trade matched at or after `time_ms`."""

    def unpublished(self, native: str, now_ms: int) -> int:
        """Return the id of the first trade that is sent after `now_ms`."""

    def trades(self, native: str, first: int, stop: int) -> Trades:
        """Return the trades with ids first (inclusive) to stop (exclusive), as far as there are any."""

    def candles(self, native: str, interval: str, start_ms: int, end_ms: int, now_ms: int) -> list[Candle]:
        """Return the candles that open from `start_ms` to `end_ms` (inclusive), of what is published at `now_ms`."""

    def frames(self, stream: str, after_ms: int, upto_ms: int) -> list[Frame]:
        """Return what `stream` sends after `after_ms`, up to and including `upto_ms`."""

    def prepare(self, time_ms: int) -> None:
        """Compute ahead what is sent around `time_ms`; may be called from another thread."""


def listed(symbol: str) -> tuple[str, str]:
    """Split `BTC-USDT` or `BTCUSDT` into base and quote asset.

    Raises
    ------
    ValueError
        If they cannot be told.
    """
    instrument = venue("demo").guess(symbol)
    return instrument.base, instrument.quote
