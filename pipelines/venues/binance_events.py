"""Binance's events as they stand in JSON. Unknown keys are left alone: the venue adds some now and then.

Spot's `bookTicker` and snapshots of depth name no event type. On futures a `trade` whose `X` is not MARKET did not come
from the book, but uses up an id all the same. `m` says that the buyer was the maker, so that the seller was the taker.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct, field

from pipelines.venues.columns import MAX_ID

Id = Annotated[int, Meta(ge=0, le=MAX_ID)]
Int = Annotated[int, Meta(ge=-MAX_ID, le=MAX_ID)]
Name = Annotated[str, Meta(min_length=1, max_length=40)]
Section = Literal[0, 1, 2]
"""Whose event it is: 1 USD-M's, 2 COIN-M's; 0: it does not say."""
Levels = list[tuple[str, str]]


class _Fill(Struct, gc=False, kw_only=True):
    price: str = field(name="p")
    size: str = field(name="q")
    time: Int = field(name="T")
    seller: bool = field(name="m")


class Aggregate(_Fill, gc=False, kw_only=True):
    """An aggregate as REST sends it."""

    trade_id: Id = field(name="a")
    first_fill: Int = field(name="f")
    last_fill: Int = field(name="l")


class AggTrade(Aggregate, gc=False, kw_only=True, tag_field="e", tag="aggTrade"):
    """Fills of one taker (spot), or of one price and side within 100 ms (futures), merged."""

    symbol: Name = field(name="s")


class Trade(_Fill, gc=False, kw_only=True, tag_field="e", tag="trade"):
    """A fill."""

    symbol: Name = field(name="s")
    trade_id: Id = field(name="t")
    origin: Literal["MARKET", "INSURANCE_FUND", "ADL", "NA"] | None = field(name="X", default=None)


class _Best(Struct, gc=False, kw_only=True):
    symbol: Name = field(name="s")
    update_id: Id = field(name="u")
    bid: str = field(name="b")
    bid_size: str = field(name="B")
    ask: str = field(name="a")
    ask_size: str = field(name="A")
    time: Int = field(name="T", default=0)
    section: Section = field(name="st", default=0)


class BookTicker(_Best, gc=False, kw_only=True, tag_field="e", tag="bookTicker"):
    """The best quotes."""


class SpotTicker(_Best, gc=False, kw_only=True):
    """The best quotes, of no event type and without a time."""

    event: Literal["bookTicker"] = field(name="e", default="bookTicker")


class DepthUpdate(Struct, kw_only=True, tag_field="e", tag="depthUpdate"):
    """Changes of a book. Futures say with `pu` where the update before ended; spot begins (`U`) one behind that."""

    symbol: Name = field(name="s")
    sent: Int = field(name="E")
    time: Int = field(name="T", default=0)
    first: Id = field(name="U")
    last: Id = field(name="u")
    previous: Id | None = field(name="pu", default=None)
    bids: Levels = field(name="b")
    asks: Levels = field(name="a")


class Snapshot(Struct, kw_only=True):
    """A book as REST sends it; spot's has no time, only COIN-M's names its symbol."""

    last: Id = field(name="lastUpdateId")
    time: Int = field(name="T", default=0)
    symbol: Annotated[str, Meta(max_length=40)] = ""
    bids: Levels
    asks: Levels


class Forced(Struct, gc=False, kw_only=True):
    """The order of a liquidation: `p` and `q` as placed, `ap` and `z` as filled so far."""

    symbol: Name = field(name="s")
    side: Literal["BUY", "SELL"] = field(name="S")
    average: str = field(name="ap")
    filled: str = field(name="z")
    time: Int = field(name="T")


class ForceOrder(Struct, kw_only=True, tag_field="e", tag="forceOrder"):
    """At most one a second and instrument is shown."""

    order: Forced = field(name="o")
    section: Section = field(name="st", default=0)


class MarkPrice(Struct, gc=False, kw_only=True, tag_field="e", tag="markPriceUpdate"):
    """Mark and index price; the funding rate is empty and its time 0 where a contract pays none."""

    symbol: Name = field(name="s")
    sent: Int = field(name="E")
    mark: str = field(name="p")
    index: str = field(name="i", default="")
    rate: str = field(name="r", default="")
    next_time: Int = field(name="T", default=0)


class OpenInterest(Struct, gc=False, kw_only=True):
    """REST's answer about open interest."""

    symbol: Name
    interest: str = field(name="openInterest")
    time: Int


Event = AggTrade | Trade | BookTicker | DepthUpdate | ForceOrder | MarkPrice


class _Wrapped(Struct, gc=False):
    data: Event


class _WrappedTicker(Struct, gc=False):
    data: SpotTicker


wrapped = msgspec.json.Decoder(_Wrapped)
raw = msgspec.json.Decoder(Event)
wrapped_ticker = msgspec.json.Decoder(_WrappedTicker)
