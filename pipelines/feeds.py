"""What venues send besides trades, as decoders hand it on: best quotes, book updates, liquidations, funding.

Prices and sizes are the venue's own: where it counts in contracts they are still contracts (see `contracts`).
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Feed = Literal["trades", "quotes", "book", "liquidations", "funding"]
FEEDS: Final[tuple[Feed, ...]] = ("trades", "quotes", "book", "liquidations", "funding")
QUIET: Final[frozenset[Feed]] = frozenset({"liquidations", "funding"})
"""Feeds whose silence says nothing."""

QUOTE: Final = np.dtype(
    [
        ("ts", np.int64),  # match time, us since 1970; 0: the venue sends none
        ("update_id", np.int64),
        ("bid", np.float64),  # quote per base; 0: no order on that side
        ("bid_size", np.float64),  # base, or contracts
        ("ask", np.float64),
        ("ask_size", np.float64),
        ("instrument", np.int32),  # index into `Decoded.symbols`
        ("frame", np.int32),
    ]
)
QuoteRows = npt.NDArray[np.void]
"""An array of `QUOTE`."""
NO_QUOTES: Final[QuoteRows] = np.zeros(0, QUOTE)

Level = tuple[str, str]
"""Price and size of a level of the book as decimal text, as sent; size zero takes the level out."""


class Depth(NamedTuple):
    """A snapshot or an update of an order book.

    Attributes
    ----------
    frame : int
        Which frame of the batch.
    symbol : str
        The venue's own name; empty where the answer does not say and only one instrument can be meant.
    ts : int
        The venue's time, us since 1970; 0: it sends none.
    snapshot : bool
        Replaces the book whole.
    first, last : int
        Ids of the updates in it; -1: the venue numbers none. Of a snapshot, `last` is how far it goes.
    previous : int
        The `last` of the update before, where the venue links updates; else -1.
    bids, asks : list of (str, str)
    checksum : int, optional
        Of the book after this update, as `Venue.checksum` computes it; None where there is none to hold it against.
    """

    frame: int
    symbol: str
    ts: int
    snapshot: bool
    first: int
    last: int
    previous: int
    bids: list[Level]
    asks: list[Level]
    checksum: int | None = None


class Liquidation(NamedTuple):
    """A forced order.

    Attributes
    ----------
    frame : int
    symbol : str
    ts : int
        us since 1970.
    side : int
        Of the forced order: -1 sells (a long was liquidated), +1 buys (a short was).
    price : float
        What the venue gives, average fill or bankruptcy price, quote per base.
    size : float
        base, or contracts.
    sampled : bool
        The venue shows only some.
    """

    frame: int
    symbol: str
    ts: int
    side: int
    price: float
    size: float
    sampled: bool


class Funding(NamedTuple):
    """What a venue says of a perpetual contract's funding and open interest; None: not said in this message.

    Attributes
    ----------
    frame : int
    symbol : str
    ts : int
        us since 1970.
    rate : float, optional
        Of the running interval, as a fraction.
    next_ts : int, optional
        When it is paid next, us since 1970.
    mark_price, index_price : float, optional
        Prices, quote per base.
    open_interest : float, optional
        base, or contracts.
    """

    frame: int
    symbol: str
    ts: int
    rate: float | None = None
    next_ts: int | None = None
    mark_price: float | None = None
    index_price: float | None = None
    open_interest: float | None = None
