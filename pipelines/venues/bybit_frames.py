"""Bybit's frames, read and checked: trades, best quotes, books, liquidations, tickers. Spot, linear and inverse alike.

Quirks: a trade's message holds up to 1,024 of them and calls itself a snapshot. `BT` marks a block trade, made off the
book. A liquidation's side is that of the position: `Buy` is a long, whose forced order sells; its price is that of
bankruptcy. A ticker says only what changed. Level 1 of the book is the best quote; where it comes as changes, one that
shows a single side tells no quote by itself, and is ignored. Sizes are in units of base, of inverse contracts in USD.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final, Literal, NamedTuple

import msgspec
import numpy as np
from msgspec import Meta, Struct, field

from pipelines.feeds import NO_QUOTES, QUOTE, Depth, Funding, Level, Liquidation, QuoteRows
from pipelines.tape import Decoded, Fault
from pipelines.venues import trade_ids
from pipelines.venues.columns import (
    MAX_ID,
    UNREADABLE,
    Refused,
    Tape,
    Trades,
    build,
    check_levels,
    decimals,
    moment,
    number,
    quoted,
)

_HEAD: Final = 13
"""Bytes by which a frame's channel is told: `{"topic":"` and three letters of it."""
_OTHER_CHANNELS: Final = ("kline", "liquidation", "insurance", "priceLimit", "adlAlert")
"""What is sent on request and recorded by nobody."""
_CONTROL: Final = ("op", "success", "retCode")
"""Keys by which messages about the connection are known."""

_Time = Annotated[int, Meta(ge=0, le=MAX_ID)]
_Id = Annotated[int, Meta(ge=0, le=MAX_ID)]
_Name = Annotated[str, Meta(min_length=1, max_length=40)]
_Side = Literal["Buy", "Sell"]


class _Trade(Struct, gc=False):
    trade_id: str = field(name="i")
    time: _Time = field(name="T")
    symbol: _Name = field(name="s")
    side: _Side = field(name="S")
    size: str = field(name="v")
    price: str = field(name="p")
    block: bool = field(name="BT", default=False)


class _Trades(Struct, gc=False):
    data: list[_Trade]


class _Levels(Struct, gc=False):
    symbol: _Name = field(name="s")
    bids: list[Level] = field(name="b")
    asks: list[Level] = field(name="a")
    update_id: _Id = field(name="u")


class _Book(Struct, gc=False):
    topic: str
    kind: Literal["snapshot", "delta"] = field(name="type")
    ts: _Time
    data: _Levels
    cts: _Time = 0


class _Forced(Struct, gc=False):
    time: _Time = field(name="T")
    symbol: _Name = field(name="s")
    side: _Side = field(name="S")
    size: str = field(name="v")
    price: str = field(name="p")


class _Liquidations(Struct, gc=False):
    data: list[_Forced]


class _Values(Struct, gc=False):
    symbol: _Name
    rate: str = field(name="fundingRate", default="")
    next_time: str = field(name="nextFundingTime", default="")
    mark_price: str = field(name="markPrice", default="")
    index_price: str = field(name="indexPrice", default="")
    open_interest: str = field(name="openInterest", default="")


class _Ticker(Struct, gc=False):
    ts: _Time
    data: _Values


class _Recent(Struct, gc=False):
    trade_id: str = field(name="execId")
    time: str
    symbol: _Name
    side: _Side
    size: str
    price: str
    block: bool = field(name="isBlockTrade", default=False)


class _Page(Struct):
    rows: list[Any] = field(name="list")


class _Answer(Struct):
    result: _Page


class _Quote(NamedTuple):
    frame: int
    symbol: str
    update_id: int
    ts: int
    bid: str
    bid_size: str
    ask: str
    ask_size: str


class _Found:
    """What a batch of frames held, entry by entry; `at` and `part` tell frame and place of each trade."""

    def __init__(self) -> None:
        self.trades: list[_Trade] = []
        self.ids: list[int] = []
        self.at: list[int] = []
        self.part: list[int] = []
        self.quotes: list[_Quote] = []
        self.depths: list[Depth] = []
        self.liquidations: list[Liquidation] = []
        self.fundings: list[Funding] = []
        self.refused: list[Refused] = []

    def decoded(self, frames: int) -> Decoded:
        """Return what was found in a batch of so many frames; those that held nothing are ignored."""
        told = set(self.at)
        for entries in (self.quotes, self.depths, self.liquidations, self.fundings, self.refused):
            told.update(entry[0] for entry in entries)
        decoded = build(self._columns(), self.refused, frames - len(told))
        symbols = list(dict.fromkeys([*decoded.symbols, *(quote.symbol for quote in self.quotes)]))
        quotes, faults = _quote_rows(self.quotes, symbols) if self.quotes else (NO_QUOTES, [])
        return decoded._replace(
            symbols=symbols,
            faults=sorted(decoded.faults + faults) if faults else decoded.faults,
            quotes=quotes,
            depths=self.depths,
            liquidations=self.liquidations,
            fundings=self.fundings,
        )

    def _columns(self) -> Trades:
        trades, n = self.trades, len(self.trades)
        return Trades(
            frame=np.array(self.at, np.int64),
            symbol=[t.symbol for t in trades],
            trade_id=np.array(self.ids, np.int64),
            price=[t.price for t in trades],
            size=[t.size for t in trades],
            time=np.fromiter([t.time for t in trades], np.int64, n),
            seller=np.fromiter([t.side == "Sell" for t in trades], np.bool_, n),
            off_book=np.fromiter([t.block for t in trades], np.bool_, n),
            part=np.array(self.part, np.int64),
        )


def decode(frames: Sequence[bytes | memoryview], tape: Tape = "fill") -> Decoded:
    """Read a batch of frames, whatever came; nothing raises. All trades are single fills."""
    found = _Found()
    for i, frame in enumerate(frames):
        try:
            _READERS[bytes(frame[:_HEAD])](i, frame, found)
        except (KeyError, *UNREADABLE):
            _look_closer(i, bytes(frame), found)
    if tape != "fill":
        found.trades, found.ids, found.at, found.part = [], [], [], []
    return found.decoded(len(frames))


# Each of these notes a whole message, whose entries are counted from `part`, or raises and notes nothing.


def _take_trades(i: int, part: int, message: _Trades, found: _Found) -> None:
    trades = message.data
    ids = [trade_ids.of_text(t.trade_id) for t in trades]
    if -1 in ids:
        raise ValueError("id was neither a number nor a UUID")
    found.trades += trades
    found.ids += ids
    found.at += [i] * len(ids)
    found.part += range(part, part + len(ids))


def _take_book(i: int, _part: int, book: _Book, found: _Found) -> None:
    depth = book.topic.partition(".")[2].partition(".")[0]
    if depth == "rpi":  # other orders
        return
    if not depth.isdecimal():
        raise ValueError(f"unknown topic: {quoted(book.topic)}")
    levels = book.data
    snapshot = book.kind == "snapshot" or levels.update_id == 1  # the service began anew
    ts = moment(book.cts or book.ts)
    if depth == "1":
        bid, ask = _best(levels.bids, snapshot=snapshot), _best(levels.asks, snapshot=snapshot)
        if bid is not None and ask is not None:
            found.quotes.append(_Quote(i, levels.symbol, levels.update_id, ts, *bid, *ask))
        return
    check_levels(levels.bids, levels.asks)
    u = levels.update_id
    found.depths.append(Depth(i, levels.symbol, ts, snapshot, u, u, -1 if snapshot else u - 1, levels.bids, levels.asks))


def _best(levels: Sequence[Level], *, snapshot: bool) -> Level | None:
    """Return the best level of a side: of a snapshot the first, or zeros if the side is empty; of a change the only one."""
    standing = [level for level in levels if level[1].strip("0.")]
    if snapshot:
        return standing[0] if standing else ("0", "0")
    return standing[0] if len(standing) == 1 else None


def _take_liquidations(i: int, _part: int, message: _Liquidations, found: _Found) -> None:
    found.liquidations += [
        Liquidation(
            i,
            forced.symbol,
            moment(forced.time),
            -1 if forced.side == "Buy" else 1,
            number(forced.price, "price"),
            number(forced.size, "size"),
            sampled=False,
        )
        for forced in message.data
    ]


def _take_ticker(i: int, _part: int, ticker: _Ticker, found: _Found) -> None:
    values = ticker.data
    said = (
        number(values.rate, "funding rate", signed=True) if values.rate else None,
        moment(int(values.next_time)) if values.next_time not in ("", "0") else None,
        number(values.mark_price, "mark price", zero=True) or None if values.mark_price else None,
        number(values.index_price, "index price", zero=True) or None if values.index_price else None,
        number(values.open_interest, "open interest", zero=True) if values.open_interest else None,
    )
    if any(value is not None for value in said):
        found.fundings.append(Funding(i, values.symbol, moment(ticker.ts), *said))


class _Channel(NamedTuple):
    """How a channel is read: the form of its messages, what notes one, and the form of an entry where they hold several."""

    form: Any
    take: Callable[[int, int, Any, _Found], None]
    entry: Any = None


_CHANNELS: Final = {
    "publicTrade": _Channel(_Trades, _take_trades, _Trade),
    "trade": _Channel(_Trades, _take_trades, _Trade),
    "orderbook": _Channel(_Book, _take_book),
    "allLiquidation": _Channel(_Liquidations, _take_liquidations, _Forced),
    "tickers": _Channel(_Ticker, _take_ticker),
}
_Reader = Callable[[int, bytes | memoryview, _Found], None]


def _reader(channel: _Channel) -> _Reader:
    decoder, take = msgspec.json.Decoder(channel.form), channel.take
    return lambda i, frame, found: take(i, 0, decoder.decode(frame), found)


_READERS: Final[dict[bytes, _Reader]] = {
    b'{"topic":"' + name[:3].encode(): _reader(_CHANNELS[name]) for name in _CHANNELS if name != "trade"
}


def _look_closer(i: int, frame: bytes, found: _Found) -> None:
    """Note what a frame of unusual form holds, entry by entry, and the faults in it; nothing if it is known to bear no data."""
    try:
        message = msgspec.json.decode(frame)
    except UNREADABLE as error:
        found.refused.append(Refused(i, _reason("frame", error)))
        return
    topic = message.get("topic") if isinstance(message, dict) else None
    if not isinstance(topic, str):
        if not isinstance(message, dict) or not any(key in message for key in _CONTROL):
            found.refused.append(Refused(i, "frame named no topic"))
        return
    name = topic.partition(".")[0]
    channel = _CHANNELS.get(name)
    if channel is None:
        if name not in _OTHER_CHANNELS:
            found.refused.append(Refused(i, f"unknown topic: {quoted(topic)}"))
        return
    data = message.get("data")
    entries = data if channel.entry and isinstance(data, list) else None
    for part, entry in enumerate([data] if entries is None else entries):
        try:
            whole = (
                msgspec.convert(message, channel.form)
                if entries is None
                else channel.form([msgspec.convert(entry, channel.entry)])
            )
            channel.take(i, part, whole, found)
        except UNREADABLE as error:
            found.refused.append(_refused(i, part, entry, _reason(name, error)))


def _reason(what: str, error: BaseException) -> str:
    return f"{what} was malformed: {' '.join(str(error).split())[:200]}"


def _refused(i: int, part: int, entry: Any, reason: str) -> Refused:
    """Return the fault of an entry, with symbol and id as far as they can be read."""
    told = entry if isinstance(entry, dict) else {}
    symbol = told.get("s", told.get("symbol"))
    if not isinstance(symbol, str) or not 0 < len(symbol) <= 40:
        return Refused(i, reason, part=part)
    number = told.get("i", told.get("execId"))
    return Refused(i, reason, symbol, trade_ids.of_text(number) if isinstance(number, str) else -1, part)


def _quote_rows(quotes: Sequence[_Quote], symbols: Sequence[str]) -> tuple[QuoteRows, list[Fault]]:
    """Return the quotes that can be kept as rows, and the faults of the others; prices and sizes may be 0."""
    index = {name: k for k, name in enumerate(symbols)}
    rows = np.zeros(len(quotes), QUOTE)
    frame, symbol, rows["update_id"], rows["ts"], *texts = zip(*quotes, strict=True)
    rows["frame"] = frame
    rows["instrument"] = [index[name] for name in symbol]
    reasons: dict[int, str] = {}
    for name, column in zip(("bid", "bid_size", "ask", "ask_size"), texts, strict=True):
        rows[name], wrong = decimals(column, name.replace("_", " "), zero=True)
        reasons = wrong | reasons
    return np.delete(rows, list(reasons)), [Fault(frame[k], reason, symbol[k]) for k, reason in reasons.items()]


# REST


def decode_rest(body: bytes, native: str) -> Decoded:
    """Read an answer about the newest trades, the last first; `Fault.part` is the place of a refused one in it."""
    found = _Found()
    try:
        page = _answer.decode(body).result.rows
    except UNREADABLE as error:
        found.refused.append(Refused(0, _reason("REST answer", error), native))
        page = []
    for part in reversed(range(len(page))):
        try:
            recent = msgspec.convert(page[part], _Recent)
            time = msgspec.convert(recent.time, _Time, strict=False)
            trade = _Trade(recent.trade_id, time, recent.symbol, recent.side, recent.size, recent.price, recent.block)
            _take_trades(0, part, _Trades([trade]), found)
        except UNREADABLE as error:
            found.refused.append(_refused(0, part, page[part], _reason("trade", error)))
    return found.decoded(1)


_answer = msgspec.json.Decoder(_Answer)
