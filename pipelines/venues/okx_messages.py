"""What OKX v5 sends over a socket, as types: numbers are decimal text, or numbers."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Raw, Struct, field

from pipelines.feeds import Feed
from pipelines.venues.columns import EARLIEST_US, LATEST_US, MAX_ID

FEED_OF: Final[dict[str, Feed]] = {
    "trades": "trades",
    "trades-all": "trades",
    "bbo-tbt": "quotes",
    "books": "book",
    "books-l2-tbt": "book",
    "books50-l2-tbt": "book",
    "liquidation-orders": "liquidations",
    "funding-rate": "funding",
    "open-interest": "funding",
    "mark-price": "funding",
}
"""Channels that are read, and the feed that each belongs to."""
BEGINS_TRADES: Final = b'{"arg":{"channel":"trades",'
"""How a frame of trades begins."""

_Name = Annotated[str, Meta(min_length=1, max_length=40)]
_Id = Annotated[int, Meta(ge=0, le=MAX_ID)]
_Int = Annotated[int, Meta(ge=-MAX_ID, le=MAX_ID)]
_Count = Annotated[int, Meta(ge=1, le=2**31 - 1)]
_Seq = Annotated[int, Meta(ge=-1, le=MAX_ID)]
_Ms = Annotated[int, Meta(ge=EARLIEST_US // 1000, lt=LATEST_US // 1000)]
_OddMs = Annotated[int, Meta(ge=0, lt=LATEST_US // 1000)]
"""A time that is 0 at times, or as good as 0."""


class Trade(Struct, gc=False):
    """A trade of channels `trades` (merged, with `count`) and `trades-all`, or of REST."""

    symbol: _Name = field(name="instId")
    trade_id: _Id = field(name="tradeId")
    price: str = field(name="px")
    size: str = field(name="sz")
    side: Literal["buy", "sell"]
    time: _Int = field(name="ts")
    count: _Count = 1


class TradeSight(Struct, gc=False):
    """What is needed to know which ids a trade uses up."""

    symbol: _Name = field(name="instId")
    trade_id: _Id = field(name="tradeId")
    count: _Count = 1


class Level(Struct, array_like=True, gc=False):
    """A level of a book; two more figures follow, which nobody needs."""

    price: str
    size: str


class Update(Struct):
    """A snapshot or an update of a book, or a best quote."""

    asks: list[Level]
    bids: list[Level]
    time: _OddMs = field(name="ts", default=0)
    last: _Seq = field(name="seqId", default=-1)
    previous: _Seq = field(name="prevSeqId", default=-1)
    checksum: Annotated[int, Meta(ge=-(2**31), lt=2**31)] = 0


class Forced(Struct, gc=False):
    """A forced order; `bkPx` is its bankruptcy price."""

    side: Literal["buy", "sell"]
    price: str = field(name="bkPx")
    size: str = field(name="sz")
    time: _Ms = field(name="ts")


class Forcings(Struct):
    """The forced orders of one instrument."""

    symbol: _Name = field(name="instId")
    details: list[Forced]


class Status(Struct, gc=False):
    """What one of three channels tells of a contract."""

    symbol: _Name = field(name="instId")
    time: _Ms = field(name="ts")
    rate: str = field(name="fundingRate", default="")
    next_time: _Ms | Literal[""] = field(name="fundingTime", default="")
    mark: str = field(name="markPx", default="")
    interest: str = field(name="oi", default="")


class Arg(Struct, gc=False):
    """What was subscribed to."""

    channel: str
    symbol: Annotated[str, Meta(max_length=40)] = field(name="instId", default="")


class Message(Struct):
    """Data of a channel, not yet read."""

    arg: Arg
    data: list[Raw]
    action: str = ""


class Glance(Struct):
    """As much of a message as tells what it is."""

    arg: Arg | None = None
    event: str = ""
    code: str | int = ""
    msg: str = ""


class TradesFrame(Struct):
    """A frame of trades."""

    data: list[Trade]


class SightsFrame(Struct):
    """A frame of trades at a glance."""

    data: list[TradeSight]


trades = msgspec.json.Decoder(TradesFrame, strict=False)
sights = msgspec.json.Decoder(SightsFrame, strict=False)
message = msgspec.json.Decoder(Message)
glance = msgspec.json.Decoder(Glance)
trade = msgspec.json.Decoder(Trade, strict=False)
sight = msgspec.json.Decoder(TradeSight, strict=False)
update = msgspec.json.Decoder(Update, strict=False)
forcings = msgspec.json.Decoder(Forcings, strict=False)
status = msgspec.json.Decoder(Status, strict=False)
